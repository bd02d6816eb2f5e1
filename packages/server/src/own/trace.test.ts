/** POST /v1/trace: every way in which a packet can end, told to admins and to the project's own; and what another project is not told. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ToldTrace } from "@selvage/explain";
import { Port } from "@selvage/model";
import { testId } from "@selvage/model/testing";
import { relay } from "../mod.ts";
import {
  type Answer,
  type Json,
  startTestServer,
  type TestClient,
  type TestProject,
  type TestServer,
} from "../testing/mod.ts";
import { writeWorld } from "./testing/traced-world.ts";
import { Tracer } from "./tracer.ts";

let server: TestServer;
let red: TestProject;
let blue: TestProject;

const both = (rule: Json): readonly Json[] => [
  { ...rule, ethertype: "IPv4" },
  { ...rule, ethertype: "IPv6" },
];

before(async () => {
  server = await startTestServer({ plugins: [relay()] });
  [red, blue] = await Promise.all([server.project("red"), server.project("blue")]);
  await writeWorld(server.running.core.writer, (world) => {
    world.host("host-one", 1);
    world.host("host-two", 2);
    world.network("red-a", red.id);
    world.network("red-b", red.id);
    world.network("red-lonely", red.id);
    world.router("red-router", red.id, ["red-a", "red-b"]);
    world.group({ name: "red-out", project: red.id, rules: both({ direction: "egress" }) as never });
    world.group({
      name: "red-web",
      project: red.id,
      rules: [
        ...both({ direction: "egress" }),
        ...both({ direction: "ingress", protocol: "tcp", port_range_min: 443, port_range_max: 443 }),
        {
          direction: "ingress",
          protocol: "udp",
          port_range_min: 53,
          port_range_max: 53,
          remote_group_id: testId("group red-web"),
        },
      ] as never,
    });
    world.group({ name: "red-mute", project: red.id, rules: [] });
    world.group({
      name: "red-plain",
      project: red.id,
      stateful: false,
      rules: [{ direction: "ingress", protocol: "udp", port_range_min: 53, port_range_max: 53 }],
    });
    world.group({
      name: "blue-ssh",
      project: blue.id,
      rules: [{ direction: "ingress", protocol: "tcp", port_range_min: 22, port_range_max: 22 }],
    });
    const red1 = { project: red.id, network: "red-a" };
    world.port({ ...red1, name: "a1", host: "host-one", at: 11 });
    world.port({ ...red1, name: "a2", host: "host-two", at: 12 });
    world.port({ ...red1, name: "client", host: "host-one", at: 13, groups: ["red-out"] });
    world.port({ ...red1, name: "mute", host: "host-one", at: 14, groups: ["red-mute"] });
    world.port({ ...red1, name: "plain", host: "host-two", at: 15, groups: ["red-plain"] });
    world.port({ ...red1, name: "loose", at: 16 });
    world.port({ ...red1, name: "twin", host: "host-one", at: 17 });
    world.port({ ...red1, name: "twin", host: "host-one", at: 18, port: { id: testId("port twin", 2) } });
    world.port({ project: red.id, network: "red-b", name: "web", host: "host-two", at: 11, groups: ["red-web"] });
    const allowed_address_pairs = ["10.0.2.200", "2001:db8:2::c8"].map((ip_address) => ({
      ...{ ip_address, mac_address: "00:00:5e:00:01:07" },
    }));
    const mover = { project: red.id, network: "red-b", at: 31, port: { allowed_address_pairs } };
    world.port({ ...mover, name: "mover", host: "host-two" });
    world.port({ project: red.id, network: "red-lonely", name: "lonely", host: "host-one", at: 11 });
    const again = [{ subnet_id: testId("v4 red-lonely"), ip_address: "10.0.1.11" }];
    world.port({ project: blue.id, network: "red-lonely", name: "same", at: 12, port: { fixed_ips: again } });
    world.port({
      project: blue.id,
      network: "red-a",
      name: "blue-guest",
      host: "host-two",
      at: 21,
      groups: ["blue-ssh"],
    });
    world.port({ project: blue.id, network: "red-a", name: "blue-open", host: "host-two", at: 22 });
  });
});
after(() => server?.[Symbol.asyncDispose]());

const ask = (client: TestClient, body: Json): Promise<Answer> => client.post("/v1/trace", body);

async function traced(body: Json, client: TestClient = server.admin): Promise<ToldTrace> {
  const { status, body: reply, text } = await ask(client, body);
  assert.equal(status, 200, text);
  return reply.trace as ToldTrace;
}

const typeOf = ({ body }: Answer): unknown => (body.error as Json | undefined)?.type;

const directions = ({ legs }: ToldTrace): readonly string[] => legs.map(({ direction }) => direction);
const last = ({ legs }: ToldTrace) => {
  const leg = legs.at(-1);
  assert.ok(leg !== undefined);
  return leg;
};
const tablesOf = (trace: ToldTrace, leg: number): readonly (readonly string[])[] =>
  (trace.legs[leg]?.hops ?? []).map(({ steps }) => steps.map(({ table }) => table));
function droppedFor(trace: ToldTrace, reason: string) {
  const { ending } = last(trace);
  assert.equal(trace.delivered, false);
  assert.ok(ending.kind === "dropped", JSON.stringify(ending));
  assert.equal(ending.reason, reason);
  assert.ok(ending.text !== "" && ending.hint !== "" && ending.table !== "");
  return ending;
}

for (const version of [4, 6]) {
  test(`IPv${version}: across hosts and back: every table, row and object of the way`, async () => {
    const trace = await traced({ from: "a1", to: "a2", ip_version: version });
    assert.equal(trace.delivered, true, trace.summary);
    assert.equal(trace.summary, "The packet is delivered, and so is its answer.");
    assert.deepEqual(directions(trace), ["forward", "reply"]);
    const [there, back] = trace.legs;
    assert.deepEqual(
      there?.hops.map(({ host }) => host),
      ["host-one", "host-two"],
    );
    assert.deepEqual(
      back?.hops.map(({ host }) => host),
      ["host-two", "host-one"],
    );
    assert.equal(tablesOf(trace, 0)[0]?.[0], "classify");
    assert.equal(tablesOf(trace, 0)[1]?.at(-1), "deliver");
    assert.deepEqual(there?.ending, {
      kind: "delivered",
      port: { kind: "port", id: testId("port a2"), name: "a2" },
      text: "It comes out of port a2.",
    });
    for (const { steps } of there?.hops ?? []) for (const { text } of steps) assert.notEqual(text, "");
    const [classify] = there?.hops[0]?.steps ?? [];
    assert.deepEqual(classify?.row?.objects, [{ kind: "port", id: testId("port a1"), name: "a1" }]);
    assert.match(classify?.row?.row ?? "", /^classify\(.*\) → machine\(port=\d+, net=7001\)$/);
    const all = JSON.stringify(there);
    assert.match(all, /"kind":"network","id":"[^"]+","name":"red-a"/);
    assert.match(all, /"kind":"host","id":"[^"]+","name":"host-two"/);
  });

  test(`IPv${version}: through a router and by a rule, with its connection: the answer needs no rule`, async () => {
    const trace = await traced({
      from: "client",
      to: "web",
      protocol: "tcp",
      destination_port: 443,
      ip_version: version,
    });
    assert.equal(trace.delivered, true, trace.summary);
    const [there] = tablesOf(trace, 0);
    assert.ok(there?.includes("route") && there.includes("policy_out"), String(there));
    const policy = trace.legs[0]?.hops[1]?.steps.find(({ table }) => table === "policy_in");
    assert.equal(policy?.row?.objects[0]?.name, `ingress IPv${version} tcp port 443 from anybody`);
    assert.equal(policy?.clauses?.length, 2);
    assert.ok(tablesOf(trace, 1)[0]?.includes("live_out"));
    assert.equal(tablesOf(trace, 1)[0]?.includes("policy_out"), false, "an answer is of its connection");
  });

  test(`IPv${version}: an address that moves is at a machine that may have it, for one beside it and through a router`, async () => {
    for (const from of ["a1", "web"]) {
      const to = version === 4 ? "10.0.2.200" : "2001:db8:2::c8";
      const { legs, summary } = await traced({ from, to });
      const end = legs.find(({ direction }) => direction === "forward")?.ending;
      assert.deepEqual([end?.kind, end?.kind === "delivered" && end.port.name], ["delivered", "mover"], summary);
    }
  });

  test(`IPv${version}: a rule is missing: the drop, its hint, and the rule that came nearest`, async () => {
    const trace = await traced({
      from: "client",
      to: "web",
      protocol: "tcp",
      destination_port: 80,
      ip_version: version,
    });
    const { nearest, hint } = droppedFor(trace, "sg-default-deny-ingress");
    assert.match(hint, /Add an ingress rule/);
    assert.deepEqual(
      { group: nearest[0]?.group, text: nearest[0]?.text, fails: nearest[0]?.fails },
      {
        group: "red-web",
        text: `ingress IPv${version} tcp port 443 from anybody`,
        fails: [`it is for IPv${version} tcp port 443, and this is tcp to port 80`],
      },
    );
    assert.match(trace.summary, /^The packet is dropped \(sg-default-deny-ingress\): no ingress rule/);
  });

  test(`IPv${version}: a router's own address answers pings, and nothing else`, async () => {
    const gateway = version === 4 ? "10.0.1.1" : "2001:db8:1::1";
    const pinged = await traced({ from: "a1", to: gateway });
    assert.deepEqual([pinged.delivered, last(pinged).ending.kind], [true, "answered"]);
    const closed = droppedFor(await traced({ from: "a1", to: gateway, protocol: "tcp" }), "router-port-closed");
    assert.match(closed.text, /told so by ICMP \(port-unreachable\)/);
  });

  test(`IPv${version}: the host's services are asked on the link`, async () => {
    const asked = await traced({
      from: "a1",
      to: version === 4 ? "169.254.169.254" : "fe80::a9fe:a9fe",
      protocol: "tcp",
    });
    assert.deepEqual(
      [asked.delivered, last(asked).ending],
      [true, { kind: "answered", by: "services", text: "The host's own services get it." }],
    );
    assert.ok(tablesOf(asked, 0)[0]?.includes("metadata"));
  });

  test(`IPv${version}: what routers do not send on: too many hops, too large`, async () => {
    droppedFor(await traced({ from: "a1", to: "web", ttl: 1, ip_version: version }), "ttl-expired");
    droppedFor(await traced({ from: "a1", to: "web", size: 1500, ip_version: version }), "mtu-exceeded");
    droppedFor(await traced({ from: "a1", to: "a2", size: 1500, ip_version: version }), "mtu-exceeded");
    assert.equal((await traced({ from: "a1", to: "a2", size: 1442, ip_version: version })).delivered, true);
  });

  test(`IPv${version}: no router, nobody there, no route`, async () => {
    const noWay = await traced({ from: "lonely", to: "a1", ip_version: version });
    assert.match(
      noWay.summary,
      /^Nothing is sent by the machine of port lonely: .* is on another network, and no router has/,
    );
    assert.deepEqual([noWay.delivered, last(noWay).hops], [false, []]);
    const nobody = await traced({ from: "a1", to: version === 4 ? "10.0.1.99" : "2001:db8:1::99" });
    assert.deepEqual(directions(nobody), ["ask"]);
    droppedFor(nobody, "neighbour-unresolved");
    droppedFor(await traced({ from: "a1", to: version === 4 ? "203.0.113.1" : "2001:db8:ffff::1" }), "no-route");
  });
}

test("a rule by group names who is meant, and that the sender is none of them", async () => {
  const { nearest } = droppedFor(
    await traced({ from: "client", to: "web", protocol: "udp", destination_port: 53 }),
    "sg-default-deny-ingress",
  );
  assert.deepEqual(nearest[0]?.fails, ["it is for members of security group red-web, and the sender is none of them"]);
});

test("a port whose groups have no rule sends nothing; one that is bound nowhere neither", async () => {
  assert.deepEqual(droppedFor(await traced({ from: "mute", to: "a1" }), "sg-default-deny-egress").nearest, []);
  assert.match((await traced({ from: "loose", to: "a1" })).summary, /of port loose: it is bound to no host\.$/);
  droppedFor(await traced({ from: "a1", to: "loose" }), "neighbour-unresolved");
});

test("without connections the answer needs a rule of its own, and has none", async () => {
  const trace = await traced({ from: "a1", to: "plain", protocol: "udp", destination_port: 53 });
  assert.deepEqual(directions(trace), ["forward", "reply"]);
  assert.equal(trace.legs[0]?.ending.kind, "delivered");
  droppedFor(trace, "sg-default-deny-egress");
  assert.match(trace.summary, /^The answer is dropped/);
});

test("what the host's agent answers: DHCP by unicast", async () => {
  const body = { from: "lonely", to: "10.0.3.1", protocol: "udp", source_port: 68, destination_port: 67 };
  const trace = await traced(body);
  assert.deepEqual(last(trace).ending, { kind: "answered", by: "agent", text: "The host's agent gets it: dhcp4." });
});

test("hosts and ports that are otherwise than intent has them are noted", async () => {
  const { notes } = await traced({ from: "a1", to: "a2" });
  assert.deepEqual(notes, [
    "Host host-one is not heard from: what it holds may be older than this.",
    "Host host-two is not heard from: what it holds may be older than this.",
    "Port a1 is not up: nothing is plugged in there, and here it is taken to be.",
    "Port a2 is not up: nothing is plugged in there, and here it is taken to be.",
  ]);
  const { hosts, writer } = server.running.core;
  const [one, two] = [testId("host host-one"), testId("host host-two")];
  hosts.report(one, { portsUp: [testId("port a1")], inForce: writer.replica.revision });
  hosts.report(two, { portsUp: [testId("port a2")], inForce: writer.replica.revision - 1 });
  assert.deepEqual((await traced({ from: "a1", to: "a2" })).notes, [
    "Host host-two is behind: this is how it will be.",
  ]);
});

test("a project traces from its own ports, and is told of its own objects by name", async () => {
  for (const client of [red.member, red.reader]) {
    const trace = await traced({ from: "client", to: "web", protocol: "tcp", destination_port: 443 }, client);
    assert.equal(trace.delivered, true);
    const text = JSON.stringify(trace);
    assert.match(text, /"name":"web"/);
    assert.match(text, /tcp port 443 from anybody/);
    assert.match(text, /→ allow\(\)/);
    assert.doesNotMatch(
      text,
      /host-one|host-two|192\.0\.2\.|net=|700[0-9]|srcPort|dstPort/,
      "hosts and numbers are an admin's",
    );
  }
  const refused = await ask(blue.member, { from: testId("port a1"), to: "10.0.1.12" });
  assert.deepEqual([refused.status, typeOf(refused)], [404, "NameUnknown"]);
  assert.equal((await ask(blue.member, { from: "blue-open", to: "web" })).status, 404);
});

test("of another project's objects nothing is told but their kind, whichever way it ends", async () => {
  const secrets = /red-|"a[12]"|web|port 443|host-(one|two)|192\.0\.2\.|700[0-9]/;
  const ids = [
    "network red-a",
    "port a1",
    "port mute",
    "port plain",
    "group red-plain",
    "router red-router",
    "host host-one",
  ].map((name) => testId(name));
  const bodies = [
    { from: "blue-open", to: "10.0.1.11" },
    { from: "blue-open", to: "10.0.1.14" },
    { from: "blue-open", to: "10.0.1.15", protocol: "udp", destination_port: 53 },
    { from: "blue-open", to: "10.0.1.1" },
    { from: "blue-open", to: "10.0.2.11", protocol: "tcp" },
    { from: "blue-open", to: "10.0.3.11" },
  ];
  for (const body of bodies) {
    const text = JSON.stringify(await traced(body, blue.reader));
    assert.doesNotMatch(text, secrets, text);
    for (const id of ids) assert.ok(!text.includes(id), `${id}: ${text}`);
  }
  const { ending } = last(await traced({ from: "blue-open", to: "10.0.2.11", protocol: "tcp" }, blue.member));
  assert.ok(ending.kind === "dropped" && ending.nearest.length === 0, "nearest rules are its owner's");
  const { nearest } = droppedFor(
    await traced({ from: "blue-open", to: "blue-guest", protocol: "tcp" }, blue.member),
    "sg-default-deny-ingress",
  );
  assert.equal(nearest[0]?.text, "ingress IPv4 tcp port 22 from anybody");
});

test("what is asked wrongly is refused by field, and a name of several is not guessed at", async () => {
  const wrong: readonly (readonly [Json, string, number, string?])[] = [
    [{ to: "a2" }, "FieldInvalid", 400, "from"],
    [{ from: "a1" }, "FieldInvalid", 400, "to"],
    [{ from: "a1", to: "a2", port: 3 }, "FieldInvalid", 400, "port"],
    [{ from: "a1", to: "224.0.0.1" }, "FieldInvalid", 400, "to"],
    [{ from: "a1", to: "0.0.0.0" }, "FieldInvalid", 400, "to"],
    [{ from: "a1", to: "10.0.1.11" }, "FieldInvalid", 400, "to"],
    [{ from: "a1", to: "10.0.1.12", ip_version: 6 }, "FieldInvalid", 400, "ip_version"],
    [{ from: "a1", to: "a2", ip_version: 5 }, "FieldInvalid", 400, "ip_version"],
    [{ from: "a1", to: "a2", protocol: "no such" }, "FieldInvalid", 400, "protocol"],
    [{ from: "a1", to: "a2", protocol: 256 }, "FieldInvalid", 400, "protocol"],
    [{ from: "a1", to: "a2", protocol: "tcp", destination_port: 65_536 }, "FieldInvalid", 400, "destination_port"],
    [{ from: "a1", to: "a2", size: 10 }, "FieldInvalid", 400, "size"],
    [{ from: "a1", to: "a2", ttl: "1" }, "FieldInvalid", 400, "ttl"],
    [{ from: "twin", to: "a2" }, "NameAmbiguous", 409],
    [{ from: "nobody", to: "a2" }, "NameUnknown", 404],
    [{ from: "", to: "a2" }, "NameUnknown", 404],
  ];
  for (const [body, type, status, field] of wrong) {
    const answer = await ask(server.admin, body);
    assert.deepEqual([answer.status, typeOf(answer)], [status, type], JSON.stringify(body));
    assert.equal((answer.body.error as Json).field, field, JSON.stringify(body));
  }
  for (const body of ["[]", "{", ""]) assert.equal((await server.admin.request("POST", "/v1/trace", body)).status, 400);
});

test("a refusal says which of the two ports there is not, and whose the other machine with the sender's address is", async () => {
  const said = async (from: string, to: string) => ((await ask(server.admin, { from, to })).body.error as Json).message;
  assert.equal(await said("nobody", "a2"), "No port to send from is named nobody.");
  assert.equal(await said("a1", "nobody"), "No port to send to is named nobody.");
  assert.equal(await said("a1", "twin"), "More than one port to send to is named twin.");
  assert.match(
    String(await said("a1", "same")),
    /same \(project blue\) and the sender, a1 \(project red\), have one address, 10\.0\.1\.11, on networks of their own/,
  );
  assert.match(String(await said("a1", "a1")), /it is the sender itself/);
  assert.match(String(await said("a1", "10.0.1.11")), /10\.0\.1\.11 is the sender's own address/);
});

test("any protocol there is, by name or number, makes a packet", async () => {
  for (const protocol of ["tcp", "udp", "icmp", "sctp", "47", 0, 1, 255]) {
    const trace = await traced({ from: "a1", to: "a2", protocol });
    assert.equal(trace.delivered, true, `${protocol}: ${trace.summary}`);
  }
  const question = await traced({ from: "a1", to: "a2", icmp_type: 3, icmp_code: 1 });
  assert.deepEqual([question.delivered, directions(question)], [true, ["forward"]], "an error is not answered");
});

test("a project has so many packets traced at once and no more, and has another project wait for no others", async () => {
  const { writer, hosts } = server.running.core;
  const tracer = await Tracer.open({ writer, hosts }, () => []);
  const port = writer.replica.get(Port, testId("port a1")) ?? assert.fail();
  const probe = {
    version: 4,
    protocol: 6,
    sourcePort: 1,
    destinationPort: 2,
    icmpType: 8,
    icmpCode: 0,
    ttl: 64,
  } as const;
  const question = { from: { kind: "port", port }, source: "10.0.1.11", destination: "10.0.1.12", probe } as const;
  const asks = (projectId: string) => tracer.ask(question, { everything: true, project: () => true }, projectId);
  const first = Array.from({ length: 8 }, () => asks(red.id));
  await assert.rejects(asks(red.id), { code: "TracesBusy", status: 503, retryAfter: 1 });
  assert.equal(typeof (await asks(blue.id)).delivered, "boolean");
  for (const told of await Promise.all(first)) assert.equal(typeof told.delivered, "boolean");
  assert.equal(typeof (await asks(red.id)).delivered, "boolean");
});

test("a server that serves no hosts says so", async () => {
  await using alone = await startTestServer();
  const { id } = await alone.project("alone");
  await writeWorld(alone.running.core.writer, (world) => {
    world.host("h", 1);
    world.network("n", id);
    world.port({ name: "p", project: id, network: "n", at: 9 });
  });
  const answer = await ask(alone.admin, { from: "p", to: "10.0.1.10" });
  assert.deepEqual([answer.status, typeOf(answer)], [503, "HostsNotServed"]);
});
