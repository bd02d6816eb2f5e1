/** Random packets that come in from the wire of a physical network: to what stands for machines, to routers and hosts, about nothing of ours, and in the wrong VLAN. */
import {
  arpProbe,
  arpReply,
  arpRequest,
  duplicateDetection,
  fragmentsOf,
  gratuitousArp,
  icmpError,
  neighbourAdvertisement,
  neighbourSolicitation,
  ping,
  sctp,
  tcp,
  udpBetween,
} from "@selvage/datapath/testing";
import { Fragment, Frame, macBytes } from "@selvage/packet";
import { IpProto } from "@selvage/pipeline";
import fc from "fast-check";
import { type Damage, damaged, damages } from "./damage.ts";
import { usually } from "./draw.ts";
import type { Outside } from "./outside.ts";
import { type Target, type TargetKind, targetKinds } from "./targets.ts";
import { hostCount, type Speaker, speakerOf, type Topology } from "./topology.ts";
import { type Heard, hexOf } from "./wire.ts";
import type { Place, WiredNetwork } from "./wires.ts";

type Kind =
  | "udp"
  | "tcp"
  | "ping"
  | "pong"
  | "error"
  | "late"
  | "fragments"
  | "sctp"
  | "arp-request"
  | "arp-reply"
  | "arp-probe"
  | "announcement"
  | "solicitation"
  | "advertisement"
  | "duplicate-detection";
const common = ["udp", "tcp", "ping", "error", "arp-request", "solicitation"] as const;
const rarer = ["udp", "tcp", "pong", "late", "fragments", "sctp"] as const;
const rarest = ["arp-reply", "arp-probe", "announcement", "advertisement", "duplicate-detection"] as const;

export interface WireShot {
  readonly enters: "wire";
  readonly kind: Kind;
  readonly version: 4 | 6;
  /** Who sends it: somebody outside, or who claims to be a host or a machine, or leads to one. */
  readonly from: number;
  readonly claim: "own" | "host" | "machine" | "leads";
  /** For which of the addresses of a kind, and which of its ports. */
  readonly target: TargetKind;
  readonly to: number;
  readonly port: number;
  /** Whether it is for the host that should know the address, or for any; and whether it comes to that host. */
  readonly isRight: boolean;
  readonly host: number;
  readonly isAstray: boolean;
  /** Whether it comes by the other wire, where there is one. */
  readonly isBeside: boolean;
  readonly towards: "host" | "usual" | "broadcast" | "machine" | "nobody";
  readonly tag: "right" | "none" | "other" | "wrong" | "priority" | "provider";
  readonly hops: 64 | 2 | 1 | 0 | 255;
  readonly size: 8 | 1452 | 1453 | 1472 | 1473;
  /** Of an error: its type, and how much it quotes. */
  readonly error: number;
  readonly quoted: 27 | 28 | 48 | 80;
  readonly id: number;
  readonly damage: readonly Damage[];
}

export const wireShots: fc.Arbitrary<WireShot> = fc.record({
  enters: fc.constant("wire" as const),
  kind: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom<Kind[]>(...common) },
    { weight: 2, arbitrary: fc.constantFrom<Kind[]>(...rarer) },
    { weight: 1, arbitrary: fc.constantFrom<Kind[]>(...rarest) },
  ),
  version: fc.constantFrom<4 | 6>(4, 4, 6),
  from: fc.nat(5),
  claim: usually<WireShot["claim"]>("own", "host", "machine", "leads"),
  target: fc.oneof(
    { weight: 5, arbitrary: fc.constant("standIn" as const) },
    { weight: 4, arbitrary: fc.constant("gateway" as const) },
    { weight: 6, arbitrary: fc.constantFrom("interface" as const, "behind" as const, "behind" as const) },
    { weight: 3, arbitrary: fc.constantFrom(...targetKinds) },
  ),
  to: fc.nat(11),
  port: fc.nat(11),
  isRight: usually(true, false),
  host: fc.nat(hostCount - 1),
  isAstray: usually(false, true),
  isBeside: usually(false, true),
  towards: usually<WireShot["towards"]>("host", "usual", "broadcast", "machine", "nobody"),
  tag: usually<WireShot["tag"]>("right", "none", "other", "wrong", "priority", "provider"),
  hops: usually<WireShot["hops"]>(64, 2, 1, 0, 255),
  size: usually<WireShot["size"]>(8, 1452, 1453, 1472, 1473),
  error: fc.nat(4),
  quoted: fc.constantFrom<WireShot["quoted"][]>(27, 28, 48, 80, 80),
  id: fc.nat(0xffff),
  damage: fc.oneof(
    { weight: 6, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(damages, { maxLength: 2 }) },
  ),
});

const nobodysMac = "02:00:00:00:00:77";
const errorTypes = { 4: [3, 11, 12, 4, 5], 6: [1, 2, 3, 4, 100] } as const;

/** The frames of a shot, as each is heard. */
export function fromWire(shot: WireShot, topology: Topology): readonly Heard[] {
  const { outside, ports } = topology;
  if (outside === null) return [];
  const target = targetOf(shot, outside);
  if (target === undefined) return [];
  const machine = ports[shot.to % Math.max(1, ports.length)];
  const place = shot.isRight && target.host !== null ? target.host : shot.host;
  const hostMac = outside.macs[place % outside.macs.length] ?? nobodysMac;
  const met = outside.met[target.network][place] ?? [];
  const own = met[shot.from % Math.max(1, met.length)] ?? outside.outsiders[0];
  if (own === undefined) return [];
  const from = claimedBy(shot.claim, own, hostMac, machine && speakerOf(machine));
  // Who stands on the wire is reached by its own MAC, mostly.
  const mac = target.mac !== null && shot.id % 4 !== 0 ? target.mac : hostMac;
  const to = { mac, ip4: target.ip4, ip6: target.ip6 };
  const port = target.ports[shot.port % target.ports.length] ?? 1;
  const towards = {
    host: mac,
    usual: undefined,
    broadcast: "ff:ff:ff:ff:ff:ff",
    machine: machine?.mac_address ?? nobodysMac,
    nobody: nobodysMac,
  }[shot.towards];
  const host = shot.isAstray ? (place + 1) % hostCount : place;
  const { wire: right } = placeOn(outside, target.network, host);
  const wire = outside.wires.find((name) => (name === right) !== shot.isBeside) ?? right;
  return framesOf(shot, from, to, port).map((frame) => {
    // Questions are for all, unless they are for nobody else.
    const isQuestion = shot.towards === "host" && isForAll(shot);
    const sent = towards === undefined || isQuestion ? frame : withMac(frame, towards);
    return { host, wire, frame: shot.damage.reduce(damaged, tagged(sent, shot.tag, target.network, host, outside)) };
  });
}

/** Whose words a frame bears. */
function claimedBy(claim: WireShot["claim"], own: Speaker, hostMac: string, machine: Speaker | undefined): Speaker {
  if (claim === "own") return own;
  if (claim === "host" || machine === undefined) return { ...own, mac: hostMac };
  return claim === "machine" ? machine : { ...machine, mac: own.mac };
}

/** The address that a shot is for; where there is none of its kind, one of another. */
function targetOf({ target, to }: Pick<WireShot, "target" | "to">, { targets }: Outside): Target | undefined {
  const all = [target, ...targetKinds].map((kind) => targets[kind]).find((each) => each.length > 0) ?? [];
  return all[to % all.length];
}

/** Whether a frame of its kind is for everybody: every other one of them. */
const isForAll = ({ kind, id }: WireShot): boolean =>
  id % 2 === 0 &&
  (kind.startsWith("arp") || kind.endsWith("ation") || kind === "advertisement" || kind === "announcement");

function framesOf(shot: WireShot, from: Speaker, to: Omit<Speaker, "linkLocal">, port: number): readonly Uint8Array[] {
  const { version, hops, id } = shot;
  // Of what comes to routers' interfaces most is dropped, but pings.
  const kind = shot.target === "interface" && id % 3 === 0 ? "ping" : shot.kind;
  const payload = new Uint8Array(shot.size);
  const ttl = { ttl: hops };
  const ports = { src: 80, dst: port };
  switch (kind) {
    case "udp":
      return [udpBetween(version, from, to, ports, payload, ttl)];
    case "tcp":
      return [tcp(version, from, to, { ...ports, flags: shot.error === 0 ? 0x12 : 2 }, payload, ttl)];
    case "ping":
      return [ping(version, "request", from, to, { id: 7 }, ttl)];
    case "pong":
      return [ping(version, "reply", from, to, { id: 7 }, ttl)];
    case "error": {
      const type = errorTypes[version][shot.error] ?? 3;
      const sent = { src: port, dst: 80 };
      const about = id % 2 === 0 ? udpBetween(version, to, from, sent) : tcp(version, to, from, sent);
      return [icmpError(version, from, to, { type, code: 0, about, bytes: shot.quoted })];
    }
    case "late":
      return fragmentsOf(udpBetween(version, from, to, ports, new Uint8Array(2_000), ttl), 1_184, id).slice(1);
    case "fragments":
      return fragmentsOf(udpBetween(version, from, to, ports, new Uint8Array(2_000), ttl), 1_184, id);
    case "sctp":
      return [sctp(version, from, to, ports, id)];
    case "arp-request":
      return [arpRequest(from, to.ip4)];
    case "arp-probe":
      return [arpProbe(from, to.ip4)];
    case "arp-reply":
      return [arpReply(from, to)];
    case "announcement":
      return [gratuitousArp(from)];
    case "solicitation":
      return [neighbourSolicitation(from, to.ip6)];
    case "advertisement":
      return [neighbourAdvertisement(from, from.ip6)];
    case "duplicate-detection":
      return [duplicateDetection(from, to.ip6)];
  }
}

/**
 * Whether a later fragment comes to what stands for a machine: with the machine's address Open vSwitch 3.1 changes two bytes of it (`ending.ts`), so that who puts
 * the fragments together finds their checksum wrong. Such ones are not sent.
 */
export function isSpoilt(bytes: Uint8Array, { standIns }: Outside): boolean {
  const frame = new Frame(bytes);
  const isLater = frame.has("ip_dst") && frame.get("ip_frag") === Fragment.later;
  if (!isLater || ![IpProto.tcp, IpProto.udp].some((each) => each === frame.get("ip_proto"))) return false;
  const to = frame.get("ip_dst")?.toString(16).padStart(8, "0");
  return standIns.some(({ address }) => hexOf(address) === to);
}

export const withMac = (frame: Uint8Array, mac: string): Uint8Array =>
  Buffer.concat([macBytes(mac), frame.subarray(6)]);

/** Where a network is for a host. */
export const placeOn = ({ places }: Outside, network: WiredNetwork, host: number): Place =>
  places[network][host] ?? { wire: "public", vlan: 0 };

/** The frame as it is on the wire of a network where a host is. */
export function tagged(
  frame: Uint8Array,
  tag: WireShot["tag"],
  network: WiredNetwork,
  host: number,
  outside: Outside,
): Uint8Array {
  const { vlan } = placeOn(outside, network, host);
  const other = placeOn(outside, network === "external" ? "standing" : "external", host).vlan;
  const tci = { right: vlan, none: 0, other, wrong: 99, priority: 0xe000 | vlan, provider: vlan }[tag];
  const type = tag === "provider" ? 0x88a8 : 0x8100;
  if (tci === 0 && tag !== "provider") return frame;
  const header = Uint8Array.of(type >> 8, type & 255, tci >> 8, tci & 255);
  return Buffer.concat([frame.subarray(0, 12), header, frame.subarray(12)]);
}
