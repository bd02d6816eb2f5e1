/**
 * Routers' gateways: the way out to an external network on every host that has machines behind the router, and who of the hosts with the wire answers for the
 * router's own address there (design, section 6). What leaves bears the MAC of its host.
 */
import {
  derive,
  Host,
  keyOf,
  NatLease,
  Network,
  networksOn,
  PeerDown,
  Port,
  type QueryingView,
  query,
  Router,
  Subnet,
} from "@selvage/model";
import {
  EthType,
  ExtIn,
  echoRequest,
  FabricIn,
  FromPhysical,
  fabricIngress,
  IpProto,
  NatAsk,
  NatOut,
  Neighbour,
  noMac,
  physicalName,
  Route,
  Routed,
  RouterIn,
  type Row,
  row,
  Scopes,
  ToRouter,
  TunnelSource,
} from "@selvage/pipeline";
import { ipVersion } from "../addresses.ts";
import { app } from "../app.ts";
import { hostKey, hostTunnel, networkEncapsulation, networkKey, networkLargest } from "../intent.ts";
import {
  alone,
  destination,
  isBehind,
  isOpen,
  isPluggedBehind,
  routedIn,
  routerUp,
  sentOn,
  subnetCidr,
  subnetScope,
} from "../outside.ts";
import { elected, hostMac } from "../physical.ts";
import { hasWire, isOfHere, isSpeaker, maySpeak, wireHere } from "../segments.ts";

/** The question after an address that a host owns: by ARP it is answered in the switch, by neighbour discovery by the agent. */
export const question = (net: number, address: string, mac: string): Row =>
  ipVersion(address) === 4
    ? row(FromPhysical, { net, ethType: EthType.arp, arpOp: 1, arpTpa: address }, "arp", { mac }, "question")
    : row(
        FromPhysical,
        { net, ethType: EthType.ipv6, ipProto: IpProto.icmp6, icmp6Type: 135, ndTarget: address },
        "nd",
        {},
        "question",
      );

/** What leaves with the address that it has: IPv6, networks of the external one's scope, and all where the router does not translate. */
function untranslated(view: QueryingView, router: Router, subnets: readonly string[]): readonly Row[] {
  const vrf = router.key;
  const rows: Row[] = [];
  for (const id of subnets) {
    const cidr = view.ask(subnetCidr, id);
    if (cidr === undefined) continue;
    const scope = view.ask(subnetScope, id);
    const version = ipVersion(cidr);
    if (!isOpen(router, { version, inner: scope, outer: scope })) continue;
    rows.push(row(NatOut, { vrf, ethType: EthType[`ipv${version}`], scope }, "plain", {}, "plain"));
  }
  return rows;
}

/** What a packet from an address is. */
const source = (address: string) =>
  ipVersion(address) === 4
    ? { ethType: EthType.ipv4, ip4Src: alone(address) }
    : { ethType: EthType.ipv6, ip6Src: alone(address) };

const everything = { 4: "0.0.0.0/0", 6: "::/0" } as const;

const written = [
  ...[ToRouter, RouterIn, Route, Routed, Scopes, NatOut, NatAsk, Neighbour],
  ...[FromPhysical, ExtIn, FabricIn, TunnelSource],
];

export const gateways = app("gateways", written, (here) => [
  derive("gateway", Port, (port, view) => {
    const routerId = port.gateway_of;
    if (routerId === null || !isBehind(view, routerId, here.name) || !view.ask(routerUp, routerId)) return [];
    // A network that stands on no physical one is no way out: who sends there is told that there is no route.
    if (view.ask(networkEncapsulation, port.network_id) !== "physical") return [];
    const router = view.get(Router, routerId);
    const net = view.ask(networkKey, port.network_id);
    const largest = view.ask(networkLargest, port.network_id);
    const key = view.ask(hostKey, here.name);
    if (router === undefined || net === undefined || largest === undefined || key === undefined) return [];
    const vrf = router.key;
    const mac = hostMac(key);
    const own = port.fixed_ips.map(({ ip_address }) => ip_address);
    const taken = new Set(router.routes.map((route) => route.destination));
    // What is of another segment is reached by a router outside, and no other segment is a way out.
    const subnets = view
      .by(Subnet.index.network_id, port.network_id)
      .filter(({ segment_id }) => isOfHere(view, port.network_id, segment_id));
    const standing = new Set(port.fixed_ips.map(({ subnet_id }) => subnet_id));
    return [
      row(Routed, { nhMac: noMac, net }, "ask", {}, "asked"),
      ...[EthType.ipv4, EthType.ipv6].map((ethType) =>
        row(Scopes, { vrf, net, ethType }, "outside", { largest }, "outside"),
      ),
      ...own.flatMap((address) => {
        const version = ipVersion(address);
        const at = { vrf, ...destination(alone(address)) };
        return [
          row(RouterIn, { ...at, ...echoRequest[version] }, version === 4 ? "echo4" : "echo6", {}, "echo"),
          // Ports of an address that is shared are machines': what answers one of them from inside goes out and comes back.
          ...(version === 4 && router.enable_snat ? [] : [row(RouterIn, at, "closed", {}, "own")]),
          // What the agent says from it, which no machine can.
          row(NatOut, { vrf, srcPort: 0, ...source(address) }, "plain", {}, "own"),
        ];
      }),
      ...subnets.flatMap(({ id, cidr, gateway_ip }) => {
        const version = ipVersion(cidr);
        const connected = version === 4 ? "connected4" : "connected6";
        const all = everything[version];
        const isWayOut = standing.has(id) && gateway_ip !== null && !taken.has(all);
        return [
          row(Route, { vrf, ...destination(cidr) }, connected, { net, mac }),
          ...(isWayOut ? [row(Route, { vrf, ...destination(all) }, "via", { net, mac, nh: gateway_ip })] : []),
        ];
      }),
      ...untranslated(view, router, [...standing]),
      ...(router.enable_snat && own.some((address) => ipVersion(address) === 4)
        ? [
            row(NatOut, { vrf, ethType: EthType.ipv4 }, "source", { zone: router.id }, "source"),
            row(NatAsk, { vrf }, "ask", { zone: router.id }),
          ]
        : []),
    ];
  }),
  /** Where the wire is, any host may come to speak for a router's address; one does. */
  derive("address", Port, (port, view) => {
    const net = view.ask(networkKey, port.network_id);
    const key = view.ask(hostKey, here.name);
    const { gateway_of: routerId } = port;
    if (routerId === null || net === undefined || key === undefined) return [];
    const mac = hostMac(key);
    return port.fixed_ips.flatMap(({ ip_address: address }) => {
      if (!maySpeak(view, port.network_id, address)) return [];
      const version = ipVersion(address);
      const at = { net, ...destination(alone(address)), ...echoRequest[version] };
      const isOwner = isSpeaker(view, here.name, port.network_id, address, routerId);
      return [
        row(ExtIn, at, version === 4 ? "echo4" : "echo6", {}, "echo"),
        ...(isOwner ? [question(net, address, mac), row(Neighbour, { net, nh: address }, "known", { mac })] : []),
      ];
    });
  }),
  /**
   * A tenant's prefix that is routed to a router's gateway, from whichever host it reaches: here when machines are behind the router, else from one of those that have
   * some. What comes by the wire goes there until a machine is plugged in here, and from when none is: hosts take this one's packets while a port is bound to it, so that
   * they do so on both sides of the change.
   */
  derive("prefix", Port, (port, view) => {
    if (port.router_id === null) return [];
    const rows: Row[] = [];
    const router = view.get(Router, port.router_id);
    if (router === undefined || !router.admin_state_up) return [];
    for (const gateway of view.by(Port.index.gateway_of, router.id)) {
      const net = view.ask(networkKey, gateway.network_id);
      const wire = view.ask(wireHere, gateway.network_id);
      if (net === undefined) continue;
      for (const { subnet_id } of port.fixed_ips) {
        const cidr = view.ask(subnetCidr, subnet_id);
        if (cidr === undefined || !isReached(view, router, gateway, subnet_id, cidr)) continue;
        if (!isFirst(view, router, gateway.network_id, port)) continue;
        if (isBehind(view, router.id, here.name)) rows.push(routedIn(net, cidr, router.key));
        if (wire !== undefined && !isPluggedBehind(view, router.id, here.name)) {
          const holder = elected(cidr, holdersOf(view, router.id, wire.physical, here.name));
          if (holder !== undefined) rows.push(sentOn(net, cidr, physicalName(wire.physical), holder.key));
        }
      }
    }
    return rows;
  }),
  derive("external network", Network, (network, view) => {
    const net = view.ask(networkKey, network.id);
    const key = view.ask(hostKey, here.name);
    if (!network["router:external"] || net === undefined || key === undefined || !hasWire(view, network.id)) return [];
    return [row(ToRouter, { net, ethDst: hostMac(key) }, "outside"), row(FabricIn, { net, port: 0 }, "outside")];
  }),
  /** Hosts with the wire send on what others know. */
  derive("steering host", Host, (host, view) => {
    if (host.name === here.name) return [];
    const tunSrc = view.ask(hostTunnel, host.name);
    if (tunSrc === undefined) return [];
    return host.physical_networks.flatMap((physical) =>
      networksOn(view, physical).flatMap((network) => {
        const tunKey = view.ask(networkKey, network.id);
        if (!network["router:external"] || tunKey === undefined) return [];
        return [row(TunnelSource, { ingress: fabricIngress, tunKey, tunSrc }, "accept", {}, "host")];
      }),
    );
  }),
]);

/** Ids of the hosts on a physical network that have machines on a network, with commas between; by the names of both. */
const hostsOn = query("hosts with a wire on a network", (view, key): string => {
  const at = key.indexOf("|");
  const hosts = view.by(Host.index.physical, key.slice(at + 1));
  const here = hosts.filter(({ name }) => view.exists(Port.index.networkHost, keyOf(key.slice(0, at), name)));
  return here.map(({ id }) => id).join();
});

/** Other hosts that have machines behind a router: those that hold leases of it; where nobody does, those on the same wire whose machines are known. */
function holdersOf(view: QueryingView, routerId: string, physical: string, hereName: string): readonly Host[] {
  const ids = new Set(view.by(NatLease.index.router_id, routerId).map((lease) => lease.host_id));
  if (ids.size === 0) {
    const networks = new Set(view.by(Port.index.router_id, routerId).map(({ network_id }) => network_id));
    for (const network of networks)
      for (const id of view.ask(hostsOn, keyOf(network, physical)).split(",")) if (id !== "") ids.add(id);
  }
  // This one may hold a lease for a moment when its last machine has left.
  return [...ids]
    .flatMap((id) => view.get(Host, id) ?? [])
    .filter(({ id, name }) => name !== hereName && !view.has(PeerDown, id));
}

/** Whether a router is the one of several, each with a gateway out there, that has what comes for a network: the one with the least number. */
const isFirst = (view: QueryingView, router: Router, externalId: string, { network_id }: Port): boolean =>
  !view.by(Port.index.routedNetwork, network_id).some(({ router_id }) => {
    const other = router_id === null ? undefined : view.get(Router, router_id);
    if (other === undefined || other.key >= router.key || !other.admin_state_up) return false;
    return view.by(Port.index.gateway_of, other.id).some((gateway) => gateway.network_id === externalId);
  });

/** Whether a subnet's own addresses mean something on the gateway's network. */
function isReached(view: QueryingView, router: Router, gateway: Port, subnetId: string, cidr: string): boolean {
  const version = ipVersion(cidr);
  const at = gateway.fixed_ips.find(({ ip_address }) => ipVersion(ip_address) === version);
  if (at === undefined) return false;
  return isOpen(router, {
    version,
    inner: view.ask(subnetScope, subnetId),
    outer: view.ask(subnetScope, at.subnet_id),
  });
}
