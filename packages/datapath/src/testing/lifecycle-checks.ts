/** Checks of what comes and goes: interfaces, drivers and the switch itself. */
import assert from "node:assert/strict";
import type { Check } from "./check.ts";
import { udp, udpToAll } from "./frames.ts";
import { l2Row, testPort } from "./topology.ts";
import { delta } from "./world.ts";

const a = testPort(1, 1, 0);
const b = testPort(2, 1, 0);
const c = testPort(3, 1, 1);
const all = [a, b, c] as const;

export const lifecycleChecks: readonly Check[] = [
  {
    name: "attachments are told once after open, and whenever they change",
    run: async (world) => {
      await world.host(0).plug(a.id);
      const heard = await world.open(0);
      const names = () => heard.attached.last?.map(({ port }) => port).sort();
      await heard.attached.first((each) => each.some(({ port }) => port === a.id), "what was there", world.deadline);
      await world.plug(b);
      assert.deepEqual(names(), [a.id, b.id]);
      for (const each of heard.attached.last ?? []) assert.notEqual(each.name, "");
      await world.unplug(a);
      assert.deepEqual(names(), [b.id]);
    },
  },
  {
    name: "a port plugged after its rows comes into force",
    run: async (world) => {
      for (const place of [0, 1]) await world.open(place);
      for (const place of [0, 1]) await world.datapath(place).adopt(world.rows(place, all));
      for (const port of [c, b, a]) await world.plug(port);
      await world.comesToReach(a, b);
      await world.comesToReach(c, a);
      await world.comesToReach(b, c);
      const frame = udpToAll(4, c, world.mark());
      await world.send(c, frame);
      await world.arrives(a, frame);
      await world.arrives(b, frame);
    },
  },
  {
    name: "a port unplugged is reached no more, and one plugged in its place is not taken for it",
    run: async (world) => {
      await world.build(all);
      await world.unplug(b);
      const other = testPort(8, 3, 0);
      await world.plug(other);
      const frame = udp(4, a, b, world.mark());
      await world.send(a, frame);
      await world.send(a, udpToAll(4, a, world.mark()));
      await world.reaches(a, c);
      await world.datapath(0).send(other.id, udp(4, c, a, 0));
      await world.arrives(other, udp(4, c, a, 0), "what is sent to the other port");
      assert.equal(world.arrived(other).all.length, 1, "and nothing else");
      // What was sent to the port that has gone may be counted late: a look through the counters that is under way when it is asked for may have passed it by.
      await world.dropped(0, "port-not-bound");
      const before = await world.dropped(0, "port-not-bound");
      await world.send(other, udp(4, b, a, world.mark()));
      await world.until("it is unbound", async () => (await world.dropped(0, "port-not-bound")) === before + 1);
    },
  },
  {
    name: "the same port plugged again is in force again",
    run: async (world) => {
      await world.build(all);
      for (let turn = 0; turn < 2; turn += 1) {
        await world.unplug(b);
        await world.plug(b);
        await world.comesToReach(a, b);
        await world.comesToReach(b, c);
      }
      const frame = udpToAll(4, c, world.mark());
      await world.send(c, frame);
      await world.arrives(b, frame);
      await world.reaches(c, b);
      assert.equal(world.count(b, frame), 1);
    },
  },
  {
    name: "rows stay while no driver is there, and the next one finds nothing to change",
    run: async (world) => {
      await world.build(all);
      await world.reaches(a, c);
      await world.host(0).reopen();
      await world.reaches(a, c);
      await world.open(0);
      await world.reaches(a, b);
      const { added, changed, removed } = await world.datapath(0).adopt(world.rows(0, all));
      assert.deepEqual({ added, changed, removed }, { added: 0, changed: 0, removed: 0 });
      await world.datapath(0).apply(delta({ removed: [l2Row(b, 0)] }));
      const frame = udp(4, a, b, world.mark());
      await world.send(a, frame);
      await world.reaches(a, c);
      assert.equal(world.count(b, frame), 0, "the new driver's word counts");
    },
  },
  {
    name: "a switch that stops is lost, one that returns is ready, and adopt restores it",
    run: async (world) => {
      await world.build(all);
      await world.reaches(a, c);
      const { life } = world.heard(0);
      await world.host(0).stop();
      await life.first((event) => event === "lost", "the switch is lost", world.deadline);
      await assert.rejects(world.datapath(0).apply(delta({ added: [l2Row(b, 0)] })));
      await assert.rejects(world.datapath(0).adopt(world.rows(0, all)));
      const from = life.all.length;
      await world.host(0).start();
      await life.first((event) => event === "ready", "the switch is ready", world.deadline, from);
      const { added } = await world.datapath(0).adopt(world.rows(0, all));
      assert.ok(added >= world.rows(0, all).length, "everything had gone");
      await world.comesToReach(a, b);
      await world.comesToReach(a, c);
      await world.comesToReach(c, b);
      assert.deepEqual(life.all, ["ready", "lost", "ready"]);
    },
  },
];
