/** Solicitations answered, and advertisements that come by themselves, by real codecs and a clock that is moved by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics, ManualClock, silentLog } from "@selvage/base";
import { hostEngine } from "@selvage/compiler";
import type { Punt } from "@selvage/datapath";
import { routerSolicitation } from "@selvage/datapath/testing";
import { Attachment, type Change, Network, Port, Router, Subnet } from "@selvage/model";
import { makeAttachment, makeNetwork, makePort, makeRouter, makeSubnet, put, remove } from "@selvage/model/testing";
import { decode, encode, ndFault, type Packet, type RouterAdvertisement } from "@selvage/packet";
import { Advertiser } from "./advertiser.ts";
import { answerSolicitation } from "./router-advertisement.ts";

const guest = { mac: "fa:16:3e:00:00:01", ip4: "0.0.0.0", ip6: "fe80::f816:3eff:fe00:1" };
const routerMac = "fa:16:3e:ff:00:01";
const routerLocal = "fe80::f816:3eff:feff:1";

const subnet = (n: number, more: Partial<Subnet>): Change =>
  put(
    Subnet,
    makeSubnet({
      id: `s${n}`,
      network_id: "net",
      ip_version: 6,
      cidr: `2001:db8:${n}::/64`,
      gateway_ip: `2001:db8:${n}::1`,
      ...more,
    }),
  );

const interfacePort = (fixed: readonly number[], last = 1): Change =>
  put(
    Port,
    makePort({
      id: "interface",
      key: 100,
      network_id: "net",
      mac_address: routerMac,
      router_id: "router",
      fixed_ips: fixed.map((n) => ({ subnet_id: `s${n}`, ip_address: `2001:db8:${n}::${last}` })),
    }),
  );

const guestPort = (key: number, host = "h1"): Change =>
  put(
    Port,
    makePort({
      id: `guest${key}`,
      key,
      network_id: "net",
      mac_address: `fa:16:3e:00:00:0${key}`,
      "binding:host_id": host,
      fixed_ips: [],
    }),
  );

const base: readonly Change[] = [
  put(Network, makeNetwork({ id: "net", mtu: 1400 })),
  put(Router, makeRouter({ id: "router", key: 1 })),
  guestPort(1),
];

function viewOf(...changes: readonly Change[]) {
  const engine = hostEngine({ name: "h1" });
  engine.apply([...base, ...changes], 1);
  return engine;
}

function read(frame: Uint8Array): { readonly packet: Packet; readonly said: RouterAdvertisement } {
  const decoded = decode(frame);
  assert.ok(decoded.ok, "every length and checksum is right");
  const { ipv6, icmpv6 } = decoded.packet;
  assert.ok(ipv6 !== undefined && icmpv6?.kind === "router-advertisement");
  assert.equal(ndFault(ipv6, icmpv6), undefined);
  return { packet: decoded.packet, said: icmpv6 };
}

const ask = (engine: ReturnType<typeof viewOf>, frame = routerSolicitation(guest), more: Partial<Punt> = {}) =>
  answerSolicitation(engine.view, { kind: "rs", attachment: "guest1", net: 1, vrf: 0, srcPort: 1, frame, ...more });

function answered(engine: ReturnType<typeof viewOf>, frame?: Uint8Array): ReturnType<typeof read> {
  const answer = ask(engine, frame);
  assert.ok(answer.answer === "reply" && answer.frames.length === 1, JSON.stringify(answer));
  return read(answer.frames[0] ?? new Uint8Array());
}

const flagsOf = ({ said }: ReturnType<typeof read>) => ({
  managed: said.managed,
  otherConfig: said.otherConfig,
  prefixes: said.options.flatMap((each) =>
    each.kind === "prefix" ? [[each.prefix, each.length, each.onLink, each.autonomous]] : [],
  ),
});

test("an advertisement comes from the router's link-local address and MAC, with MTU, prefix, servers and lifetime", () => {
  const engine = viewOf(
    subnet(1, { ipv6_ra_mode: "slaac", dns_nameservers: ["2001:db8::53", "192.0.2.53"] }),
    interfacePort([1]),
  );
  const { packet, said } = answered(engine);
  assert.deepEqual(packet.eth, { src: routerMac, dst: guest.mac, type: 0x86dd });
  assert.deepEqual([packet.ipv6?.src, packet.ipv6?.dst, packet.ipv6?.hopLimit], [routerLocal, guest.ip6, 255]);
  assert.deepEqual(said, {
    kind: "router-advertisement",
    hopLimit: 64,
    managed: false,
    otherConfig: false,
    preference: "medium",
    lifetime: 1800,
    reachableTime: 0,
    retransTimer: 0,
    options: [
      { kind: "source-link-layer", mac: routerMac },
      { kind: "mtu", mtu: 1400 },
      {
        kind: "prefix",
        prefix: "2001:db8:1::",
        length: 64,
        onLink: true,
        autonomous: true,
        validLifetime: 86_400,
        preferredLifetime: 14_400,
      },
      { kind: "dns-servers", servers: ["2001:db8::53"], lifetime: 1800 },
    ],
  });
});

test("each mode has its flags; a subnet without one is not advertised", () => {
  for (const [mode, managed, otherConfig, autonomous] of [
    ["slaac", false, false, true],
    ["dhcpv6-stateless", false, true, true],
    ["dhcpv6-stateful", true, false, false],
  ] as const) {
    const engine = viewOf(subnet(1, { ipv6_ra_mode: mode }), subnet(2, {}), interfacePort([1, 2]));
    const prefixes = [["2001:db8:1::", 64, true, autonomous]];
    assert.deepEqual(flagsOf(answered(engine)), { managed, otherConfig, prefixes });
  }
  const engine = viewOf(
    subnet(1, { ipv6_ra_mode: "slaac" }),
    subnet(2, { ipv6_ra_mode: "slaac" }),
    interfacePort([1, 2]),
  );
  assert.equal(flagsOf(answered(engine)).prefixes.length, 2);
});

test("who has no address yet is answered as all are", () => {
  const engine = viewOf(subnet(1, { ipv6_ra_mode: "slaac" }), interfacePort([1]));
  const frame = encode({
    eth: { src: guest.mac, dst: "33:33:00:00:00:02" },
    ipv6: { src: "::", dst: "ff02::2" },
    icmpv6: { kind: "router-solicitation", options: [] },
  });
  const { packet } = answered(engine, frame);
  assert.deepEqual([packet.eth.dst, packet.ipv6?.dst], ["33:33:00:00:00:01", "ff02::1"]);
});

test("a router that is not the gateway says what it knows, and is no way out", () => {
  const engine = viewOf(subnet(1, { ipv6_ra_mode: "slaac" }), interfacePort([1], 9));
  const { said } = answered(engine);
  assert.equal(said.lifetime, 0);
  assert.equal(
    said.options.some((each) => each.kind === "prefix"),
    true,
  );
});

test("silence where nothing is advertised, for what is no solicitation, from off the link, and of a port that is not known", () => {
  const advertised = [subnet(1, { ipv6_ra_mode: "slaac" }), interfacePort([1])];
  const far = encode({
    eth: { src: guest.mac, dst: routerMac },
    ipv6: { src: guest.ip6, dst: "ff02::2", hopLimit: 64 },
    icmpv6: { kind: "router-solicitation", options: [] },
  });
  const other = encode({
    eth: { src: guest.mac, dst: routerMac },
    ipv6: { src: guest.ip6, dst: "ff02::2" },
    icmpv6: { kind: "echo-request", id: 1, sequence: 1 },
  });
  const frame = routerSolicitation(guest);
  for (const answer of [
    ask(viewOf(subnet(1, {}), interfacePort([1]))),
    ask(viewOf(...advertised, put(Router, makeRouter({ id: "router", key: 1, admin_state_up: false })))),
    ask(viewOf(...advertised), far),
    ask(viewOf(...advertised), other),
    ask(viewOf(...advertised), frame, { srcPort: 9 }),
    ask(viewOf(...advertised), frame.subarray(0, 40)),
  ])
    assert.equal(answer.answer, "silence");
});

async function advertising(...changes: readonly Change[]) {
  const engine = viewOf(...changes);
  const clock = new ManualClock();
  const sent: { readonly port: string; readonly at: number; readonly said: RouterAdvertisement }[] = [];
  const advertiser = new Advertiser({
    view: engine.view,
    hostName: "h1",
    datapath: {
      send: async (port, frame) => {
        const { packet, said } = read(frame);
        assert.deepEqual([packet.eth.dst, packet.ipv6?.dst], ["33:33:00:00:00:01", "ff02::1"]);
        sent.push({ port, at: clock.monotonic(), said });
      },
    },
    clock,
    random: () => 0.5,
    log: silentLog,
    metrics: await createMetrics(),
  });
  let revision = 1;
  const change = (...more: readonly Change[]): void => {
    revision += 1;
    engine.apply(more, revision);
    advertiser.changed();
  };
  advertiser.changed();
  return { clock, sent, change, advertiser };
}

const plugged = (key: number): Change => put(Attachment, makeAttachment({ id: `guest${key}` }));
const lively = [subnet(1, { ipv6_ra_mode: "slaac" }), interfacePort([1]), plugged(1)];

test("a router is advertised to this host's machines alone: thrice soon, then between 200 and 600 seconds apart", async () => {
  const { clock, sent } = await advertising(...lively, guestPort(2), guestPort(3, "h2"));
  clock.advance(0);
  assert.deepEqual(
    sent.map(({ port }) => port),
    ["guest1"],
    "guest2 is not plugged in, guest3 is elsewhere",
  );
  clock.advance(32_000);
  assert.deepEqual(
    sent.map(({ at }) => at),
    [0, 16_000, 32_000],
  );
  clock.advance(1_200_000);
  assert.deepEqual(
    sent.slice(3).map(({ at }) => at - 32_000),
    [400_000, 800_000, 1_200_000],
  );
  assert.ok(sent.every(({ said }) => said.lifetime === 1800));
});

test("a router that goes says so once, with a lifetime of 0, and no more", async () => {
  for (const going of [
    remove(Port, "interface"),
    put(Router, makeRouter({ id: "router", key: 1, admin_state_up: false })),
    subnet(1, { ipv6_ra_mode: null }),
  ]) {
    const { clock, sent, change } = await advertising(...lively);
    clock.advance(10_000);
    const before = sent.length;
    change(going);
    clock.advance(3_000_000);
    assert.deepEqual(
      sent.slice(before).map(({ said }) => said.lifetime),
      [0],
    );
  }
});

test("what changes is said at once, with an end to the prefix that is gone; but not more often than every three seconds", async () => {
  const { clock, sent, change } = await advertising(
    subnet(1, { ipv6_ra_mode: "slaac" }),
    subnet(2, { ipv6_ra_mode: "slaac" }),
    interfacePort([1, 2]),
    plugged(1),
  );
  clock.advance(10_000);
  const before = sent.length;
  change(interfacePort([2]));
  clock.advance(0);
  const lifetimes = sent
    .at(-1)
    ?.said.options.flatMap((each) =>
      each.kind === "prefix" ? [[each.prefix, each.validLifetime, each.preferredLifetime]] : [],
    );
  assert.deepEqual(lifetimes, [
    ["2001:db8:2::", 86_400, 14_400],
    ["2001:db8:1::", 0, 0],
  ]);
  for (const mtu of [1300, 1301, 1302]) change(put(Network, makeNetwork({ id: "net", mtu })));
  clock.advance(2_999);
  assert.equal(sent.length, before + 1);
  clock.advance(1);
  assert.equal(sent.length, before + 2);
  assert.equal(
    sent.at(-1)?.said.options.some((each) => each.kind === "mtu" && each.mtu === 1302),
    true,
  );
  change(guestPort(4));
  clock.advance(3_000);
  assert.equal(sent.length, before + 2, "what does not touch the router is not said");
});

test("an advertiser that is closed says nothing more, not even that the router goes", async () => {
  const { clock, sent, change, advertiser } = await advertising(...lively);
  clock.advance(0);
  advertiser.close();
  change(remove(Port, "interface"));
  clock.advance(3_000_000);
  assert.equal(sent.length, 1);
});
