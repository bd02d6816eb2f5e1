/** How hosts see each other, on real switches: who stops is away, who returns is not, and whoever begins to watch is told what the switch knows already. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ManualClock } from "@selvage/base";
import { Journal } from "../testing/journal.ts";
import { OvsHosts } from "../testing/ovs-fabric.ts";
import { PeerWatch } from "./peer-watch.ts";

const deadline = 30_000;

describe("hosts that watch each other", () => {
  let hosts: OvsHosts;
  before(async () => {
    hosts = await OvsHosts.start(4, 2);
  });
  after(() => hosts?.dispose());

  const hostAt = (place: number) => hosts.hosts[place] ?? assert.fail(`no host ${place}`);

  /** Watches the other host by a clock that stands: nothing is away because time has passed. */
  function watching(place: number) {
    const { database, plan } = hostAt(place);
    const bridge = "br-int";
    const watch = new PeerWatch({ database, bridge, tunnelIp: plan.address, clock: new ManualClock() });
    const told = new Journal<string>();
    const address = hostAt(1 - place).plan.address;
    watch.watch([{ id: `host${1 - place}`, address }], (away) => told.add([...away].join()));
    return { watch, told };
  }

  test("who stops is away, also for who begins to watch then; who returns is not", async () => {
    for (const host of hosts.hosts)
      await host.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev");
    const [one, other] = [watching(0), watching(1)];
    const hasSeen = async (place: number): Promise<void> => {
      await hostAt(place).vsctl("wait-until", "interface", `bfd-host${1 - place}`, "bfd_status:state=up");
    };
    for (const place of [0, 1]) await hasSeen(place);
    assert.deepEqual([...one.watch.away, ...other.watch.away], []);

    await hostAt(1).stopSwitch();
    await one.told.first((away) => away === "host1", "it is away", deadline);
    await one.watch.close();
    const next = watching(0);
    await next.told.first((away) => away === "host1", "it is away for who watches from now on", deadline);

    await hosts.restart(hostAt(1));
    const from = next.told.all.length;
    await next.told.first((away) => away === "", "it is back", deadline, from);
    await next.watch.close();
    await other.watch.close();
  });
});
