/** Frames as machines send them, in real bytes: each maker says what a test cares about and fills in the rest. */
import { encode, multicastMac, solicitedNode } from "@selvage/packet";

/** A machine's own addresses: what its frames bear. */
export interface Speaker {
  readonly mac: string;
  readonly ip4: string;
  readonly ip6: string;
}

export const broadcastMac = "ff:ff:ff:ff:ff:ff";
const noMac = "00:00:00:00:00:00";

/** A UDP datagram over IPv4 or IPv6 between high ports; `mark` makes its bytes unlike any other's. */
export function udp(version: 4 | 6, from: Speaker, to: Speaker, mark: number, length = 32): Uint8Array {
  const payload = new Uint8Array(length);
  new DataView(payload.buffer).setUint32(0, mark);
  const eth = { src: from.mac, dst: to.mac };
  const ports = { src: 40_000, dst: 40_001 };
  return version === 4
    ? encode({ eth, ipv4: { src: from.ip4, dst: to.ip4 }, udp: ports, payload })
    : encode({ eth, ipv6: { src: from.ip6, dst: to.ip6 }, udp: ports, payload });
}

/** As `udp`, in an IP packet of exactly so many bytes: what an MTU counts. Such a frame has an Ethernet header of 14 bytes more. */
export const udpOfSize = (version: 4 | 6, from: Speaker, to: Speaker, mark: number, bytes: number): Uint8Array =>
  udp(version, from, to, mark, bytes - (version === 4 ? 20 : 40) - 8);

/** A marked datagram to every machine of the network: IPv4 broadcast, or IPv6 to all nodes. */
export function udpToAll(version: 4 | 6, from: Speaker, mark: number): Uint8Array {
  const all: Speaker =
    version === 4
      ? { mac: broadcastMac, ip4: "255.255.255.255", ip6: "ff02::1" }
      : { mac: multicastMac("ff02::1"), ip4: "224.0.0.1", ip6: "ff02::1" };
  return udp(version, from, all, mark);
}

/** The question who has an IPv4 address (RFC 826). */
export const arpRequest = (from: Speaker, target: string): Uint8Array =>
  encode({
    eth: { src: from.mac, dst: broadcastMac },
    arp: { op: 1, sha: from.mac, spa: from.ip4, tha: noMac, tpa: target },
  });

/** The answer of the machine that has it, `answerer`, to who asked. */
export const arpReply = (answerer: Pick<Speaker, "mac" | "ip4">, asker: Speaker): Uint8Array =>
  encode({
    eth: { src: answerer.mac, dst: asker.mac },
    arp: { op: 2, sha: answerer.mac, spa: answerer.ip4, tha: asker.mac, tpa: asker.ip4 },
  });

/** The announcement of one's own address (RFC 5227, section 3). */
export const gratuitousArp = (from: Speaker): Uint8Array => arpRequest(from, from.ip4);

/** The question whether an address is taken (RFC 5227, section 2.1.1). */
export const arpProbe = (from: Speaker, target: string): Uint8Array => arpRequest({ ...from, ip4: "0.0.0.0" }, target);

/** A neighbour solicitation (RFC 4861, section 4.3). */
export const neighbourSolicitation = (from: Speaker, target: string): Uint8Array =>
  encode({
    eth: { src: from.mac, dst: multicastMac(solicitedNode(target)) },
    ipv6: { src: from.ip6, dst: solicitedNode(target) },
    icmpv6: { kind: "neighbor-solicitation", target, options: [{ kind: "source-link-layer", mac: from.mac }] },
  });

/** Duplicate address detection (RFC 4862, section 5.4.2): from `::`, without a link-layer address. */
export const duplicateDetection = (from: Speaker, target: string): Uint8Array =>
  encode({
    eth: { src: from.mac, dst: multicastMac(solicitedNode(target)) },
    ipv6: { src: "::", dst: solicitedNode(target) },
    icmpv6: { kind: "neighbor-solicitation", target, options: [] },
  });

/** An unsolicited neighbour advertisement for `target` (RFC 4861, section 7.2.6). */
export const neighbourAdvertisement = (from: Speaker, target: string): Uint8Array =>
  encode({
    eth: { src: from.mac, dst: multicastMac("ff02::1") },
    ipv6: { src: from.ip6, dst: "ff02::1" },
    icmpv6: {
      kind: "neighbor-advertisement",
      router: false,
      solicited: false,
      override: true,
      target,
      options: [{ kind: "target-link-layer", mac: from.mac }],
    },
  });

/** A machine's first question for a lease (RFC 2131, section 4.4.1). */
export const dhcpDiscover = (mac: string, xid: number): Uint8Array =>
  encode({
    eth: { src: mac, dst: broadcastMac },
    ipv4: { src: "0.0.0.0", dst: "255.255.255.255" },
    udp: { src: 68, dst: 67 },
    dhcp: { op: "request", xid, chaddr: mac, options: { messageType: "discover" } },
  });

/** A machine's first question for an address by DHCPv6, from its link-local address (RFC 8415, section 18.2.1). */
export const dhcp6Solicit = (from: Pick<Speaker, "mac">, address: string, transactionId: number): Uint8Array =>
  encode({
    eth: { src: from.mac, dst: multicastMac("ff02::1:2") },
    ipv6: { src: address, dst: "ff02::1:2" },
    udp: { src: 546, dst: 547 },
    dhcpv6: {
      type: "solicit",
      transactionId,
      options: {
        clientId: `00030001${from.mac.replaceAll(":", "")}`,
        iaNa: [{ iaid: 1, t1: 0, t2: 0, addresses: [] }],
        requested: [23, 24],
        elapsed: 0,
      },
    },
  });

/** A machine's question for the routers of its network (RFC 4861, section 4.1). */
export const routerSolicitation = (from: Speaker): Uint8Array =>
  encode({
    eth: { src: from.mac, dst: multicastMac("ff02::2") },
    ipv6: { src: from.ip6, dst: "ff02::2" },
    icmpv6: { kind: "router-solicitation", options: [{ kind: "source-link-layer", mac: from.mac }] },
  });
