/** The way to the lab's outside, as tests make it: an external network on the wire `public`, and a tenant's network of both families behind a router with a gateway there. */
import assert from "node:assert/strict";
import { at, OUTSIDE_RANGES } from "@selvage/lab";
import type { Fabric } from "./guests.ts";

const { ipv4, ipv6 } = OUTSIDE_RANGES;

/** Addresses of nobody's, to which the machine outside leads. */
export const far = { ip4: ipv4.far, ip6: ipv6.far } as const;

/** Makes the external network with a subnet of each family that is named, with what is said of that. Gives its id. */
export async function makePublic(
  fabric: Fabric,
  families: Readonly<Partial<Record<4 | 6, object>>> = { 4: {}, 6: {} },
): Promise<string> {
  const external = await fabric.make("networks", {
    ...{ name: "public", "router:external": true },
    ...{ "provider:network_type": "flat", "provider:physical_network": "public" },
  });
  const outer = { network_id: external, enable_dhcp: false };
  const pools = { allocation_pools: [{ start: "203.0.113.10", end: "203.0.113.199" }] };
  const four = { ...outer, ip_version: 4, cidr: ipv4.cidr, gateway_ip: ipv4.gateway, ...pools };
  const six = { ...outer, ip_version: 6, cidr: ipv6.cidr, gateway_ip: ipv6.gateway };
  if (families[4] !== undefined) await fabric.make("subnets", { ...four, ...families[4] });
  if (families[6] !== undefined) await fabric.make("subnets", { ...six, ...families[6] });
  return external;
}

export interface Behind {
  readonly inner: string;
  readonly subnets: { readonly 4: string; readonly 6: string };
  readonly router: string;
}

/** Makes the network `inner` (10.N.0.0/24, fd0N::/64 by SLAAC) with what is said of it and of its subnet of IPv6, and the router `out` that leads from there to the external one. */
export async function makeBehind(
  fabric: Fabric,
  external: string,
  n: 7 | 8,
  network: object = {},
  six: object = {},
): Promise<Behind> {
  const inner = await fabric.make("networks", { name: "inner", ...network });
  const slaac = { ipv6_ra_mode: "slaac", ipv6_address_mode: "slaac" };
  const subnets = {
    4: await fabric.make("subnets", { network_id: inner, ip_version: 4, cidr: `10.${n}.0.0/24` }),
    6: await fabric.make("subnets", {
      ...{ network_id: inner, ip_version: 6, cidr: `fd0${n}::/64`, gateway_ip: `fd0${n}::1`, ...slaac },
      ...six,
    }),
  };
  const router = await fabric.make("routers", { name: "out", external_gateway_info: { network_id: external } });
  for (const subnet_id of Object.values(subnets))
    await fabric.api.ask("PUT", `/v2.0/routers/${router}/add_router_interface`, { subnet_id });
  return { inner, subnets, router };
}

/** Makes a security group that lets in what tests say to machines: ICMP, and TCP or UDP, of both families. Gives its id. */
export async function letsIn(fabric: Fabric): Promise<string> {
  const security_group_id = await fabric.make("security-groups", { name: "lets in" });
  for (const [ethertype, icmp] of [
    ["IPv4", "icmp"],
    ["IPv6", "ipv6-icmp"],
  ] as const)
    for (const protocol of [icmp, "tcp", "udp"])
      await fabric.make("security-group-rules", { security_group_id, direction: "ingress", ethertype, protocol });
  return security_group_id;
}

export interface Pair {
  readonly ip4: string;
  readonly ip6: string;
}

/** The first address of each family among `fixed_ips`; empty where there is none. */
export function pairOf(fixed: unknown): Pair {
  assert.ok(Array.isArray(fixed));
  const addresses = fixed.map((each) => String(at(each, "ip_address")));
  const of = (isSix: boolean): string => addresses.find((address) => address.includes(":") === isSix) ?? "";
  return { ip4: of(false), ip6: of(true) };
}

/** A router's addresses outside. */
export async function gatewayOf(fabric: Fabric, router: string): Promise<Pair> {
  const shown = at(at(await fabric.api.ask("GET", `/v2.0/routers/${router}`), "router"), "external_gateway_info");
  return pairOf(at(shown, "external_fixed_ips"));
}

/** Leads back to the prefix of `makeBehind`, as whoever runs the network outside would. */
export async function leadBack(fabric: Fabric, n: 7 | 8, via: string): Promise<void> {
  const { code, said } = await fabric.run(fabric.outside, "ip", "-6", "route", "replace", `fd0${n}::/64`, "via", via);
  assert.equal(code, 0, said);
}
