/** Routers (Networking v2.0, `/v2.0/routers`). Their interfaces are ports with `router_id`, their gateways ports with `gateway_of`. */
import { adminStateUp, computed, field, status, taggedFields } from "../fields.ts";
import { type ObjectOf, resource } from "../resource.ts";
import { address, boolean, cidr, type FieldType, integer, list, record, text, uuid } from "../types.ts";
import type { FixedIp } from "./port.ts";
import type { HostRoute } from "./subnet.ts";

/** Router numbers take 24 bits of a packet's memory; 0 is no router. */
export const routerKeys = { first: 1, last: 0xffffff } as const;

/** What a request says of a router's way out. */
export interface GatewayInfo {
  readonly network_id: string;
  /** Absent: yes. */
  readonly enable_snat?: boolean;
  /** Absent or none: one address of each family. */
  readonly external_fixed_ips?: readonly Partial<FixedIp>[];
}

const fixedIp = record<Partial<FixedIp>>({ subnet_id: uuid(), ip_address: address() }, ["subnet_id", "ip_address"]);

const gatewayMembers = record<{ -readonly [K in keyof Required<GatewayInfo>]: NonNullable<GatewayInfo[K]> }>(
  { network_id: uuid(), enable_snat: boolean(), external_fixed_ips: list(fixedIp) },
  ["enable_snat", "external_fixed_ips"],
);

/** Null and an empty object are no gateway (Neutron's `dict_or_nodata`). */
const gatewayInfo: FieldType<GatewayInfo | null> = {
  name: "gateway",
  schema: { anyOf: [gatewayMembers.schema, { type: "null" }] },
  parse: (input) => {
    const isNothing = typeof input === "object" && (input === null || Object.keys(input).length === 0);
    return isNothing ? null : gatewayMembers.parse(input);
  },
};

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
    /** Made of the gateway's port (`gateway_of`) and `enable_snat`. */
    external_gateway_info: computed(gatewayInfo, { create: "optional", update: "allowed" }),
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
    /** Of the hosts that may speak for its addresses those of these zones do, while one of them is there; none: all may. */
    availability_zone_hints: field(list(text(255)), { create: "optional", default: [], projected: "all" }),
    availability_zones: computed(list(text(255))),
    key: field(integer(routerKeys.first, routerKeys.last), { readers: "hidden", projected: "all" }),
  },
  unique: { key: (router) => [String(router.key)] },
});
export type Router = ObjectOf<typeof Router>;
