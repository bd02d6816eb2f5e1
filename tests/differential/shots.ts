/** Random packets, biased to what the program tells apart: every kind of every protocol, from whom it should come and from whom not, whole and damaged. */
import type { Port } from "@selvage/model";
import { encode, type Packet, type PacketSpec } from "@selvage/packet";
import { packets } from "@selvage/packet/testing";
import type { Encapsulation } from "@selvage/pipeline";
import fc from "fast-check";
import { type Damage, damaged, damages } from "./damage.ts";
import { mostly, usually } from "./draw.ts";
import { type OuterTurnShot, outerTalks } from "./outer-talk.ts";
import { far, nowhere } from "./routing.ts";
import { type ServiceShot, serviceShots } from "./service-shots.ts";
import { specOf } from "./specs.ts";
import { routersOf, seenFrom, type TurnShot, talks } from "./talk.ts";
import { targetKinds } from "./targets.ts";
import { hostCount, mtus, pairSpeakerOf, type Speaker, sharedMac, speakerOf, type Topology } from "./topology.ts";
import { type WireShot, wireShots } from "./wire-shots.ts";

const kinds = [
  "udp",
  "tcp",
  "ping",
  "everyone",
  "arp-request",
  "arp-reply",
  "arp-announcement",
  "arp-probe",
  "arp-other",
  "solicitation",
  "solicitation-unicast",
  "duplicate-detection",
  "advertisement",
  "redirect",
  "router-solicitation",
  "router-advertisement",
  "listener-report",
  "dhcp-request",
  "dhcp-renewal",
  "dhcp-reply",
  "dhcpv6-request",
  "dhcpv6-reply",
  "service",
  "service-question",
  "drawn",
] as const;
/** And an error about what the other side may have sent, which is drawn where there is an outside. */
type Kind = (typeof kinds)[number] | "unreachable";

/** A frame as it was found once. */
interface GivenFrame {
  readonly kind: "given";
  readonly hex: string;
}

export type FramePlan = MadeFrame | GivenFrame;

export interface MadeFrame {
  readonly kind: Kind;
  readonly version: 4 | 6;
  /** The port whose words the frame bears, unless sent by a bound port's machine; and the port that it is for. */
  readonly from: number;
  readonly to: number;
  /** Which address it is for: the port's, one of its pairs, a router's, one that extra routes may lead to, one that nothing leads to; who is outside, or what stands for somebody there. */
  readonly where: "machine" | "pair" | "router" | "far" | "nowhere" | "outsider" | "standIn";
  /** Which of the routers of the sender's network it is given to where it is for another network. */
  readonly via: number;
  /** Whose words it bears: the sender's, its pair's, another's MAC or addresses, those of nobody, none yet, or the link-local one. */
  readonly claim: "own" | "pair" | "mac" | "addresses" | "nobody" | "unspecified" | "link-local";
  /** Where the frame goes: to whom its kind says, or to a MAC that is not of the address. */
  readonly towards: "usual" | "broadcast" | "multicast" | "nobody" | "itself" | "zero" | "router" | "shared";
  /** Hops that IP may still take. */
  readonly hops: 64 | 2 | 1 | 0 | 255;
  /** Bytes of payload, or as many as make an IP packet of so many more than an MTU. */
  readonly size: "small" | { readonly mtu: (typeof mtus)[number]; readonly more: -1 | 0 | 1 };
  /** Bytes of a drawn packet count as they are, or with the addresses of the machines in them. */
  readonly drawn: Packet;
  readonly placed: boolean;
  readonly damage: readonly Damage[];
}

/** How a packet enters: by an interface, in a conversation, or out of a tunnel that anyone may have forged. */
export type Shot =
  | TurnShot
  | OuterTurnShot
  | WireShot
  | ServiceShot
  | {
      readonly enters: "interface";
      /** Whether by one of the interfaces of bound ports only. */
      readonly bound: boolean;
      readonly interface: number;
      readonly frame: FramePlan;
    }
  | {
      readonly enters: "tunnel";
      readonly by: Encapsulation;
      /** Place of the host that it claims to come from; `hostCount` for an address of nobody's. */
      readonly from: number;
      readonly to: number;
      /** Whether the key is that of the receiving port's network. */
      readonly fitting: boolean;
      readonly net: number;
      readonly srcPort: number;
      readonly dstPort: number;
      readonly srcSet: number;
      readonly frame: FramePlan;
    };

const within: fc.Arbitrary<MadeFrame["where"]> = fc.oneof(
  { weight: 6, arbitrary: fc.constant("machine" as const) },
  { weight: 3, arbitrary: fc.constant("far" as const) },
  { weight: 2, arbitrary: fc.constant("router" as const) },
  { weight: 2, arbitrary: fc.constantFrom("pair" as const, "pair" as const, "nowhere" as const) },
);

const framesTo = (where: fc.Arbitrary<MadeFrame["where"]>, kinds: readonly Kind[]): fc.Arbitrary<MadeFrame> =>
  fc.record({
    kind: fc.constantFrom(...kinds),
    version: fc.constantFrom<4 | 6>(4, 6),
    from: fc.nat(9),
    to: fc.nat(9),
    where,
    via: fc.nat(3),
    claim: usually<MadeFrame["claim"]>("own", "pair", "mac", "addresses", "nobody", "unspecified", "link-local"),
    towards: usually<MadeFrame["towards"]>(
      "usual",
      "broadcast",
      "multicast",
      "nobody",
      "itself",
      "zero",
      "router",
      "shared",
      "shared",
    ),
    hops: usually<MadeFrame["hops"]>(64, 2, 1, 0, 255),
    size: usually<MadeFrame["size"]>(
      "small",
      ...mtus.slice(0, 2).flatMap((mtu) => ([-1, 0, 1] as const).map((more) => ({ mtu, more }))),
    ),
    drawn: packets,
    placed: fc.constantFrom(true, true, true, false),
    damage: fc.oneof(
      { weight: 4, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.array(damages, { maxLength: 2 }) },
    ),
  });

const singleOf = (frames: fc.Arbitrary<MadeFrame>): fc.Arbitrary<Shot> =>
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        enters: fc.constant("interface" as const),
        bound: mostly(true, false),
        interface: fc.nat(hostCount * 8),
        frame: frames,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        enters: fc.constant("tunnel" as const),
        by: mostly<Encapsulation>("geneve", "vxlan"),
        from: fc.nat(hostCount),
        to: fc.nat(hostCount - 1),
        fitting: mostly(true, false),
        net: fc.nat(4),
        srcPort: fc.nat(11),
        dstPort: fc.nat(11),
        srcSet: fc.nat(12),
        frame: frames,
      }),
    },
  );

const single = singleOf(
  framesTo(within, [...kinds, "udp", "udp", "tcp", "tcp", "ping", "ping", "drawn", "drawn", "drawn"]),
);
const outward = singleOf(
  framesTo(fc.constantFrom("outsider", "outsider", "standIn", "machine"), [
    ...(["udp", "udp", "udp", "tcp", "tcp", "tcp", "ping", "ping", "drawn", "drawn"] as const),
    ...(["unreachable", "unreachable", "service", "arp-request", "solicitation", "everyone"] as const),
  ]),
);

/** Shots, so many at least: what belongs to a conversation comes in its order, and nothing between. */
export const manyShots = (most: number): fc.Arbitrary<readonly Shot[]> =>
  fc
    .array(fc.oneof({ weight: 9, arbitrary: single.map((each) => [each]) }, { weight: 2, arbitrary: talks }), {
      minLength: 1,
      maxLength: most,
      size: "max",
    })
    .map((all) => all.flat());

/** Shots in a topology with an outside: out by it, in by it, in conversation with who is there, and as many as without. */
export const manyOuterShots = (most: number): fc.Arbitrary<readonly Shot[]> =>
  fc
    .array(
      fc.oneof(
        { weight: 2, arbitrary: single.map((each) => [each]) },
        { weight: 4, arbitrary: outward.map((each) => [each]) },
        { weight: 6, arbitrary: wireShots.map((each) => [each]) },
        { weight: 1, arbitrary: serviceShots.map((each) => [each]) },
        { weight: 1, arbitrary: talks },
        { weight: 4, arbitrary: outerTalks },
      ),
      { minLength: 1, maxLength: most, size: "max" },
    )
    .map((all) => all.flat());

const nobody: Speaker = { mac: "02:00:00:00:00:77", ip4: "10.0.0.250", ip6: "2001:db8::fa", linkLocal: "fe80::77:77" };
const noMac = "00:00:00:00:00:00";
const broadcast = "ff:ff:ff:ff:ff:ff";

/** The frame of a plan, in bytes. `sender` is the port whose machine sends it, where one does. */
export function frameOf(plan: FramePlan, topology: Topology, sender: string | null): Uint8Array {
  if (plan.kind === "given") return Uint8Array.from(Buffer.from(plan.hex, "hex"));
  const { ports } = topology;
  const at = (place: number): Port | undefined => ports[place % Math.max(1, ports.length)];
  const port = ports.find(({ id }) => id === sender) ?? at(plan.from);
  const own = port === undefined ? nobody : speakerOf(port);
  const to = plan.towards === "nobody" ? nobody : addressed(plan, port, at(plan.to), topology);
  const from = plan.claim === "pair" && port !== undefined ? pairSpeakerOf(port) : claimed(plan.claim, own, to);
  const spec = specOf(plan, from, to);
  const [router] = routersOf(port, topology);
  const usual = learned(plan, spec.eth.dst, port, topology);
  const eth = { ...spec.eth, dst: destination(plan.towards, usual, own, router?.mac_address) };
  return plan.damage.reduce(damaged, encode({ ...spec, eth } as PacketSpec));
}

/** Whom a frame is for, with the MAC by which the sender reaches it. */
function addressed(
  { where, via, to: place }: MadeFrame,
  sender: Port | undefined,
  to: Port | undefined,
  topology: Topology,
): Speaker {
  if (to === undefined) return nobody;
  const routers = routersOf(sender, topology);
  const router = routers[via % Math.max(1, routers.length)];
  const machine = seenFrom(to, sender, topology, via);
  switch (where) {
    case "machine":
      return machine;
    case "pair":
      return { ...pairSpeakerOf(to), ...(sender?.network_id === to.network_id ? {} : { mac: machine.mac }) };
    case "router":
      return router === undefined ? machine : speakerOf(router);
    case "far":
      return { ...machine, mac: router?.mac_address ?? machine.mac, ip4: far[4], ip6: far[6] };
    case "nowhere":
      return { ...machine, mac: router?.mac_address ?? machine.mac, ip4: nowhere[4], ip6: nowhere[6] };
    case "outsider":
    case "standIn": {
      const { outsiders = [], targets, standingId } = topology.outside ?? {};
      const met = outsiders[place % Math.max(1, outsiders.length)];
      const all = targets === undefined ? [] : targetKinds.flatMap((kind) => targets[kind]);
      const { ip4, ip6 } = (where === "outsider" ? met : all[(place + 10 * via) % Math.max(1, all.length)]) ?? machine;
      // Who stands on the wire reaches it without a router.
      const isNear = where === "outsider" && met?.network === "standing" && sender?.network_id === standingId;
      const mac = (isNear ? undefined : router?.mac_address) ?? met?.mac ?? machine.mac;
      return { ...machine, mac, ip4, ip6 };
    }
  }
}

function claimed(claim: MadeFrame["claim"], own: Speaker, other: Speaker): Speaker {
  switch (claim) {
    case "own":
    case "pair":
      return own;
    case "mac":
      return { ...own, mac: other.mac };
    case "addresses":
      return { ...other, mac: own.mac };
    case "nobody":
      return { ...nobody, mac: own.mac };
    case "unspecified":
      return { ...own, ip4: "0.0.0.0", ip6: "::" };
    case "link-local":
      return { ...own, ip4: "169.254.1.1", ip6: own.linkLocal };
  }
}

/** By which MAC a machine reaches whom; one in four that stand on a wire have learned there that of the host that speaks for their router. */
function learned({ via }: MadeFrame, mac: string, port: Port | undefined, topology: Topology): string {
  const { outside, interfaces } = topology;
  const isRouter = routersOf(port, topology).some(({ mac_address }) => mac_address === mac);
  const host = interfaces.find(({ names }) => names === port?.id)?.host;
  if (via !== 3 || !isRouter || host === undefined || port?.network_id !== outside?.standingId) return mac;
  return outside?.macs[host] ?? mac;
}

function destination(towards: MadeFrame["towards"], usual: string, own: Speaker, router: string | undefined): string {
  switch (towards) {
    case "usual":
      return usual;
    case "broadcast":
      return broadcast;
    case "multicast":
      return "01:00:5e:00:00:fb";
    case "nobody":
      return nobody.mac;
    case "itself":
      return own.mac;
    case "zero":
      return noMac;
    case "router":
      return router ?? usual;
    case "shared":
      return sharedMac;
  }
}
