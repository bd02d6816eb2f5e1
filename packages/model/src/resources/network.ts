/** A tenant's layer-2 network (Networking v2.0, `/v2.0/networks`). */
import { adminStateUp, computed, field, status, taggedFields } from "../fields.ts";
import { type ObjectOf, resource } from "../resource.ts";
import { boolean, integer, list, nullable, text, uuid } from "../types.ts";

/** Tunnel keys that tenant networks take: 24 bits on the wire, the top 1/16 kept for the platform (pipeline, section 2). */
export const networkKeys = { first: 1, last: 0xefffff } as const;

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
    /**
     * `geneve`, or `vxlan`, which has no room for the receiving port: hosts then look it up by its MAC, and a network may span 256 hosts at most. The rules
     * know which types there are.
     */
    "provider:network_type": field(text(32), {
      create: "optional",
      update: "allowed",
      readers: "admin",
      writers: "admin",
      filter: true,
      default: "geneve",
      projected: "all",
    }),
    /** Always null: a tunnelled network stands on none. */
    "provider:physical_network": computed(nullable(text(64)), {
      create: "optional",
      update: "allowed",
      readers: "admin",
      writers: "admin",
      filter: true,
    }),
    /** The tunnel key on the wire. Absent in POST: a free one. */
    "provider:segmentation_id": field(integer(networkKeys.first, networkKeys.last), {
      create: "optional",
      update: "allowed",
      writers: "admin",
      readers: "admin",
      filter: true,
      projected: "all",
    }),
  },
  unique: { segment: (network) => [String(network["provider:segmentation_id"])] },
});
export type Network = ObjectOf<typeof Network>;
