/** The outside on real switches: zones that translate, what is kept of them, and connections that come and go as fast as they can. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { NatAsk, NatOut, OwnLease } from "@selvage/pipeline";
import { churn } from "../testing/churn.ts";
import { outside, outsideRows, routerId } from "../testing/outside-world.ts";
import { OvsHosts, ovsTestFabric } from "../testing/ovs-fabric.ts";
import { delta, World } from "../testing/world.ts";

describe("Open vSwitch translates", () => {
  let hosts: OvsHosts;
  before(async () => {
    hosts = await OvsHosts.start(4, 2);
  });
  after(() => hosts?.dispose());
  const host = () => hosts.hosts[0] ?? assert.fail("no host");
  const inWorld = async (work: (world: World) => Promise<void>): Promise<void> => {
    const fabric = await ovsTestFabric(hosts);
    try {
      await work(new World(fabric));
    } finally {
      await fabric.dispose();
    }
  };
  const zoneOf = async (): Promise<number> => {
    const key = `external_ids:selvage-zone-nat\\:${routerId}`;
    const text = await host().vsctl("--if-exists", "get", "bridge", "br-int", key);
    return Number(text.trim().replaceAll('"', ""));
  };
  const timeouts = () => host().vsctl("list-zone-tp", "netdev");

  test("a router's zone has its own limit and short waits, is kept by a restart, and gone with its rows", () =>
    inWorld(async (world) => {
      await outside(world);
      const zone = await zoneOf();
      assert.ok(zone >= 64, `${zone}`);
      const limits = await host().appctl("dpctl/ct-get-limits", "netdev@ovs-netdev", `zone=${zone}`);
      assert.match(limits, new RegExp(`zone=${zone},limit=60000`));
      assert.match(await timeouts(), new RegExp(`Zone:${zone}, Timeout Policies:.*tcp_close=10.*tcp_time_wait=10`));
      await world.host(0).reopen();
      await world.open(0);
      await world.datapath(0).adopt(outsideRows(world, 0));
      assert.equal(await zoneOf(), zone);
      const named = outsideRows(world, 0).filter(
        ({ table, action }) =>
          table === OwnLease.name || table === NatAsk.name || (table === NatOut.name && action === "source"),
      );
      await world.datapath(0).apply(delta({ removed: named }));
      assert.equal(await zoneOf(), 0, "its number is no one's");
      assert.doesNotMatch(await timeouts(), /Zone:/);
    }));

  test("connections that come and go do not end the switch, and none leaves as it is", (context) =>
    inWorld(async (world) => {
      const starts = await host().vsctl("get", "open_vswitch", ".", "external_ids:starts");
      const figures = await churn(world, { seconds: 4, least: 1_000, rate: 2_000, sources: 1_000, destinations: 4 });
      context.diagnostic(JSON.stringify(figures));
      assert.equal(figures.leaked, 0);
      assert.match(await host().appctl("version"), /Open vSwitch/);
      assert.equal(await host().vsctl("get", "open_vswitch", ".", "external_ids:starts"), starts);
      assert.equal(
        world.heard(0).life.all.filter((event) => event === "lost").length,
        0,
        "the switch was there all along",
      );
    }));
});
