/** Ranges of networks' numbers by the API: who takes of which, what is free in them, and what stands against changing them. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { longestRange } from "@selvage/model";
import { type Answer, errorOf, type Json, startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";

let server: TestServer;
let red: TestProject;
let blue: TestProject;
before(async () => {
  server = await startTestServer({ on: "memory" });
  red = await server.project("red");
  blue = await server.project("blue");
});
after(() => server[Symbol.asyncDispose]());

const told = (answer: Answer): readonly unknown[] => [answer.status, errorOf(answer).type];
const path = "/v2.0/network_segment_ranges";
const post = (values: Json, by = server.admin) => by.post(path, { network_segment_range: values });
const rangeIn = ({ body }: Answer): Json & { readonly id: string } =>
  body.network_segment_range as Json & { readonly id: string };
const network = (values: Json = {}, by = server.admin) => by.post("/v2.0/networks", { network: values });
const tagOf = ({ body, text, status }: Answer): unknown => {
  assert.equal(status, 201, text);
  return (body.network as Json)["provider:segmentation_id"];
};
const vlan = (physical: string): Json => ({
  "provider:network_type": "vlan",
  "provider:physical_network": physical,
});

test("a VLAN that nobody chose is one of the physical network's range, and the range says who has which", async () => {
  const of = { network_type: "vlan", physical_network: "one", minimum: 10, maximum: 12 };
  const made = await post({ ...of, name: "lans" });
  assert.equal(made.status, 201, made.text);
  const { id, ...range } = rangeIn(made);
  assert.deepEqual(
    [range.available, range.used, range.project_id, range.shared, range.default],
    [[10, 11, 12], {}, null, true, false],
  );
  const chosen = tagOf(await network({ ...vlan("one"), "provider:segmentation_id": 11, project_id: red.id }));
  const others = [tagOf(await network(vlan("one"))), tagOf(await network(vlan("one")))];
  assert.deepEqual([chosen, others.sort()], [11, [10, 12]]);
  const full = await network(vlan("one"));
  assert.deepEqual(told(full), [400, "InvalidInput"]);
  const now = rangeIn(await server.admin.get(`${path}/${id}`));
  assert.deepEqual(
    [now.available, (now.used as Json)["11"], Object.keys(now.used as Json)],
    [[], red.id, ["10", "11", "12"]],
  );
  assert.deepEqual(told(await server.admin.delete(`${path}/${id}`)), [409, "NetworkSegmentRangeReferencedByProject"]);
  const shrink = (values: Json) => server.admin.put(`${path}/${id}`, { network_segment_range: values });
  assert.deepEqual(told(await shrink({ maximum: 11 })), [409, "NetworkSegmentRangeReferencedByProject"]);
  assert.deepEqual(rangeIn(await shrink({ maximum: 13, name: "more" })).available, [13]);
  assert.equal((await network(vlan("two"))).status, 400, "another physical network has none");
});

test("a project takes of its own range before any other, and others never take of it", async () => {
  const own = {
    network_type: "geneve",
    physical_network: "",
    project_id: red.id,
    minimum: 500,
    maximum: 501,
    shared: false,
  };
  const made = await post(own);
  assert.equal(made.status, 201, made.text);
  assert.equal(rangeIn(made).project_id, red.id);
  const numbersOf = async (by: TestProject, count: number): Promise<readonly number[]> => {
    const ids = await Promise.all(Array.from({ length: count }, () => network({}, by.member)));
    const networks = ids.map(({ body }) => (body.network as Json).id);
    return Promise.all(
      networks.map(async (id) => Number((await server.admin.show("network", String(id)))["provider:segmentation_id"])),
    );
  };
  const reds = await numbersOf(red, 3);
  assert.deepEqual(
    reds.filter((number) => number === 500 || number === 501).sort(),
    [500, 501],
    "and then of the rest",
  );
  const blues = await numbersOf(blue, 5);
  assert.ok(blues.every((number) => number !== 500 && number !== 501));
  await post({ network_type: "geneve", minimum: 700, maximum: 701 });
  assert.ok((await numbersOf(blue, 2)).every((number) => number === 700 || number === 701));
  assert.deepEqual(told(await network({}, blue.member)), [503, "NoNetworkAvailable"]);
});

test("what is no range, or runs into another, is refused, and only an admin sees any", async () => {
  const of = { network_type: "vlan", physical_network: "three", minimum: 100, maximum: 200 };
  const { id } = rangeIn(await post(of));
  assert.deepEqual(told(await post({ ...of, minimum: 200, maximum: 300 })), [409, "NetworkSegmentRangeOverlaps"]);
  assert.equal((await post({ ...of, physical_network: "four" })).status, 201);
  for (const values of [
    { minimum: 300, maximum: 299 },
    { minimum: 300, maximum: 4095 },
    { physical_network: null },
    { network_type: "geneve" },
    { network_type: "flat" },
    { minimum: 0 },
  ]) {
    assert.equal((await post({ ...of, ...values })).status, 400, JSON.stringify(values));
  }
  const long = { network_type: "vxlan", minimum: 1, maximum: longestRange + 1 };
  assert.equal((await post(long)).status, 400);
  const foreign = await post({ ...of, minimum: 1, maximum: 2, shared: false, project_id: "nobody" });
  assert.equal(foreign.status, 400);
  assert.deepEqual((await red.member.get(path)).body.network_segment_ranges, []);
  assert.deepEqual(told(await red.member.get(`${path}/${id}`)), [404, "NetworkSegmentRangeNotFound"]);
  assert.equal((await post({ ...of, minimum: 1, maximum: 2 }, red.member)).status, 403);
  assert.equal((await server.admin.delete(`${path}/${id}`)).status, 204);
});
