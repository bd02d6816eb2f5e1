/** One line a packet, after the manner of tcpdump(8): for logs, traces and the messages of tests. */

import { ArpOp } from "./arp.ts";
import type { Dhcp } from "./dhcp.ts";
import type { Dhcpv6 } from "./dhcpv6.ts";
import type { Icmp } from "./icmp.ts";
import type { Icmpv6 } from "./icmpv6.ts";
import type { Ipv4 } from "./ipv4.ts";
import type { Ipv6 } from "./ipv6.ts";
import { type Decoded, decode, type Packet } from "./packet.ts";
import { type Tcp, TcpFlag } from "./transport.ts";

/**
 * The line of a packet, or of what `decode` gave: a malformed one says so behind the layers understood. What a guest wrote (host names)
 * is quoted, so a line stays one line. The inner frame of a tunnel follows in brackets, one level deep.
 */
export function summary(what: Packet | Decoded): string {
  return line(what, "enter");
}

function line(what: Packet | Decoded, tunnels: "enter" | "stop"): string {
  if (!("ok" in what)) return packetLine(what, tunnels);
  if (what.ok) return packetLine(what.packet, tunnels);
  const { layer, reason, offset } = what.malformed;
  const fault = `malformed ${layer}: ${reason} at byte ${offset}`;
  return what.before === undefined ? fault : `${packetLine(what.before, tunnels)}, ${fault}`;
}

function packetLine(packet: Packet, tunnels: "enter" | "stop"): string {
  const { eth } = packet;
  const vlan = eth.vlan === undefined ? "" : ` vlan ${eth.vlan.id}`;
  return `${eth.src} > ${eth.dst}${vlan} ${networkLine(packet, tunnels)}`;
}

function networkLine(packet: Packet, tunnels: "enter" | "stop"): string {
  const { eth, payload } = packet;
  if (packet.arp !== undefined) {
    const { op, sha, spa, tpa } = packet.arp;
    if (op === ArpOp.request) return `arp who-has ${tpa} tell ${spa}`;
    return op === ArpOp.reply ? `arp ${spa} is-at ${sha}` : `arp op ${op} ${spa} > ${tpa}`;
  }
  const ip = packet.ipv4 ?? packet.ipv6;
  if (ip === undefined) return `type 0x${eth.type.toString(16).padStart(4, "0")}, length ${payload.length}`;
  const family = packet.ipv4 === undefined ? "ip6" : "ip";
  const ports = packet.udp ?? packet.tcp;
  const flow =
    ports === undefined
      ? `${family} ${ip.src} > ${ip.dst}`
      : `${family} ${ip.src}.${ports.src} > ${ip.dst}.${ports.dst}`;
  return `${flow}: ${upperLine(packet, tunnels)}`;
}

function upperLine(packet: Packet, tunnels: "enter" | "stop"): string {
  const { payload } = packet;
  if (packet.dhcp !== undefined) return dhcpLine(packet.dhcp);
  if (packet.dhcpv6 !== undefined) return dhcpv6Line(packet.dhcpv6);
  if (packet.vxlan !== undefined) return `vxlan vni ${packet.vxlan.vni}${innerLine(payload, tunnels)}`;
  if (packet.geneve !== undefined) {
    const { vni, options } = packet.geneve;
    const list = options
      .map((option) => `0x${option.class.toString(16)}/${option.type}${option.critical ? "!" : ""}`)
      .join(" ");
    return `geneve vni ${vni}${list === "" ? "" : ` options ${list}`}${innerLine(payload, tunnels)}`;
  }
  if (packet.udp !== undefined) return `udp, length ${payload.length}`;
  if (packet.tcp !== undefined) return tcpLine(packet.tcp, payload.length);
  if (packet.icmp !== undefined) return `${icmpLine(packet.icmp)}, length ${payload.length}`;
  if (packet.icmpv6 !== undefined) return icmpv6Line(packet.icmpv6, payload.length);
  const ip = packet.ipv4 ?? packet.ipv6;
  return ip === undefined ? "" : `proto ${ip.protocol}${fragmentText(ip)}, length ${payload.length}`;
}

function innerLine(payload: Uint8Array, tunnels: "enter" | "stop"): string {
  return tunnels === "stop" ? `, length ${payload.length}` : ` [${line(decode(payload), "stop")}]`;
}

function fragmentText(ip: Ipv4 | Ipv6): string {
  if ("fragmentOffset" in ip)
    return ip.fragmentOffset > 0 || ip.moreFragments
      ? ` frag ${ip.id}@${ip.fragmentOffset}${ip.moreFragments ? "+" : ""}`
      : "";
  const fragment = ip.extensions.find((extension) => extension.kind === "fragment");
  return fragment === undefined ? "" : ` frag ${fragment.id}@${fragment.offset}${fragment.more ? "+" : ""}`;
}

function tcpLine(tcp: Tcp, length: number): string {
  const letters = [
    [TcpFlag.fin, "F"],
    [TcpFlag.syn, "S"],
    [TcpFlag.rst, "R"],
    [TcpFlag.psh, "P"],
    [TcpFlag.ack, "."],
    [TcpFlag.urg, "U"],
    [TcpFlag.ece, "E"],
    [TcpFlag.cwr, "W"],
  ] as const;
  const flags = letters.map(([bit, letter]) => (tcp.flags & bit ? letter : "")).join("");
  const ack = tcp.flags & TcpFlag.ack ? `, ack ${tcp.ack}` : "";
  return `tcp [${flags === "" ? "none" : flags}], seq ${tcp.seq}${ack}, win ${tcp.window}, length ${length}`;
}

function icmpLine(icmp: Icmp): string {
  switch (icmp.kind) {
    case "echo-request":
    case "echo-reply":
      return `icmp ${icmp.kind} id ${icmp.id} seq ${icmp.sequence}`;
    case "unreachable":
      return `icmp unreachable code ${icmp.code}${icmp.mtu === 0 ? "" : ` mtu ${icmp.mtu}`}`;
    case "time-exceeded":
      return `icmp time-exceeded code ${icmp.code}`;
    case "other":
      return `icmp type ${icmp.type} code ${icmp.code}`;
  }
}

function icmpv6Line(icmpv6: Icmpv6, length: number): string {
  switch (icmpv6.kind) {
    case "echo-request":
    case "echo-reply":
      return `icmp6 ${icmpv6.kind} id ${icmpv6.id} seq ${icmpv6.sequence}, length ${length}`;
    case "unreachable":
    case "time-exceeded":
      return `icmp6 ${icmpv6.kind} code ${icmpv6.code}, length ${length}`;
    case "packet-too-big":
      return `icmp6 packet-too-big mtu ${icmpv6.mtu}, length ${length}`;
    case "parameter-problem":
      return `icmp6 parameter-problem code ${icmpv6.code} pointer ${icmpv6.pointer}, length ${length}`;
    case "router-solicitation":
      return "icmp6 router-solicitation";
    case "router-advertisement": {
      const prefixes = icmpv6.options.flatMap((option) =>
        option.kind === "prefix" ? [` ${option.prefix}/${option.length}`] : [],
      );
      return `icmp6 router-advertisement lifetime ${icmpv6.lifetime}${prefixes.join("")}`;
    }
    case "neighbor-solicitation":
      return `icmp6 neighbor-solicitation who-has ${icmpv6.target}`;
    case "neighbor-advertisement": {
      const mac = icmpv6.options.flatMap((option) =>
        option.kind === "target-link-layer" ? [` is-at ${option.mac}`] : [],
      );
      const flags = `${icmpv6.router ? "R" : ""}${icmpv6.solicited ? "S" : ""}${icmpv6.override ? "O" : ""}`;
      return `icmp6 neighbor-advertisement ${icmpv6.target}${mac.join("")} [${flags}]`;
    }
    case "other":
      return `icmp6 type ${icmpv6.type} code ${icmpv6.code}, length ${length}`;
  }
}

function dhcpLine(dhcp: Dhcp): string {
  const { messageType, requestedAddress, hostName } = dhcp.options;
  const yours = dhcp.yiaddr === "0.0.0.0" ? "" : ` your ${dhcp.yiaddr}`;
  const wanted = requestedAddress === undefined ? "" : ` wants ${requestedAddress}`;
  const name = hostName === undefined ? "" : ` name ${quoted(hostName)}`;
  return `dhcp ${messageType ?? `bootp ${dhcp.op}`} xid 0x${dhcp.xid.toString(16).padStart(8, "0")} client ${dhcp.chaddr}${yours}${wanted}${name}`;
}

function dhcpv6Line(dhcpv6: Dhcpv6): string {
  if ("peer" in dhcpv6) return `dhcp6 ${dhcpv6.type} peer ${dhcpv6.peer}`;
  const addresses = (dhcpv6.options.iaNa ?? []).flatMap((ia) => ia.addresses.map(({ address }) => ` ${address}`));
  return `dhcp6 ${dhcpv6.type} xid 0x${dhcpv6.transactionId.toString(16).padStart(6, "0")}${addresses.join("")}`;
}

/** A guest's text in quotes, all but printable ASCII escaped: it can neither end the line nor steer a terminal. */
function quoted(text: string): string {
  return JSON.stringify(text).replace(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
