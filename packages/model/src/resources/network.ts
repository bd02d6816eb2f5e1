/** A tenant's layer-2 network (Networking v2.0, `/v2.0/networks`). */
import { defaultDomain, dnsDomain } from "../dns.ts";
import { adminStateUp, computed, field, status, taggedFields } from "../fields.ts";
import { type ObjectOf, resource } from "../resource.ts";
import {
  boolean,
  dictionary,
  type FieldType,
  InvalidValue,
  integer,
  list,
  nullable,
  show,
  text,
  uuid,
} from "../types.ts";

/** Tunnel keys that tenant networks take: 24 bits on the wire, the top 1/16 kept for the platform (pipeline, section 2). */
export const networkKeys = { first: 1, last: 0xefffff } as const;

/** Keys of networks that stand on a physical one, which have no tunnel key of their own. */
export const physicalKeys = { first: 0xf00000, last: 0xfffffe } as const;

/** Tags of IEEE 802.1Q: 0 is no VLAN, 4095 is reserved. */
export const vlanTags = { first: 1, last: 4094 } as const;

/** Segments as a request names them: what is wrong with them together is for the rules. */
const segmentList: FieldType<readonly Readonly<Record<string, unknown>>[]> = {
  name: "segments",
  schema: { type: "array", items: dictionary().schema },
  parse: (input) => {
    if (!Array.isArray(input)) throw new InvalidValue(`'${show(input)}' is not a list.`);
    return input.map((each) => dictionary().parse(each));
  },
};

export const Network = resource({
  kind: "network",
  plural: "networks",
  fields: {
    ...taggedFields(),
    admin_state_up: adminStateUp,
    status,
    /** Whether an RBAC policy lets the project that asks use it. */
    shared: computed(boolean(), {
      create: "optional",
      update: "allowed",
      writers: "admin",
      default: false,
      filter: true,
    }),
    /** 0 or absent in POST: what the underlay leaves after encapsulation. */
    mtu: field(integer(0, 65_535), {
      create: "optional",
      update: "allowed",
      filter: true,
      sort: true,
      projected: "all",
    }),
    port_security_enabled: field(boolean(), { create: "optional", update: "allowed", default: true }),
    /** Zones that there are; every host serves every network, wherever it is. */
    availability_zone_hints: field(list(text(255)), { create: "optional", default: [] }),
    availability_zones: computed(list(text(255))),
    subnets: computed(list(uuid())),
    /** The scope that the pools of its subnets are of, for each family. */
    ipv4_address_scope: computed(nullable(uuid())),
    ipv6_address_scope: computed(nullable(uuid())),
    /** Whether routers' gateways and floating IPs may stand on it, for those to whom a policy gives it as external. */
    "router:external": field(boolean(), {
      create: "optional",
      update: "allowed",
      writers: "admin",
      default: false,
      filter: true,
      projected: "all",
    }),
    /** Of external networks, the one that is taken where nobody names another. */
    is_default: field(boolean(), {
      create: "optional",
      update: "allowed",
      writers: "admin",
      default: false,
      filter: true,
    }),
    /** Where it stands, by segment. In replies only where there are several; else what follows says it. */
    segments: computed(segmentList, {
      create: "optional",
      update: "allowed",
      readers: "admin",
      writers: "admin",
    }),
    /** Whether its machines reach each other without a router: not where its subnets are each of one segment. */
    l2_adjacency: computed(boolean()),
    /**
     * Of its first segment, from here: `flat` and `vlan`, which stand on a physical network; `geneve`; or `vxlan`, which has no room for the receiving port: hosts
     * then look it up by its MAC, and a network may span 256 hosts at most. The rules know which types there are.
     */
    "provider:network_type": field(text(32), {
      create: "optional",
      update: "allowed",
      readers: "admin",
      writers: "admin",
      filter: true,
      projected: "all",
    }),
    /** The name under which hosts know the wire that it stands on; null: it is tunnelled. */
    "provider:physical_network": field(nullable(text(64)), {
      create: "optional",
      update: "allowed",
      readers: "admin",
      writers: "admin",
      default: null,
      filter: true,
      projected: "all",
    }),
    /** The tunnel key on the wire, or the VLAN's tag; null: untagged. Absent in POST: a free one. */
    "provider:segmentation_id": field(nullable(integer(0, 0xffffffff)), {
      create: "optional",
      update: "allowed",
      writers: "admin",
      readers: "admin",
      filter: true,
      projected: "all",
    }),
    /** The zone of its ports' names; empty: the platform's. */
    dns_domain: field(dnsDomain(), { create: "optional", update: "allowed", default: "", projected: "all" }),
    /** The platform's zone when the network was made. */
    dns_zone: field(text(255), { readers: "hidden", default: defaultDomain, projected: "all" }),
    /** What packets bear as their network where that is not `provider:segmentation_id`: of one that stands on a physical network; else null. */
    key: field(nullable(integer(physicalKeys.first, physicalKeys.last)), {
      readers: "hidden",
      default: null,
      projected: "all",
    }),
  },
  indexes: {
    /** Networks whose first segment is on a physical network. */
    physical: (network) => {
      const physical = network["provider:physical_network"];
      return physical === null ? [] : [physical];
    },
    external: (network) => (network["router:external"] ? ["external"] : []),
  },
  unique: {
    key: (network) => (network.key === null ? [] : [String(network.key)]),
  },
});
export type Network = ObjectOf<typeof Network>;

/** What packets bear as their network: 24 bits. */
export function networkKeyOf(
  network: Pick<Network, "provider:segmentation_id"> & { readonly key: number | null },
): number {
  // Objects of a store or a view from before there were physical networks have no `key`.
  return network.key ?? network["provider:segmentation_id"] ?? 0;
}

/** Whether a network stands on a physical one, and so never crosses a tunnel under a machine's own frame. */
export const isPhysical = (network: Pick<Network, "provider:network_type">): boolean =>
  network["provider:network_type"] === "flat" || network["provider:network_type"] === "vlan";
