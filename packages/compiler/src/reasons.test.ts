/** Every reason for which the program can drop a packet is shown by a packet that meets it; the list is read from the program. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { dropReasons, type ReasonCode } from "@selvage/base";
import {
  arpRequest,
  fragmentsOf,
  gratuitousArp,
  neighbourAdvertisement,
  ping,
  type Speaker,
  udp,
  udpBetween,
  udpOfSize,
  udpToAll,
} from "@selvage/datapath/testing";
import { Host } from "@selvage/model";
import { put } from "@selvage/model/testing";
import { encode } from "@selvage/packet";
import {
  type Action,
  limits,
  type PuntKind,
  type Step,
  selvageProgram,
  serviceAddresses,
  serviceMac,
} from "@selvage/pipeline";
import { linkLocalOfPort } from "./addresses.ts";
import { fabric, type Journey, type TestFabric } from "./testing/fabric.ts";
import { hostsOf, net, routedNet } from "./testing/intent.ts";
import {
  externalChanges,
  gatewayChanges,
  gatewayOf,
  leaseChange,
  macOfHost,
  meetUpstream,
  stranger,
} from "./testing/outside.ts";
import { anythingOut } from "./testing/policy.ts";
import { poolId, type RouterPlan, scopeOf } from "./testing/routers.ts";

const onWire = {
  "provider:network_type": "flat",
  "provider:physical_network": "private",
  "provider:segmentation_id": null,
  key: 0xf00007,
};

/** Reasons that no table gives, and the tests in which a driver does, of packets that it drops: files of the datapath's room. */
const drivers: Partial<Record<ReasonCode, string>> = {
  "table-miss": "ovs/switch.test.ts",
};

const say = (world: TestFabric, from: string, to: string): Journey =>
  world.send(from, udpBetween(4, world.machine(from), world.machine(to), { src: 40_000, dst: 80 }));

const nowhere = { ip4: "203.0.113.9", ip6: "::" };
const router: RouterPlan = { number: 1, on: { office: 1, lab: 1 } };

/** From `w`, on one of two networks that a router joins, to an address by that router. */
function routed(
  world: TestFabric,
  to: Omit<Speaker, "mac">,
  plan: Partial<RouterPlan> & { readonly ttl?: number } = {},
) {
  const { ttl = 64, ...rest } = plan;
  const { office } = world.route({ ...router, ...rest }).interfaces;
  assert.ok(office !== undefined);
  const frame = udpBetween(4, world.machine("w"), { ...to, mac: office.mac }, { src: 1, dst: 2 }, undefined, { ttl });
  return world.send("w", frame);
}

/** Puts a router of `w` in front of an external network, whose wire both hosts have; gives who is outside, and how it sends. */
function opened(world: TestFabric, subnetScope = 0) {
  world.wire("public");
  const send = world.outside("public", "out");
  world.change(externalChanges());
  if (subnetScope !== 0) world.change(scopeOf(subnetScope));
  const made = world.route(router);
  world.change(gatewayChanges(made));
  meetUpstream(world);
  const { office } = made.interfaces;
  assert.ok(office !== undefined);
  const away = { ...stranger, mac: office.mac };
  const leave = (version: 4 | 6, src = 1) =>
    world.send("w", udpBetween(version, world.machine("w"), away, { src, dst: 2 }));
  return { made, send, leave };
}

type Meet = (world: TestFabric) => Journey;

const unbound: Meet = (world) => {
  world.plug("c", "h1");
  return world.send("c", udp(4, world.machine("c"), world.machine("a"), 1), "h1");
};

const meets: Partial<Record<ReasonCode, Meet>> = {
  "metadata-denied": (world) => {
    world.set("a", { port_security_enabled: false });
    const asked = { mac: serviceMac, ip4: serviceAddresses.metadata[4], ip6: serviceAddresses.metadata[6] };
    return world.send("a", udp(4, { ...world.machine("a"), ip4: "10.0.0.99" }, asked, 1));
  },
  "punt-rate": (world) => {
    const asked = { mac: serviceMac, ip4: serviceAddresses.metadata[4], ip6: serviceAddresses.metadata[6] };
    const ask = (): Journey => world.send("a", udp(4, world.machine("a"), asked, 1));
    for (let n = 0; n < limits.service.burst; n += 1) assert.deepEqual(ask().drops, []);
    return ask();
  },
  "port-not-bound": unbound,
  "port-admin-down": (world) => {
    world.set("a", { admin_state_up: false });
    return world.send("a", udp(4, world.machine("a"), world.machine("b"), 1));
  },
  "network-admin-down": (world) => world.send("dark", udpToAll(6, world.machine("dark"), 1)),
  "anti-spoof-mac": (world) =>
    world.send("a", udp(6, { ...world.machine("a"), mac: "02:00:00:00:00:01" }, world.machine("b"), 1)),
  "anti-spoof-ip": (world) =>
    world.send("a", udp(6, { ...world.machine("a"), ip6: "2001:db8::99" }, world.machine("b"), 1)),
  "arp-spoof": (world) => world.send("a", gratuitousArp({ ...world.machine("a"), ip4: "10.0.0.99" })),
  "nd-spoof": (world) => world.send("a", neighbourAdvertisement(world.machine("a"), "2001:db8::99")),
  "dhcp-server-from-tenant": (world) => {
    const { mac, ip4 } = world.machine("a");
    const eth = { src: mac, dst: "ff:ff:ff:ff:ff:ff" };
    const payload = new Uint8Array(8);
    return world.send(
      "a",
      encode({ eth, ipv4: { src: ip4, dst: "255.255.255.255" }, udp: { src: 67, dst: 4000 }, payload }),
    );
  },
  "ra-from-tenant": (world) => {
    const { mac, ip6 } = world.machine("a");
    const eth = { src: mac, dst: "33:33:00:00:00:01" };
    return world.send(
      "a",
      encode({ eth, ipv6: { src: ip6, dst: "ff02::1" }, icmpv6: { kind: "other", type: 137, code: 0, rest: 0 } }),
    );
  },
  "ethertype-denied": (world) => {
    const { mac } = world.machine("a");
    return world.send(
      "a",
      encode({ eth: { src: mac, dst: world.machine("b").mac, type: 0x8847 }, payload: new Uint8Array(46) }),
    );
  },
  "vlan-denied": (world) => {
    const frame = udp(4, world.machine("a"), world.machine("b"), 1);
    return world.send("a", Buffer.concat([frame.subarray(0, 12), Uint8Array.of(0x81, 0, 0, 0), frame.subarray(12)]));
  },
  "mtu-exceeded": (world) => world.send("a", udpOfSize(6, world.machine("a"), world.machine("c"), 1, 1442 + 1)),
  "neighbour-unresolved": (world) => world.send("a", arpRequest(world.machine("a"), "10.0.0.99")),
  "no-fdb-entry": (world) =>
    world.send("a", udp(4, world.machine("a"), { ...world.machine("b"), mac: "02:00:00:00:00:01" }, 1)),
  "tunnel-missing": (world) => {
    world.change(hostsOf(2).map((host) => put(Host, { ...host, tunnel_ip: null })));
    return world.send("a", udp(4, world.machine("a"), world.machine("c"), 1));
  },
  "sg-default-deny-egress": (world) => say(world, "shut", "asker"),
  "sg-default-deny-ingress": (world) => say(world, "asker", "shut"),
  "ct-invalid": (world) => {
    const answer = ping(6, "reply", world.machine("asker"), world.machine("shut"), { id: 1 });
    return world.send("asker", answer);
  },
  "ct-rule-revoked": (world) => {
    assert.deepEqual(say(world, "asker", "open").delivered, ["open"]);
    world.police((policy) => policy.rulesOf("asking").flatMap((id) => policy.removeRule(id)));
    const [open, asker] = [world.machine("open"), world.machine("asker")];
    return world.send("open", udpBetween(4, open, asker, { src: 80, dst: 40_000 }));
  },
  "router-admin-down": (world) => routed(world, world.machine("y"), { up: false }),
  "router-port-closed": (world) => routed(world, { ip4: "10.0.1.1", ip6: "::" }),
  "ttl-expired": (world) => routed(world, world.machine("y"), { ttl: 1 }),
  "no-route": (world) => routed(world, nowhere),
  "source-link-local": (world) => {
    const { office } = world.route(router).interfaces;
    const [w, y] = [world.machine("w"), world.machine("y")];
    assert.ok(office !== undefined);
    const from = { ...w, ip6: linkLocalOfPort(w.port) };
    return world.send("w", udpBetween(6, from, { ...y, mac: office.mac }, { src: 1, dst: 2 }));
  },
  "address-scope": (world) => {
    world.change(scopeOf(1));
    return routed(world, world.machine("y"));
  },
  "loop-detected": (world) => {
    const to = (nexthop: string) => [{ destination: "203.0.113.0/24", nexthop }];
    world.route({ number: 2, on: { lab: 9 }, routes: to("10.0.2.1") });
    return routed(world, nowhere, { routes: to("10.0.2.9") });
  },
  "physical-missing": (world) => {
    return world.send("bare", udp(4, world.machine("bare"), { ...world.machine("a"), mac: "02:00:00:00:00:01" }, 1));
  },
  "vlan-unknown": (world) => {
    world.wire("private", ["h1"]);
    const frame = arpRequest(stranger, "203.0.113.10");
    const tag = Uint8Array.of(0x81, 0, 0, 7);
    return world.outside("private", "out")(Buffer.concat([frame.subarray(0, 12), tag, frame.subarray(12)]));
  },
  "nat-no-translation": (world) => opened(world, 1).leave(6),
  "nat-no-port-block": (world) => opened(world).leave(4),
  "nat-exhausted": (world) => {
    const { made, leave } = opened(world);
    world.change([leaseChange(made, "h1", 1024)]);
    for (let src = 1; src <= 64; src += 1) assert.deepEqual(leave(4, src).delivered, ["out"]);
    return leave(4, 65);
  },
  "nat-no-connection": (world) => {
    const { made, send } = opened(world);
    world.change([leaseChange(made, "h1", 1024)]);
    return send(udpBetween(4, stranger, { mac: macOfHost("h1"), ...gatewayOf(1) }, { src: 1, dst: 1024 }));
  },
  "nat-not-here": (world) => {
    const { made, send } = opened(world);
    world.change([leaseChange(made, "h1", 1024)]);
    return send(ping(4, "reply", stranger, { mac: macOfHost("h1"), ...gatewayOf(1) }, { id: 1 }));
  },
  "outside-unknown": (world) => {
    const { send } = opened(world);
    return send(udpBetween(4, stranger, { mac: macOfHost("h1"), ip4: "203.0.113.99", ip6: "::" }, { src: 1, dst: 2 }));
  },
  "connection-limit": (world) => {
    const open = (src: number): Journey =>
      world.send("asker", udpBetween(4, world.machine("asker"), world.machine("open"), { src, dst: 80 }));
    for (let n = 0; n < connections; n += 1) assert.deepEqual(open(40_000 + n).delivered, ["open"]);
    return open(50_000);
  },
  "fragment-rate": (world) => {
    const [from, to] = [world.machine("a"), world.machine("b")];
    const piece = (id: number): Uint8Array => {
      const whole = udpBetween(6, from, to, { src: 1, dst: 2 }, new Uint8Array(2_000));
      return fragmentsOf(whole, 1_280, id)[0] ?? assert.fail();
    };
    for (let n = 0; n < limits.fragments.burst; n += 1) assert.deepEqual(world.send("a", piece(n)).drops, []);
    return world.send("a", piece(0));
  },
  "source-multicast": (world) => {
    world.set("b", { port_security_enabled: false });
    return world.send("b", udp(6, { ...world.machine("b"), mac: "03:00:00:00:00:01" }, world.machine("a"), 1));
  },
  "tunnel-key-unknown": (world) => {
    const frame = udp(4, world.machine("c"), world.machine("a"), 1);
    return world.inject({ from: "192.0.2.2", to: "192.0.2.1", key: 0xabcdef, srcPort: 3, dstPort: 1, frame });
  },
  "tunnel-source": (world) => {
    const frame = udp(4, world.machine("c"), world.machine("a"), 1);
    return world.inject({ from: "192.0.2.66", to: "192.0.2.1", key: 1, srcPort: 3, dstPort: 1, frame });
  },
};

/** What routers tell the agent too, whose answer the sender gets. */
const reported: Partial<Record<ReasonCode, readonly PuntKind[]>> = {
  "router-port-closed": ["port-unreachable"],
  "ttl-expired": ["ttl-expired"],
  "no-route": ["no-route"],
};

/** Connections that a port of these worlds has at most. */
const connections = 4;

const steps: readonly Step[] = selvageProgram.tables.flatMap((table) => [
  ...Object.values<Action>(table.actions).flatMap((action) => action.steps),
  ...table.miss,
]);
const reasonsIn = (step: Step): readonly ReasonCode[] => {
  if (step.do === "limit") return [limits[step.kind].reason];
  return step.do === "drop" ? [step.reason] : [];
};
const given = [...new Set(steps.flatMap(reasonsIn))];

for (const reason of given) {
  test(`a packet meets ${reason}`, async () => {
    const world = await fabric(
      { hosts: 2, connections, policy: { groups: { asking: { rules: anythingOut }, shut: { rules: [] } } } },
      net("blue", { a: "h1", b: "h1", c: "h2" }),
      net("dark", { dark: "h1" }, { network: { admin_state_up: false } }),
      net("guarded", {
        asker: { host: "h1", groups: ["asking"] },
        shut: { host: "h2", groups: ["shut"] },
        open: "h1",
      }),
      routedNet(
        1,
        "office",
        { w: "h1" },
        { subnet4: { subnetpool_id: poolId(1) }, subnet6: { subnetpool_id: poolId(1) } },
      ),
      routedNet(2, "lab", { y: "h2" }),
      net("wired", { bare: "h1" }, { network: onWire }),
    );
    const meet = meets[reason];
    assert.ok(meet !== undefined, `no packet here meets ${reason}`);
    const journey = meet(world);
    assert.deepEqual(journey.drops, [reason]);
    assert.deepEqual(journey.delivered, []);
    assert.deepEqual(
      journey.punts.map(({ kind }) => kind),
      reported[reason] ?? [],
    );
  });
}

test("every reason of the registry is met by a packet: here, or where a driver drops it", () => {
  const met = [...Object.keys(meets), ...Object.keys(drivers)].sort();
  assert.deepEqual(met, dropReasons.map(({ code }) => code).sort());
  for (const [reason, path] of Object.entries(drivers)) {
    const text = readFileSync(new URL(`../../datapath/src/${path}`, import.meta.url), "utf8");
    assert.ok(text.includes(`get("${reason}")`), `${path} counts no packet for ${reason}`);
  }
});

test("what a test meets is what the program gives", () => {
  assert.deepEqual(Object.keys(meets).sort(), [...given].sort());
});
