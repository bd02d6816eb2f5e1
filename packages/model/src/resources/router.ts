/** Routers (Networking v2.0, `/v2.0/routers`). Their interfaces are ports with `router_id`. */
import { adminStateUp, computed, field, status, taggedFields } from "../fields.ts";
import { type ObjectOf, resource } from "../resource.ts";
import { address, cidr, dictionary, integer, list, nullable, record, text } from "../types.ts";
import type { HostRoute } from "./subnet.ts";

/** Router numbers take 24 bits of a packet's memory; 0 is no router. */
export const routerKeys = { first: 1, last: 0xffffff } as const;

export const Router = resource({
  kind: "router",
  plural: "routers",
  fields: {
    ...taggedFields(),
    admin_state_up: adminStateUp,
    status,
    /** Extra routes; several with one destination share its flows. */
    routes: field(list(record<HostRoute>({ destination: cidr(), nexthop: address() })), {
      update: "allowed",
      default: [],
      projected: "all",
    }),
    /** Always null until there are external networks: what names a gateway is refused. */
    external_gateway_info: computed(nullable(dictionary()), { create: "optional", update: "allowed" }),
    availability_zone_hints: field(list(text(255)), { create: "optional", default: [] }),
    availability_zones: computed(list(text(255))),
    key: field(integer(routerKeys.first, routerKeys.last), { readers: "hidden", projected: "all" }),
  },
  unique: { key: (router) => [String(router.key)] },
});
export type Router = ObjectOf<typeof Router>;
