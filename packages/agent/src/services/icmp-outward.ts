/**
 * ICMP errors that go out by an external network: they quote what came in as the other side has sent it (RFC 5508, section 4.3). What stands for a machine without
 * state is known here. What of its router's address stands for it in a connection only the switch knows: it is asked with a packet as the machine might send it,
 * in which the error goes along.
 */
import type { Punt, Resumption } from "@selvage/datapath";
import { FloatingIp, type Port, PortForwarding, type View } from "@selvage/model";
import { encode, ipv4Bytes, readIpv4, readMac, TcpFlag } from "@selvage/packet";
import { IpProto, NatAsk, Route, ToRouter } from "@selvage/pipeline";
import { type Answer, resume, silence } from "./answer.ts";
import { change, finish, hasPorts, type Parts, partsOf, portBytes, upperSum, word } from "./icmp-quote.ts";

const ethernetHeader = 14;
const ipv4Header = 20;
/** Bytes of the headers that a question to the switch bears before the error. */
const before: Readonly<Record<number, number>> = { [IpProto.tcp]: 20, [IpProto.udp]: 8, [IpProto.icmp]: 8 };

/** What stands for a machine's address, and for its port where that is another. */
interface Standing {
  readonly address: string;
  readonly port?: number;
}

/** What stands without state, on a router's way out, for the machine that a quoted packet was for. */
export function standingFor(view: View, routerId: string, machine: Port, { bytes, quoted, upper }: Parts) {
  const address = readIpv4(bytes, quoted + 16);
  const [protocol, inner] = [bytes[quoted + 9], word(bytes, upper + 2)];
  for (const each of view.by(PortForwarding.index.internal_port_id, machine.id)) {
    const floating = view.get(FloatingIp, each.floatingip_id);
    const isIt = IpProto[each.protocol] === protocol && each.internal_ip_address === address;
    if (floating?.router_id !== routerId || !isIt || inner < each.internal_first || inner > each.internal_last)
      continue;
    const port = each.external_first + inner - each.internal_first;
    return { address: floating.floating_ip_address, port } satisfies Standing;
  }
  const floating = view
    .by(FloatingIp.index.port_id, machine.id)
    .find((each) => each.fixed_ip_address === address && each.router_id === routerId);
  return floating && ({ address: floating.floating_ip_address } satisfies Standing);
}

/** Has the switch say what stands for the machine. `at` is the external network and the router. */
export function asked({ net, vrf }: Resumption, parts: Parts): Answer {
  const question = questionOf(parts);
  if (question === undefined) return silence("it is about an answer of which no connection is known");
  return resume(NatAsk.name, { net, vrf }, question, "asked");
}

/** The switch has said what stands for a machine. */
export function answerTranslated({ net, vrf, frame }: Punt): Answer {
  const protocol = frame[ethernetHeader + 9] ?? 0;
  const upper = ethernetHeader + ipv4Header;
  const end = ethernetHeader + word(frame, ethernetHeader + 2);
  const parts = partsOf(frame.subarray(upper + (before[protocol] ?? 0), end));
  if (parts === undefined) return silence("no error is in the switch's answer");
  const port = hasPorts(parts) ? { port: word(frame, upper) } : {};
  return written({ net, vrf }, parts, { address: readIpv4(frame, ethernetHeader + 12), ...port });
}

/** Sends the error with what stands for the machine. A machine's own is on its way already; a router's takes the way of its routes. */
export function written({ net, vrf }: Resumption, parts: Parts, { address, port }: Standing): Answer {
  const { bytes, outer, quoted, upper } = parts;
  const stands = ipv4Bytes(address);
  const isOwn = readIpv4(bytes, quoted + 16) === readIpv4(bytes, outer + 12);
  if (isOwn) change(bytes, outer + 12, stands, [outer + 10]);
  change(bytes, quoted + 16, stands, [quoted + 10, ...upperSum(parts)]);
  if (port !== undefined && hasPorts(parts)) change(bytes, upper + 2, portBytes(port), upperSum(parts));
  const error = finish(parts);
  return isOwn
    ? resume(ToRouter.name, { net, vrf: 0 }, error, "error")
    : resume(Route.name, { net, vrf }, error, "error");
}

/**
 * A packet of the same connection the other way, with the error in it. It changes nothing of the connection that is not changed by the machine's own: of TCP it is
 * a segment that opens and resets at once, which no connection takes for its own. Undefined where what is quoted is of none.
 */
function questionOf(parts: Parts): Uint8Array | undefined {
  const { bytes, quoted, upper, end } = parts;
  const payload = bytes.subarray(0, end);
  const eth = { dst: readMac(bytes, 0), src: readMac(bytes, 6) };
  const protocol = bytes[quoted + 9]!;
  const ipv4 = { src: readIpv4(bytes, quoted + 16), dst: readIpv4(bytes, quoted + 12) };
  const ports = { src: word(bytes, upper + 2), dst: word(bytes, upper) };
  switch (protocol) {
    case IpProto.tcp:
      return encode({
        eth,
        ipv4,
        tcp: { ...ports, seq: 0, ack: 0, flags: TcpFlag.syn | TcpFlag.rst, window: 0 },
        payload,
      });
    case IpProto.udp:
      return encode({ eth, ipv4, udp: ports, payload });
    case IpProto.icmp: {
      const icmp = { kind: "echo-request", id: word(bytes, upper + 4), sequence: 0 } as const;
      return bytes[upper] === 0 ? encode({ eth, ipv4, icmp, payload }) : undefined;
    }
    default:
      return encode({ eth, ipv4: { ...ipv4, protocol }, payload });
  }
}
