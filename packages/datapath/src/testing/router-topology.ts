/** Rows of routers written by hand, as the compiler makes them of such intent: every host has every router whole. */
import {
  EthType,
  echoRequest,
  FabricIn,
  fabricIngress,
  Neighbour,
  NextHops,
  Route,
  RouterIn,
  RouterSolicitation,
  type Row,
  row,
  Scopes,
  ToRouter,
  TunnelDomain,
  TunnelSource,
} from "@selvage/pipeline";
import type { Speaker } from "./frames.ts";
import { carriageRows, hostKeyOf, l2Row, type TestPort } from "./topology.ts";

/** A router's interface on a network: the n-th router's is at the address that ends in n. */
export interface TestInterface extends Speaker {
  readonly vrf: number;
  readonly net: number;
}

export const testInterface = (vrf: number, net: number): TestInterface => ({
  vrf,
  net,
  mac: `fa:16:3e:ff:0${vrf}:0${net}`,
  ip4: `10.0.${net}.${vrf}`,
  ip6: `2001:db8:${net}::fff${vrf}`,
});

/** A route beside those of the networks on which the router stands; several next hops take a flow each. */
export interface TestRoute {
  readonly vrf: number;
  /** IPv4 or IPv6. */
  readonly prefix: string;
  readonly via: readonly { readonly net: number; readonly nh: string }[];
}

export interface RouterPlan {
  readonly interfaces: readonly TestInterface[];
  readonly routes?: readonly TestRoute[];
  /** Address scopes of networks, where they have one. */
  readonly scopes?: ReadonlyMap<number, number>;
}

const isV6 = (text: string): boolean => text.includes(":");
const destination = (prefix: string) =>
  isV6(prefix) ? { ethType: EthType.ipv6, ip6Dst: prefix } : { ethType: EthType.ipv4, ip4Dst: prefix };

function interfaceRows({ vrf, net, mac, ip4, ip6 }: TestInterface): readonly Row[] {
  return [
    row(ToRouter, { net, ethDst: mac }, "router", { vrf }),
    row(RouterSolicitation, { net }, "answer"),
    row(Neighbour, { net, nh: ip4 }, "known", { mac }),
    row(Neighbour, { net, nh: ip6 }, "known", { mac }),
    row(RouterIn, { vrf, ...destination(`${ip4}/32`), ...echoRequest[4] }, "echo4", {}, "echo"),
    row(RouterIn, { vrf, ...destination(`${ip6}/128`), ...echoRequest[6] }, "echo6", {}, "echo"),
    row(RouterIn, { vrf, ...destination(`${ip4}/32`) }, "closed", {}, "own"),
    row(RouterIn, { vrf, ...destination(`${ip6}/128`) }, "closed", {}, "own"),
    row(Route, { vrf, ...destination(`10.0.${net}.0/24`) }, "connected4", { net, mac }),
    row(Route, { vrf, ...destination(`2001:db8:${net}::/64`) }, "connected6", { net, mac }),
  ];
}

function routeRows({ vrf, prefix, via }: TestRoute, at: number, interfaces: readonly TestInterface[]): readonly Row[] {
  const hops = via.map(({ net, nh }) => {
    const through = interfaces.find((each) => each.vrf === vrf && each.net === net);
    if (through === undefined) throw new RangeError(`router ${vrf} does not stand on network ${net}`);
    return { net, nh, mac: through.mac };
  });
  const key = { vrf, ...destination(prefix) };
  const [first, ...others] = hops;
  if (first === undefined) return [];
  if (others.length === 0) return [row(Route, key, "via", first)];
  return [
    row(Route, key, "several", { route: at }),
    ...hops.map((hop, n) => row(NextHops, { vrf, route: at, hop: n }, "via", hop)),
  ];
}

/** Networks of different scopes are not routed to each other: what comes from one's port, told by its scope, does not go out to the other. */
function scopeRows({ interfaces, scopes = new Map() }: RouterPlan): readonly Row[] {
  return interfaces.flatMap(({ vrf, net }) => {
    const from = scopes.get(net) ?? 0;
    const others = interfaces.filter((each) => each.vrf === vrf && (scopes.get(each.net) ?? 0) !== from);
    return [EthType.ipv4, EthType.ipv6].flatMap((ethType) => [
      ...(from === 0 ? [] : [row(RouterIn, { vrf, net, ethType }, "from", { scope: from }, "scope")]),
      ...others.map((other) => row(Scopes, { vrf, scope: from, net: other.net, ethType }, "other", {}, "other")),
    ]);
  });
}

/** On a network that has a machine here. */
const neighboursHere = (port: TestPort, here: number): readonly Row[] => [
  l2Row(port, here),
  ...[port.ip4, port.ip6].map((nh) => row(Neighbour, { net: port.net, nh }, "known", { mac: port.mac })),
];

/** On one that is reached through routers alone. */
const neighboursThere = ({ net, ip4, ip6, mac, key, host }: TestPort): readonly Row[] =>
  [ip4, ip6].map((nh) => row(Neighbour, { net, nh }, "there", { mac, port: key, host: hostKeyOf(host) }));

/** Whether a row of `rowsFor` stays where routers join networks: who may send to one of those is told for all of them at once. */
export const staysBeside =
  ({ interfaces }: RouterPlan) =>
  ({ table, rank, key }: Row): boolean =>
    table !== TunnelSource.name || rank !== "host" || interfaces.every(({ net }) => net !== key.tunKey);

/** What host `here` needs beside `rowsFor` where routers join the networks of the ports. */
export function routerRowsFor(
  here: number,
  ports: readonly TestPort[],
  addresses: readonly string[],
  plan: RouterPlan,
): readonly Row[] {
  const { interfaces, routes = [] } = plan;
  const nets = [...new Set(interfaces.map(({ net }) => net))];
  const near = ports.filter(({ net }) => nets.includes(net));
  const netsHere = new Set(near.filter((port) => port.host === here).map(({ net }) => net));
  const domain = Math.min(...nets);
  const rows = [
    ...interfaces.flatMap(interfaceRows),
    ...routes.flatMap((route, at) => routeRows(route, at + 1, interfaces)),
    ...scopeRows(plan),
    ...nets.flatMap((net) => [
      ...carriageRows(net),
      row(FabricIn, { net, port: 0 }, "flood"),
      row(TunnelSource, { tunKey: net }, "stranger", {}, "network"),
      row(TunnelSource, { ingress: fabricIngress, tunKey: net }, "joined", { domain }, "joined"),
    ]),
    // A router sends from any host that has a machine behind it.
    ...addresses.flatMap((tunSrc, host) =>
      host === here ? [] : [row(TunnelDomain, { ingress: fabricIngress, domain, tunSrc }, "accept")],
    ),
    ...near.flatMap((port) => (netsHere.has(port.net) ? neighboursHere(port, here) : neighboursThere(port))),
  ];
  return [...new Map(rows.map((each) => [each.id, each])).values()];
}
