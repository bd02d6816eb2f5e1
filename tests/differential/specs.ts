/** The packets of plans: what a frame of each kind says, from one machine to another. */
import { udpBetween } from "@selvage/datapath/testing";
import { type Icmpv6, multicastMac, type Packet, type PacketSpec, solicitedNode } from "@selvage/packet";
import { serviceAddresses } from "@selvage/pipeline";
import type { MadeFrame } from "./shots.ts";
import type { Speaker } from "./topology.ts";

const noMac = "00:00:00:00:00:00";
const broadcast = "ff:ff:ff:ff:ff:ff";
/** Widens a literal: of the messages only some have options. */
const said = (message: Icmpv6): Icmpv6 => message;
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));

/** Bytes of payload that fill an IP packet, with so many bytes of the other headers in it. */
function payloadOf({ size, version }: MadeFrame, headers: number): Uint8Array {
  if (size === "small") return bytes("payload");
  return new Uint8Array(Math.max(0, size.mtu + size.more - headers - (version === 4 ? 20 : 40)));
}

/** What a plan's frame says. */
export function specOf(plan: MadeFrame, from: Speaker, to: Speaker): PacketSpec {
  const { kind, version, drawn, placed, hops } = plan;
  const eth = { src: from.mac, dst: to.mac };
  const ipv4 = { src: from.ip4, dst: to.ip4, ttl: hops };
  const ipv6 = { src: from.ip6, dst: to.ip6, hopLimit: hops };
  const payload = bytes("payload");
  const all = { eth: { ...eth, dst: multicastMac("ff02::1") }, ipv6: { ...ipv6, dst: "ff02::1" } };
  const routers = { eth: { ...eth, dst: multicastMac("ff02::2") }, ipv6: { ...ipv6, dst: "ff02::2", hopLimit: 255 } };
  const solicited = {
    eth: { ...eth, dst: multicastMac(solicitedNode(to.ip6)) },
    ipv6: { ...ipv6, dst: solicitedNode(to.ip6), hopLimit: 255 },
  };
  const servers = { eth: { ...eth, dst: multicastMac("ff02::1:2") }, ipv6: { ...ipv6, dst: "ff02::1:2" } };
  const source = { kind: "source-link-layer" as const, mac: from.mac };
  const arp = (op: number, part: Partial<{ spa: string; tha: string; tpa: string }>, dst = broadcast): PacketSpec => ({
    eth: { ...eth, dst },
    arp: { op, sha: from.mac, spa: from.ip4, tha: noMac, tpa: to.ip4, ...part },
  });
  const dhcp = { op: "request", xid: 7, chaddr: from.mac, options: { messageType: "discover" } } as const;
  const service = { ip4: serviceAddresses.metadata[4], ip6: serviceAddresses.metadata[6] };
  switch (kind) {
    case "service": {
      const way = { ipv4: { ...ipv4, dst: service.ip4 }, ipv6: { ...ipv6, dst: service.ip6 } };
      const udp = { src: 40_000, dst: 80 };
      return version === 4 ? { eth, ipv4: way.ipv4, udp, payload } : { eth, ipv6: way.ipv6, udp, payload };
    }
    case "service-question":
      return version === 4
        ? arp(1, { tpa: service.ip4 })
        : {
            eth: { ...eth, dst: multicastMac(solicitedNode(service.ip6)) },
            ipv6: { ...ipv6, dst: solicitedNode(service.ip6), hopLimit: 255 },
            icmpv6: said({ kind: "neighbor-solicitation", target: service.ip6, options: [source] }),
          };
    case "udp":
      return version === 4
        ? { eth, ipv4, udp: { src: 40_000, dst: 40_001 }, payload: payloadOf(plan, 8) }
        : { eth, ipv6, udp: { src: 0, dst: 0 }, payload: payloadOf(plan, 8) };
    case "tcp":
      return version === 4
        ? { eth, ipv4, tcp: { src: 1, dst: 80, flags: 2 }, payload: payloadOf(plan, 20) }
        : { eth, ipv6, tcp: { src: 1, dst: 80, flags: 2 }, payload: payloadOf(plan, 20) };
    case "ping":
      return version === 4
        ? { eth, ipv4, icmp: { kind: "echo-request", id: 0, sequence: 1 }, payload: payloadOf(plan, 8) }
        : { eth, ipv6, icmpv6: { kind: "echo-request", id: 0, sequence: 1 }, payload: payloadOf(plan, 8) };
    case "unreachable": {
      const about = udpBetween(version, to, from, { src: 80, dst: 40_000 }).subarray(14);
      return version === 4
        ? { eth, ipv4, icmp: { kind: "other", type: 3, code: 3, rest: 0 }, payload: about }
        : { eth, ipv6, icmpv6: said({ kind: "other", type: 1, code: 4, rest: 0 }), payload: about };
    }
    case "everyone":
      return version === 4
        ? {
            eth: { ...eth, dst: broadcast },
            ipv4: { ...ipv4, dst: "255.255.255.255" },
            udp: { src: 1, dst: 2 },
            payload,
          }
        : { ...all, udp: { src: 1, dst: 2 }, payload };
    case "arp-request":
      return arp(1, {});
    case "arp-reply":
      return arp(2, { tha: to.mac }, to.mac);
    case "arp-announcement":
      return arp(version === 4 ? 1 : 2, { tpa: from.ip4 });
    case "arp-probe":
      return arp(1, { spa: "0.0.0.0" });
    case "arp-other":
      return arp(version === 4 ? 0 : 3, {});
    case "solicitation":
      return { ...solicited, icmpv6: said({ kind: "neighbor-solicitation", target: to.ip6, options: [source] }) };
    case "solicitation-unicast":
      return {
        eth,
        ipv6: { ...ipv6, hopLimit: 255 },
        icmpv6: said({ kind: "neighbor-solicitation", target: to.ip6, options: [] }),
      };
    case "duplicate-detection":
      return {
        ...solicited,
        ipv6: { ...solicited.ipv6, src: "::" },
        icmpv6: said({ kind: "neighbor-solicitation", target: from.ip6, options: [] }),
      };
    case "advertisement": {
      const target = version === 4 ? from.ip6 : to.ip6;
      const options = [{ kind: "target-link-layer" as const, mac: from.mac }];
      return {
        ...all,
        icmpv6: said({
          kind: "neighbor-advertisement",
          router: false,
          solicited: false,
          override: true,
          target,
          options,
        }),
      };
    }
    case "redirect":
      return { eth, ipv6, icmpv6: said({ kind: "other", type: 137, code: 0, rest: 0 }), payload: new Uint8Array(32) };
    case "router-solicitation":
      return { ...routers, icmpv6: said({ kind: "router-solicitation", options: version === 4 ? [] : [source] }) };
    case "router-advertisement":
      return {
        ...all,
        icmpv6: said({
          kind: "router-advertisement",
          hopLimit: 64,
          managed: false,
          otherConfig: false,
          preference: "medium",
          lifetime: 0,
          reachableTime: 0,
          retransTimer: 0,
          options: [source],
        }),
      };
    case "listener-report":
      return {
        ...all,
        icmpv6: said({ kind: "other", type: version === 4 ? 131 : 143, code: 0, rest: 0 }),
        payload: new Uint8Array(20),
      };
    case "dhcp-request":
      return {
        eth: { ...eth, dst: broadcast },
        ipv4: { src: "0.0.0.0", dst: "255.255.255.255" },
        udp: { src: 68, dst: 67 },
        dhcp,
      };
    case "dhcp-renewal":
      return {
        eth,
        ipv4,
        udp: { src: 68, dst: 67 },
        dhcp: { ...dhcp, ciaddr: from.ip4, options: { messageType: "request" } },
      };
    case "dhcp-reply":
      return {
        eth,
        ipv4,
        udp: { src: 67, dst: 68 },
        dhcp: { ...dhcp, op: "reply", options: { messageType: "offer" } },
      };
    case "dhcpv6-request":
      return { ...servers, udp: { src: 546, dst: 547 }, payload: bytes("\x01abc") };
    case "dhcpv6-reply":
      return { eth, ipv6, udp: { src: 547, dst: 546 }, payload: bytes("\x02abc") };
    case "drawn":
      return placed ? withAddresses(drawn, from, to) : drawn;
  }
}

/** A drawn packet with the machines' own addresses in its headers. */
function withAddresses(drawn: Packet, from: Speaker, to: Speaker): PacketSpec {
  return {
    ...drawn,
    eth: { ...drawn.eth, src: from.mac, dst: to.mac },
    ...(drawn.ipv4 === undefined ? {} : { ipv4: { ...drawn.ipv4, src: from.ip4, dst: to.ip4 } }),
    ...(drawn.ipv6 === undefined ? {} : { ipv6: { ...drawn.ipv6, src: from.ip6, dst: to.ip6 } }),
    ...(drawn.arp === undefined ? {} : { arp: { ...drawn.arp, sha: from.mac, spa: from.ip4, tpa: to.ip4 } }),
  } as PacketSpec;
}
