/**
 * What a router says to the outside of a packet that came from there and does not go on (RFC 1812, section 4.3; RFC 4443): from its gateway's address, and quoting the
 * packet as it was sent, whatever stood for a machine in it. So traceroute from outside shows the router, and senders there learn how large packets may be.
 */
import { isOpen, routedIn, scopeOfSubnet, sentOn } from "@selvage/compiler";
import type { Punt } from "@selvage/datapath";
import {
  cidrContains,
  cidrOf,
  type Engine,
  type FixedIp,
  FloatingIp,
  type HostRoute,
  ipOf,
  keyOf,
  networkOf,
  Port,
  Router,
  Subnet,
  textOfCidr,
  type View,
} from "@selvage/model";
import type { Packet } from "@selvage/packet";
import { noMac, Route, type Row, ToRouter } from "@selvage/pipeline";
import { type Answer, notice, resume, silence } from "./answer.ts";
import { asked, standingFor, written } from "./icmp-outward.ts";
import { partsOf } from "./icmp-quote.ts";
import { errorFrame, mtuOf, mustNot, type RouterErrorPunt, understood } from "./router-errors.ts";
import { type Wire, wireOf } from "./wire.ts";

/** Which objects the rows in force are of. */
export type KnownRows = Pick<Engine<Row>, "origins">;

/** Routers that a packet passes at most. */
const most = 4;

interface Ends {
  readonly version: 4 | 6;
  readonly src: string;
  readonly dst: string;
}

function endsOf({ ipv4, ipv6 }: Packet): Ends | undefined {
  if (ipv4 !== undefined) return { version: 4, src: ipv4.src, dst: ipv4.dst };
  return ipv6 === undefined ? undefined : { version: 6, src: ipv6.src, dst: ipv6.dst };
}

const versionOf = (address: string): 4 | 6 => (address.includes(":") ? 6 : 4);

/** A router's gateway, and its address of a family. */
function gatewayOf(view: View, routerId: string, version: 4 | 6) {
  const [port] = view.by(Port.index.gateway_of, routerId);
  const fixed = port?.fixed_ips.find(({ ip_address }) => versionOf(ip_address) === version);
  return port === undefined || fixed === undefined ? undefined : { port, fixed };
}

/** It came with no hop left, and is as it came. */
export function answerExpired(view: View, rows: KnownRows, punt: Punt, hostName: string): Answer {
  const packet = understood(punt.frame);
  const ends = packet && endsOf(packet);
  if (packet === undefined || ends === undefined) return silence("not a packet of IP");
  const forbidden = mustNot(packet);
  if (forbidden !== undefined) return silence(forbidden);
  const wire = wireOf(view, punt.net, hostName);
  const router =
    wire && (addressedRouter(view, wire.networkId, ends.dst) ?? routerTo(view, rows, punt.net, wire, ends));
  const gateway = router == null ? undefined : gatewayOf(view, router, ends.version);
  if (gateway === undefined) return silence("it is for no router that is known here");
  const eth = { src: packet.eth.dst, dst: packet.eth.src };
  const error = { ...punt, kind: "ttl-expired" } as const;
  const frame = errorFrame(error, packet, { eth, from: gateway.fixed.ip_address, mtu: 0 });
  return resume(ToRouter.name, { net: punt.net, vrf: 0 }, frame, "error");
}

/** The router of an address on an external network: of a floating one, or its own. */
function addressedRouter(view: View, networkId: string, address: string): string | undefined {
  const [floating] = view.by(FloatingIp.index.address, keyOf(networkId, address));
  if (floating?.router_id != null) return floating.router_id;
  for (const subnet of view.by(Subnet.index.network_id, networkId)) {
    const [port] = view.by(Port.index.address, keyOf(subnet.id, address));
    if (port?.gateway_of != null) return port.gateway_of;
  }
  return undefined;
}

/**
 * The router that has the longest prefix that an address is in, of those that mean something outside, as the switch has them: by a row for each length, however many
 * routers there are. What is translated is nobody's to ask after from outside.
 */
function routerTo(view: View, rows: KnownRows, net: number, { name }: Wire, { version, dst }: Ends) {
  const address = ipOf(dst);
  for (let length = version === 4 ? 32 : 128; length >= 0; length -= 1) {
    const to = textOfCidr(networkOf(address, length));
    for (const { id } of [routedIn(net, to, 0), sentOn(net, to, name, 0)]) {
      const [origin] = rows.origins(id);
      const router = origin?.over === Port.kind ? view.get(Port, origin.key)?.router_id : undefined;
      if (router != null) return router;
    }
  }
  return undefined;
}

/** Whether a packet that a router did not send on came to it by a wire, from whatever is outside; one from a machine here may have come round. */
export function isFromOutside(view: View, { attachment, vrf, frame }: RouterErrorPunt): boolean {
  if (!view.has(Port, attachment)) return true;
  const packet = understood(frame);
  const ends = packet && endsOf(packet);
  const [router] = view.by(Router.index.key, String(vrf));
  const [gateway] = router === undefined ? [] : view.by(Port.index.gateway_of, router.id);
  if (ends === undefined || gateway === undefined) return false;
  if (view.exists(FloatingIp.index.address, keyOf(gateway.network_id, ends.src))) return true;
  return view
    .by(Subnet.index.network_id, gateway.network_id)
    .some((subnet) => view.exists(Port.index.address, keyOf(subnet.id, ends.src)));
}

/** It has come in by the router's gateway, or from a wire that it stands on, and bears the address of a machine where one stood for that. */
export function answerOutsideError(view: View, punt: RouterErrorPunt): Answer {
  const packet = understood(punt.frame);
  const ends = packet && endsOf(packet);
  if (packet === undefined || ends === undefined) return silence("not a packet of IP");
  const forbidden = mustNot(packet);
  if (forbidden !== undefined) return silence(forbidden);
  const [refusing] = view.by(Router.index.key, String(punt.vrf));
  const way = refusing && wayTo(view, refusing, ends);
  if (refusing === undefined || way === undefined) return silence("its router has no way back");
  const { router, fixed, isOutside } = way;
  const interfaces = view.by(Port.index.router_id, refusing.id);
  const mtu = punt.kind === "mtu-exceeded" ? mtuOf(view, punt.net, interfaces) : 0;
  if (mtu === undefined) return notice(`the network of tunnel key ${punt.net} is not known here`);
  const at = { net: punt.net, vrf: router.key };
  const eth = { src: noMac, dst: noMac };
  const frame = errorFrame(punt, packet, { eth, from: fixed.ip_address, mtu });
  const machine = ends.version === 4 && isOutside ? machineOf(view, interfaces, ends.dst) : undefined;
  if (machine === undefined) return resume(Route.name, at, frame, "error");
  const parts = partsOf(frame);
  if (parts === undefined) return silence("too little of the packet is there to be quoted");
  const standing = standingFor(view, router.id, machine.port, parts);
  if (standing !== undefined) return written(at, parts, standing);
  const [inner, outer] = [machine.subnetId, fixed.subnet_id].map((id) => scopeOfSubnet(view, id));
  const isPlain = isOpen(router, { version: 4, inner: inner ?? 0, outer: outer ?? 0 });
  return isPlain ? resume(Route.name, at, frame, "error") : asked(at, parts);
}

/** By which of its addresses a router speaks to who sent a packet: on a network that it stands on, or of its gateway's; it may be another's to which its routes lead. */
function wayTo(view: View, first: Router, { version, src }: Ends) {
  const from = ipOf(src);
  let router: Router | undefined = first;
  for (let passed = 0; router !== undefined && passed < most; passed += 1) {
    const interfaces: readonly Port[] = view.by(Port.index.router_id, router.id);
    const beside = facing(view, interfaces, src);
    if (beside !== undefined) return { router, fixed: beside, isOutside: false };
    const [route]: readonly HostRoute[] = router.routes
      .filter(({ destination }) => versionOf(destination) === version && cidrContains(cidrOf(destination), from))
      .sort((one, other) => cidrOf(other.destination).length - cidrOf(one.destination).length);
    const hop: FixedIp | undefined = route && facing(view, interfaces, route.nexthop);
    if (route === undefined || hop === undefined) {
      const gateway = gatewayOf(view, router.id, version);
      return gateway && { router, fixed: gateway.fixed, isOutside: true };
    }
    const next: Port | undefined = machineOf(view, interfaces, route.nexthop)?.port;
    if (next?.router_id == null) return { router, fixed: hop, isOutside: false };
    router = view.get(Router, next.router_id);
  }
  return undefined;
}

/** The address of a router on the network that an address is of. */
function facing(view: View, interfaces: readonly Port[], address: string): FixedIp | undefined {
  const ip = ipOf(address);
  return interfaces
    .flatMap(({ fixed_ips }) => fixed_ips)
    .find(({ subnet_id }) => {
      const subnet = view.get(Subnet, subnet_id);
      return subnet !== undefined && versionOf(address) === subnet.ip_version && cidrContains(cidrOf(subnet.cidr), ip);
    });
}

/** Whose an address is on the networks that a router stands on. */
function machineOf(view: View, interfaces: readonly Port[], address: string) {
  for (const { subnet_id: subnetId } of interfaces.flatMap(({ fixed_ips }) => fixed_ips)) {
    const [port] = view.by(Port.index.address, keyOf(subnetId, address));
    if (port !== undefined) return { port, subnetId };
  }
  return undefined;
}
