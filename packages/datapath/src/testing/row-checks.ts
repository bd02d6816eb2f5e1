/** Checks of the rows: adopt, apply, read back, and what is refused. */
import assert from "node:assert/strict";
import { L2, Neighbour, type Row, row } from "@selvage/pipeline";
import type { Check } from "./check.ts";
import { arpReply, arpRequest, udp } from "./frames.ts";
import { l2Row, rowsFor, type TestPort, testPort } from "./topology.ts";
import { delta, type World } from "./world.ts";

const a = testPort(1, 1, 0);
const b = testPort(2, 1, 0);
const c = testPort(3, 1, 0);
const here = [a, b, c] as const;

const neighbour = (n: number, mac = b.mac): Row =>
  row(Neighbour, { net: 9, nh: `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}` }, "known", { mac });

const ids = (rows: Iterable<Row | null>): readonly string[] =>
  [...rows].flatMap((each) => (each ? [each.id] : [])).sort();

/** The rows that a host has, without the program's constants. */
async function held(world: World, place: number): Promise<readonly string[]> {
  const constants = new Set(world.datapath(place).program.constants.map(({ id }) => id));
  return ids((await world.datapath(place).installed()).map((each) => each.row)).filter((id) => !constants.has(id));
}

/** A row that no switch can hold: its network key has more than 24 bits. */
const unfit: Row = {
  ...neighbour(1),
  id: "neighbour(net=16777216, nh=10.0.0.1)",
  key: { net: 0x1000000, nh: "10.0.0.1" },
};

export const rowChecks: readonly Check[] = [
  {
    name: "what is adopted is installed, each row once, with the program's constants",
    run: async (world) => {
      await world.build(here);
      const wanted = world.rows(0, here);
      const installed = await world.datapath(0).installed();
      assert.deepEqual(
        ids(installed.map((each) => each.row)),
        ids([...wanted, ...world.datapath(0).program.constants]),
      );
      const bodies = new Map(wanted.map(({ id, body }) => [id, body]));
      for (const { row: each } of installed) {
        if (each !== null && bodies.has(each.id)) assert.equal(each.body, bodies.get(each.id));
      }
      assert.deepEqual(
        installed.filter((each) => each.row === null).map((each) => each.text),
        [],
        "nothing that no row explains",
      );
    },
  },
  {
    name: "adopting the same rows again changes nothing",
    run: async (world) => {
      await world.build(here);
      const again = await world.datapath(0).adopt(world.rows(0, here));
      assert.deepEqual({ ...again, kept: 0 }, { added: 0, changed: 0, removed: 0, kept: 0 });
      assert.ok(again.kept >= world.rows(0, here).length, "all were kept");
      await world.reaches(a, b);
    },
  },
  {
    name: "adopt changes only what differs, and counts it",
    run: async (world) => {
      await world.build(here);
      const before = [...world.rows(0, here), neighbour(1), neighbour(2)];
      assert.equal((await world.datapath(0).adopt(before)).added, 2);
      await world.reaches(a, b);
      const l2 = l2Row(b, 0);
      await world.until("a packet is counted", async () => ((await world.installedRow(0, l2))?.packets ?? 0) >= 1);
      const after = [...world.rows(0, here), neighbour(2, c.mac), neighbour(3)];
      const { added, changed, removed } = await world.datapath(0).adopt(after);
      assert.deepEqual({ added, changed, removed }, { added: 1, changed: 1, removed: 1 });
      assert.ok(((await world.installedRow(0, l2))?.packets ?? 0) >= 1, "a row that stays keeps its count");
      assert.deepEqual(await held(world, 0), ids(after));
    },
  },
  {
    name: "adopt takes away all that is not wanted, but not the program's constants",
    run: async (world) => {
      await world.build(here);
      await world.datapath(0).adopt([]);
      assert.deepEqual(await held(world, 0), []);
      const installed = ids((await world.datapath(0).installed()).map((each) => each.row));
      assert.deepEqual(installed, ids(world.datapath(0).program.constants));
      const before = await world.dropped(0, "port-not-bound");
      await world.send(a, udp(4, a, b, world.mark()));
      await world.until("it is dropped as unbound", async () => (await world.dropped(0, "port-not-bound")) > before);
      await world.datapath(0).adopt(world.rows(0, here));
      await world.reaches(a, b);
    },
  },
  {
    name: "what was lost behind the driver's back is put again by adopt",
    run: async (world) => {
      await world.build(here);
      await world.host(0).lose(l2Row(b, 0));
      assert.ok(!(await held(world, 0)).includes(l2Row(b, 0).id), "it is lost");
      assert.equal((await world.datapath(0).adopt(world.rows(0, here))).added, 1);
      await world.reaches(a, b);
    },
  },
  {
    name: "an added row is in force when apply resolves",
    run: async (world) => {
      await world.build(here);
      const rows = world.rows(0, here).filter(({ id }) => id !== l2Row(b, 0).id);
      for (let turn = 0; turn < 5; turn += 1) {
        await world.datapath(0).adopt(rows);
        await world.datapath(0).apply(delta({ added: [l2Row(b, 0)] }));
        await world.reaches(a, b);
      }
    },
  },
  {
    name: "a removed row is out of force when apply resolves",
    run: async (world) => {
      await world.build(here);
      await world.datapath(0).apply(delta({ removed: [l2Row(b, 0)] }));
      assert.ok(!(await held(world, 0)).includes(l2Row(b, 0).id));
      const before = await world.dropped(0, "no-fdb-entry");
      const lost = udp(4, a, b, world.mark());
      await world.send(a, lost);
      await world.until("it is dropped", async () => (await world.dropped(0, "no-fdb-entry")) === before + 1);
      await world.reaches(a, c);
      assert.equal(world.count(b, lost), 0);
    },
  },
  {
    name: "a modified row says the new thing, and only that, when apply resolves",
    run: async (world) => {
      await world.build(here);
      const toB = l2Row(b, 0);
      const toC = row(L2, { net: 1, ethDst: `${b.mac}/ff:ff:ff:ff:ff:ff` }, "local", { port: c.key }, "port");
      for (const [before, after, taker, other] of [
        [toB, toC, c, b],
        [toC, toB, b, c],
      ] as const) {
        await world.datapath(0).apply(delta({ modified: [{ before, after }] }));
        const frame = udp(4, a, b, world.mark());
        await world.send(a, frame);
        await world.arrives(taker, frame, "the new place gets it");
        assert.equal(world.count(other, frame), 0, "the old place does not");
        assert.deepEqual(await held(world, 0), ids(world.rows(0, here)));
        assert.equal((await world.installedRow(0, after))?.row?.body, after.body);
      }
    },
  },
  {
    name: "one difference may add, modify and remove",
    run: async (world) => {
      await world.build(here);
      await world.datapath(0).apply(delta({ added: [neighbour(1), neighbour(2)] }));
      const after = neighbour(2, c.mac);
      await world
        .datapath(0)
        .apply({ added: [neighbour(3)], removed: [neighbour(1)], modified: [{ before: neighbour(2), after }] });
      assert.deepEqual(await held(world, 0), ids([...world.rows(0, here), neighbour(2), neighbour(3)]));
      assert.equal((await world.installedRow(0, after))?.row?.body, after.body);
    },
  },
  {
    name: "a row that goes in one difference and returns in the next is in force",
    run: async (world) => {
      await world.build(here);
      const answer = row(Neighbour, { net: 1, nh: "10.0.1.200" }, "known", { mac: c.mac });
      for (let turn = 0; turn < 3; turn += 1) {
        await world.datapath(0).apply(delta({ added: [answer] }));
        const seen = world.arrived(a).all.length;
        await world.send(a, arpRequest(a, "10.0.1.200"));
        const reply = Buffer.from(arpReply({ mac: c.mac, ip4: "10.0.1.200" }, a));
        await world.arrived(a).first((each) => reply.equals(each), "an answer", world.deadline, seen);
        await world.datapath(0).apply(delta({ removed: [answer] }));
      }
    },
  },
  {
    name: "a refused row rejects apply, and after adopt all is in order",
    run: async (world) => {
      await world.build(here);
      await assert.rejects(world.datapath(0).apply(delta({ added: [neighbour(7), unfit] })));
      await world.reaches(a, b);
      await world.datapath(0).adopt(world.rows(0, here));
      assert.deepEqual(await held(world, 0), ids(world.rows(0, here)));
      await world.reaches(b, a, 6);
    },
  },
  {
    name: "a row of no table of the program is refused",
    run: async (world) => {
      await world.build(here);
      await assert.rejects(world.datapath(0).apply(delta({ added: [{ ...neighbour(1), table: "no-such" }] })));
      await assert.rejects(world.datapath(0).apply(delta({ added: [{ ...neighbour(1), action: "no-such" }] })));
      await world.reaches(a, b);
    },
  },
  {
    name: "a thousand rows are applied at once, and taken away at once",
    run: async (world) => {
      await world.build(here);
      const many = Array.from({ length: 1_000 }, (_, n) => neighbour(n + 1));
      await world.datapath(0).apply(delta({ added: many }));
      assert.deepEqual(await held(world, 0), ids([...world.rows(0, here), ...many]));
      await world.datapath(0).apply(delta({ removed: many }));
      assert.deepEqual(await held(world, 0), ids(world.rows(0, here)));
      await world.reaches(a, b);
    },
  },
  {
    name: "a difference asked for when the one before is taken is taken behind it, and each is in force when it says so",
    run: async (world) => {
      await world.build(here);
      const said: string[] = [];
      const takes = async (name: string, gone: TestPort): Promise<{ readonly met: Promise<unknown> }> => {
        const taken = Promise.withResolvers<void>();
        const met = world.datapath(0).apply(delta({ removed: [l2Row(gone, 0)] }), () => {
          said.push(`${name} taken`);
          taken.resolve();
        });
        await Promise.race([taken.promise, met]);
        return { met: met.then(() => said.push(`${name} in force`)) };
      };
      // What is cached is what packets met before.
      for (const to of [b, c]) await world.reaches(a, to);
      const first = await takes("first", b);
      const second = await takes("second", c);
      for (const [{ met }, to] of [
        [first, b],
        [second, c],
      ] as const) {
        await met;
        await world.isDropped(udp(4, a, to, world.mark()), a, to, "no-fdb-entry");
      }
      assert.deepEqual(
        said.filter((each) => each.endsWith("taken")),
        ["first taken", "second taken"],
      );
      for (const name of ["first", "second"])
        assert.ok(said.indexOf(`${name} taken`) < said.indexOf(`${name} in force`), `${name}: taken, then in force`);
    },
  },
  {
    name: "differences applied without waiting come into force in order",
    run: async (world) => {
      await world.build(here);
      const toC = row(L2, { net: 1, ethDst: `${b.mac}/ff:ff:ff:ff:ff:ff` }, "local", { port: c.key }, "port");
      const toB = l2Row(b, 0);
      await Promise.all([
        world.datapath(0).apply(delta({ modified: [{ before: toB, after: toC }] })),
        world.datapath(0).apply(delta({ removed: [toC] })),
        world.datapath(0).apply(delta({ added: [toB] })),
      ]);
      assert.deepEqual(await held(world, 0), ids(rowsFor(0, here, world.addresses)));
      await world.reaches(a, b);
    },
  },
];
