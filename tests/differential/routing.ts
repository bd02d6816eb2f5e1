/** Random routers: where they stand, by which addresses, in which scopes, and their extra routes, of which some have several next hops or go round in circles. */
import type { AddressScope, HostRoute, Network, Port, Router, Subnet, Subnetpool } from "@selvage/model";
import { makeAddressScope, makePort, makeRouter, makeSubnetpool, testId } from "@selvage/model/testing";
import fc from "fast-check";
import { mostly } from "./draw.ts";

interface RoutePlan {
  /** A prefix of nobody's, all there is, or a network's. */
  readonly towards: "far" | "farther" | "all" | "network";
  readonly network: number;
  readonly version: 4 | 6;
  /** By whom: a machine, another router, or an address that nobody has; one next hop or two. */
  readonly hops: readonly { readonly kind: "port" | "router" | "nobody"; readonly which: number }[];
}

export interface RouterPlan {
  readonly up: boolean;
  readonly on: readonly number[];
  readonly families: "both" | "4" | "6";
  /** Whether one port has the addresses of both families, or each has a port. */
  readonly split: boolean;
  readonly routes: readonly RoutePlan[];
}

export const routers: fc.Arbitrary<readonly RouterPlan[]> = fc.array(
  fc.record({
    up: fc.constantFrom(true, true, true, true, false),
    on: fc.oneof(fc.constant([0, 1, 2]), fc.array(fc.nat(2), { minLength: 1, maxLength: 3 })),
    families: mostly<RouterPlan["families"]>("both", "4", "6"),
    split: fc.boolean(),
    routes: fc.array(
      fc.record({
        towards: fc.constantFrom<RoutePlan["towards"]>("far", "far", "farther", "all", "network"),
        network: fc.nat(2),
        version: fc.constantFrom<4 | 6>(4, 6),
        hops: fc.array(
          fc.record({
            kind: fc.constantFrom<RoutePlan["hops"][number]["kind"][]>("port", "port", "router", "router", "nobody"),
            which: fc.nat(9),
          }),
          { minLength: 1, maxLength: 3, size: "max" },
        ),
      }),
      { minLength: 1, maxLength: 5, size: "max" },
    ),
  }),
  { minLength: 1, maxLength: 3, size: "max" },
);

/** Where no network is: reached by extra routes, or not at all. */
export const far = { 4: "198.51.100.7", 6: "2001:db8:f0::7" } as const;
export const nowhere = { 4: "203.0.113.9", 6: "2001:db8:dead::9" } as const;
const destinations = {
  far: { 4: "198.51.100.0/24", 6: "2001:db8:f0::/48" },
  farther: { 4: "198.51.100.0/28", 6: "2001:db8:f0::/64" },
  all: { 4: "0.0.0.0/0", 6: "::/0" },
} as const;

const routerKeys = [0xffffff, 1, 0x010100] as const;
const routerId = (place: number, play: number): string => testId("router", 100 * play + place + 1);
const isOf = (version: 4 | 6, address: string): boolean => address.includes(":") === (version === 6);

export interface RoutingObjects {
  readonly routers: readonly Router[];
  /** Ports that are routers' interfaces. */
  readonly interfaces: readonly Port[];
}

/**
 * Routers with their interfaces; the first has the gateway's address on its networks, and each other one of its own. A router stands on a prefix once: where
 * networks share theirs, on the first of them.
 */
export function routingOf(
  plans: readonly RouterPlan[],
  networks: readonly Network[],
  subnets: readonly Subnet[],
  ports: readonly Port[],
  play: number,
): RoutingObjects {
  const interfaces = plans.flatMap((plan, place) =>
    interfacesOf(plan, { place, id: routerId(place, play) }, networks, subnets),
  );
  return {
    interfaces,
    routers: plans.map(({ up, routes }, place) =>
      makeRouter({
        id: routerId(place, play),
        key: routerKeys[place] ?? place,
        admin_state_up: up,
        routes: routes.flatMap((route) => routesOf(route, routerId(place, play), interfaces, subnets, ports)),
      }),
    ),
  };
}

function interfacesOf(
  { on, families, split }: RouterPlan,
  { place, id: router_id }: { readonly place: number; readonly id: string },
  networks: readonly Network[],
  subnets: readonly Subnet[],
): readonly Port[] {
  const taken = new Set<string>();
  return [...new Set(on.map((place) => place % networks.length))].flatMap((network) => {
    const network_id = networks[network]?.id ?? "";
    const here = subnets.filter(
      (subnet) =>
        subnet.network_id === network_id &&
        (families === "both" || families === String(subnet.ip_version)) &&
        !taken.has(subnet.cidr),
    );
    for (const { cidr } of here) taken.add(cidr);
    const groups = split ? here.map((subnet) => [subnet]) : here.length === 0 ? [] : [here];
    return groups.map((of, part): Port => {
      const number = place * 16 + network * 2 + part;
      return makePort({
        id: testId("interface", number + 1),
        network_id,
        mac_address: `fa:16:3e:ff:00:${number.toString(16).padStart(2, "0")}`,
        key: 0x200000 + number,
        router_id,
        device_owner: "network:router_interface",
        port_security_enabled: false,
        fixed_ips: of.map(({ id, cidr }) => ({ subnet_id: id, ip_address: addressIn(cidr, place + 1) })),
      });
    });
  });
}

/** The prefix of machines' networks of a number. */
export const prefixOf = (version: 4 | 6, number: number): string =>
  version === 4 ? `10.0.${number}.0/24` : `2001:db8:${number === 0 ? "" : `${number}:`}:/64`;

/** An address of a prefix of the test's networks, by its last number. */
export const addressIn = (cidr: string, number: number): string =>
  cidr.includes(":") ? cidr.replace(/\/.*/, number.toString(16)) : cidr.replace(/0\/.*/, String(number));

/** The routes of a plan whose next hops are on the router's networks. */
function routesOf(
  { towards, network, version, hops }: RoutePlan,
  router: string,
  interfaces: readonly Port[],
  subnets: readonly Subnet[],
  ports: readonly Port[],
): readonly HostRoute[] {
  const family = subnets.filter(({ ip_version }) => ip_version === version);
  const own = interfaces.filter(({ router_id }) => router_id === router);
  const reached = new Set(own.flatMap(({ fixed_ips }) => fixed_ips.map(({ subnet_id }) => subnet_id)));
  const near = (port: Port): readonly string[] =>
    port.fixed_ips
      .filter(({ subnet_id, ip_address }) => reached.has(subnet_id) && isOf(version, ip_address))
      .map(({ ip_address }) => ip_address);
  const candidates = {
    port: ports.flatMap(near),
    router: interfaces.filter(({ router_id }) => router_id !== router).flatMap(near),
    nobody: family.filter(({ id }) => reached.has(id)).map(({ cidr }) => addressIn(cidr, 250)),
  };
  const cidr =
    towards === "network" ? family[network % Math.max(1, family.length)]?.cidr : destinations[towards][version];
  if (cidr === undefined) return [];
  // Of several next hops none is a router: where such a packet went on to would be seen by its next router's choice alone.
  const nexthops = hops.flatMap(({ kind, which }) => {
    const all = candidates[kind === "router" && hops.length > 1 ? "port" : kind];
    return all[which % Math.max(1, all.length)] ?? [];
  });
  return [...new Set(nexthops)].map((nexthop) => ({ destination: cidr, nexthop }));
}

/** Address scopes, with a pool for each. */
export const scopes: readonly (readonly [AddressScope, Subnetpool])[] = ([4, 6] as const).flatMap((ip_version) =>
  [1, 2].map((number) => {
    const name = `${ip_version}/${number}`;
    const scope = makeAddressScope({
      id: testId(`scope ${ip_version}`, number),
      name,
      ip_version,
      key: ip_version === 4 ? number : 0xffffff - number,
    });
    const pool = { id: poolId(ip_version, number), name, ip_version, address_scope_id: scope.id };
    return [scope, makeSubnetpool(pool)] as const;
  }),
);

export function poolId(version: 4 | 6, scope: number): string {
  return testId(`pool ${version}`, scope);
}
