/** Isolation on a running fabric of two hosts with real switches: neighbours answered on the asking host, equal addresses that never meet, forged tunnels, nothing left behind. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type ReasonCode, reasonByCode } from "@selvage/base";
import {
  arpReply,
  arpRequest,
  neighbourAdvertisement,
  neighbourSolicitation,
  type Speaker,
  udp,
  udpToAll,
} from "@selvage/datapath/testing";
import { type Api, askControl, at, type LabPlace, openFabric, openLab, placeOf, plug, unplug } from "@selvage/lab";
import { until, whyNoLab } from "@selvage/lab/testing";
import { decode, type Packet } from "@selvage/packet";
import { watchKey } from "@selvage/pipeline";
import { Capture, runIn, sendDatagram, sendFrames } from "./support/lab-wire.ts";

const MAIN = fileURLToPath(new URL("../packages/cli/src/main.ts", import.meta.url));
const GENEVE = 6081;
const WAIT_MS = 120_000;
const skip = (await whyNoLab()) ?? false;
const place = mkdtempSync(join(tmpdir(), "selvage-isolation-"));
// The server's user must be able to pass.
chmodSync(place, 0o755);
const data = join(place, "data");

interface Machine extends Speaker {
  readonly name: string;
  readonly room: LabPlace;
}

interface World {
  readonly api: Api;
  readonly lab: number;
  readonly socket: string;
  readonly tunnelIps: readonly [string, string];
}

let world: World;
const underlay: LabPlace = { kind: "lab" };
const host = (name: string): LabPlace => ({ kind: "host", name });

async function machine(name: string, address: { readonly ip4: string; readonly ip6: string }): Promise<Machine> {
  const { machines } = await askControl(world.socket, { op: "state" });
  const found = machines.find((each) => each.name === name);
  assert.ok(found, name);
  return { name, room: placeOf(found), mac: found.mac, ...address };
}

const red1 = () => machine("red-1", { ip4: "10.0.0.11", ip6: "fd00::11" });
const red2 = () => machine("red-2", { ip4: "10.0.0.12", ip6: "fd00::12" });
const blue1 = () => machine("blue-1", { ip4: "10.0.0.11", ip6: "fd00::11" });
const blue2 = () => machine("blue-2", { ip4: "10.0.0.13", ip6: "fd00::13" });

const listen = ({ room }: Machine): Promise<Capture> => Capture.open(world.lab, room, "eth0");
const same = (frame: Uint8Array) => (other: Uint8Array) => Buffer.compare(frame, other) === 0;
let marks = 0;
const mark = (): number => 0x5e1_0000 + marks++;

const packetOf = (frame: Uint8Array): Packet | undefined => {
  const decoded = decode(frame);
  return decoded.ok ? decoded.packet : undefined;
};
/** What a tunnelled packet carries; nothing where it is none, or only the switches' sign of life to each other. */
const innerFrame = (frame: Uint8Array): readonly Uint8Array[] => {
  const packet = packetOf(frame);
  return packet?.geneve === undefined || packet.geneve.vni === watchKey ? [] : [packet.payload];
};
function kindOf(frame: Uint8Array): string {
  const packet = packetOf(frame);
  if (packet?.arp !== undefined) return "arp";
  if (packet?.icmpv6 !== undefined)
    return packet.icmpv6.kind.startsWith("echo") ? `${packet.icmpv6.kind} over IPv6` : packet.icmpv6.kind;
  return packet?.icmp === undefined ? "other" : `${packet.icmp.kind} over IPv4`;
}
const isRouterSolicitation = (frame: Uint8Array): boolean => packetOf(frame)?.icmpv6?.kind === "router-solicitation";

function flows(name: string, ...options: readonly string[]): readonly string[] {
  const target = `unix:${join(data, "hosts", name, "run", "br-int.mgmt")}`;
  const result = spawnSync("ovs-ofctl", ["-O", "OpenFlow15", ...options, "dump-flows", target], {
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  assert.equal(result.status, 0, result.stderr);
  return result.stdout.split("\n").filter((line) => line.includes("cookie=") || line.includes("table="));
}

/** Packets that a host's switch has dropped for a reason: its number stands in bits 59 to 52 of the dropping flows' cookies. */
function dropped(name: string, reason: ReasonCode): number {
  const { number } = reasonByCode(reason);
  return flows(name).reduce((sum, line) => {
    const [, cookie = "0"] = /cookie=(0x[0-9a-f]+)/.exec(line) ?? [];
    const [, packets = "0"] = /n_packets=(\d+)/.exec(line) ?? [];
    return Number((BigInt(cookie) >> 52n) & 0xffn) === number ? sum + Number(packets) : sum;
  }, 0);
}

/** Runs `work` and waits until the host has counted so many more drops for the reason. */
async function drops(name: string, reason: ReasonCode, count: number, work: () => Promise<void>): Promise<void> {
  const before = dropped(name, reason);
  await work();
  await until(`${name} did not count ${count} times ${reason}`, WAIT_MS, async () =>
    dropped(name, reason) >= before + count ? true : undefined,
  );
}

const member = (value: unknown, ...keys: readonly string[]): string => {
  const found = keys.reduce<unknown>(at, value);
  assert.equal(typeof found, "string", keys.join("."));
  return String(found);
};

/** Waits until what was asked for last is in force on every host. */
async function settled(): Promise<void> {
  await until("not every host is current", WAIT_MS, async () => {
    const status = await world.api.ask("GET", "/v1/status");
    const hosts = at(status, "hosts");
    assert.ok(Array.isArray(hosts));
    return hosts.every((each) => at(each, "in_force") === at(status, "revision")) ? true : undefined;
  });
}

before(async () => {
  if (skip !== false) return;
  const up = spawnSync(process.execPath, [MAIN, "up", "--data", data, "--hosts", "2", "--port", "0", "--json"], {
    encoding: "utf8",
    timeout: 600_000,
  });
  assert.equal(up.status, 0, up.stderr);
  const { api, paths } = await openFabric(data);
  const { lab } = await openLab(data);
  const { hosts } = await askControl(paths.labSocket, { op: "state" });
  const tunnelIp = (name: string): string => hosts.find((each) => each.name === name)?.tunnelIp ?? "";
  world = { api, lab: lab.first.pid, socket: paths.labSocket, tunnelIps: [tunnelIp("h1"), tunnelIp("h2")] };
});

after(() => {
  spawnSync(process.execPath, [MAIN, "down", "--purge", "--data", data], { encoding: "utf8", timeout: 600_000 });
  rmSync(place, { recursive: true, force: true });
});

test("a known neighbour is answered on the asking host, by ARP and by neighbour discovery: not one packet on the underlay", {
  skip,
}, async () => {
  const [asker, answerer] = await Promise.all([red1(), red2()]);
  await using wire = await Capture.open(world.lab, underlay, "underlay");
  await using seen = await listen(asker);
  await sendFrames(world.lab, asker.room, arpRequest(asker, answerer.ip4), neighbourSolicitation(asker, answerer.ip6));
  await seen.first("the ARP reply", same(arpReply(answerer, asker)));
  await seen.first("the neighbour advertisement", (frame) => {
    const icmpv6 = packetOf(frame)?.icmpv6;
    return icmpv6?.kind === "neighbor-advertisement" && icmpv6.target === answerer.ip6 && icmpv6.solicited;
  });
  const marker = udp(4, asker, answerer, mark());
  await sendFrames(world.lab, asker.room, marker);
  const isMarker = (frame: Uint8Array): boolean => Buffer.from(frame).includes(marker);
  await wire.first("what does cross", isMarker);
  // Kernels look for routers whenever they like: that alone may have crossed meanwhile.
  const crossed = (): readonly Uint8Array[] =>
    wire.frames.flatMap(innerFrame).filter((frame) => !isRouterSolicitation(frame));
  assert.equal(crossed().findIndex(isMarker), 0, "the packet after them is the first that crosses");

  // The kernels' own questions, from empty tables on both sides.
  for (const each of [asker, answerer]) await runIn(world.lab, each.room, ["ip", "neigh", "flush", "dev", "eth0"]);
  for (const address of [answerer.ip4, answerer.ip6])
    await runIn(world.lab, asker.room, ["ping", "-n", "-c", "1", "-W", "5", address]);
  const kinds = (): readonly string[] => crossed().map(kindOf);
  for (const echo of ["echo-reply over IPv4", "echo-reply over IPv6"])
    await until(`not captured: ${echo}`, WAIT_MS, async () => (kinds().includes(echo) ? true : undefined));
  assert.deepEqual(
    kinds().filter((kind) => kind === "arp" || kind.startsWith("neighbor")),
    [],
  );
});

test("equal addresses in two projects never meet: broadcasts stay, what is spoofed is dropped with its reason", {
  skip,
}, async () => {
  const [r1, r2, b1, b2] = await Promise.all([red1(), red2(), blue1(), blue2()]);
  await using atRed1 = await listen(r1);
  await using atRed2 = await listen(r2);
  await using atBlue1 = await listen(b1);
  const all = [atRed1, atRed2, atBlue1];
  const nobody = (frame: Uint8Array): void => {
    for (const capture of all) assert.equal(capture.has(frame), false);
  };

  for (const version of [4, 6] as const) {
    const broadcast = udpToAll(version, b2, mark());
    await sendFrames(world.lab, b2.room, broadcast);
    await atBlue1.first(`blue-2's broadcast by IPv${version}`, same(broadcast));
    assert.deepEqual([atRed1.has(broadcast), atRed2.has(broadcast)], [false, false]);
  }

  const forged: readonly (readonly [ReasonCode, readonly Uint8Array[]])[] = [
    ["anti-spoof-mac", [udp(4, { ...b2, mac: b1.mac }, b1, mark()), udp(6, { ...b2, mac: r1.mac }, r2, mark())]],
    ["anti-spoof-ip", [udp(4, { ...b2, ip4: b1.ip4 }, b1, mark()), udp(6, { ...b2, ip6: b1.ip6 }, b1, mark())]],
    ["arp-spoof", [arpRequest({ ...b2, ip4: b1.ip4 }, b1.ip4), arpReply({ mac: b2.mac, ip4: "10.0.0.12" }, b1)]],
    ["nd-spoof", [neighbourAdvertisement(b2, b1.ip6)]],
    ["no-fdb-entry", [udp(4, b2, r1, mark()), udp(6, b2, r2, mark())]],
  ];
  for (const [reason, frames] of forged) {
    await drops("h1", reason, frames.length, () => sendFrames(world.lab, b2.room, ...frames));
    frames.forEach(nobody);
  }

  // What is genuine still passes, after all that was forged: the captures had their time.
  for (const [from, to, capture] of [
    [r1, r2, atRed2],
    [r2, r1, atRed1],
    [b2, b1, atBlue1],
  ] as const) {
    const genuine = udp(4, from, to, mark());
    await sendFrames(world.lab, from.room, genuine);
    await capture.first(`${from.name} to ${to.name}`, same(genuine));
  }
  for (const [, frames] of forged) frames.forEach(nobody);
});

test("a forged tunnel packet is dropped: from a stranger on the underlay, and from a host that has no machine on that network", {
  skip,
}, async () => {
  const { api, lab, socket, tunnelIps } = world;
  const network_id = member(await api.ask("POST", "/v2.0/networks", { network: { name: "lone" } }), "network", "id");
  const subnet = { network_id, ip_version: 4, cidr: "10.9.0.0/24" };
  await api.ask("POST", "/v2.0/subnets", { subnet });
  for (const [name, where] of [
    ["lone-1", "h1"],
    ["lone-2", "h2"],
  ] as const) {
    await api.ask("POST", "/v2.0/ports", { port: { name, network_id } });
    await plug(api, socket, name, where, WAIT_MS);
  }
  const state = await askControl(socket, { op: "state" });
  const speakers = await Promise.all(
    ["lone-1", "lone-2"].map((name) => {
      const ip4 = state.machines.find((each) => each.name === name)?.ipv4;
      assert.ok(typeof ip4 === "string", `${name} has an address`);
      return machine(name, { ip4, ip6: "fe80::1" });
    }),
  );
  const [from, to] = speakers;
  assert.ok(from !== undefined && to !== undefined);

  // What crosses in truth is what will be forged: the key, the option and the inner frame are right.
  await using wire = await Capture.open(lab, underlay, "underlay");
  await using arrived = await listen(to);
  const genuine = udp(4, from, to, mark());
  const crossing = async (frame: Uint8Array): Promise<Uint8Array> => {
    await sendFrames(lab, from.room, frame);
    const outer = await wire.first("the tunnelled packet", (each) => Buffer.from(each).includes(frame));
    // Ethernet, IPv4 without options, UDP: 42 bytes.
    return outer.subarray(42);
  };
  const payload = await until("lone-1 did not reach lone-2", WAIT_MS, async () => {
    const crossed = await crossing(genuine);
    return arrived.has(genuine) ? crossed : undefined;
  });
  const count = (): number => arrived.frames.filter(same(genuine)).length;
  const replay = (room: LabPlace, address: string): Promise<void> =>
    sendDatagram(lab, room, { from: address, to: tunnelIps[1], port: GENEVE, payload });

  const before = count();
  await replay(host("h1"), tunnelIps[0]);
  await until("the same, sent again by the host itself, did not arrive", WAIT_MS, async () =>
    count() === before + 1 ? true : undefined,
  );

  const stranger = "198.18.77.77";
  for (const words of [
    "ip netns add stranger",
    "ip link add ul-stranger type veth peer name eth0 netns stranger",
    "ip link set ul-stranger master underlay addrgenmode none up",
    "ethtool -K ul-stranger tx off",
    "ip -n stranger link set eth0 addrgenmode none up",
    `ip -n stranger addr add ${stranger}/15 dev eth0`,
    "ip netns exec stranger ethtool -K eth0 tx off",
  ])
    await runIn(lab, underlay, words.split(" "));
  try {
    await drops("h2", "tunnel-source", 1, () => replay(host("stranger"), stranger));
  } finally {
    await runIn(lab, underlay, ["ip", "netns", "delete", "stranger"]);
  }

  await unplug(api, socket, "lone-1");
  await settled();
  await drops("h2", "tunnel-source", 1, () => replay(host("h1"), tunnelIps[0]));
  assert.equal(count(), before + 1, "neither was delivered");
  await unplug(api, socket, "lone-2");
});

test("a port that is deleted leaves no row on any host's switch", { skip }, async () => {
  const { api, socket } = world;
  const networks = at(await api.ask("GET", "/v2.0/networks?name=red-net"), "networks");
  assert.ok(Array.isArray(networks));
  const network_id = member(networks[0], "id");
  const rows = (): readonly (readonly string[])[] => ["h1", "h2"].map((name) => flows(name, "--no-stats").toSorted());
  await settled();
  const before = rows();
  const port = await api.ask("POST", "/v2.0/ports", { port: { name: "brief", network_id } });
  const id = member(port, "port", "id");
  await plug(api, socket, "brief", "h1", WAIT_MS);
  await until("the port is ACTIVE", WAIT_MS, async () =>
    member(await api.ask("GET", `/v2.0/ports/${id}`), "port", "status") === "ACTIVE" ? true : undefined,
  );
  const during = rows();
  for (const [index, name] of ["h1", "h2"].entries())
    assert.ok((during[index]?.length ?? 0) > (before[index]?.length ?? 0), `${name} has rows for the port`);
  await api.ask("DELETE", `/v2.0/ports/${id}`);
  await settled();
  assert.deepEqual(rows()[1], before[1], "the other host, while the interface is still plugged in");
  await askControl(socket, { op: "unplug", port: id });
  await until("h1 still has rows that were not there before", WAIT_MS, async () =>
    JSON.stringify(rows()[0]) === JSON.stringify(before[0]) ? true : undefined,
  );
  assert.deepEqual(rows(), before);
});
