/**
 * Random conversations of machines with somebody outside, by a router's address and by a floating one, on the simulated switches and on others in step. Which
 * port of its block a connection takes is each switch's own choice: who is outside answers to the one that it saw, and frames are compared without it.
 */
import assert from "node:assert/strict";
import type { ReasonCode } from "@selvage/base";
import { Frame } from "@selvage/packet";
import fc from "fast-check";
import { rewritten, type Written } from "../simulated/translation.ts";
import type { ConversationPlan } from "./agreement-conversations.ts";
import { Conversation, connectionTurns, type Turn, turns } from "./conversation.ts";
import type { MakeFabric } from "./fabric.ts";
import { arpRequest, udp } from "./frames.ts";
import { ping } from "./ip-frames.ts";
import { hostMacOf } from "./outside-topology.ts";
import { a, b, c, far, gateway, internet, one, outside, spokenBy } from "./outside-world.ts";
import { simulatedTestFabric } from "./simulated-fabric.ts";
import type { TestPort } from "./topology.ts";
import { type Outsider, sameBytes, World } from "./world.ts";

/** A machine, and what stands for it outside: an address, which it shares with others or not. */
interface Pair {
  readonly port: TestPort;
  readonly address: string;
  readonly isShared: boolean;
}

const floating = "203.0.113.20";
const router = spokenBy(0, gateway.address.ip4);
const pairs: readonly Pair[] = [
  { port: a, address: gateway.address.ip4, isShared: true },
  { port: c, address: gateway.address.ip4, isShared: true },
  { port: b, address: floating, isShared: false },
];
const plan = { gateway: { floating: [{ port: b, address: floating }] } };
/** A port of the first host's block that no connection has, as long as none has been seen. */
const nobodys = 2047;

const all = fc
  .array(
    fc.tuple(
      fc.nat(pairs.length - 1),
      fc.oneof(
        turns.map((turn) => [turn]),
        connectionTurns.map((each) => [...each]),
      ),
    ),
    { minLength: 8, maxLength: 16, size: "max" },
  )
  .map((each) => each.flatMap(([pair, of]) => of.map((turn) => ({ pair, turn }))));

const hexOf = (address: string): string =>
  address
    .split(".")
    .map((each) => Number(each).toString(16).padStart(2, "0"))
    .join("");

/** The ports of a frame, by protocol; 0 is none. */
function portsOf(frame: Frame): { readonly protocol: number; readonly src: number; readonly dst: number } | undefined {
  const [src, dst] = [frame.get("tcp_src") ?? frame.get("udp_src"), frame.get("tcp_dst") ?? frame.get("udp_dst")];
  const protocol = frame.get("ip_proto");
  return src === undefined || dst === undefined || protocol === undefined ? undefined : { protocol, src, dst };
}

/** What somebody outside says to a machine, as it is on the wire: to what stands for the machine, of which an error quotes what has left. */
function onWire(bytes: Uint8Array, { port, address, isShared }: Pair, side: Side): Uint8Array {
  const frame = new Frame(bytes);
  if (!frame.has("ip_dst")) return bytes;
  const ports = portsOf(frame);
  const outer = (protocol: number, other: number, own: number): number =>
    own === 0 || !isShared ? own : (side.outer.get(flowOf(port.host, protocol, other)) ?? nobodys);
  const to: Written = {
    address: hexOf(address),
    port: ports === undefined ? 0 : outer(ports.protocol, ports.src, ports.dst),
  };
  if (!isShared || ports !== undefined || !quotes(bytes, port.ip4))
    return rewritten(frame, { destination: to }).toBytes();
  const word = (at: number): number => (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
  const quoted = outer(bytes[51] ?? 0, word(64), word(62));
  return rewritten(frame, { destination: to, quotedSource: { ...to, port: quoted } }).toBytes();
}

/** A connection with somebody outside, of whose ports each is one flow's. */
const flowOf = (host: number, protocol: number, other: number): string => `${host} ${protocol} ${other}`;

/** Whether an ICMP message quotes a packet from an address, its ports with it. */
const quotes = (bytes: Uint8Array, address: string): boolean =>
  [3, 4, 5, 11, 12].includes(bytes[34] ?? 0) &&
  bytes.length >= 42 + 28 &&
  Buffer.from(bytes.subarray(54, 58)).toString("hex") === hexOf(address);

/** One fabric, and what it has shown so far. */
class Side {
  readonly world: World;
  readonly wire: Outsider;
  /** The ports with which connections left last. */
  readonly outer = new Map<string, number>();
  readonly #seen = new Map<string, number>();

  private constructor(world: World, wire: Outsider) {
    this.world = world;
    this.wire = wire;
  }

  static async open(world: World): Promise<Side> {
    return new Side(world, await outside(world, plan));
  }

  /** Frames of one turn; and behind them one of IPv6, which nothing holds up, and which has come out when they have. */
  async say(pair: Pair, frames: readonly Uint8Array[], back: boolean, mark: number): Promise<void> {
    const { world, wire } = this;
    const { port } = pair;
    const there = { ...port, mac: hostMacOf(port.host) };
    const last = back ? udp(6, far, there, mark) : udp(6, port, { ...far, mac: one.mac }, mark);
    for (const frame of [...frames, last]) {
      if (back) wire.send(frame);
      else await world.send(port, frame);
    }
    const { arrived } = back ? { arrived: world.arrived(port) } : wire;
    const isLast = (each: Uint8Array): boolean => sameBytes(each.subarray(54), last.subarray(54));
    await arrived.first(isLast, "the last of a turn", world.deadline);
  }

  /** What has come out everywhere since this was asked last; when told, waits for so much first, as far as it comes. */
  async shown(wanted?: ReadonlyMap<string, readonly string[]>): Promise<ReadonlyMap<string, readonly string[]>> {
    const shown = new Map<string, readonly string[]>();
    const journals = [
      ...[a, b, c].map((port) => [port.id, this.world.arrived(port)] as const),
      ["wire", this.wire.arrived] as const,
    ];
    for (const [name, journal] of journals) {
      const from = this.#seen.get(name) ?? 0;
      const count = from + (wanted?.get(name)?.length ?? 0);
      const late = async () => journal.all.length >= count;
      if (!(await late())) await this.world.until("what is to come", late).catch((error: unknown) => error);
      shown.set(
        name,
        journal.all
          .slice(from)
          .map((frame) => (name === "wire" ? this.#without(frame) : frame))
          .map((frame) => Buffer.from(frame).toString("hex"))
          .sort(),
      );
      this.#seen.set(name, journal.all.length);
    }
    return shown;
  }

  /** Notes the port with which a frame has left by the router's address, and gives the frame with the one that its flow has inside. */
  #without(bytes: Uint8Array): Uint8Array {
    const frame = new Frame(bytes);
    const ports = portsOf(frame);
    const source = frame.get("ip_src")?.toString(16).padStart(8, "0");
    if (ports === undefined || source !== hexOf(gateway.address.ip4)) return bytes;
    const host = bytes[6 + 5] === 1 ? 0 : 1;
    this.outer.set(flowOf(host, ports.protocol, ports.dst), ports.src);
    return rewritten(frame, { source: { address: source, port: 40_000 + ports.dst - 80 } }).toBytes();
  }

  async drops(): Promise<readonly string[]> {
    const drops = await Promise.all([0, 1].map((place) => this.world.datapath(place).drops()));
    // What a bridge on the way does not know yet it sends to all, and when it comes to know is its own affair.
    const counts = (reason: ReasonCode): boolean => reason !== "no-fdb-entry";
    return drops.map((each) =>
      JSON.stringify([...each].filter(([reason, count]) => count > 0 && counts(reason)).sort()),
    );
  }

  /** What the agents were told to make right. */
  get punts(): readonly string[] {
    return [0, 1].flatMap((place) =>
      this.world
        .heard(place)
        .punts.all.map(
          ({ kind, attachment, net, frame }) => `${kind} ${attachment} ${net} ${Buffer.from(frame).toString("hex")}`,
        )
        .sort(),
    );
  }
}

/** Throws AssertionError where the fabric that `make` gives does other than the simulated one, and says in which turn. */
export async function assertOutside(make: MakeFabric, { seed, count, fragments }: ConversationPlan): Promise<void> {
  const fabric = await make();
  try {
    const truth = await Side.open(new World(await simulatedTestFabric(4)));
    const other = await Side.open(new World(fabric));
    // Who is outside asks for the router's address first, and whether it is there.
    const [asks, pings] = [arpRequest(internet, gateway.address.ip4), ping(4, "request", internet, router, { id: 1 })];
    for (const side of [truth, other]) await side.say(pairs[0] ?? assert.fail(), [asks, pings], true, 1);
    const [greeting, answer] = [await truth.shown(), await other.shown(new Map([["wire", ["", ""]]]))];
    assert.deepEqual(answer, greeting);
    const firstId = (seed * 7_919 + (fragments ? 30_000 : 0)) & 0x7fff;
    const conversations = pairs.map(({ port }, at) => {
      const seen = [
        { ...port, mac: hostMacOf(port.host) },
        { ...far, mac: one.mac },
      ] as const;
      return new Conversation(port, far, { firstId: firstId + 5_000 * at, seen });
    });
    let mark = 1;
    for (const { pair, turn } of fc.sample(all, { seed, numRuns: count }).flat()) {
      const of = pairs[pair] ?? assert.fail();
      const whole: Turn = fragments ? turn : { ...turn, pieces: "whole" };
      const said = conversations[pair]?.say(whole) ?? [];
      mark += 1;
      for (const side of [truth, other]) {
        const frames = said.map(({ back, frame }) => (back ? onWire(frame, of, side) : frame));
        await side.say(of, frames, turn.back, mark);
      }
      const expected = await truth.shown();
      const where = `${of.port.id}, turn ${mark}: ${JSON.stringify(whole)}`;
      assert.deepEqual(await other.shown(expected), expected, where);
    }
    assert.equal(other.punts.length, truth.punts.length);
    if (fragments) return;
    const drops = await truth.drops();
    await other.world
      .until("the same drops", async () => JSON.stringify(await other.drops()) === JSON.stringify(drops))
      .catch((late: unknown) => late);
    assert.deepEqual(await other.drops(), drops);
  } finally {
    await fabric.dispose();
  }
}
