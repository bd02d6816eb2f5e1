/** A block of addresses on a network (Networking v2.0, `/v2.0/subnets`). */
import { cidrOf } from "../address/mod.ts";
import { computed, field, input, reference, taggedFields } from "../fields.ts";
import { keyOf, type ObjectOf, resource } from "../resource.ts";
import { address, boolean, cidr, integer, list, nullable, oneOf, record, uuid } from "../types.ts";

/** How machines of an IPv6 subnet learn their addresses (RFC 4862, RFC 8415). */
export const ipv6Modes = ["dhcpv6-stateful", "dhcpv6-stateless", "slaac"] as const;

export interface AllocationPool {
  readonly start: string;
  readonly end: string;
}
export interface HostRoute {
  readonly destination: string;
  readonly nexthop: string;
}

export const Subnet = resource({
  kind: "subnet",
  plural: "subnets",
  fields: {
    ...taggedFields(),
    network_id: reference(uuid(), "network", "cascade", {
      create: "required",
      filter: true,
      sort: true,
      projected: "all",
    }),
    ip_version: field(oneOf([4, 6]), { create: "required", filter: true, sort: true, projected: "all" }),
    /** Absent in POST: a block of the pool. */
    cidr: field(cidr(), { create: "optional", filter: true, sort: true, projected: "all" }),
    /** Absent in POST: the first host address; null: none. */
    gateway_ip: field(nullable(address()), {
      create: "optional",
      update: "allowed",
      filter: true,
      sort: true,
      projected: "all",
    }),
    /** Absent in POST: the whole range less the gateway. */
    allocation_pools: field(list(record<AllocationPool>({ start: address(), end: address() })), {
      create: "optional",
      update: "allowed",
    }),
    enable_dhcp: field(boolean(), {
      create: "optional",
      update: "allowed",
      default: true,
      filter: true,
      sort: true,
      projected: "all",
    }),
    dns_nameservers: field(list(address()), {
      create: "optional",
      update: "allowed",
      default: [],
      projected: "all",
    }),
    host_routes: field(list(record<HostRoute>({ destination: cidr(), nexthop: address() })), {
      create: "optional",
      update: "allowed",
      default: [],
      projected: "all",
    }),
    /** Who tells machines their IPv6 addresses: null: nobody of ours. */
    ipv6_ra_mode: field(nullable(oneOf(ipv6Modes)), {
      create: "optional",
      default: null,
      filter: true,
      sort: true,
      projected: "all",
    }),
    ipv6_address_mode: field(nullable(oneOf(ipv6Modes)), {
      create: "optional",
      default: null,
      filter: true,
      sort: true,
      projected: "all",
    }),
    subnetpool_id: reference(nullable(uuid()), "subnetpool", "refuse", {
      create: "optional",
      default: null,
      filter: true,
      sort: true,
      projected: "all",
    }),
    /** The segment of its network that it is of: only hosts that stand there have machines with addresses of it. Null: all. */
    segment_id: reference(nullable(uuid()), "segment", "refuse", {
      create: "optional",
      update: "allowed",
      readers: "admin",
      writers: "admin",
      default: null,
      filter: true,
      sort: true,
      projected: "all",
    }),
    /** Whether its network is; shown nowhere, and lists may be asked for it. */
    shared: computed(boolean(), { readers: "hidden", filter: true }),
    /** The size of the block that a pool shall give. */
    prefixlen: input(integer(0, 128)),
    use_default_subnetpool: input(boolean(), { default: false }),
  },
  indexes: {
    /** pool|project|length: what a project has of a pool. */
    pooled: (subnet) =>
      typeof subnet.subnetpool_id === "string"
        ? [keyOf(subnet.subnetpool_id, subnet.project_id, cidrOf(subnet.cidr).length)]
        : [],
  },
});
export type Subnet = ObjectOf<typeof Subnet>;
