/** What rests of a router's ports, over restarts of servers and of the store: whatever happens, no port is given while what its last holder began may live. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ManualClock, silentLog } from "@selvage/base";
import { Host, keyOf, leaseRest, Port } from "@selvage/model";
import { openStore } from "@selvage/store";
import fc from "fast-check";
import { overlaps } from "../nat-blocks.ts";
import { settleUse } from "../rules/nat-leases.ts";
import { putPort } from "../rules/security-group-sets.ts";
import { World } from "../rules/testing/lease-world.ts";
import { type Rules, Writer } from "../writer.ts";
import { giveBackRested } from "./rested-blocks.ts";

const author = { kind: "system", id: "test", request_id: "test" } as const;

/** A block that some host had, until when, in milliseconds; undefined: has. */
interface Held {
  readonly address: string;
  readonly first: number;
  readonly size: number;
  until: number | undefined;
}

/** A world whose transactions are a writer's, on a store in a file; blocks that have rested are given back by the clock. */
class Deployment {
  readonly clock = new ManualClock();
  readonly world = new World(6);
  readonly #directory = mkdtempSync(join(tmpdir(), "selvage-rests-"));
  readonly #asked: Rules<void>[] = [];
  /** Who had which block, by the lease's id: what the program itself remembers is not asked. */
  readonly #book = new Map<string, Held>();
  #stop: () => Promise<void> = async () => undefined;
  #running: Writer | undefined;

  async open(): Promise<void> {
    const store = await openStore(`sqlite:${join(this.#directory, "store.db")}`);
    const { head } = await store.bounds();
    const changes = [...this.world.replica.snapshot()];
    if (head === 0) await store.append(0, [{ id: "world", at: "2026-01-01T00:00:00.000Z", author, changes }]);
    const writer = await Writer.open(store, { now: () => this.clock.now() });
    const endGiving = giveBackRested({ writer, clock: this.clock, log: silentLog });
    this.#running = writer;
    this.world.replica = writer.replica;
    this.world.do = (rules) => void this.#asked.push(rules);
    this.#stop = async () => {
      await endGiving();
      await writer.close();
      await store.close();
    };
  }

  /** Has what was asked of the world written, in order. */
  async settle(): Promise<void> {
    for (const rules of this.#asked.splice(0)) await this.#running?.transact(author, rules);
    this.#note();
  }

  /** Asserts of each block that was just given that nobody has it, or had it in the time that a block rests. */
  #note(): void {
    const now = this.clock.now();
    const leases = new Map(this.world.leases.map((lease) => [lease.id, lease]));
    for (const [id, held] of this.#book) if (!leases.has(id)) held.until ??= now;
    for (const [id, { address, first, size }] of leases) {
      if (this.#book.has(id)) continue;
      for (const earlier of this.#book.values()) {
        if (earlier.address !== address || !overlaps(earlier, { first, size })) continue;
        assert.ok(earlier.until !== undefined, `${first} of ${address} is another's`);
        const rested = now - earlier.until;
        assert.ok(rested >= leaseRest * 1_000, `${first} of ${address} has rested for ${rested} ms`);
      }
      this.#book.set(id, { address, first, size, until: undefined });
    }
  }

  /** Passes time as timers see it: what they begin has ended before more of it passes. */
  async pass(milliseconds: number): Promise<void> {
    const end = this.clock.now() + milliseconds;
    while (this.clock.now() < end) {
      this.clock.advance(Math.min(end - this.clock.now(), 5_000));
      await new Promise((resolve) => setImmediate(resolve));
      // Written one after another: when this is, what was asked before is.
      await this.#running?.transact(author, () => undefined);
      this.#note();
    }
  }

  async restart(awayFor: number): Promise<void> {
    await this.#stop();
    this.clock.advance(awayFor);
    await this.open();
  }

  async close(): Promise<void> {
    await this.#stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

const port = fc.integer({ min: 1, max: 8 });
const host = fc.integer({ min: 1, max: 6 });
const router = fc.integer({ min: 1, max: 2 });
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ bind: port, host }) },
  { weight: 4, arbitrary: fc.record({ unplug: port }) },
  { weight: 3, arbitrary: fc.record({ open: router, address: fc.nat(1) }) },
  { weight: 2, arbitrary: fc.record({ close: router }) },
  { weight: 4, arbitrary: fc.record({ pass: fc.integer({ min: 1, max: 130_000 }) }) },
  { weight: 4, arbitrary: fc.record({ used: fc.nat(1200), by: host }) },
  { weight: 1, arbitrary: fc.record({ lose: host }) },
  { weight: 3, arbitrary: fc.record({ awayFor: fc.integer({ min: 0, max: 130_000 }) }) },
);

test("whatever comes, goes and is started anew, no port is given while an earlier holder has it, or for two minutes after", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40, size: "max" }), async (steps) => {
      const deployment = new Deployment();
      const { world, clock } = deployment;
      world.router(1, [1, 2]);
      world.router(2, [2, 3]);
      await deployment.open();
      try {
        for (const each of steps) {
          if ("bind" in each) world.bind(`port-${each.bind}`, (each.bind % 3) + 1, `h${each.host}`);
          else if ("unplug" in each) world.unplug(`port-${each.unplug}`);
          // Both routers may come to have an address that the other had.
          else if ("open" in each) {
            const address = `203.0.113.${10 + ((each.open + each.address) % 2)}`;
            const [taken] = world.replica.by(Port.index.address, keyOf("s", address));
            if (taken === undefined) world.gateway(each.open, [address]);
          } else if ("close" in each) world.closeGateway(each.close);
          else if ("pass" in each) await deployment.pass(each.pass);
          else if ("awayFor" in each) await deployment.restart(each.awayFor);
          else if ("lose" in each)
            world.do((t) => {
              const lost = t.view.get(Host, `host-${each.lose}`);
              if (lost === undefined) return;
              for (const bound of t.view.by(Port.index.host, lost.name))
                putPort(t, { ...bound, "binding:host_id": "" });
              t.remove(Host, lost.id);
            });
          else {
            const of = `host-${each.by}`;
            const use = world.leases.map(({ id, size }) => [id, Math.min(each.used, size)] as const);
            world.do((t) => settleUse(t, of, new Map(use)));
          }
          await deployment.settle();
          world.now = clock.now();
          world.check();
        }
        // What waited has what it needs, and nothing is left of what has rested.
        await deployment.pass(140_000);
        world.check();
      } finally {
        await deployment.close();
      }
      assert.equal(clock.pending, 0);
    }),
    { numRuns: 12 },
  );
});
