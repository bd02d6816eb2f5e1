/** Networks of several segments: each host sends by its own, under its tag; where subnets are by segment, nobody is found across them but by a router outside. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { arpRequest, type Speaker, tcp } from "@selvage/datapath/testing";
import { Network, Port, Router, Segment, Subnet } from "@selvage/model";
import { makeExternalNetwork, makeGateway, makeSegment, makeSubnet, put, testId } from "@selvage/model/testing";
import { decode } from "@selvage/packet";
import { ExtIn, FromPhysical, L2, Neighbour, ProviderIn, ProviderOut, Route, rowText } from "@selvage/pipeline";
import { fabric, type TestFabric } from "../testing/fabric.ts";
import { net, routedNet } from "../testing/intent.ts";
import { anythingIn, anythingOut, type PolicyPlan } from "../testing/policy.ts";

const networkId = testId("network", 1);
const key = 0xf00001;
const [left, right] = [testId("segment", 1), testId("segment", 2)];
const [ofLeft, ofRight] = [testId("subnet of", 1), testId("subnet of", 2)];

const tagOf = (frame: Uint8Array | undefined): number | undefined => {
  assert.ok(frame !== undefined);
  const decoded = decode(frame);
  assert.ok(decoded.ok);
  return decoded.packet.eth.vlan?.id;
};

const segments = (network_id: string) => [
  put(Segment, makeSegment({ id: left, network_id, physical_network: "left", segmentation_id: 101 })),
  put(Segment, makeSegment({ id: right, network_id, physical_network: "right", segmentation_id: 202, position: 1 })),
];

/** a and b stand on `left`, c on `right`, all of one group where groups are told; somebody is outside on each. */
async function world(bySegment: "by segment" | "common", policy?: PolicyPlan): Promise<TestFabric> {
  const network = {
    ...{ "provider:network_type": "vlan", "provider:physical_network": "left", "provider:segmentation_id": 101, key },
  };
  const on = (host: string) => (policy === undefined ? host : { host, groups: Object.keys(policy.groups) });
  const machines = { a: on("h1"), b: on("h2"), c: on("h3") };
  const made = await fabric(
    { hosts: 3, ...(policy === undefined ? {} : { policy }) },
    net("wide", machines, { network }),
  );
  made.wire("left", ["h1", "h2"]);
  made.wire("right", ["h3"]);
  made.outside("left", "out left");
  made.outside("right", "out right");
  made.change(segments(networkId));
  if (bySegment === "by segment") {
    const { subnets } = made.network("wide");
    made.change(subnets.map((subnet) => put(Subnet, { ...subnet, segment_id: left })));
    const common = { network_id: networkId, segment_id: right, gateway_ip: "10.9.0.1" };
    made.change([put(Subnet, makeSubnet({ ...common, id: ofRight, cidr: "10.9.0.0/24" }))]);
    made.set("c", { fixed_ips: [{ subnet_id: ofRight, ip_address: "10.9.0.13" }] });
  }
  return made;
}

const nobody: Speaker = { mac: "02:00:00:00:00:99", ip4: "10.0.0.99", ip6: "2001:db8::99" };
const known = (made: TestFabric, host: string): readonly string[] =>
  made.rows(host, [Neighbour]).map((row) => String(row.key.nh));

test("each host stands on its own segment: its wire, its tag, and no other", async () => {
  const made = await world("by segment");
  for (const [name, outside, tag] of [
    ["a", "out left", 101],
    ["c", "out right", 202],
  ] as const) {
    const machine = made.machine(name);
    const gone = made.send(name, tcp(4, machine, nobody, { src: 1, dst: 2 }));
    const at = gone.delivered.indexOf(outside);
    assert.ok(at >= 0, `${name}: ${gone.delivered.join()}`);
    assert.equal(tagOf(gone.frames[at]), tag);
    assert.deepEqual([gone.drops, gone.crossed], [[], 0]);
  }
  assert.deepEqual(
    ["h1", "h3"].map((host) => made.rows(host, [ProviderOut]).map((row) => row.args)),
    [[{ port: "physical:left", vlan: 101 }], [{ port: "physical:right", vlan: 202 }]],
  );
});

test("machines of one segment meet by the wire; those of two neither by their MAC nor by a tunnel", async () => {
  const made = await world("by segment");
  const [a, b, c] = [made.machine("a"), made.machine("b"), made.machine("c")];
  assert.ok(made.send("a", tcp(4, a, b, { src: 1, dst: 2 })).delivered.includes("b"));
  const across = made.send("a", tcp(4, a, c, { src: 1, dst: 2 }));
  assert.deepEqual([across.delivered.includes("c"), across.crossed], [false, 0]);
  const asked = made.send("a", arpRequest(a, c.ip4));
  assert.deepEqual([...asked.delivered].sort(), ["b", "out left"], "nobody answers for who is elsewhere");
  assert.equal(asked.crossed, 0);
  assert.ok(known(made, "h1").includes(b.ip4));
  for (const host of ["h1", "h2"]) assert.equal(known(made, host).includes(c.ip4), false);
  for (const address of [a.ip4, b.ip4, a.ip6]) assert.equal(known(made, "h3").includes(address), false);
  const macs = made.rows("h1", [L2]).map((row) => String(row.key.ethDst));
  assert.equal(
    macs.some((mac) => mac.startsWith(c.mac)),
    false,
  );
});

test("where subnets are common to the segments, the physical networks join them, and hosts know everybody", async () => {
  const made = await world("common");
  const c = made.machine("c");
  assert.ok(known(made, "h1").includes(c.ip4));
  const sent = made.send("a", tcp(4, made.machine("a"), c, { src: 1, dst: 2 }));
  assert.deepEqual([sent.delivered.includes("out left"), sent.crossed, sent.drops], [true, 0, []]);
});

test("rules that name a group let its members in by their addresses, from the wire and across segments, and nobody else", async () => {
  const policy = { groups: { web: { rules: [...anythingOut, ...anythingIn({ group: "web" })] } } };
  const made = await world("by segment", policy);
  const [a, b, c] = [made.machine("a"), made.machine("b"), made.machine("c")];
  const opened = made.send("a", tcp(4, a, b, { src: 1, dst: 2 }));
  assert.ok(opened.delivered.includes("b"), opened.drops.join());
  const sendLeft = made.outside("left", "router");
  const tagged = (frame: Uint8Array): Uint8Array =>
    Uint8Array.from([...frame.subarray(0, 12), 0x81, 0x00, 0, 101, ...frame.subarray(12)]);
  const routed = (from: Speaker) => sendLeft(tagged(tcp(4, { ...from, mac: nobody.mac }, b, { src: 3, dst: 4 })));
  assert.ok(routed(c).delivered.includes("b"), "a member on the other segment, by a router outside");
  const stranger = routed(nobody);
  assert.deepEqual(
    [stranger.delivered.includes("b"), stranger.drops.includes("sg-default-deny-ingress")],
    [false, true],
  );
});

test("a tag of another segment's is unknown on a wire, and a segment that goes takes its rows along", async () => {
  const made = await world("by segment");
  const ins = (host: string) => made.rows(host, [ProviderIn]).map((row) => row.key.vlan);
  assert.deepEqual([ins("h1"), ins("h3")], [[101], [202]]);
  made.change([{ kind: Segment.kind, id: right, object: null }]);
  assert.deepEqual([ins("h1"), ins("h3")], [[101], []]);
  const c = made.machine("c");
  assert.deepEqual(made.send("c", tcp(4, c, nobody, { src: 1, dst: 2 })).drops, ["physical-missing"]);
});

test("a host that has both wires stands on the first segment", async () => {
  const made = await fabric(
    { hosts: 1 },
    net(
      "wide",
      { a: "h1" },
      {
        network: {
          "provider:network_type": "vlan",
          "provider:physical_network": "left",
          "provider:segmentation_id": 101,
          key,
        },
      },
    ),
  );
  for (const physical of ["right", "left"]) {
    made.wire(physical);
    made.change(segments(networkId));
  }
  assert.deepEqual(
    made.rows("h1", [ProviderOut]).map((row) => row.args),
    [{ port: "physical:left", vlan: 101 }],
  );
});

test("a router's gateway is spoken for, and left by, where its segment is", async () => {
  const made = await fabric({ hosts: 3 }, routedNet(1, "office", { a: "h1", b: "h2", c: "h3" }));
  made.wire("left", ["h1", "h2"]);
  made.wire("right", ["h3"]);
  const network_id = testId("external network", 1);
  const external = {
    "provider:network_type": "vlan",
    "provider:physical_network": "left",
    "provider:segmentation_id": 101,
  };
  const outer = { network_id, enable_dhcp: false };
  const address = "203.0.113.10";
  made.change([put(Network, makeExternalNetwork(external)), ...segments(network_id)]);
  made.change([
    put(
      Subnet,
      makeSubnet({ ...outer, id: ofLeft, cidr: "203.0.113.0/24", gateway_ip: "203.0.113.1", segment_id: left }),
    ),
    put(
      Subnet,
      makeSubnet({ ...outer, id: ofRight, cidr: "198.51.100.0/24", gateway_ip: "198.51.100.1", segment_id: right }),
    ),
  ]);
  const { router } = made.route({ number: 1, on: { office: 1 } });
  const gateway = makeGateway({ gateway_of: router.id, fixed_ips: [{ subnet_id: ofLeft, ip_address: address }] });
  made.change([put(Router, router), put(Port, gateway)]);
  const owners = ["h1", "h2", "h3"].filter((host) =>
    made.rows(host, [FromPhysical]).some((row) => row.rank === "question" && row.key.arpTpa === address),
  );
  assert.equal(owners.length, 1);
  assert.notEqual(owners[0], "h3", "who is on the other segment does not speak for it");
  const echoes = (host: string) => made.rows(host, [ExtIn]).filter((row) => row.rank === "echo").length;
  assert.deepEqual(["h1", "h2", "h3"].map(echoes), [1, 1, 0]);
  const routes = (host: string) =>
    made
      .rows(host, [Route])
      .map(rowText)
      .filter((text) => text.includes("via(") || text.includes("203.0.113") || text.includes("198.51.100"));
  assert.equal(
    routes("h1").some((text) => text.includes("203.0.113.1")),
    true,
  );
  assert.equal(
    routes("h1").some((text) => text.includes("198.51.100.0/24")),
    false,
    "the other segment is behind the gateway",
  );
  assert.equal(
    routes("h3").some((text) => text.includes("203.0.113")),
    false,
    "no way out from the other segment",
  );
});
