/**
 * Random conversations through random security groups and a router, on the simulated switches and on others in step: after each turn the same frames have
 * come out at the same ports, so that what the two remember of connections is the same.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Policy, policies } from "./agreement-rows.ts";
import { Conversation, connectionTurns, type Turn, turns } from "./conversation.ts";
import type { MakeFabric } from "./fabric.ts";
import { gratuitousArp } from "./frames.ts";
import { Late } from "./journal.ts";
import { policyRows } from "./policy-topology.ts";
import { type RouterPlan, routerRowsFor, staysBeside, testInterface } from "./router-topology.ts";
import { simulatedTestFabric } from "./simulated-fabric.ts";
import { type TestPort, testPort, vxlanNet } from "./topology.ts";
import { World } from "./world.ts";

const a = testPort(1, 1, 0);
const b = testPort(2, 1, 0);
const c = testPort(3, 1, 1);
const x = testPort(4, 2, 0);
const y = testPort(5, 2, 1);
const u = testPort(6, vxlanNet, 0);
const v = testPort(7, vxlanNet, 1);
const ports = [a, b, c, x, y, u, v] as const;
const plan: RouterPlan = { interfaces: [testInterface(1, 1), testInterface(1, 2)] };
/** Who speaks with whom: on one host, on two, through the router here and there, over VXLAN. */
const pairs: readonly (readonly [TestPort, TestPort])[] = [
  [a, b],
  [a, c],
  [b, c],
  [a, x],
  [a, y],
  [c, x],
  [y, x],
  [u, v],
];

/** The speaker as the other one addresses it: by the MAC of the router between them, if there is one. */
function seenFrom(port: TestPort, other: TestPort): TestPort {
  const between = plan.interfaces.find(({ net }) => net === other.net);
  return port.net === other.net || between === undefined ? port : { ...port, mac: between.mac };
}

/** Turns of one pair, and how many turns long the policy stays as it is. */
interface Chapter {
  readonly policy: Policy;
  readonly turns: readonly { readonly pair: number; readonly turn: Turn }[];
}

const turnsOfPairs = fc
  .array(
    fc.tuple(
      fc.nat(pairs.length - 1),
      fc.oneof(
        turns.map((turn) => [turn]),
        connectionTurns.map((all) => [...all]),
      ),
    ),
    { minLength: 4, maxLength: 12, size: "max" },
  )
  .map((all) => all.flatMap(([pair, of]) => of.map((turn) => ({ pair, turn }))));

const chapters: fc.Arbitrary<Chapter> = fc.record(
  { policy: policies(ports), turns: turnsOfPairs },
  { noNullPrototype: true },
);

/** What is said in one conversation goes on in the next chapter; only its rules change. */
class Play {
  readonly #world: World;
  readonly #seen = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  async open(): Promise<void> {
    await this.#world.build(ports);
  }

  async adopt({ members, rules }: Policy): Promise<void> {
    for (const place of this.#world.placesOf(ports)) {
      const rows = [
        ...this.#world.rows(place, ports).filter(staysBeside(plan)),
        ...routerRowsFor(place, ports, this.#world.addresses, plan),
        ...policyRows(place, members, rules),
      ];
      await this.#world.datapath(place).adopt([...new Map(rows.map((each) => [each.id, each])).values()]);
    }
  }

  /** Sends frames from a port, and an announcement behind them, which no rule holds up: where it has come, they have. */
  async send(from: TestPort, frames: readonly Uint8Array[]): Promise<void> {
    for (const frame of [...frames, gratuitousArp(from)]) await this.#world.send(from, frame);
  }

  /** What has come out at each port since this was asked last; when told, waits for so many frames first. */
  async shown(wanted?: ReadonlyMap<string, readonly string[]>): Promise<ReadonlyMap<string, readonly string[]>> {
    const all = new Map<string, readonly string[]>();
    for (const port of ports) {
      const arrived = this.#world.arrived(port);
      const from = this.#seen.get(port.id) ?? 0;
      const to = from + (wanted?.get(port.id)?.length ?? 0);
      if (wanted !== undefined) await this.#awaits(port, to);
      all.set(
        port.id,
        arrived.all
          .slice(from)
          .map((frame) => Buffer.from(frame).toString("hex"))
          .sort(),
      );
      this.#seen.set(port.id, arrived.all.length);
    }
    return all;
  }

  /** Until so many frames have come, or none comes any more: what is lacking then is told by the comparison. */
  async #awaits(port: TestPort, count: number): Promise<void> {
    const arrived = this.#world.arrived(port);
    while (arrived.all.length < count) {
      const { length } = arrived.all;
      const next = arrived.first(() => true, "another frame", this.#world.deadline, length);
      if ((await next.catch((late: unknown) => late)) instanceof Late) return;
    }
  }

  async drops(): Promise<readonly string[]> {
    const places = this.#world.placesOf(ports);
    return Promise.all(
      places.map(async (place) => {
        const drops = [...(await this.#world.datapath(place).drops())].filter(([, count]) => count > 0);
        return JSON.stringify(drops.sort(([one], [other]) => (one < other ? -1 : 1)));
      }),
    );
  }

  get world(): World {
    return this.#world;
  }
}

/** How much is compared, drawn by what; what is cut into fragments is left out where drops are compared. */
export interface ConversationPlan {
  readonly seed: number;
  /** Chapters: times at which the policy changes. */
  readonly count: number;
  /** A switch need not count each fragment of a datagram that it refuses: with them, drops are not compared. */
  readonly fragments: boolean;
}

/** Throws AssertionError where the fabric that `make` gives does other than the simulated one, and says in which turn. */
export async function assertConversations(
  make: MakeFabric,
  { seed, count, fragments }: ConversationPlan,
): Promise<void> {
  const all = fc.sample(chapters, { seed, numRuns: count });
  const truth = new Play(new World(await simulatedTestFabric(4)));
  const fabric = await make();
  try {
    const other = new Play(new World(fabric));
    for (const play of [truth, other]) await play.open();
    // A switch keeps fragments for a while: those of another run must not be taken for this one's.
    const firstId = (seed * 997) & 0xffff;
    const conversations = pairs.map(
      ([one, two]) => new Conversation(one, two, { firstId, seen: [seenFrom(one, two), seenFrom(two, one)] }),
    );
    for (const [chapter, { policy, turns: spoken }] of all.entries()) {
      for (const play of [truth, other]) await play.adopt(policy);
      for (const [at, { pair, turn }] of spoken.entries()) {
        const [one = a, two = b] = pairs[pair] ?? [];
        const plain = fragments ? turn : ({ ...turn, pieces: "whole" } as const);
        const frames = (conversations[pair]?.say(plain) ?? []).map(({ frame }) => frame);
        for (const play of [truth, other]) await play.send(turn.back ? two : one, frames);
        const wanted = await truth.shown();
        const got = await other.shown(wanted);
        assert.deepEqual(got, wanted, `chapter ${chapter}, turn ${at}: ${JSON.stringify({ pair, ...plain })}`);
      }
      if (!fragments) await sameDrops(truth, other, `chapter ${chapter}`);
    }
  } finally {
    await fabric.dispose();
  }
}

/** The same packets were dropped, for the same reasons. Before rules change: a switch that counts later may count for the new ones. */
async function sameDrops(truth: Play, other: Play, where: string): Promise<void> {
  const drops = await truth.drops();
  await other.world
    .until("the same drops", async () => JSON.stringify(await other.drops()) === JSON.stringify(drops))
    .catch((late: unknown) => late);
  assert.deepEqual(await other.drops(), drops, where);
}
