/** Many rows put at once go to a real switch in steps: all of them arrive, and a row that is refused among them is named. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  action,
  drop,
  exact,
  F,
  FabricVni,
  L2,
  makeRow,
  Neighbour,
  optional,
  program,
  type Row,
  row,
  table,
} from "@selvage/pipeline";
import { Recorder } from "../testing/fabric.ts";
import { OvsHosts } from "../testing/ovs-fabric.ts";
import { delta } from "../testing/world.ts";
import type { OvsDatapath } from "./driver.ts";
import { NotReady, RefusedRows, UnrenderableRows } from "./errors.ts";
import type { OvsDatapathOptions } from "./options.ts";

/** More than two steps, the last one not whole. */
const many = 2_500;

const neighbours = (count: number): readonly Row[] =>
  Array.from({ length: count }, (_, at) =>
    row(Neighbour, { net: 1, nh: `10.0.${at >> 8}.${at & 255}` }, "known", { mac: "fa:16:3e:00:00:01" }),
  );

describe("many rows", () => {
  let hosts: OvsHosts;
  let driver: OvsDatapath;
  before(async () => {
    hosts = await OvsHosts.start(4, 1);
  });
  after(() => hosts?.dispose());

  const opened = async (options: Partial<OvsDatapathOptions>, work: () => Promise<void>): Promise<void> => {
    const heard = new Recorder();
    driver = hosts.driver(0, options);
    try {
      await driver.open(heard);
      await heard.life.first((event) => event === "ready", "the switch is ready", 10_000);
      await driver.adopt([]);
      await work();
    } finally {
      await driver.close();
    }
  };
  const installedIds = async (): Promise<readonly string[]> =>
    (await driver.installed()).flatMap(({ row: held }) => held?.id ?? []).sort();

  test("all are there when the call resolves, and an audit finds nothing to do", async () => {
    await opened({}, async () => {
      const constants = new Set(await installedIds());
      const rows = neighbours(many);
      await driver.apply(delta({ added: rows }));
      assert.deepEqual(
        (await installedIds()).filter((id) => !constants.has(id)),
        rows.map(({ id }) => id).sort(),
      );
      const { added, changed, removed } = await driver.adopt(rows);
      assert.deepEqual([added, changed, removed], [0, 0, 0]);
    });
  });

  test("what asks for no bit of a field is read back as it was put", async () => {
    await opened({}, async () => {
      const ethDst = "00:00:00:00:00:00/00:00:00:00:00:00";
      const rows = [
        row(L2, { net: 1, ethDst }, "remote", { port: 0, host: 0xff_ffff }, "physical"),
        row(FabricVni, { net: 1, ethDst }, "elsewhere", {}, "elsewhere"),
      ];
      await driver.apply(delta({ added: rows }));
      const { added, changed, removed } = await driver.adopt(rows);
      assert.deepEqual([added, changed, removed], [0, 0, 0]);
    });
  });

  test("one that cannot be rendered fails the call, and what the driver knows is what the switch holds", async () => {
    await opened({}, async () => {
      const rows = neighbours(many);
      const bad: Row = { ...(rows[0] as Row), id: "neighbour(bad)", key: { net: 1, nh: "no address" } };
      await assert.rejects(driver.apply(delta({ added: [...rows.slice(0, 1_500), bad] })), UnrenderableRows);
      const { added, kept, removed } = await driver.adopt(rows);
      assert.deepEqual([added + kept, removed], [many, 0]);
      assert.equal(kept, 1_000, "whole steps before it were put");
    });
  });

  test("one that the switch refuses is named, and nothing is known until the owner adopts", async () => {
    // The switch refuses a match on ARP where the packet's type is not said.
    const unmet = { ...F.arpOp, requires: {} };
    const odd = table({
      number: 0,
      name: "odd",
      text: "",
      scheme: "ranked",
      ranks: { one: 1 },
      columns: { net: exact(F.net), arpOp: optional(unmet) },
      actions: { lose: action([drop("no-fdb-entry")]) },
      miss: [drop("port-not-bound")],
    });
    await opened({ program: program("odd", [odd]) }, async () => {
      const rows = Array.from({ length: many }, (_, at) => makeRow(odd, { net: at + 1 }, "lose", {}, "one"));
      const bad = makeRow(odd, { net: 1, arpOp: 1 }, "lose", {}, "one");
      const given = [...rows.slice(0, 1_200), bad, ...rows.slice(1_200)];
      await assert.rejects(driver.apply(delta({ added: given })), (error) => {
        assert.ok(error instanceof RefusedRows);
        assert.deepEqual(error.rows, [bad.id]);
        return true;
      });
      await assert.rejects(driver.apply(delta({ added: [bad] })), NotReady);
      const { added, kept } = await driver.adopt(rows);
      assert.equal(added + kept, many);
    });
  });
});
