/** Conversations of machines with who is outside: answers are for the address and the port with which a machine's words have left. */
import { Conversation, connectionTurns, rewritten, type Turn, turns, type Written } from "@selvage/datapath/testing";
import type { Port } from "@selvage/model";
import { Frame, macBytes } from "@selvage/packet";
import fc from "fast-check";
import type { Ending } from "./ending.ts";
import type { Outside } from "./outside.ts";
import { routersOf } from "./talk.ts";
import { hostCount, type Interface, speakerOf, type Topology } from "./topology.ts";
import { type Heard, hexOf } from "./wire.ts";
import { placeOn, tagged } from "./wire-shots.ts";
import type { Outsider } from "./wires.ts";

/** A turn between a machine and somebody outside. */
export interface OuterTurnShot {
  readonly enters: "outer-turn";
  /** Among the machines behind routers, or those of them that something stands for where who is outside speaks first; and among who is outside. */
  readonly machine: number;
  readonly outsider: number;
  /** Whether who is outside speaks first. */
  readonly isCalled: boolean;
  /** How far from the host of the machine an answer comes in. */
  readonly aside: 0 | 1 | 2;
  readonly turn: Turn;
}

const towards4 = (turn: Turn, chance: number): Turn => (chance === 0 ? turn : { ...turn, version: 4 });

/** Some turns of one conversation: a connection from its first segment on, or a few of any kind; by IPv4 mostly, of which more is made. */
export const outerTalks: fc.Arbitrary<readonly OuterTurnShot[]> = fc
  .record({
    machine: fc.nat(9),
    outsider: fc.nat(7),
    isCalled: fc.constantFrom(false, false, true),
    aside: fc.constantFrom<OuterTurnShot["aside"][]>(0, 0, 1, 2),
    chance: fc.nat(3),
    all: fc.oneof<fc.Arbitrary<readonly Turn[]>[]>(connectionTurns, fc.array(turns, { minLength: 2, maxLength: 6 })),
  })
  .map(({ chance, all, ...who }) =>
    all.map((turn) => ({ enters: "outer-turn", ...who, turn: towards4(turn, chance) })),
  );

/** A frame, and where it enters. */
export type OuterSaid = { readonly interface: Interface; readonly frame: Uint8Array } | Heard;

/** What has been seen of a machine's connection: by which address and port, and from which host. */
interface Seen {
  readonly address: string;
  readonly port: number;
  readonly host: number;
}

export class OuterTalk {
  readonly #topology: Topology;
  readonly #conversations = new Map<string, Conversation>();
  readonly #seen = new Map<string, Seen>();

  constructor(topology: Topology) {
    this.#topology = topology;
  }

  /** The frames of a turn, as they enter. */
  say(shot: OuterTurnShot): readonly OuterSaid[] {
    const { outside } = this.#topology;
    const outsider = this.#outsiderOf(shot);
    const machine = this.#machineOf(shot);
    if (outside === null || machine === undefined || outsider === undefined) return [];
    const { at, port } = machine;
    return this.#between(port, outsider, shot)
      .say(shot.turn)
      .map(({ back, frame }) =>
        back === shot.isCalled ? { interface: at, frame } : this.#come(frame, { port, outsider }, shot, outside),
      );
  }

  /** Takes note of what has left. */
  heard(shot: OuterTurnShot, { emissions }: Ending): void {
    const port = this.#machineOf(shot)?.port;
    const outsider = this.#outsiderOf(shot);
    if (port === undefined || outsider === undefined) return;
    for (const { host, frame: bytes } of emissions) {
      const frame = new Frame(bytes);
      const address = frame.get("ip_src")?.toString(16).padStart(8, "0");
      const [src, dst] = [frame.get("tcp_src") ?? frame.get("udp_src"), frame.get("tcp_dst") ?? frame.get("udp_dst")];
      if (address === undefined) continue;
      const seen = { address, port: src ?? 0, host };
      this.#seen.set(sideOf({ port, outsider }), seen);
      if (dst !== undefined) this.#seen.set(flowOf({ port, outsider }, frame.get("ip_proto") ?? 0, dst), seen);
    }
  }

  #outsiderOf(shot: OuterTurnShot): Outsider | undefined {
    const { outsiders = [] } = this.#topology.outside ?? {};
    return outsiders[shot.outsider % Math.max(1, outsiders.length)];
  }

  #machineOf(shot: OuterTurnShot): { readonly at: Interface; readonly port: Port } | undefined {
    const { interfaces, ports, outside } = this.#topology;
    const isStanding = this.#outsiderOf(shot)?.network === "standing";
    const isServed = (port: Port): boolean => outside?.standIns.some((each) => each.port === port.id) === true;
    const all = interfaces.flatMap((at) => {
      const port = at.isBound ? ports.find(({ id }) => id === at.names) : undefined;
      const isNear = isStanding && port?.network_id === outside?.standingId;
      if (port === undefined || (!isNear && routersOf(port, this.#topology).length === 0)) return [];
      return shot.isCalled && !isStanding && !isServed(port) ? [] : [{ at, port }];
    });
    return all[shot.machine % Math.max(1, all.length)];
  }

  #between(port: Port, outsider: Outsider, { isCalled }: OuterTurnShot): Conversation {
    const key = `${sideOf({ port, outsider })} ${isCalled}`;
    const [router] = routersOf(port, this.#topology);
    const { standIns = [], standingId } = this.#topology.outside ?? {};
    const isStanding = outsider.network === "standing";
    const standIn = isStanding ? undefined : standIns.find((each) => each.port === port.id);
    const own = { ...speakerOf(port), ...(standIn === undefined ? {} : { ip4: standIn.inner4 }) };
    const isNear = isStanding && port.network_id === standingId;
    const there = { ...outsider, mac: (isNear ? undefined : router?.mac_address) ?? outsider.mac };
    const made =
      this.#conversations.get(key) ??
      (isCalled
        ? new Conversation(outsider, own, { seen: [there, own] })
        : new Conversation(own, outsider, { seen: [own, there] }));
    this.#conversations.set(key, made);
    return made;
  }

  /** What who is outside says, as it is on the wire: for what stands for the machine, of which an error quotes what has left; to one that stands there itself. */
  #come(bytes: Uint8Array, { port, outsider }: Pair, { aside }: OuterTurnShot, outside: Outside): OuterSaid {
    const { network } = outsider;
    const frame = new Frame(bytes);
    const place = this.#seen.get(sideOf({ port, outsider }))?.host ?? this.#placeOf(port);
    const host = (place + aside) % hostCount;
    const isTranslated = network === "external" && frame.has("ip_dst");
    const written = isTranslated ? this.#written(frame, bytes, { port, outsider }, outside) : bytes;
    const isNear = network === "standing" && port.network_id === outside.standingId;
    const mac = isNear ? port.mac_address : (outside.macs[host % outside.macs.length] ?? "");
    const { wire } = placeOn(outside, network, host);
    const own = Buffer.concat([macBytes(mac), macBytes(outsider.mac), written.subarray(12)]);
    return { host, wire, frame: tagged(own, "right", network, host, outside) };
  }

  #placeOf(port: Port): number {
    return this.#topology.interfaces.find((each) => each.isBound && each.names === port.id)?.host ?? 0;
  }

  #written(frame: Frame, bytes: Uint8Array, pair: Pair, outside: Outside): Uint8Array {
    const [src, dst] = [frame.get("tcp_src") ?? frame.get("udp_src"), frame.get("tcp_dst") ?? frame.get("udp_dst")];
    const protocol = frame.get("ip_proto") ?? 0;
    const to = this.#outer(pair, protocol, dst ?? 0, src ?? 0, outside);
    const inner = frame.get("ip_dst")?.toString(16).padStart(8, "0");
    if (src !== undefined || !quotes(bytes, inner)) return rewritten(frame, { destination: to }).toBytes();
    const word = (at: number): number => (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
    const quotedSource = this.#outer(pair, bytes[51] ?? 0, word(62), word(64), outside);
    return rewritten(frame, { destination: to, quotedSource }).toBytes();
  }

  /** What stands for a port of a machine's towards one outside: as it was seen, or as it is declared. */
  #outer(pair: Pair, protocol: number, own: number, other: number, outside: Outside): Written {
    const { port } = pair;
    const seen = this.#seen.get(flowOf(pair, protocol, other));
    if (seen !== undefined) return seen;
    const name = `${protocol === 6 ? "tcp" : "udp"} ${own}`;
    const standIns = outside.standIns.filter((each) => each.port === port.id);
    const forwarded = standIns.find((each) => each.forwarded?.has(name));
    const floating = standIns.find((each) => each.forwarded === null);
    const last = this.#seen.get(sideOf(pair));
    if (forwarded !== undefined)
      return { address: hexOf(forwarded.address), port: forwarded.forwarded?.get(name) ?? own };
    if (floating !== undefined) return { address: hexOf(floating.address), port: own };
    return { address: last?.address ?? hexOf(outside.targets.gateway[0]?.ip4 ?? "203.0.113.10"), port: own };
  }
}

/** A machine, and with whom it talks. */
interface Pair {
  readonly port: Port;
  readonly outsider: Outsider;
}

const sideOf = ({ port, outsider }: Pair): string => `${port.id} ${outsider.network} ${outsider.ip4}`;

/** A machine's connection with somebody outside, by the port there. */
const flowOf = (pair: Pair, protocol: number, other: number): string => `${sideOf(pair)} ${protocol} ${other}`;

/** Whether an ICMP message quotes a packet from an address, its ports with it. */
const quotes = (bytes: Uint8Array, address: string | undefined): boolean =>
  [3, 4, 5, 11, 12].includes(bytes[34] ?? 0) &&
  bytes.length >= 42 + 28 &&
  Buffer.from(bytes.subarray(54, 58)).toString("hex") === address;
