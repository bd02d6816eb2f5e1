/** Metadata by real bytes: who asks is told by the port alone, isolated or routed, whatever address a tenant has; and the answer finds its way back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  arpReply,
  arpRequest,
  duplicateDetection,
  neighbourSolicitation,
  type Speaker,
  sameBytes,
  tcp,
} from "@selvage/datapath/testing";
import {
  machinesMac,
  portOfService,
  serviceAddress,
  serviceAddresses,
  serviceIngress,
  serviceMac,
} from "@selvage/pipeline";
import { linkLocalOfPort } from "../addresses.ts";
import { fabric, type TestFabric } from "../testing/fabric.ts";
import { net, routedNet } from "../testing/intent.ts";

const families = [4, 6] as const;
const metadata: Speaker = { mac: serviceMac, ip4: serviceAddresses.metadata[4], ip6: serviceAddresses.metadata[6] };
const ask = { src: 40_000, dst: 80 };
const answer = { src: 80, dst: 40_000 };

/** A fabric whose hosts' services are listened to, and what came to them. */
async function world(...plans: Parameters<typeof fabric>[1][]): Promise<{ world: TestFabric; heard: Uint8Array[] }> {
  const made = await fabric({ hosts: 2, policy: { groups: { closed: { rules: [] } } } }, ...plans);
  const heard: Uint8Array[] = [];
  for (const { datapath } of made.hosts) datapath.plug(serviceIngress, (frame) => heard.push(frame));
  return { world: made, heard };
}

function assertFrame(frame: Uint8Array | undefined, wanted: Uint8Array): void {
  assert.ok(frame !== undefined && sameBytes(frame, wanted));
}

/** A machine as it asks: for IPv6 from its link-local address. */
const asking = (at: TestFabric, name: string): Speaker => ({
  ...at.machine(name),
  ip6: linkLocalOfPort(at.machine(name).port),
});

function served(at: TestFabric, name: string, version: 4 | 6): Speaker {
  const as = serviceAddress(at.machine(name).port.key, 0, version) ?? "";
  return { mac: machinesMac, ip4: as, ip6: as };
}

test("tenants with the same addresses each are told apart, and each gets its own answer", async () => {
  const { world: at, heard } = await world(net("blue", { b: "h1" }), net("green", { g: "h1" }));
  const same = at.machine("b").port.fixed_ips.map(({ ip_address }) => ip_address);
  const { fixed_ips } = at.machine("g").port;
  at.set("g", { fixed_ips: fixed_ips.map((each, n) => ({ ...each, ip_address: same[n] ?? "" })) });
  assert.equal(at.machine("b").ip4, at.machine("g").ip4);
  for (const version of families) {
    for (const name of ["b", "g"]) {
      heard.length = 0;
      const own = asking(at, name);
      const journey = at.send(name, tcp(version, own, metadata, ask));
      assert.deepEqual([journey.drops, journey.punts, journey.crossed, heard.length], [[], [], 0, 1]);
      assertFrame(heard[0], tcp(version, served(at, name, version), metadata, ask));
      const back = tcp(version, metadata, served(at, name, version), answer);
      const got: Uint8Array[] = [];
      at.host("h1").datapath.unplug(at.machine(name).port.id);
      at.host("h1").datapath.plug(at.machine(name).port.id, (frame) => got.push(frame));
      at.host("h1").datapath.receive(serviceIngress, back);
      assert.equal(got.length, 1);
      assertFrame(got[0], tcp(version, metadata, own, answer));
    }
  }
});

test("every network has the addresses' MAC, routed or not, and a router's MAC leads there too, whatever the groups say", async () => {
  const { world: at, heard } = await world(
    net("lone", { l: { host: "h1", groups: ["closed"] } }),
    routedNet(1, "office", { o: "h1" }),
  );
  const { office } = at.route({ number: 1, on: { office: 1 } }).interfaces;
  for (const name of ["l", "o"]) {
    for (const { 4: ip4, 6: ip6 } of Object.values(serviceAddresses)) {
      const journey = at.send(name, arpRequest(at.machine(name), ip4));
      assert.deepEqual(journey.delivered, [name]);
      assertFrame(journey.frames[0], arpReply({ mac: serviceMac, ip4 }, at.machine(name)));
      const solicited = at.send(name, neighbourSolicitation(asking(at, name), ip6));
      assert.deepEqual(
        solicited.punts.map(({ kind }) => kind),
        ["nd"],
      );
      assert.deepEqual(at.send(name, duplicateDetection(asking(at, name), ip6)).punts, []);
    }
    heard.length = 0;
    at.send(name, tcp(4, asking(at, name), metadata, ask));
    assert.equal(heard.length, 1, name);
  }
  heard.length = 0;
  at.send("o", tcp(4, asking(at, "o"), { ...metadata, mac: office?.mac ?? "" }, ask));
  assertFrame(heard[0], tcp(4, served(at, "o", 4), metadata, ask));
});

test("who asks from what is not the port's own is denied, and nobody asks as another port", async () => {
  const { world: at, heard } = await world(
    net("open", { u: { host: "h1", port: { port_security_enabled: false } }, v: "h1" }),
  );
  const foreign = { ...asking(at, "u"), ip4: at.machine("v").ip4, ip6: linkLocalOfPort(at.machine("v").port) };
  for (const version of families)
    assert.deepEqual(at.send("u", tcp(version, foreign, metadata, ask)).drops, ["metadata-denied"]);
  assert.deepEqual(heard, []);
});

test("of several addresses each has its own number, and an answer for a port that is gone is dropped", async () => {
  const { world: at, heard } = await world(net("blue", { b: "h1", c: "h1" }));
  const { port } = at.machine("b");
  const [first] = port.fixed_ips.filter(({ ip_address }) => ip_address.includes("."));
  assert.ok(first !== undefined);
  at.set("b", { fixed_ips: [...port.fixed_ips, { ...first, ip_address: "10.0.0.250" }] });
  at.send("b", tcp(4, { ...asking(at, "b"), ip4: "10.0.0.250" }, metadata, ask));
  const second = serviceAddress(port.key, 1, 4) ?? "";
  assertFrame(heard[0], tcp(4, { mac: machinesMac, ip4: second, ip6: "::" }, metadata, ask));
  const reply = tcp(4, metadata, { mac: machinesMac, ip4: second, ip6: "::" }, answer);
  const drops = () =>
    at
      .host("h1")
      .datapath.receive(serviceIngress, reply)
      .outcomes.map((outcome) => (outcome.kind === "drop" ? outcome.reason : outcome.kind));
  assert.deepEqual(drops(), ["output"]);
  at.unplug("b");
  assert.deepEqual(drops(), ["port-not-bound"]);
});

test("a number says its port, whatever the key, and is no other port's", () => {
  const seen = new Set<string>();
  for (const key of [1, 255, 256, 65_535, 65_536, 0x10001, 0x401001, 0xc01001, 0xffffff]) {
    for (const at of [0, 1, 99]) {
      for (const version of families) {
        const address = serviceAddress(key, at, version);
        assert.ok(address !== undefined && !seen.has(address));
        seen.add(address);
        assert.equal(portOfService(address), key);
      }
      assert.equal(portOfService(`::ffff:${serviceAddress(key, at, 4)}`), key);
    }
    assert.equal(serviceAddress(key, 100, 4), undefined);
  }
  for (const stranger of ["fe80::1", "fd5e:1f::1", "::1"]) assert.equal(portOfService(stranger), undefined);
});
