/**
 * What a router says of a packet that it does not send on, made from the packet itself: ICMP for IPv4 (RFC 792, RFC 1812 section 4.3; the next
 * network's MTU RFC 1191) and ICMPv6 (RFC 4443 sections 2.4 and 3).
 */
import type { Punt } from "@selvage/datapath";
import {
  canonicalIp,
  cidrOf,
  ipOf,
  isLinkLocalIp,
  isLoopbackIp,
  isMulticastIp,
  isUnspecifiedIp,
  keyOf,
  lastIpOf,
  linkLocalOf,
  macOf,
  Network,
  networkKeyOf,
  Port,
  Router,
  Subnet,
  textOfIp,
  type View,
} from "@selvage/model";
import { decode, encode, Frame, type Icmp, type Icmpv6, type Packet, UnreachableCode } from "@selvage/packet";
import type { RouterError } from "@selvage/pipeline";
import { type Answer, notice, reply, silence } from "./answer.ts";

export type RouterErrorPunt = Punt & { readonly kind: RouterError };

const ethernetHeader = 14;
/** Bytes of an error with all that it quotes (RFC 1812 section 4.3.2.3; RFC 4443 section 2.4 (c)). */
const longest = { 4: 576, 6: 1280 } as const;
/** Header and error message before the quotation. */
const before = { 4: 20 + 8, 6: 40 + 8 } as const;
/** Internetwork control, the precedence of errors (RFC 1812 section 4.3.2.5). */
const networkControl = 48;

/** Answers one packet with an error to its sender, or keeps silent where errors must not be sent. */
export function answerRouterError(view: View, punt: RouterErrorPunt): Answer {
  const asking = view.get(Port, punt.attachment);
  if (asking === undefined || asking.key !== punt.srcPort) return silence("the interface's port is not known here");
  const packet = understood(punt.frame);
  const ip = packet?.ipv4 ?? packet?.ipv6;
  if (packet === undefined || ip === undefined) return silence("not a packet of IP");
  const [router] = view.by(Router.index.key, String(punt.vrf));
  if (router === undefined) return silence("the router is not known here");
  const interfaces = view.by(Port.index.router_id, router.id);
  const forbidden = mustNot(packet) ?? broadcastOf(view, interfaces, ip.dst);
  if (forbidden !== undefined) return silence(forbidden);
  const version = packet.ipv4 === undefined ? 6 : 4;
  const from = sourceOf(view, punt, asking, interfaces, ip);
  if (from === undefined) return silence(`the router has no address of IPv${version}`);
  const mtu = punt.kind === "mtu-exceeded" ? mtuOf(view, punt.net, interfaces) : 0;
  if (mtu === undefined) return notice(`the network of tunnel key ${punt.net} is not known here`);
  const eth = { src: linkSource(view, asking, interfaces, ip.src), dst: linkTarget(view, punt, asking, packet) };
  const largest = view.get(Network, asking.network_id)?.mtu;
  return reply(errorFrame(punt, packet, { eth, from, mtu, ...(largest === undefined ? {} : { largest }) }), "error");
}

/** What an error is to bear beside what it quotes. */
interface ErrorPlan {
  readonly eth: { readonly src: string; readonly dst: string };
  readonly from: string;
  /** Of the network that the packet is too large for; else 0. */
  readonly mtu: number;
  /** Bytes that the network of who gets it carries. */
  readonly largest?: number;
}

/** The error about a packet of IP, to its sender. */
export function errorFrame(punt: RouterErrorPunt, packet: Packet, { eth, from, mtu, largest }: ErrorPlan): Uint8Array {
  const { ipv4, ipv6 } = packet;
  const version = ipv4 === undefined ? 6 : 4;
  const dst = ipv4?.src ?? ipv6?.src ?? "";
  const room = Math.min(longest[version], largest ?? longest[version]);
  const payload = quotation(punt, packet).subarray(0, room - before[version]);
  return version === 4
    ? encode({ eth, ipv4: { src: from, dst, dscp: networkControl }, icmp: messageOf4(punt.kind, mtu), payload })
    : encode({ eth, ipv6: { src: from, dst }, icmpv6: messageOf6(punt.kind, mtu), payload });
}

function messageOf4(kind: RouterError, mtu: number): Icmp {
  const unreachable = (code: number, next = 0): Icmp => ({ kind: "unreachable", code, length: 0, mtu: next });
  switch (kind) {
    case "ttl-expired":
      return { kind: "time-exceeded", code: 0, length: 0 };
    case "no-route":
      return unreachable(UnreachableCode.network);
    case "host-unreachable":
      return unreachable(UnreachableCode.host);
    case "port-unreachable":
      return unreachable(UnreachableCode.port);
    case "mtu-exceeded":
      return unreachable(UnreachableCode.fragmentationNeeded, mtu);
  }
}

function messageOf6(kind: RouterError, mtu: number): Icmpv6 {
  switch (kind) {
    case "ttl-expired":
      return { kind: "time-exceeded", code: 0, length: 0 };
    case "no-route":
      return { kind: "unreachable", code: 0, length: 0 };
    case "host-unreachable":
      return { kind: "unreachable", code: 3, length: 0 };
    case "port-unreachable":
      return { kind: "unreachable", code: 4, length: 0 };
    case "mtu-exceeded":
      return { kind: "packet-too-big", mtu };
  }
}

/** The packet as far as it can be taken apart: an error may be about one whose upper layer is damaged. */
export function understood(frame: Uint8Array): Packet | undefined {
  const decoded = decode(frame, { checksums: "ignore" });
  return decoded.ok ? decoded.packet : decoded.before;
}

/** Redirects and all that speak of a packet that went wrong (RFC 1812 section 4.3.2.7, RFC 4443 section 2.1). */
const errorTypes4: ReadonlySet<number> = new Set([3, 4, 5, 11, 12]);

/** Why no error may be sent about a packet whatever router says it (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 (e)). */
export function mustNot({ eth, ipv4, ipv6, icmp, icmpv6, payload }: Packet): string | undefined {
  const ip = ipv4 ?? ipv6;
  if (ip === undefined) return "not a packet of IP";
  if ((Number.parseInt(eth.dst.slice(0, 2), 16) & 1) === 1) return "the packet was for several machines";
  if (isMulticastIp(ipOf(ip.dst)) || ip.dst === "255.255.255.255") return "the packet was for several machines";
  const source = ipOf(ip.src);
  if (isUnspecifiedIp(source) || isMulticastIp(source) || isLoopbackIp(source) || reserved(ip.src))
    return "the packet's source is not one machine";
  const offset = ipv4?.fragmentOffset ?? ipv6?.extensions.find((each) => each.kind === "fragment")?.offset ?? 0;
  if (offset !== 0) return "the packet is a fragment that is not the first";
  // Of a first fragment, and of a message that could not be read, the type is the first byte.
  const type = icmp === undefined && icmpv6 === undefined ? payload[0] : typeOf(icmp ?? icmpv6);
  const isError = ip.protocol === 1 ? errorTypes4.has(type ?? 3) : ip.protocol === 58 && isErrorType6(type ?? 1);
  return isError ? "the packet is an error itself" : undefined;
}

/** Errors and redirects (RFC 4443 section 2.1, RFC 4861 section 4.5). */
const isErrorType6 = (type: number): boolean => type < 128 || type === 137;

/** 0.0.0.0/8 and 240.0.0.0/4, which name nobody (RFC 6890). */
const reserved = (address: string): boolean =>
  !address.includes(":") && (address.startsWith("0.") || Number(address.split(".")[0]) >= 240);

/** A message's type, or one of those that is of the same sort. */
function typeOf(message: Icmp | Icmpv6 | undefined): number | undefined {
  switch (message?.kind) {
    case "other":
      return message.type;
    case "unreachable":
    case "time-exceeded":
    case "packet-too-big":
    case "parameter-problem":
      return 3;
    case undefined:
      return undefined;
    default:
      return 128;
  }
}

/** Why not, when it is for the broadcast address of a network that the router stands on. */
function broadcastOf(view: View, interfaces: readonly Port[], dst: string): string | undefined {
  if (dst.includes(":")) return undefined;
  const isBroadcast = interfaces.some((port) =>
    port.fixed_ips.some(({ subnet_id }) => {
      const subnet = view.get(Subnet, subnet_id);
      if (subnet?.ip_version !== 4) return false;
      const cidr = cidrOf(subnet.cidr);
      return cidr.length < 31 && textOfIp(lastIpOf(cidr)) === dst;
    }),
  );
  return isBroadcast ? "the packet was for several machines" : undefined;
}

/** Whether the router had already made the packet its own, with its MAC and one hop less, when it found that it cannot send it. */
const wasSentOn = (kind: RouterError): boolean => kind === "host-unreachable" || kind === "mtu-exceeded";

/** The packet from its IP header on as the router got it, without what pads the frame. */
function quotation(punt: RouterErrorPunt, { ipv4, ipv6, eth }: Packet): Uint8Array {
  const frame = new Frame(punt.frame);
  const ttl = ipv4?.ttl ?? ipv6?.hopLimit ?? 0;
  if (wasSentOn(punt.kind) && ttl < 255) frame.set("ip_ttl", ttl + 1);
  const bytes = frame.toBytes();
  const at = eth.vlan === undefined ? ethernetHeader : ethernetHeader + 4;
  const word = (offset: number): number => (bytes[at + offset] ?? 0) * 256 + (bytes[at + offset + 1] ?? 0);
  return bytes.subarray(at, at + (ipv4 === undefined ? 40 + word(4) : word(2)));
}

/**
 * The address that the error is from. What was for an address of the router's own is answered from that one. Else the router's address on the asking
 * port's network; where it has none there, that on the network from which the packet came to it, and then any.
 */
function sourceOf(
  view: View,
  punt: RouterErrorPunt,
  asking: Port,
  interfaces: readonly Port[],
  { src, dst }: { readonly src: string; readonly dst: string },
): string | undefined {
  if (punt.kind === "port-unreachable") return dst;
  const isFour = !src.includes(":");
  const arrivedOn = wasSentOn(punt.kind) ? -1 : punt.net;
  const rank = (port: Port): number => {
    if (port.network_id === asking.network_id) return 0;
    return keyOfNetwork(view.get(Network, port.network_id)) === arrivedOn ? 1 : 2;
  };
  const sorted = [...interfaces].sort((one, other) => rank(one) - rank(other));
  for (const port of sorted) {
    const fixed = port.fixed_ips.map((each) => each.ip_address).filter((each) => !each.includes(":") === isFour);
    if (fixed[0] === undefined) continue;
    // A machine that asks from its link-local address is answered from one: it knows no way to others (RFC 4291 section 2.5.6).
    return !isFour && isLinkLocalIp(ipOf(src)) ? textOfIp(linkLocalOf(macOf(port.mac_address))) : fixed[0];
  }
  return undefined;
}

const keyOfNetwork = (network: Network | undefined): number | undefined =>
  network === undefined ? undefined : networkKeyOf(network);

/** The MTU of the network of a tunnel key, one of those that the router stands on. */
export function mtuOf(view: View, net: number, interfaces: readonly Port[]): number | undefined {
  for (const port of interfaces) {
    const network = view.get(Network, port.network_id);
    if (network !== undefined && networkKeyOf(network) === net) return network.mtu;
  }
  return undefined;
}

/** The MAC that the error comes from: the router's on the port's network, or that of the one that leads there, which is the gateway's where it can be told. */
function linkSource(view: View, asking: Port, interfaces: readonly Port[], src: string): string {
  const own = interfaces.find((port) => port.network_id === asking.network_id);
  if (own !== undefined) return own.mac_address;
  const others = view.by(Port.index.routedNetwork, asking.network_id);
  const gateways = new Set(
    asking.fixed_ips
      .filter((fixed) => fixed.ip_address.includes(":") === src.includes(":"))
      .map((fixed) => view.get(Subnet, fixed.subnet_id)?.gateway_ip),
  );
  const gateway = others.find((port) => port.fixed_ips.some((fixed) => gateways.has(fixed.ip_address)));
  return (gateway ?? others[0] ?? asking).mac_address;
}

/** The MAC that the packet came from: the frame's own, or, where a router's stands there now, that of the port or of its address pair. */
function linkTarget(view: View, punt: RouterErrorPunt, asking: Port, { eth, ipv4, ipv6 }: Packet): string {
  const isFirst = keyOfNetwork(view.get(Network, asking.network_id)) === punt.net;
  const [owner] = view.by(Port.index.networkMac, keyOf(asking.network_id, eth.src));
  if (!wasSentOn(punt.kind) && isFirst && (owner === undefined || owner.router_id === null)) return eth.src;
  const src = ipv4?.src ?? ipv6?.src ?? "";
  const isFixed = asking.fixed_ips.some((fixed) => fixed.ip_address === src);
  const pair = asking.allowed_address_pairs.find((each) => canonicalIp(each.ip_address) === src);
  return isFixed || pair === undefined ? asking.mac_address : pair.mac_address;
}
