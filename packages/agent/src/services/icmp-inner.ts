/**
 * ICMP errors about packets whose addresses were translated without state: the quoted packet bears the other side's view of them, and no switch can rewrite
 * it (RFC 3022 section 4.3, RFC 5508 section 4.2; design, 6.2). Both addresses are made right here, and the ports of forwarded ones.
 */
import type { Punt } from "@selvage/datapath";
import { FloatingIp, keyOf, Port, PortForwarding, type View } from "@selvage/model";
import { checksum, ipv4Bytes, macBytes, readIpv4, updateChecksum } from "@selvage/packet";
import { ExtIn, quotationNeed } from "@selvage/pipeline";
import { type Answer, replyTo, resume, silence } from "./answer.ts";
import { onWire, wireOf } from "./wire.ts";

const ethernetHeader = 14;
const errorTypes: ReadonlySet<number> = new Set([3, 11, 12]);
const tcp = 6;
const udp = 17;

/** Where the parts of an error are in a frame without a tag: the header, the message, the quoted packet and its upper layer. */
interface Parts {
  readonly bytes: Uint8Array;
  readonly outer: number;
  readonly message: number;
  readonly quoted: number;
  readonly upper: number;
  readonly end: number;
}

const word = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;

function setWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 0xff;
}

/** Takes an error apart; undefined where it is none, or does not quote a whole IPv4 header and eight bytes (RFC 792). */
function partsOf(frame: Uint8Array): Parts | undefined {
  const bytes = Uint8Array.from(frame);
  const outer = ethernetHeader;
  if (bytes.length < outer + 20 || word(bytes, 12) !== 0x0800 || bytes[outer]! >> 4 !== 4) return undefined;
  const message = outer + (bytes[outer]! & 0xf) * 4;
  const end = outer + word(bytes, outer + 2);
  const quoted = message + 8;
  if (end > bytes.length || bytes[outer + 9] !== 1 || quoted + 28 > end) return undefined;
  if ((word(bytes, outer + 6) & 0x3fff) !== 0 || !errorTypes.has(bytes[message]!)) return undefined;
  const upper = quoted + (bytes[quoted]! & 0xf) * 4;
  if (bytes[quoted]! >> 4 !== 4 || upper < quoted + 20 || upper + 8 > end) return undefined;
  return { bytes, outer, message, quoted, upper, end };
}

/** Changes a run of 16-bit words that a checksum covers, and the checksum with it (RFC 1624); one of UDP that says nothing stays. */
function change(bytes: Uint8Array, at: number, to: Uint8Array, sums: readonly number[]): void {
  for (let n = 0; n < to.length; n += 2) {
    const before = word(bytes, at + n);
    const after = (to[n]! << 8) | to[n + 1]!;
    setWord(bytes, at + n, after);
    for (const sum of sums) updateChecksum(bytes, sum, before, after);
  }
}

/** The checksum of the quoted upper layer, where it was quoted as far and says something. */
function upperSum({ bytes, quoted, upper, end }: Parts): readonly number[] {
  const protocol = bytes[quoted + 9];
  if (protocol === tcp) return upper + 18 <= end ? [upper + 16] : [];
  if (protocol === udp) return word(bytes, upper + 6) === 0 ? [] : [upper + 6];
  return [];
}

/** Both ports' words, by protocol with ports. */
const hasPorts = ({ bytes, quoted }: Parts): boolean => bytes[quoted + 9] === tcp || bytes[quoted + 9] === udp;

const portBytes = (port: number): Uint8Array => Uint8Array.of(port >> 8, port & 0xff);

function finish({ bytes, message, end }: Parts): Uint8Array {
  setWord(bytes, message + 2, 0);
  setWord(bytes, message + 2, checksum(bytes, message, end));
  return bytes;
}

/** What stands for what: an address, and for a forwarded port both ports. */
interface Standing {
  readonly outer: string;
  readonly inner: string;
  readonly port: Port;
  readonly routerId: string;
  readonly ports?: { readonly outer: number; readonly inner: number };
}

/** Of an address of an external network: whose machine's it is, with the port it was quoted with. */
function standingOf(
  view: View,
  networkId: string,
  address: string,
  protocol: number,
  quotedPort: number,
): Standing | undefined {
  const [floating] = view.by(FloatingIp.index.address, keyOf(networkId, address));
  if (floating === undefined || floating.router_id === null) return undefined;
  const { router_id: routerId } = floating;
  if (floating.port_id !== null && floating.fixed_ip_address !== null) {
    const port = view.get(Port, floating.port_id);
    return port && { outer: address, inner: floating.fixed_ip_address, port, routerId };
  }
  for (const each of view.by(PortForwarding.index.floatingip_id, floating.id)) {
    const isIt = (each.protocol === "udp" ? udp : tcp) === protocol;
    if (!isIt || quotedPort < each.external_first || quotedPort > each.external_last) continue;
    const port = view.get(Port, each.internal_port_id);
    const inner = each.internal_first + quotedPort - each.external_first;
    return (
      port && { outer: address, inner: each.internal_ip_address, port, routerId, ports: { outer: quotedPort, inner } }
    );
  }
  return undefined;
}

/** Of a machine's address: what stands for it outside. */
function floatingOf(view: View, port: Port, address: string): Standing | undefined {
  const found = view
    .by(FloatingIp.index.port_id, port.id)
    .find((each) => each.fixed_ip_address === address && each.router_id !== null);
  if (found?.router_id == null) return undefined;
  return { outer: found.floating_ip_address, inner: address, port, routerId: found.router_id };
}

/** Makes one error right and sends it on: from outside to the machine, from a machine to the wire. */
export function answerInner(view: View, punt: Punt, hostName: string): Answer {
  const parts = partsOf(punt.frame);
  if (parts === undefined) return silence("not an ICMP error that quotes a packet");
  const wire = wireOf(view, punt.net, hostName);
  if (wire === undefined) return silence("the network stands on no wire that is known here");
  return punt.attachment === wire.name || punt.srcPort === 0
    ? inward(view, parts, wire.networkId, punt.net)
    : outward(view, punt, parts, wire);
}

/**
 * The error with zeros behind what it quotes, so many that a TCP header is there in full: what is about a router's address goes back to the switch, which knows
 * the connection and corrects the quoted checksum, wherever it would be. Undefined for what is no such error.
 */
export function completed(frame: Uint8Array): Uint8Array | undefined {
  const parts = partsOf(frame);
  if (parts === undefined) return undefined;
  const { bytes, outer, message, end } = parts;
  const whole = new Uint8Array(Math.max(end, quotationNeed));
  whole.set(bytes.subarray(0, end));
  change(whole, outer + 2, portBytes(whole.length - outer), [outer + 10]);
  setWord(whole, message + 2, 0);
  setWord(whole, message + 2, checksum(whole, message, whole.length));
  return whole;
}

function inward(view: View, parts: Parts, networkId: string, net: number): Answer {
  const { bytes, outer, quoted, upper } = parts;
  const to = readIpv4(bytes, outer + 16);
  // It is about what the machine sent: the quoted source is the address that the error is for.
  if (readIpv4(bytes, quoted + 12) !== to) return silence("the error quotes another's packet");
  const at = standingOf(view, networkId, to, bytes[quoted + 9]!, word(bytes, upper));
  if (at === undefined) {
    // One that is whole came by the address of a forwarded port, and is of none.
    if (bytes.length >= quotationNeed) return silence("no machine has the address");
    return resume(ExtIn.name, net, completed(bytes) ?? bytes, "completed");
  }
  const gateway = view.by(Port.index.router_id, at.routerId).find((each) => each.network_id === at.port.network_id);
  if (gateway === undefined) return silence("the router does not stand on the machine's network");
  if (bytes[outer + 8]! <= 1) return silence("it has passed as many routers as its sender allowed");
  const inner = ipv4Bytes(at.inner);
  change(bytes, outer + 16, inner, [outer + 10]);
  change(bytes, outer + 8, Uint8Array.of(bytes[outer + 8]! - 1, bytes[outer + 9]!), [outer + 10]);
  change(bytes, quoted + 12, inner, [quoted + 10, ...upperSum(parts)]);
  if (at.ports !== undefined && hasPorts(parts)) change(bytes, upper, portBytes(at.ports.inner), upperSum(parts));
  bytes.set(macBytes(at.port.mac_address), 0);
  bytes.set(macBytes(gateway.mac_address), 6);
  return replyTo(at.port.id, finish(parts), "error");
}

function outward(
  view: View,
  punt: Punt,
  parts: Parts,
  wire: Parameters<typeof onWire>[0] & { readonly name: string },
): Answer {
  const { bytes, outer, quoted } = parts;
  const sender = view.get(Port, punt.attachment);
  const from = readIpv4(bytes, outer + 12);
  if (sender === undefined) return silence("the interface's port is not known here");
  // It is about what the machine got: the quoted destination is the address that the error is from.
  if (readIpv4(bytes, quoted + 16) !== from) return silence("the error quotes another's packet");
  const at = floatingOf(view, sender, from);
  if (at === undefined) return silence("nothing stands for the machine's address");
  const stands = ipv4Bytes(at.outer);
  change(bytes, outer + 12, stands, [outer + 10]);
  change(bytes, quoted + 16, stands, [quoted + 10, ...upperSum(parts)]);
  return replyTo(wire.name, onWire(wire, finish(parts)), "error");
}
