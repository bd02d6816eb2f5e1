/**
 * ICMP errors about packets whose addresses were translated without state: the quoted packet bears the other side's view of them, and no switch can rewrite
 * it (RFC 3022 section 4.3, RFC 5508 section 4.2; design, 6.2). Both addresses are made right here, and the ports of forwarded ones.
 */
import type { Punt } from "@selvage/datapath";
import { FloatingIp, keyOf, Port, PortForwarding, Router, type View } from "@selvage/model";
import { checksum, ipv4Bytes, macBytes, readIpv4 } from "@selvage/packet";
import { ExtIn, IpProto, quotationNeed } from "@selvage/pipeline";
import { type Answer, replyTo, resume, silence } from "./answer.ts";
import { asked, standingFor, written } from "./icmp-outward.ts";
import { change, finish, hasPorts, type Parts, partsOf, portBytes, setWord, upperSum, word } from "./icmp-quote.ts";
import { wireOf } from "./wire.ts";

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
    const isIt = IpProto[each.protocol] === protocol;
    if (!isIt || quotedPort < each.external_first || quotedPort > each.external_last) continue;
    const port = view.get(Port, each.internal_port_id);
    const inner = each.internal_first + quotedPort - each.external_first;
    return (
      port && { outer: address, inner: each.internal_ip_address, port, routerId, ports: { outer: quotedPort, inner } }
    );
  }
  return undefined;
}

/** Makes one error right and sends it on: from outside to the machine, from a machine to the wire. */
export function answerInner(view: View, punt: Punt, hostName: string): Answer {
  const parts = partsOf(punt.frame);
  if (parts === undefined) return silence("not an ICMP error that quotes a packet");
  const wire = wireOf(view, punt.net, hostName);
  if (wire === undefined) return silence("the network stands on no wire that is known here");
  if (punt.attachment === wire.name || punt.srcPort === 0) return inward(view, parts, wire.networkId, punt.net);
  return outward(view, punt, parts);
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
    return resume(ExtIn.name, { net, vrf: 0 }, completed(bytes) ?? bytes, "completed");
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

function outward(view: View, punt: Punt, parts: Parts): Answer {
  const { bytes, outer, quoted } = parts;
  const sender = view.get(Port, punt.attachment);
  if (sender === undefined) return silence("the interface's port is not known here");
  // It is about what the machine got, and for who has sent that.
  const isAbout = readIpv4(bytes, quoted + 16) === readIpv4(bytes, outer + 12);
  const isFor = readIpv4(bytes, quoted + 12) === readIpv4(bytes, outer + 16);
  if (!isAbout || !isFor) return silence("the error quotes another's packet");
  const [router] = view.by(Router.index.key, String(punt.vrf));
  if (router === undefined) return silence("the router is not known here");
  const standing = standingFor(view, router.id, sender, parts);
  return standing === undefined ? asked(punt, parts) : written(punt, parts, standing);
}
