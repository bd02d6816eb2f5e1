/** A block of addresses on a network (Networking v2.0, `/v2.0/subnets`). */
import { computed, field, reference, taggedFields } from "../fields.ts";
import { type ObjectOf, resource } from "../resource.ts";
import { address, boolean, cidr, list, nullable, oneOf, record, text, uuid } from "../types.ts";

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
    /** Required by the rules: there are no subnet pools that it could come from. */
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
    /** Always null until router advertisements, DHCPv6 and subnet pools are enforced: refused in POST. */
    ipv6_ra_mode: computed(nullable(text(32)), { filter: true, sort: true }),
    ipv6_address_mode: computed(nullable(text(32)), { filter: true, sort: true }),
    subnetpool_id: computed(nullable(uuid()), { filter: true, sort: true }),
  },
});
export type Subnet = ObjectOf<typeof Subnet>;
