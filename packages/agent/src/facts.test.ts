/** Which ports are up: bound here and plugged in; and not those of which something was set aside. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostEngine } from "@selvage/compiler";
import { Attachment, Network, Port } from "@selvage/model";
import { makeAttachment, makeNetwork, makePort, put } from "@selvage/model/testing";
import { Deliver, row } from "@selvage/pipeline";
import { factsOf, plugged } from "./facts.ts";

const port = (id: string, key: number, host: string) =>
  put(Port, makePort({ id, key, mac_address: `fa:16:3e:00:00:0${key}`, fixed_ips: [], "binding:host_id": host }));
const engine = hostEngine({ name: "h1" });
engine.apply(
  [
    port("here", 1, "h1"),
    port("unplugged", 2, "h1"),
    port("elsewhere", 3, "h2"),
    ...["here", "elsewhere", "stranger", "physical:public"].map((id) => put(Attachment, makeAttachment({ id }))),
  ],
  1,
);

test("up is what is bound here and plugged in; what is plugged in and not bound here is told by itself", () => {
  assert.deepEqual(plugged(engine.view, "h1"), {
    ...{ portsUp: ["here"], unbound: ["elsewhere", "stranger"], unwired: [] },
  });
});

test("a port of a network to which this host has no wire is not up, and it is said why", () => {
  const wired = hostEngine({ name: "h1" });
  const network = makeNetwork({
    ...{ "provider:network_type": "vlan", "provider:physical_network": "left", "provider:segmentation_id": 101 },
  });
  const bound = { network_id: network.id, fixed_ips: [], "binding:host_id": "h1" };
  wired.apply(
    [
      put(Network, network),
      put(Port, makePort({ ...bound, id: "here" })),
      ...["here", "physical:right"].map((id) => put(Attachment, makeAttachment({ id }))),
    ],
    1,
  );
  const state = plugged(wired.view, "h1");
  assert.deepEqual(state, { portsUp: [], unbound: [], unwired: ["here"] });
  const { ports_up, quarantined } = factsOf("ovs", state, { quarantined: new Map(), origins: () => [] }, []);
  assert.deepEqual([ports_up, quarantined.map(({ unit }) => unit)], [[], ["port here"]]);
  assert.match(quarantined[0]?.reason ?? "", /^physical-missing: /);
  wired.apply([put(Attachment, makeAttachment({ id: "physical:left" }))], 2);
  assert.deepEqual(plugged(wired.view, "h1").portsUp, ["here"]);
});

test("a port with a row that the switch refused is not up, and the row is told with the switch's words, cut to what is told", () => {
  const origins = (id: string) =>
    id === refused.id ? [{ derivation: "binding: port", over: "port", key: "here" }] : [];
  const refused = row(Deliver, { port: 1 }, "output", { port: "here" });
  const state = plugged(engine.view, "h1");
  const facts = factsOf("ovs", state, { quarantined: new Map(), origins }, [
    { row: refused, reason: "x".repeat(2_000) },
  ]);
  assert.deepEqual(facts.ports_up, []);
  assert.deepEqual([facts.quarantined[0]?.unit, facts.quarantined[0]?.reason.length], [refused.id, 1_024]);
  assert.deepEqual(factsOf("ovs", state, { quarantined: new Map(), origins }, []).ports_up, ["here"]);
});

test("a port whose derivation failed is not up", () => {
  const failed = { derivation: "guard: port", over: "port", key: "here", error: new Error("why") };
  const quarantined = new Map([["guard: port(here)", failed]]);
  const facts = factsOf("none", plugged(engine.view, "h1"), { quarantined, origins: () => [] }, []);
  assert.deepEqual(
    [facts.datapath, facts.ports_up, facts.quarantined],
    ["none", [], [{ unit: "guard: port(here)", reason: "why" }]],
  );
});

test("a port that has as many connections as it may is up, and it is said", () => {
  const state = { portsUp: ["full", "other"], unbound: [], unwired: [] };
  const facts = factsOf("ovs", state, { quarantined: new Map(), origins: () => [] }, [], new Map(), new Set(["full"]));
  assert.deepEqual(facts.ports_up, ["full", "other"]);
  assert.equal(facts.quarantined[0]?.unit, "port full");
  assert.match(facts.quarantined[0]?.reason ?? "", /^connection-limit: /);
});

test("a port that the switch has no connection-tracking zone for is not up, and it is said why; the others are", () => {
  const state = { portsUp: ["here", "other"], unbound: [], unwired: [] };
  const sound = { quarantined: new Map(), origins: () => [] };
  const facts = factsOf("ovs", state, sound, [], new Map([["here", "ct-zone-full"]]));
  assert.deepEqual(facts.ports_up, ["other"]);
  assert.deepEqual(
    facts.quarantined.map(({ unit }) => unit),
    ["port here"],
  );
  assert.match(facts.quarantined[0]?.reason ?? "", /^ct-zone-full: /);
});
