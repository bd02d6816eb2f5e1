/** Routers (Networking v2.0, `/v2.0/routers`). Their interfaces are ports with `router_id`, their gateways ports with `gateway_of`. */
import { adminStateUp, computed, field, status, taggedFields } from "../fields.ts";
import { type ObjectOf, resource } from "../resource.ts";
import { address, boolean, cidr, dictionary, integer, list, nullable, record, text } from "../types.ts";
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
    routes: field(list(record<HostRoute>({ destination: cidr(), nexthop: address() }, ["destination", "nexthop"])), {
      update: "allowed",
      default: [],
      projected: "all",
    }),
    /** Made of the gateway's port (`gateway_of`) and `enable_snat`. */
    external_gateway_info: computed(nullable(dictionary()), { create: "optional", update: "allowed" }),
    /** Whether what leaves by the gateway bears the router's address. */
    enable_snat: field(boolean(), { readers: "hidden", default: true, projected: "all" }),
    /** Whether IPv6 addresses of machines may be spoken for on the external network (`l3-ndp-proxy`). */
    enable_ndp_proxy: field(boolean(), {
      create: "optional",
      update: "allowed",
      default: false,
      filter: true,
      projected: "all",
    }),
    availability_zone_hints: field(list(text(255)), { create: "optional", default: [] }),
    availability_zones: computed(list(text(255))),
    key: field(integer(routerKeys.first, routerKeys.last), { readers: "hidden", projected: "all" }),
  },
  unique: { key: (router) => [String(router.key)] },
});
export type Router = ObjectOf<typeof Router>;
