/** POST /v1/trace over the edge: what leaves for a physical network, what its answer meets, what comes from there, and who may ask. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ToldTrace } from "@selvage/explain";
import { Host, Router } from "@selvage/model";
import { relay } from "../mod.ts";
import { type Json, startTestServer, type TestClient, type TestProject, type TestServer } from "../testing/mod.ts";
import { writeWorld } from "./testing/traced-world.ts";

let server: TestServer;
let red: TestProject;
let blue: TestProject;
const far = { 4: "198.51.100.7", 6: "2001:db8:fa::7" } as const;
const both = (rule: Json): readonly Json[] => [
  { ...rule, ethertype: "IPv4" },
  { ...rule, ethertype: "IPv6" },
];

before(async () => {
  server = await startTestServer({ plugins: [relay()] });
  [red, blue] = await Promise.all([server.project("red"), server.project("blue")]);
  await writeWorld(server.running.core.writer, (world) => {
    world.host("one", 1, ["public"]);
    world.host("two", 2, ["public"]);
    world.network("red-net", red.id);
    world.router("red-router", red.id, ["red-net"]);
    world.outside("wide", "red-router", ["one", "two"]);
    world.group({ name: "open", project: red.id, rules: both({ direction: "egress" }) as never });
    world.group({
      name: "web",
      project: red.id,
      rules: [
        ...both({ direction: "egress" }),
        ...both({ direction: "ingress", protocol: "tcp", port_range_min: 443, port_range_max: 443 }),
      ] as never,
    });
    const red1 = { project: red.id, network: "red-net" };
    world.port({ ...red1, name: "plain", host: "one", at: 11, groups: ["open"] });
    world.port({ ...red1, name: "web", host: "two", at: 12, groups: ["web"] });
    world.port({ ...red1, name: "shut", host: "one", at: 13, groups: ["open"] });
    world.floating("203.0.113.20", red.id, "wide", "red-router", "web");
    world.port({ ...red1, name: "hosted", host: "one", at: 14, groups: ["web"] });
    world.forwarding("203.0.113.30", red.id, "wide", "red-router", "hosted", 8080, 443);
    world.host("three", 3);
    world.network("rack", red.id, {
      ...{ "provider:network_type": "vlan", "provider:physical_network": "public", "provider:segmentation_id": 101 },
      key: 0xf0_0101,
    });
    const standing = { project: red.id, network: "rack", groups: ["open"] };
    world.port({ ...standing, name: "rack-1", host: "one", at: 11 });
    world.port({ ...standing, name: "rack-2", host: "two", at: 12, groups: ["web"] });
    world.port({ ...standing, name: "rack-3", host: "three", at: 13 });
  });
});
after(() => server?.[Symbol.asyncDispose]());

async function traced(body: Json, client: TestClient = server.admin): Promise<ToldTrace> {
  const { status, body: reply, text } = await client.post("/v1/trace", body);
  assert.equal(status, 200, text);
  return reply.trace as ToldTrace;
}
const hostsOf = (trace: ToldTrace): unknown => trace.legs.map(({ hops }) => hops.map(({ host }) => host));
const tables = (trace: ToldTrace, leg: number): readonly string[] =>
  trace.legs[leg]?.hops.flatMap(({ steps }) => steps.map(({ table }) => table)) ?? [];
const packets = (trace: ToldTrace, leg: number): readonly string[] =>
  trace.legs[leg]?.hops.map(({ packet }) => packet) ?? [];

test("a machine's packet leaves with its router's address and a port of its host, and the answer finds its way back by whoever speaks for the address", async () => {
  const trace = await traced({ from: "plain", to: far[4], protocol: "tcp", destination_port: 443 });
  assert.equal(trace.delivered, true, trace.summary);
  assert.equal(
    trace.summary,
    `It is out on the physical network, from 203.0.113.10 to ${far[4]}. Its answer is delivered.`,
  );
  assert.deepEqual(
    trace.legs.map(({ direction }) => direction),
    ["forward", "reply"],
  );
  for (const table of ["route", "nat_out", "snat_new", "snat_check", "provider_out"])
    assert.ok(tables(trace, 0).includes(table), table);
  assert.ok(!tables(trace, 0).includes("live_in"));
  const [there, back] = trace.legs;
  assert.equal(there?.hops[0]?.outcomes.at(-1), "out on the physical network public");
  assert.equal(back?.from.name, "wide");
  assert.match(
    packets(trace, 1)[0] ?? "",
    /198\.51\.100\.7\.443 > 203\.0\.113\.10\.(10[2-9]\d|1[1-9]\d\d|20[0-3]\d|204[0-7]):/,
  );
  assert.equal(back?.hops.at(-1)?.host, "one");
  assert.ok(tables(trace, 1).includes("ext_in"));
  assert.deepEqual(back?.ending.kind, "delivered");
});

test("IPv6 leaves as it is, and the answer comes by the router's gateway, which is said", async () => {
  const trace = await traced({ from: "plain", to: far[6], protocol: "tcp" });
  assert.equal(trace.delivered, true, trace.summary);
  assert.match(trace.summary, /from 2001:db8:1::b to 2001:db8:fa::7/);
  assert.ok(trace.notes.includes("Whoever is outside is taken to have a route to 2001:db8:1::b by 2001:db8:ff::a."));
});

test("a floating address is its machine's both ways, and what its groups do not let in is dropped for that", async () => {
  const asked = { from: far[4], protocol: "tcp", destination_port: 443 };
  for (const to of ["web", "203.0.113.20"]) {
    const trace = await traced({ ...asked, to });
    assert.equal(trace.delivered, true, trace.summary);
    assert.deepEqual(hostsOf(trace), [["two"], ["two"]]);
    assert.deepEqual(
      trace.notes.filter((note) => note.includes("whoever asked")),
      [],
    );
    assert.match(packets(trace, 0)[0] ?? "", /> 203\.0\.113\.20\.443/);
    assert.equal(trace.legs[1]?.ending.kind, "outside");
  }
  const shut = await traced({ ...asked, to: "web", destination_port: 80 });
  const { ending } = shut.legs.at(-1) ?? {};
  assert.ok(ending?.kind === "dropped" && ending.reason === "sg-default-deny-ingress", shut.summary);
  assert.equal(ending.nearest[0]?.group, "web");
  const out = await traced({ from: "web", to: far[4], protocol: "udp", destination_port: 53 });
  assert.match(out.summary, /from 203\.0\.113\.20 to 198\.51\.100\.7\. Its answer is delivered\.$/);
});

test("a floating address on another host is met by the wire: its next hop is asked for there", async () => {
  const trace = await traced({ from: "plain", to: "203.0.113.20", protocol: "tcp", destination_port: 443 });
  assert.equal(trace.delivered, true, trace.summary);
  assert.deepEqual(
    trace.legs[0]?.hops.map(({ host }) => host),
    ["one", "two"],
  );
  assert.equal(trace.legs[0]?.ending.kind, "delivered");
});

test("machines of a VLAN on two hosts meet by the wire, there and back; one whose host has no wire is not met", async () => {
  for (const ip_version of [4, 6]) {
    const asked = { from: "rack-1", protocol: "tcp", destination_port: 443, ip_version };
    const trace = await traced({ ...asked, to: "rack-2" });
    assert.equal(trace.delivered, true, trace.summary);
    assert.equal(trace.summary, "The packet is delivered, and so is its answer.");
    assert.deepEqual(hostsOf(trace), [
      ["one", "two"],
      ["two", "one"],
    ]);
    for (const table of ["provider_out", "provider_in", "policy_in"])
      assert.ok(tables(trace, 0).includes(table), table);
    const shut = await traced({ ...asked, to: "rack-2", destination_port: 80 });
    const { ending } = shut.legs.at(-1) ?? {};
    assert.ok(ending?.kind === "dropped" && ending.reason === "sg-default-deny-ingress", shut.summary);
    const lost = await traced({ ...asked, to: "rack-3" });
    assert.equal(lost.delivered, false);
    assert.match(lost.summary, /out on the physical network, .* It does not come to port rack-3\.$/);
  }
});

test("a machine reaches itself by a port that is forwarded to it, and so does its answer", async () => {
  const trace = await traced({ from: "hosted", to: "203.0.113.30", protocol: "tcp", destination_port: 8080 });
  assert.deepEqual(
    trace.legs.map(({ ending }) => ending.kind),
    ["delivered", "delivered"],
    trace.summary,
  );
  assert.equal(trace.legs[0]?.hops.at(-1)?.outcomes.at(-1), "out of port hosted");
});

test("a router's own address answers pings from outside; what nobody asked for is dropped", async () => {
  for (const [from, to] of [
    [far[4], "203.0.113.10"],
    [far[6], "2001:db8:ff::a"],
  ]) {
    const trace = await traced({ from, to });
    assert.deepEqual([trace.delivered, trace.legs.at(-1)?.ending.kind], [true, "answered"], trace.summary);
  }
  const scan = await traced({ from: far[4], to: "203.0.113.10", protocol: "tcp", destination_port: 22 });
  assert.equal(scan.delivered, false);
  const nobody = await traced({ from: far[4], to: "203.0.113.99" });
  assert.equal(nobody.summary, "No host answers for 203.0.113.99 on wide.");
});

test("a host of the router's zones answers for its addresses, and for those whose ports are forwarded", async () => {
  const { writer } = server.running.core;
  const write = (zones: readonly string[]) =>
    writer.transact({ kind: "system", id: "test", request_id: "test" }, (transaction) => {
      for (const host of [...writer.replica.objects(Host)])
        transaction.put(Host, { ...host, availability_zone: host.name === "one" ? "east" : "west" });
      for (const router of [...writer.replica.objects(Router)])
        transaction.put(Router, { ...router, availability_zone_hints: zones });
    });
  for (const [zone, host] of [
    ["east", "one"],
    ["west", "two"],
  ] as const) {
    await write([zone]);
    for (const asked of [
      { from: far[4], to: "203.0.113.10" },
      { from: far[6], to: "2001:db8:ff::a" },
      { from: far[4], to: "203.0.113.30", protocol: "tcp", destination_port: 8080 },
    ]) {
      const trace = await traced(asked);
      assert.equal(trace.delivered, true, trace.summary);
      assert.equal(trace.legs[0]?.hops[0]?.host, host, `${asked.to} in ${zone}`);
    }
  }
  await write([]);
});

test("a project asks from outside for what is its own alone, and is told of no host, wire or other's object", async () => {
  const trace = await traced({ from: far[4], to: "203.0.113.20", protocol: "tcp", destination_port: 443 }, red.reader);
  assert.equal(trace.delivered, true);
  assert.doesNotMatch(JSON.stringify(trace), /"(one|two|wide)"|physical:|network public|srcPort|dstPort|06:53/);
  const refused = async (client: TestClient, body: Json): Promise<number> =>
    (await client.post("/v1/trace", body)).status;
  assert.equal(await refused(blue.reader, { from: far[4], to: "203.0.113.20" }), 400);
  assert.equal(await refused(blue.reader, { from: far[4], to: "web" }), 404);
  assert.equal(await refused(red.reader, { from: far[4], to: "203.0.113.10" }), 400);
  assert.equal(await refused(server.admin, { from: far[4], to: "10.9.9.9" }), 400);
  assert.equal(await refused(server.admin, { from: far[6], to: "203.0.113.20" }), 400);
});
