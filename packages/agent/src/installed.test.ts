/** What a switch holds, told as rows and objects: in the order of the tables, what nobody explains last. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostEngine } from "@selvage/compiler";
import { SimulatedDatapath } from "@selvage/datapath";
import { Attachment, Host, Network, Port } from "@selvage/model";
import { makeHost, makeNetwork, makePort, put, testId } from "@selvage/model/testing";
import { selvageProgram } from "@selvage/pipeline";
import { flowsOf } from "./installed.ts";

test("each row with its objects and packets; the program's own are of nobody, and so is what is strange", async () => {
  const engine = hostEngine({ name: "h1" });
  const port = makePort({ "binding:host_id": "h1" });
  const { added } = engine.apply(
    [put(Host, makeHost()), put(Network, makeNetwork()), put(Port, port), put(Attachment, { id: port.id })],
    1,
  );
  const datapath = new SimulatedDatapath();
  await datapath.apply({ added, removed: [], modified: [] });
  datapath.receive(port.id, new Uint8Array(60));
  const strange = { row: null, text: "priority=1 actions=NORMAL", packets: 7 };
  const { host, flows } = await flowsOf(
    "h1",
    { program: selvageProgram, installed: async () => [strange, ...(await datapath.installed())] },
    engine,
  );
  assert.equal(host, "h1");
  assert.equal(flows.length, added.length + selvageProgram.constants.length + 1);
  const classify = flows.find(({ row }) => row?.startsWith(`classify(ingress=${port.id})`));
  assert.deepEqual([classify?.objects, classify?.packets], [[{ kind: "port", id: port.id }], 1]);
  const flood = flows.find(({ table }) => table === "mcast");
  assert.deepEqual(flood?.objects, [{ kind: "network", id: testId("network", 1) }]);
  assert.ok(flows.some(({ table, objects }) => table === "arp" && objects.length === 0));
  assert.deepEqual(flows.at(-1), { table: null, row: null, objects: [], packets: 7, text: strange.text });
  const numbers = new Map(selvageProgram.tables.map(({ name, number }) => [name, number]));
  const order = flows.slice(0, -1).map(({ table }) => numbers.get(table ?? "") ?? Number.NaN);
  assert.deepEqual(
    order,
    [...order].sort((one, other) => one - other),
  );
});
