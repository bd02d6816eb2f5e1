/** A tenant's layer-2 network (Networking v2.0, `/v2.0/networks`). */
import { adminStateUp, computed, field, standardFields, status } from "../fields.ts";
import { type ObjectOf, resource } from "../resource.ts";
import { boolean, integer, list, nullable, oneOf, text, uuid } from "../types.ts";

/** Tunnel keys that tenant networks take: 24 bits on the wire, the top 1/16 kept for the platform (pipeline, section 2). */
export const networkKeys = { first: 1, last: 0xefffff } as const;

export const Network = resource({
  kind: "network",
  plural: "networks",
  fields: {
    ...standardFields(),
    admin_state_up: adminStateUp,
    status,
    shared: field(boolean(), { create: "optional", update: "allowed", writers: "admin", default: false, filter: true }),
    /** 0 or absent in POST: what the underlay leaves after encapsulation. */
    mtu: field(integer(68, 65_535), { create: "optional", update: "allowed", filter: true, sort: true, projected: "all" }),
    port_security_enabled: field(boolean(), { create: "optional", update: "allowed", default: true }),
    subnets: computed(list(uuid())),
    "provider:network_type": field(oneOf(["geneve"]), { readers: "admin", filter: true, default: "geneve" }),
    "provider:physical_network": computed(nullable(text(64)), { readers: "admin", filter: true }),
    /** The tunnel key on the wire. */
    "provider:segmentation_id": field(integer(networkKeys.first, networkKeys.last), {
      readers: "admin",
      filter: true,
      projected: "all",
    }),
  },
  unique: { segment: (network) => [String(network["provider:segmentation_id"])] },
});
export type Network = ObjectOf<typeof Network>;
