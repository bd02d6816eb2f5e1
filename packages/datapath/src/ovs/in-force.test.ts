/** What a real switch has taken, and what its packets meet: each difference is told of in its order, and none that was taken when the switch went. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, rm, symlink } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Neighbour, type Row, row } from "@selvage/pipeline";
import { Recorder } from "../testing/fabric.ts";
import { Journal } from "../testing/journal.ts";
import { OvsHosts } from "../testing/ovs-fabric.ts";
import type { OvsHost } from "../testing/ovs-host.ts";
import { delta } from "../testing/world.ts";
import type { OvsDatapath } from "./driver.ts";

const deadline = 10_000;
const look = "revalidator/wait";
const neighbour = (n: number): Row =>
  row(Neighbour, { net: 9, nh: `10.0.0.${n}` }, "known", { mac: "02:00:00:00:00:01" });

/** Stands between a driver and its switch's control socket, and keeps each question for a look through the cache until it is told to pass it on. */
async function between(host: OvsHost) {
  const directory = join(host.directory, "between");
  const kept = new Journal<() => void>();
  await mkdir(directory);
  await symlink(join(host.directory, "db.sock"), join(directory, "db.sock"));
  const server = createServer((driverSide) => {
    const switchSide = connect(join(host.directory, "switch.ctl"));
    switchSide.pipe(driverSide);
    driverSide.on("data", (bytes: Buffer) => {
      if (bytes.includes(look)) kept.add(() => switchSide.write(bytes));
      else switchSide.write(bytes);
    });
    for (const side of [driverSide, switchSide]) side.on("error", () => side.destroy());
    driverSide.on("close", () => switchSide.destroy());
  });
  await once(server.listen(join(directory, "switch.ctl")), "listening");
  /** The question of that number, from 1. */
  const asked = async (number: number): Promise<() => void> => {
    await kept.first(() => kept.all.length >= number, `look ${number}`, deadline);
    return kept.all[number - 1] ?? assert.fail();
  };
  const end = async (): Promise<void> => {
    server.close();
    await rm(directory, { recursive: true });
  };
  return {
    options: {
      database: `unix:${join(directory, "db.sock")}`,
      openflow: { path: join(host.directory, "br-int.mgmt") },
    },
    kept,
    asked,
    end,
  };
}

describe("what a switch has taken", () => {
  let hosts: OvsHosts;
  before(async () => {
    hosts = await OvsHosts.start(4, 1);
  });
  after(() => hosts?.dispose());

  /** A driver that has adopted nothing, whose next question for a look is the second. */
  async function adopted(host: OvsHost) {
    const door = await between(host);
    const driver = hosts.driver(0, door.options);
    const heard = new Recorder();
    const end = async (): Promise<void> => {
      await driver.close();
      await door.end();
    };
    try {
      await driver.open(heard);
      await heard.life.first((event) => event === "ready", "it is ready", deadline);
      const done = driver.adopt([]);
      (await door.asked(1))();
      await done;
    } catch (cause) {
      await end();
      throw cause;
    }
    return { door, driver, heard, end };
  }

  /** Asks for a row more as soon as the one before is taken; what is said of it goes to `said`. Resolves when it is taken, to what resolves when all is said. */
  async function takes(driver: OvsDatapath, n: number, said: string[]): Promise<{ readonly told: Promise<unknown> }> {
    const taken = Promise.withResolvers<void>();
    const met = driver.apply(delta({ added: [neighbour(n)] }), () => {
      said.push(`${n} taken`);
      taken.resolve();
    });
    const told = met.then(
      () => said.push(`${n} in force`),
      () => said.push(`${n} failed`),
    );
    await Promise.race([taken.promise, met]);
    return { told };
  }

  test("goes on being taken while packets do not meet it; each is in force after a look that began behind it, and one look does for several", async () => {
    const host = hosts.hosts[0] ?? assert.fail();
    const { door, driver, end } = await adopted(host);
    try {
      const said: string[] = [];
      await takes(driver, 1, said);
      const first = await door.asked(2);
      for (const n of [2, 3, 4]) await takes(driver, n, said);
      assert.deepEqual(said, ["1 taken", "2 taken", "3 taken", "4 taken"]);
      assert.equal(door.kept.all.length, 2, "a look is under way");
      first();
      const second = await door.asked(3);
      assert.deepEqual(said.slice(4), ["1 in force"]);
      second();
      // Behind the others' in the driver's queue.
      const last = driver.apply(delta({ removed: [neighbour(1)] }));
      (await door.asked(4))();
      await last;
      assert.deepEqual(said.slice(5), ["2 in force", "3 in force", "4 in force"]);
      assert.equal(door.kept.all.length, 4);
    } finally {
      await end();
    }
  });

  test("is in force for nobody when the switch goes before packets have met it", async () => {
    const host = hosts.hosts[0] ?? assert.fail();
    const { door, driver, heard, end } = await adopted(host);
    try {
      const said: string[] = [];
      const first = await takes(driver, 1, said);
      await door.asked(2);
      const second = await takes(driver, 2, said);
      await host.stopSwitch();
      await heard.life.first((event) => event === "lost", "it is lost", deadline);
      await assert.rejects(driver.apply(delta({ added: [neighbour(3)] })));
      await Promise.all([first.told, second.told]);
      assert.deepEqual(said, ["1 taken", "2 taken", "1 failed", "2 failed"]);
    } finally {
      await end();
    }
  });
});
