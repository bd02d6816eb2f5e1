/** A machine's own small network stack for simulated hosts: DHCP clients (RFC 2131, RFC 8415), ARP (RFC 826), Neighbour Discovery (RFC 4861), echo (RFC 792, RFC 4443). */

import { randomInt } from "node:crypto";
import { linkLocalOf, macOf, textOfIp } from "@selvage/model";
import {
  ArpOp,
  type Dhcpv6Options,
  decode,
  encode,
  multicastMac,
  type Packet,
  type PacketSpec,
  UdpPort,
  whoHas,
} from "@selvage/packet";

/** What a guest is made with. */
export interface GuestOptions {
  readonly mac: string;
  /** Addresses set by hand, with prefix lengths. */
  readonly ipv6: readonly string[];
  readonly dhcp: boolean;
  /** Whether it asks for an address by DHCPv6. */
  readonly dhcp6?: boolean;
  /** Puts a frame on the wire. */
  readonly transmit: (frame: Uint8Array) => void;
}

/** A guest that runs. */
export interface Guest {
  /** The address that DHCP gave. */
  readonly ipv4: string | undefined;
  /** Whether each client has what it asks for. */
  readonly isLeased: boolean;
  /** The addresses that it has, by hand and by DHCPv6. */
  readonly ipv6: readonly string[];
  /** Takes a frame off the wire. */
  receive(frame: Uint8Array): void;
  /** Resolves with the IPv4 address once each client has what it asks for, or when the time is over. */
  leased(timeoutMs: number): Promise<string | undefined>;
  /** One echo; the milliseconds until its answer, `undefined` when none came in time. */
  ping(address: string, timeoutMs: number): Promise<number | undefined>;
  stop(): void;
}

const BROADCAST = "ff:ff:ff:ff:ff:ff";
const ASK_AGAIN_MS = 500;
/** Where DHCPv6 servers listen (RFC 8415, section 7.1). */
const ALL_SERVERS = "ff02::1:2";

interface Echo {
  readonly address: string;
  readonly answered: () => void;
}

/** Starts a guest; it asks for its address at once and until it has one. */
export function startGuest(options: GuestOptions): Guest {
  const { mac } = options;
  const byHand = options.ipv6.map((address) => address.split("/")[0] ?? "");
  const local = textOfIp(linkLocalOf(macOf(mac)));
  const xid = randomInt(2 ** 32);
  let ipv4: string | undefined;
  let given6: string | undefined;
  const mine6 = (): readonly string[] => (given6 === undefined ? byHand : [...byHand, given6]);
  let asking: NodeJS.Timeout | undefined;
  let leaseWaiters: readonly (() => void)[] = [];
  const neighbours = new Map<string, string>();
  const unresolved = new Map<string, readonly (() => void)[]>();
  const echoes = new Map<number, Echo>();
  let sequence = 0;

  // Not inside the delivery of another frame: a wire takes time, and answers must not nest.
  const transmit = (packet: PacketSpec): void => queueMicrotask(() => options.transmit(encode(packet)));

  const dhcp = (
    messageType: "discover" | "request",
    more: { readonly requestedAddress?: string; readonly serverId?: string },
  ): void =>
    transmit({
      eth: { src: mac, dst: BROADCAST },
      ipv4: { src: "0.0.0.0", dst: "255.255.255.255" },
      udp: { src: UdpPort.dhcpClient, dst: UdpPort.dhcpServer },
      dhcp: {
        op: "request",
        xid,
        chaddr: mac,
        options: { messageType, parameterRequest: [1, 3, 6, 26, 51, 54, 121], ...more },
      },
    });

  const isLeased = (): boolean =>
    (!options.dhcp || ipv4 !== undefined) && (options.dhcp6 !== true || given6 !== undefined);
  const dhcp6 = (type: "solicit" | "request", more: Dhcpv6Options = {}): void =>
    transmit({
      eth: { src: mac, dst: multicastMac(ALL_SERVERS) },
      ipv6: { src: local, dst: ALL_SERVERS },
      udp: { src: UdpPort.dhcpv6Client, dst: UdpPort.dhcpv6Server },
      dhcpv6: {
        type,
        transactionId: xid & 0xff_ffff,
        options: {
          clientId: `00030001${mac.replaceAll(":", "")}`,
          iaNa: [{ iaid: 1, t1: 0, t2: 0, addresses: [] }],
          elapsed: 0,
          ...more,
        },
      },
    });

  const ask = (): void => {
    if (isLeased()) return;
    if (options.dhcp && ipv4 === undefined) dhcp("discover", {});
    if (options.dhcp6 === true && given6 === undefined) dhcp6("solicit");
    asking = setTimeout(ask, ASK_AGAIN_MS);
  };

  const onDhcp = (packet: Packet): void => {
    const reply = packet.dhcp;
    if (reply === undefined || reply.op !== "reply" || reply.xid !== xid || ipv4 !== undefined) return;
    const { messageType, serverId } = reply.options;
    if (messageType === "offer" && serverId !== undefined)
      dhcp("request", { requestedAddress: reply.yiaddr, serverId });
    if (messageType !== "ack") return;
    ipv4 = reply.yiaddr;
    bound();
  };

  const onDhcp6 = ({ dhcpv6: reply }: Packet): void => {
    if (reply === undefined || !("transactionId" in reply) || given6 !== undefined) return;
    if (reply.transactionId !== (xid & 0xff_ffff)) return;
    const { serverId, iaNa } = reply.options;
    const address = iaNa?.[0]?.addresses[0]?.address;
    if (address === undefined || serverId === undefined) return;
    if (reply.type === "advertise") dhcp6("request", { serverId });
    if (reply.type !== "reply") return;
    given6 = address;
    bound();
  };

  const bound = (): void => {
    if (!isLeased()) return;
    clearTimeout(asking);
    const woken = leaseWaiters;
    leaseWaiters = [];
    for (const wake of woken) wake();
  };

  const learn = (address: string, hardware: string): void => {
    neighbours.set(address, hardware);
    const woken = unresolved.get(address) ?? [];
    unresolved.delete(address);
    for (const wake of woken) wake();
  };

  const onArp = ({ arp }: Packet): void => {
    if (arp === undefined) return;
    if (arp.op === ArpOp.reply) learn(arp.spa, arp.sha);
    if (arp.op !== ArpOp.request || ipv4 === undefined || arp.tpa !== ipv4) return;
    transmit({
      eth: { src: mac, dst: arp.sha },
      arp: { op: ArpOp.reply, sha: mac, spa: ipv4, tha: arp.sha, tpa: arp.spa },
    });
  };

  const onIcmp = ({ eth, ipv4: ip, icmp, payload }: Packet): void => {
    if (ip === undefined || icmp === undefined || ipv4 === undefined || ip.dst !== ipv4) return;
    if (icmp.kind === "echo-reply") answered(icmp.sequence, ip.src);
    if (icmp.kind !== "echo-request") return;
    transmit({
      eth: { src: mac, dst: eth.src },
      ipv4: { src: ipv4, dst: ip.src },
      icmp: { ...icmp, kind: "echo-reply" },
      payload,
    });
  };

  const onIcmpv6 = ({ eth, ipv6: ip, icmpv6, payload }: Packet): void => {
    if (ip === undefined || icmpv6 === undefined) return;
    switch (icmpv6.kind) {
      case "neighbor-advertisement": {
        const target = icmpv6.options.flatMap((option) => (option.kind === "target-link-layer" ? [option.mac] : []))[0];
        learn(icmpv6.target, target ?? eth.src);
        return;
      }
      case "neighbor-solicitation": {
        const { target } = icmpv6;
        if (!mine6().includes(target) || ip.src === "::") return;
        const options = [{ kind: "target-link-layer", mac }] as const;
        transmit({
          eth: { src: mac, dst: eth.src },
          ipv6: { src: target, dst: ip.src },
          icmpv6: { kind: "neighbor-advertisement", router: false, solicited: true, override: true, target, options },
        });
        return;
      }
      case "echo-reply":
        answered(icmpv6.sequence, ip.src);
        return;
      case "echo-request":
        if (!mine6().includes(ip.dst)) return;
        transmit({
          eth: { src: mac, dst: eth.src },
          ipv6: { src: ip.dst, dst: ip.src },
          icmpv6: { ...icmpv6, kind: "echo-reply" },
          payload,
        });
        return;
      default:
        return;
    }
  };

  const answered = (number: number, from: string): void => {
    const echo = echoes.get(number);
    if (echo?.address === from) echo.answered();
  };

  const solicit = (address: string): void => {
    const source = address.includes(":") ? mine6()[0] : ipv4;
    if (source !== undefined) transmit(whoHas({ eth: { src: mac }, source, target: address }));
  };

  const echo = (address: string, dst: string, number: number): void => {
    const payload = new Uint8Array(56);
    if (!address.includes(":")) {
      if (ipv4 !== undefined) {
        transmit({
          eth: { src: mac, dst },
          ipv4: { src: ipv4, dst: address },
          icmp: { kind: "echo-request", id: 1, sequence: number },
          payload,
        });
      }
      return;
    }
    const [source] = mine6();
    if (source === undefined) return;
    transmit({
      eth: { src: mac, dst },
      ipv6: { src: source, dst: address },
      icmpv6: { kind: "echo-request", id: 1, sequence: number },
      payload,
    });
  };

  if (options.dhcp || options.dhcp6 === true) queueMicrotask(ask);

  return {
    get ipv4() {
      return ipv4;
    },
    get isLeased() {
      return isLeased();
    },
    get ipv6() {
      return mine6();
    },
    receive(frame) {
      const decoded = decode(frame);
      if (!decoded.ok) return;
      const { packet } = decoded;
      if (packet.dhcp !== undefined) onDhcp(packet);
      else if (packet.dhcpv6 !== undefined) onDhcp6(packet);
      else if (packet.arp !== undefined) onArp(packet);
      else if (packet.icmp !== undefined) onIcmp(packet);
      else if (packet.icmpv6 !== undefined) onIcmpv6(packet);
    },
    leased(timeoutMs) {
      if (isLeased()) return Promise.resolve(ipv4);
      return new Promise((resolve) => {
        const timer = setTimeout(() => resolve(undefined), timeoutMs);
        leaseWaiters = [
          ...leaseWaiters,
          () => {
            clearTimeout(timer);
            resolve(ipv4);
          },
        ];
      });
    },
    ping(address, timeoutMs) {
      sequence = (sequence + 1) % 65_536;
      const number = sequence;
      return new Promise((resolve) => {
        const startedAt = performance.now();
        const over = (result: number | undefined): void => {
          clearTimeout(timer);
          echoes.delete(number);
          resolve(result);
        };
        const timer = setTimeout(() => over(undefined), timeoutMs);
        echoes.set(number, { address, answered: () => over(performance.now() - startedAt) });
        const hardware = neighbours.get(address);
        if (hardware !== undefined) {
          echo(address, hardware, number);
          return;
        }
        unresolved.set(address, [
          ...(unresolved.get(address) ?? []),
          () => echo(address, neighbours.get(address) ?? BROADCAST, number),
        ]);
        solicit(address);
      });
    },
    stop() {
      clearTimeout(asking);
    },
  };
}
