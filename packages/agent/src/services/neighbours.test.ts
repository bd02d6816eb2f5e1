/** Neighbours outside over an agent's restart: what answered once is believed at once, asked for again, and given up when it is silent. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createMetrics, ManualClock, silentLog } from "@selvage/base";
import { hostMac } from "@selvage/compiler";
import { type Change, Host, LearnedNeighbour, Network, neighbourId, Replica } from "@selvage/model";
import { makeHost, makeNetwork, put } from "@selvage/model/testing";
import { decode, encode } from "@selvage/packet";
import { Route, Routed, type Row, row } from "@selvage/pipeline";
import { type KeptNeighbour, KeptNeighbours } from "./kept-neighbours.ts";
import { Neighbours } from "./neighbours.ts";

const net = 0xf00001;
const own = hostMac(7);
const gateway = { address: "203.0.113.1", mac: "02:00:00:00:00:01" } as const;
const network = makeNetwork({
  key: net,
  "provider:network_type": "flat",
  "provider:physical_network": "public",
  "provider:segmentation_id": null,
});
const view = new Replica();
view.apply([put(Host, makeHost({ name: "h1", key: 7, physical_networks: ["public"] })), put(Network, network)], 1);
const id = neighbourId(network.id, gateway.address);
const fact = { kind: LearnedNeighbour.kind, id, object: { id, network_id: network.id, ...gateway } };
const gone = { kind: LearnedNeighbour.kind, id, object: null };
const known: KeptNeighbour = { net, networkId: network.id, ...gateway };
const wayOut: Row = row(Route, { vrf: 1, ethType: 0x0800, ip4Dst: "0.0.0.0/0" }, "via", {
  net,
  mac: own,
  nh: gateway.address,
});

async function started(before: readonly KeptNeighbour[]) {
  const clock = new ManualClock();
  const facts: Change[] = [];
  const asked: string[] = [];
  const sent: string[] = [];
  let written: readonly KeptNeighbour[] | undefined;
  const neighbours = new Neighbours({
    ...{ view, hostName: "h1", clock, log: silentLog, metrics: await createMetrics(), owns: () => false },
    datapath: {
      resume: async (table, { net, vrf, sentOn }, frame) => {
        assert.deepEqual([table, net], [Routed.name, wayOut.args.net]);
        sent.push(`${vrf}/${sentOn?.underway.srcPort} to ${sentOn?.nhMac}: ${frame.at(-1)}`);
      },
      send: async (_, frame) => {
        const read = decode(frame);
        asked.push((read.ok && read.packet.arp?.tpa) || "?");
      },
    },
    kept: {
      before,
      write: (all) => {
        written = [...all()];
      },
    },
    learned: (changes) => facts.push(...changes),
  });
  neighbours.restore();
  neighbours.changed({ added: [wayOut], removed: [], modified: [] });
  const answers = (mac: string = gateway.mac): void => {
    const frame = encode({
      eth: { src: mac, dst: own },
      arp: { op: 2, sha: mac, spa: gateway.address, tha: own, tpa: "0.0.0.0" },
    });
    neighbours.serve({ attachment: "physical:public", net, vrf: 0, srcPort: 0, kind: "neighbour", frame });
  };
  /** A packet of a machine's that a router would send on, to somewhere by way of a next hop. */
  const wants = (nextHop: string, mark: number, dst = nextHop, srcPort = 5): string => {
    const frame = encode({
      eth: { src: own, dst: own },
      ipv4: { src: "10.0.0.5", dst },
      udp: { src: 1, dst: 2 },
      payload: Uint8Array.of(mark),
    });
    const waits = { nextHop, underway: { srcPort, srcSet: 1, scope: 2, hop: 1 } };
    const attachment = `port ${srcPort}`;
    return neighbours.serve({ attachment, net, vrf: 9, srcPort, kind: "neighbour", frame, waits }).answer;
  };
  return {
    wants,
    sent: () => sent.splice(0),
    neighbours,
    clock,
    answers,
    facts: () => facts.splice(0),
    asked: () => asked.splice(0),
    written: () => written,
  };
}

test("what answered before the agent ended is known from its start, and asked for soon", async () => {
  const { neighbours, clock, answers, facts, asked, written } = await started([known]);
  assert.deepEqual([facts(), asked()], [[fact], []]);
  clock.advance(250);
  assert.deepEqual(asked(), [gateway.address]);
  answers();
  clock.advance(10_000);
  assert.deepEqual([facts(), asked(), written()], [[], [], undefined]);
  neighbours.close();
});

test("what does not answer any more is given up, and not kept", async () => {
  const { neighbours, clock, facts, asked, written } = await started([known]);
  assert.deepEqual(facts(), [fact]);
  clock.advance(30_000);
  assert.ok(asked().length > 4);
  assert.deepEqual([facts(), written()], [[gone], []]);
  neighbours.close();
});

test("what was known of a network whose key is another's now holds of that other once it answers", async () => {
  const networkId = "5d4ce0f1-0000-4000-8000-000000000001";
  const { neighbours, clock, answers, facts, written } = await started([{ ...known, networkId }]);
  const former = neighbourId(networkId, gateway.address);
  const { kind } = LearnedNeighbour;
  assert.deepEqual(facts(), [{ kind, id: former, object: { id: former, network_id: networkId, ...gateway } }]);
  clock.advance(250);
  answers();
  assert.deepEqual([facts(), written()], [[{ kind, id: former, object: null }, fact], [known]]);
  neighbours.close();
});

test("what answers for the first time is kept, and an agent that ends keeps it", async () => {
  const { neighbours, clock, answers, facts, asked, written } = await started([]);
  assert.deepEqual([facts(), asked()], [[], [gateway.address]]);
  answers();
  assert.deepEqual([facts(), written()], [[fact], [known]]);
  neighbours.close();
  clock.advance(60_000);
  assert.deepEqual([facts(), written()], [[], [known]]);
});

test("an address has another MAC once a second at most, and is asked for again when that is over", async () => {
  const { neighbours, clock, answers, facts, asked, written } = await started([]);
  const other = "02:00:00:00:00:02";
  answers();
  assert.deepEqual([facts(), asked()], [[fact], [gateway.address]]);
  for (let flips = 0; flips < 20; flips += 1) {
    answers(other);
    answers();
  }
  clock.advance(999);
  answers(other);
  assert.deepEqual([facts(), asked(), written()], [[], [], [known]]);
  clock.advance(1);
  assert.deepEqual(asked(), [gateway.address]);
  answers(other);
  answers();
  assert.deepEqual(facts(), [{ ...fact, object: { ...fact.object, mac: other } }]);
  assert.deepEqual(written(), [{ ...known, mac: other }]);
  neighbours.close();
});

test("packets wait for the answer and go on in their order, and at once when it is there", async () => {
  const { neighbours, clock, answers, wants, sent, asked } = await started([]);
  const to = `9/5 to ${gateway.mac}`;
  assert.deepEqual([wants(gateway.address, 1), wants(gateway.address, 2, "192.0.2.1")], ["reply", "reply"]);
  assert.deepEqual([sent(), asked()], [[], [gateway.address]]);
  answers();
  assert.deepEqual(sent(), [`${to}: 1`, `${to}: 2`]);
  answers();
  assert.deepEqual([sent(), wants(gateway.address, 3)], [[], "resume"], "the answer is faster than its row");
  // Nobody asks for what is neither on the link nor a gateway, and nothing waits for it.
  assert.equal(wants("192.0.2.9", 4), "silence");
  assert.deepEqual(asked(), []);
  clock.advance(1_000);
  neighbours.close();
});

test("whoever answers after a second finds nobody waiting, and each machine has its own share", async () => {
  const { neighbours, clock, answers, wants, sent } = await started([]);
  wants(gateway.address, 1);
  clock.advance(1_000);
  answers();
  assert.deepEqual(sent(), []);
  neighbours.close();
  const second = await started([]);
  second.wants(gateway.address, 1, gateway.address, 6);
  for (let mark = 1; mark <= 40; mark += 1) second.wants(gateway.address, mark);
  second.answers();
  const of = (port: number, mark: number): string => `9/${port} to ${gateway.mac}: ${mark}`;
  assert.deepEqual(second.sent(), [of(6, 1), of(5, 38), of(5, 39), of(5, 40)]);
  second.neighbours.close();
});

test("what changes all the time is written every few seconds, and at once when it ends", async () => {
  const directory = await mkdtemp(join(tmpdir(), "selvage-kept-"));
  try {
    const path = join(directory, "neighbours");
    const clock = new ManualClock();
    const kept = await KeptNeighbours.open(path, silentLog, clock);
    const read = async () => (await KeptNeighbours.open(path, silentLog)).before;
    const with6 = { ...known, address: "2001:db8:ff::1" };
    kept.write(() => [known]);
    await kept.settled();
    kept.write(() => []);
    kept.write(() => [with6]);
    assert.equal(clock.pending, 1);
    assert.deepEqual(await read(), [known]);
    clock.advance(2_000);
    await kept.settled();
    assert.deepEqual([await read(), clock.pending], [[with6], 0]);
    kept.write(() => [known, with6]);
    assert.equal(clock.pending, 1);
    await kept.settled();
    assert.deepEqual([await read(), clock.pending], [[known, with6], 0]);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test("the file gives back what was written last; one that is no use is as good as none", async () => {
  const directory = await mkdtemp(join(tmpdir(), "selvage-kept-"));
  try {
    const path = join(directory, "neighbours");
    const first = await KeptNeighbours.open(path, silentLog);
    assert.deepEqual(first.before, []);
    const other = { ...known, address: "2001:db8:ff::1" };
    for (const all of [[other], [], [known, other]]) first.write(() => all);
    await first.settled();
    assert.deepEqual((await KeptNeighbours.open(path, silentLog)).before, [known, other]);
    const text = await readFile(path, "utf8");
    for (const spoilt of [text.slice(0, -9), "", "null", '{"format":2}', '{"format":1,"neighbours":[{"net":1}, 7]}']) {
      await writeFile(path, spoilt);
      assert.deepEqual((await KeptNeighbours.open(path, silentLog)).before, [], spoilt);
    }
  } finally {
    await rm(directory, { recursive: true });
  }
});
