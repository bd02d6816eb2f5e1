/**
 * Routers, on every host that has a machine on one of their networks: what is for an interface's MAC is routed here, by the connected subnets and the extra
 * routes, the longest prefix first (RFC 1812; design, section 5). A router's interfaces are ports with `router_id`, and are on no host.
 */
import {
  cidrContains,
  cidrOf,
  derive,
  deriveKey,
  type HostRoute,
  ipOf,
  isNear,
  Port,
  type QueryingView,
  Router,
  Subnet,
} from "@selvage/model";
import {
  EthType,
  echoRequest,
  F,
  NextHops,
  Route,
  RouterIn,
  RouterSolicitation,
  type Row,
  row,
  Scopes,
  ToRouter,
} from "@selvage/pipeline";
import { addressesOf, ipVersion } from "../addresses.ts";
import { app } from "../app.ts";
import { hashOf } from "../hash.ts";
import { hostKey, networkEncapsulation, networkKey, networkOn } from "../intent.ts";
import { alone, destination, routerKey, routerUp, subnetCidr, subnetScope } from "../outside.ts";
import { hostMac } from "../physical.ts";
import { isAdvertising } from "../router-advertisement.ts";

/** Where a router stands: an interface's network and MAC, and the prefix that is reached through it. */
interface Interface {
  readonly net: number;
  readonly mac: string;
  readonly cidr: string;
  readonly scope: number;
}

/** What an address of the router's own does: answers a ping, and says that nothing else is there. */
function ownAddress(vrf: number, address: string): readonly Row[] {
  const version = ipVersion(address);
  const key = { vrf, ...destination(alone(address)) };
  return [
    row(RouterIn, { ...key, ...echoRequest[version] }, version === 4 ? "echo4" : "echo6", {}, "echo"),
    row(RouterIn, key, "closed", {}, "own"),
  ];
}

/** The subnets that a router's gateway reaches without another router. */
function* gatewaysOf(view: QueryingView, routerId: string, hostName: string): Iterable<Interface> {
  const key = view.ask(hostKey, hostName);
  if (key === undefined) return;
  for (const port of view.by(Port.index.gateway_of, routerId)) {
    const net = view.ask(networkKey, port.network_id);
    if (net === undefined || view.ask(networkEncapsulation, port.network_id) !== "physical") continue;
    for (const { id, cidr } of view.by(Subnet.index.network_id, port.network_id))
      yield { net, mac: hostMac(key), cidr, scope: view.ask(subnetScope, id) };
  }
}

/** The MAC that a router sends with by an interface: on a wire the host's, for no MAC is ever on two. */
function sendingMac(view: QueryingView, port: Port, hostName: string): string {
  const key = view.ask(networkEncapsulation, port.network_id) === "physical" ? view.ask(hostKey, hostName) : undefined;
  return key === undefined ? port.mac_address : hostMac(key);
}

/** The subnets that a router stands on, an interface's first. */
function* interfacesOf(view: QueryingView, routerId: string, hostName: string): Iterable<Interface> {
  for (const port of view.by(Port.index.router_id, routerId)) {
    const net = view.ask(networkKey, port.network_id);
    const mac = sendingMac(view, port, hostName);
    if (net === undefined) continue;
    for (const fixed of port.fixed_ips) {
      const cidr = view.ask(subnetCidr, fixed.subnet_id);
      if (cidr !== undefined) yield { net, mac, cidr, scope: view.ask(subnetScope, fixed.subnet_id) };
    }
  }
}

/**
 * A number of so many bits for a text, which none of the `taken` has, and takes it (FNV-1a): a route of several next hops keeps its own, and each of these too,
 * whatever comes and goes beside it, so that no flow moves without need.
 */
function numberOf(text: string, bits: number, taken: Set<number>): number {
  const hash = hashOf(text);
  let number = (bits < 32 ? (hash ^ (hash >>> bits)) >>> 0 : hash) % 2 ** bits;
  while (taken.has(number)) number = (number + 1) % 2 ** bits;
  taken.add(number);
  return number;
}

/** The next hops of each destination, in order; a destination that an interface has itself is not among them. */
function routesOf(routes: readonly HostRoute[], interfaces: readonly Interface[]) {
  const connected = new Set(interfaces.map((each) => each.cidr));
  const byDestination = new Map<string, { readonly nh: string; readonly net: number; readonly mac: string }[]>();
  for (const { destination: cidr, nexthop } of routes) {
    const through = interfaces.find((each) => cidrContains(cidrOf(each.cidr), ipOf(nexthop)));
    if (through === undefined || connected.has(cidr)) continue;
    const hops = byDestination.get(cidr) ?? [];
    hops.push({ nh: nexthop, net: through.net, mac: through.mac });
    byDestination.set(cidr, hops);
  }
  return byDestination;
}

/**
 * What keeps networks of different scopes apart, in one family: where a packet came from tells its scope, unless that is none, and each network refuses the
 * scopes of the router's others. All subnets of a family on one network are in one scope; the first says which.
 */
function scopeRows(vrf: number, ethType: number, interfaces: readonly Interface[]): readonly Row[] {
  const scopes = new Map<number, number>();
  for (const { net, scope } of interfaces) if (!scopes.has(net)) scopes.set(net, scope);
  const all = new Set(scopes.values());
  return [...scopes].flatMap(([net, own]) => [
    ...(own === 0 ? [] : [row(RouterIn, { vrf, net, ethType }, "from", { scope: own }, "scope")]),
    ...[...all]
      .filter((scope) => scope !== own)
      .map((scope) => row(Scopes, { vrf, scope, net, ethType }, "other", {}, "other")),
  ]);
}

const written = [ToRouter, RouterIn, Route, NextHops, Scopes, RouterSolicitation] as const;

export const routers = app("routers", written, (here) => [
  derive("interface", Port, (port, view) => {
    if (port.router_id === null || !isNear(view, port.network_id, here.name)) return [];
    const net = view.ask(networkKey, port.network_id);
    const vrf = view.ask(routerKey, port.router_id);
    if (net === undefined || vrf === undefined) return [];
    const key = { net, ethDst: port.mac_address };
    if (!view.ask(routerUp, port.router_id)) return [row(ToRouter, key, "routerDown")];
    const mac = sendingMac(view, port, here.name);
    return [
      row(ToRouter, key, "router", { vrf }),
      ...[...addressesOf(port, 4), ...addressesOf(port, 6)].flatMap((address) => ownAddress(vrf, address)),
      ...port.fixed_ips.flatMap(({ subnet_id }) => {
        const cidr = view.ask(subnetCidr, subnet_id);
        if (cidr === undefined) return [];
        const action = ipVersion(cidr) === 4 ? "connected4" : "connected6";
        return [row(Route, { vrf, ...destination(cidr) }, action, { net, mac })];
      }),
    ];
  }),
  derive("routes", Router, (router, view) => {
    if (router.routes.length === 0 || !router.admin_state_up) return [];
    const ports = view.by(Port.index.router_id, router.id);
    if (!ports.some((port) => isNear(view, port.network_id, here.name))) return [];
    const vrf = router.key;
    const rows: Row[] = [];
    const taken = new Set<number>();
    const interfaces = [...interfacesOf(view, router.id, here.name), ...gatewaysOf(view, router.id, here.name)];
    for (const [cidr, hops] of routesOf(router.routes, interfaces)) {
      const key = { vrf, ...destination(cidr) };
      const [first] = hops;
      if (first === undefined) continue;
      if (hops.length === 1) {
        rows.push(row(Route, key, "via", first));
        continue;
      }
      const route = numberOf(cidr, F.route.bits, taken);
      rows.push(row(Route, key, "several", { route }));
      const others = new Set<number>();
      for (const each of hops)
        rows.push(row(NextHops, { vrf, route, hop: numberOf(each.nh, F.host.bits, others) }, "via", each));
    }
    return rows;
  }),
  derive("scopes", Router, (router, view) => {
    const ports = view.by(Port.index.router_id, router.id);
    if (!router.admin_state_up || !ports.some((port) => isNear(view, port.network_id, here.name))) return [];
    const interfaces = [...interfacesOf(view, router.id, here.name)];
    const of = (version: 4 | 6) => interfaces.filter(({ cidr }) => ipVersion(cidr) === version);
    return [...scopeRows(router.key, EthType.ipv4, of(4)), ...scopeRows(router.key, EthType.ipv6, of(6))];
  }),
  /** Solicitations are for the agent where a router has something to advertise on the network; else they are for whoever of its machines routes. */
  deriveKey("solicited", Port.index.routedNetwork, (networkId, view) => {
    const net = view.ask(networkKey, networkId);
    if (net === undefined || !networkOn(view, networkId, here.name)) return [];
    const isAnswered = view.by(Port.index.routedNetwork, networkId).some((port) => isAdvertising(view, port));
    return isAnswered ? [row(RouterSolicitation, { net }, "answer")] : [];
  }),
]);
