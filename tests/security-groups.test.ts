/**
 * Security groups and port security on a running fabric of two hosts with real switches, asked by real programs: who reaches whom by groups, rules, prefixes and
 * pairs of addresses, and what is cut when they go. What one machine can take from others is in `floods.test.ts`.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { until, whyNoLab } from "@selvage/lab/testing";
import { Fabric, type Guest, type Program } from "./support/guests.ts";

const skip = (await whyNoLab()) ?? false;
const WAIT_MS = 60_000;

/** Says its name to whoever asks, and goes on saying it for whoever asks for a stream. */
const SERVER = `
  const [name, ...ports] = process.argv.slice(1);
  const serve = (port) => new Promise((listening) => require("node:http").createServer((request, response) => {
    if (request.url !== "/stream") return response.end(name);
    const timer = setInterval(() => response.write(name + "\\n"), 20);
    response.on("close", () => clearInterval(timer));
  }).listen(Number(port), "::", listening));
  Promise.all(ports.map(serve)).then(() => console.log("listening"));
`;
/** Asks a port where nobody listens, and says what its kernel was told of that. */
const REFUSED = `
  const [address, port] = process.argv.slice(1);
  const socket = require("node:dgram").createSocket(address.includes(":") ? "udp6" : "udp4");
  socket.on("error", (error) => { console.log(error.code); process.exit(0); });
  socket.connect(Number(port), address, () => setInterval(() => socket.send("?"), 200));
`;

interface World {
  readonly fabric: Fabric;
  readonly groups: { readonly web: string; readonly clients: string; readonly friends: string };
  /** Of the project's default group, one on each host. */
  readonly members: readonly [Guest, Guest];
  /** Serves, and is let in by the rules of each test alone; on the first host. */
  readonly web: Guest;
  /** Ask; on the first host and on the second. */
  readonly near: Guest;
  readonly far: Guest;
}

let world: World;
let serving: Program;

const bracketed = (address: string): string => (address.includes(":") ? `[${address}]` : address);
const addresses = ({ ip4, ip6 }: Guest): readonly string[] => [ip4, ip6];

/** Whether a question is answered. */
async function pings(from: Guest, address: string, ...options: readonly string[]): Promise<boolean> {
  const { said } = await world.fabric.run(from, "ping", "-n", "-c", "1", "-W", "10", ...options, address);
  return said.includes(" 1 received");
}

/** What a server says to a machine that asks; undefined where nobody answers in time. */
async function asks(from: Guest, address: string, port = 80, seconds = 10): Promise<string | undefined> {
  const url = `http://${bracketed(address)}:${port}/`;
  const { code, said } = await world.fabric.run(from, "curl", "-s", "-g", "-m", String(seconds), url);
  return code === 0 ? said : undefined;
}

/** Asserts that what is asked there, at each address, is dropped for want of a rule that lets it in. */
async function isShut(from: Guest, to: Guest, port = 80): Promise<void> {
  const { fabric } = world;
  const both = () => Promise.all(addresses(to).map((address) => asks(from, address, port, 1)));
  const said = await fabric.drops(to.host, "sg-default-deny-ingress", 2, both);
  assert.deepEqual(said, [undefined, undefined], `${from.name} to ${to.name} port ${port}`);
}

/** The same of pings, two to each address. */
async function isSilent(from: Guest, to: Guest): Promise<void> {
  const { fabric } = world;
  const ping = (address: string) => fabric.run(from, "ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", address);
  const both = () => Promise.all(addresses(to).map(ping));
  for (const { said } of await fabric.drops(to.host, "sg-default-deny-ingress", 4, both))
    assert.match(said, / 0 received/, `${from.name} to ${to.name}`);
}

/** A rule of the servers' group, for both versions of IP; `more`: of one alone where it names a prefix. */
async function rule(more: Readonly<Record<string, unknown>>): Promise<readonly string[]> {
  const { fabric, groups } = world;
  const prefix = String(more.remote_ip_prefix ?? "");
  const versions = prefix === "" ? ["IPv4", "IPv6"] : [prefix.includes(":") ? "IPv6" : "IPv4"];
  const ids: string[] = [];
  for (const ethertype of versions) {
    const protocol = more.protocol === "icmp" && ethertype === "IPv6" ? { protocol: "ipv6-icmp" } : {};
    const fields = { security_group_id: groups.web, direction: "ingress", ethertype, ...more, ...protocol };
    ids.push(await fabric.make("security-group-rules", fields));
  }
  await fabric.settled();
  return ids;
}

async function unrule(ids: readonly string[]): Promise<void> {
  for (const id of ids) await world.fabric.remove("security-group-rules", id);
}

const http = (port = 80) => ({ protocol: "tcp", port_range_min: port, port_range_max: port });

/** Asserts that a program that has heard much hears nothing more: what is sent is dropped again and again, and no word is added. */
async function isCut(
  program: Program,
  host: string,
  reason: "ct-rule-revoked" | "sg-default-deny-ingress",
): Promise<void> {
  const { fabric } = world;
  await fabric.drops(host, reason, 1, async () => undefined);
  const heard = program.said;
  await fabric.drops(host, reason, 2, async () => undefined);
  assert.equal(program.said, heard);
}

before(async () => {
  if (skip !== false) return;
  const fabric = await Fabric.up("security-groups");
  const network_id = await fabric.make("networks", { name: "guarded" });
  await fabric.make("subnets", { network_id, ip_version: 4, cidr: "192.168.40.0/24" });
  await fabric.make("subnets", { network_id, ip_version: 6, cidr: "fd40::/64" });
  const group = (name: string): Promise<string> => fabric.make("security-groups", { name });
  const groups = { web: await group("web"), clients: await group("clients"), friends: await group("friends") };
  const guest = (name: string, host: string, ...security_groups: readonly string[]): Promise<Guest> =>
    fabric.guest(name, host, { network_id, ...(security_groups.length === 0 ? {} : { security_groups }) });
  const [one, two, web, near, far] = await Promise.all([
    guest("member-1", "h1"),
    guest("member-2", "h2"),
    guest("web", "h1", groups.web),
    guest("near", "h1", groups.clients),
    guest("far", "h2", groups.clients),
  ]);
  await fabric.settled();
  world = { fabric, groups, members: [one, two], web, near, far };
  serving = fabric.start(web, process.execPath, "-e", SERVER, "web", "22", "80", "81", "90");
  await serving.says(/listening/);
});

after(async () => {
  await serving?.[Symbol.asyncDispose]();
  await world?.fabric[Symbol.asyncDispose]();
});

describe("security groups", { skip }, () => {
  test("members of a project's default group reach each other; who is of another group reaches none of them", async () => {
    const [one, two] = world.members;
    for (const [from, to] of [
      [one, two],
      [two, one],
    ] as const)
      for (const address of addresses(to)) assert.ok(await pings(from, address), `${from.name} to ${address}`);
    for (const stranger of [world.near, world.far]) await isSilent(stranger, one);
    // Members may send to it; it lets nobody in.
    await isSilent(one, world.near);
  });

  test("a rule for port 80 lets curl in from this host and the other, by IPv4 and IPv6, and no other port", async () => {
    const { web, near, far } = world;
    for (const from of [near, far]) await isShut(from, web);
    const ids = await rule(http());
    for (const from of [near, far]) {
      for (const address of addresses(web))
        assert.equal(await asks(from, address), "web", `${from.name} to ${address}`);
      await isShut(from, web, 81);
    }
    await unrule(ids);
    for (const from of [near, far]) await isShut(from, web);
  });

  test("a rule that goes takes with it what it let in: a transfer's answers, and a ping, at the next packet", async () => {
    const { fabric, web, far } = world;
    const ids = await rule(http());
    for (const address of addresses(web)) {
      const url = `http://${bracketed(address)}/stream`;
      await using stream = fabric.start(far, "curl", "-s", "-g", "-N", url);
      await stream.says(/web\n.*web/s);
      const [id = ""] = ids.filter((_, at) => (at === 0) !== address.includes(":"));
      await fabric.remove("security-group-rules", id);
      // The other side's kernel sends again what is not acknowledged: an answer, of which this host asks whether its rule is there.
      await isCut(stream, web.host, "ct-rule-revoked");
    }
    const icmp = await rule({ protocol: "icmp" });
    for (const address of addresses(web)) {
      await using ping = fabric.start(far, "ping", "-n", "-i", "0.05", address);
      await ping.says(/icmp_seq=5 /);
      const [id = ""] = icmp.filter((_, at) => (at === 0) !== address.includes(":"));
      await fabric.remove("security-group-rules", id);
      await isCut(ping, web.host, "sg-default-deny-ingress");
    }
  });

  test("who is put into a group that a rule names is let in; who is taken out is cut off, and nobody else", async () => {
    const { fabric, groups, web, near, far } = world;
    const ids = await rule({ ...http(), remote_group_id: groups.friends });
    const friends = { security_groups: [groups.clients, groups.friends] };
    for (const guest of [near, far]) {
      const other = guest === near ? far : near;
      await isShut(guest, web);
      await fabric.change("ports", guest.id, friends);
      for (const address of addresses(web))
        assert.equal(await asks(guest, address), "web", `${guest.name} to ${address}`);
      await isShut(other, web);
      await using stream = fabric.start(guest, "curl", "-s", "-N", `http://${web.ip4}/stream`);
      await stream.says(/web\n.*web/s);
      await fabric.change("ports", guest.id, { security_groups: [groups.clients] });
      await isCut(stream, web.host, "ct-rule-revoked");
      await isShut(guest, web);
    }
    // One of two that goes: what it sends is nobody's whom the rule names, and the other's goes on.
    for (const { id } of [near, far]) await fabric.change("ports", id, friends);
    await using kept = fabric.start(near, "curl", "-s", "-N", `http://${web.ip4}/stream`);
    await using cut = fabric.start(far, "curl", "-s", "-N", `http://${web.ip4}/stream`);
    for (const stream of [kept, cut]) await stream.says(/web\n.*web/s);
    await fabric.change("ports", far.id, { security_groups: [groups.clients] });
    await isShut(far, web);
    const heard = kept.said.length;
    await until("the other's goes on", WAIT_MS, async () => (kept.said.length > heard + 100 ? true : undefined));
    await fabric.change("ports", near.id, { security_groups: [groups.clients] });
    await unrule(ids);
  });

  test("a prefix, and the prefixes of an address group, say who is let in", async () => {
    const { fabric, web, near, far } = world;
    const narrow = [
      ...(await rule({ ...http(), remote_ip_prefix: far.ip4 })),
      ...(await rule({ ...http(), remote_ip_prefix: `${far.ip6}/128` })),
    ];
    for (const address of addresses(web)) assert.equal(await asks(far, address), "web", address);
    await isShut(near, web);
    await unrule(narrow);

    const group = await fabric.make("address-groups", { name: "those", addresses: [] });
    const named = await rule({ ...http(), remote_address_group_id: group });
    await isShut(near, web);
    const body = { addresses: [`${near.ip4}/32`, `${near.ip6}/128`] };
    await fabric.api.ask("PUT", `/v2.0/address-groups/${group}/add_addresses`, body);
    await fabric.settled();
    for (const address of addresses(web)) assert.equal(await asks(near, address), "web", address);
    await isShut(far, web);
    await fabric.api.ask("PUT", `/v2.0/address-groups/${group}/remove_addresses`, body);
    await fabric.settled();
    await isShut(near, web);
    await unrule(named);
  });

  test("fragments of what is let in pass, by both versions of IP, on one host and between two", async () => {
    const { web, near, far } = world;
    const ids = await rule({ protocol: "icmp" });
    for (const from of [near, far])
      for (const address of addresses(web))
        assert.ok(await pings(from, address, "-s", "4000"), `${from.name} to ${address}`);
    await unrule(ids);
    const { fabric } = world;
    const ping = () => fabric.run(far, "ping", "-n", "-c", "1", "-W", "1", "-s", "4000", web.ip4);
    const { said } = await fabric.drops(web.host, "sg-default-deny-ingress", 3, ping);
    assert.match(said, / 0 received/);
  });

  test("the word that nobody listens on a port reaches whoever was let in to ask it", async () => {
    const { fabric, web, near, far } = world;
    const ids = await rule({ protocol: "udp", port_range_min: 5_353, port_range_max: 5_353 });
    for (const from of [near, far])
      for (const address of addresses(web)) {
        const { said } = await fabric.run(from, process.execPath, "-e", REFUSED, address, "5353");
        assert.equal(said.trim(), "ECONNREFUSED", `${from.name} to ${address}`);
      }
    await unrule(ids);
  });

  test("a scan of a hundred ports finds what listens and is let in, what is let in and does not listen, and no more", async () => {
    const { fabric, web, near, far } = world;
    const ids = [...(await rule({ protocol: "tcp", port_range_min: 20, port_range_max: 23 })), ...(await rule(http()))];
    const scan = async (from: Guest, address: string): Promise<readonly string[]> => {
      const version = address.includes(":") ? ["-6"] : [];
      const words = ["-n", "-Pn", "-sS", "-p", "1-100", "--max-retries", "2", "--max-rtt-timeout", "300ms", "-oG", "-"];
      const { code, said } = await fabric.run(from, "nmap", ...version, ...words, address);
      assert.equal(code, 0, said);
      return [...said.matchAll(/(\d+)\/(open|closed)\/tcp/g)].map(([, port, state]) => `${port} ${state}`);
    };
    const found = ["20 closed", "21 closed", "22 open", "23 closed", "80 open"];
    assert.deepEqual(await scan(far, web.ip4), found);
    assert.deepEqual(await scan(near, web.ip6), found);
    await unrule(ids);
  });
});

describe("port security", { skip }, () => {
  test("a machine without it sends as it likes and is asked no rules; with it again, both end", async () => {
    const { fabric, groups, members, near } = world;
    const [one] = members;
    await isSilent(one, near);
    await fabric.change("ports", near.id, { port_security_enabled: false, security_groups: [] });
    for (const address of addresses(near)) assert.ok(await pings(one, address), address);
    const address = "192.168.40.200";
    await fabric.run(near, "ip", "addr", "add", `${address}/24`, "dev", "eth0");
    await fabric.change("ports", near.id, { port_security_enabled: true, security_groups: [groups.clients] });
    await isSilent(one, near);
    const spoof = () => fabric.run(near, "arping", "-U", "-c", "1", "-I", "eth0", address);
    await fabric.drops(near.host, "arp-spoof", 1, spoof);
    await fabric.run(near, "ip", "addr", "del", `${address}/24`, "dev", "eth0");
  });

  test("an address of both ports' pairs moves by gratuitous ARP, and by an unsolicited advertisement", async () => {
    const { fabric, members } = world;
    const [one, two] = members;
    const shared = ["192.168.40.100", "fd40::100"];
    const announce = async (guest: Guest): Promise<void> => {
      const setting = "/proc/sys/net/ipv6/conf/eth0/ndisc_notify";
      await fabric.run(guest, "sh", "-c", `echo 1 > ${setting}`);
      await fabric.run(guest, "ip", "addr", "add", "192.168.40.100/24", "dev", "eth0");
      // Its kernel tells all about the second by itself (ip-sysctl, `ndisc_notify`).
      await fabric.run(guest, "ip", "addr", "add", "fd40::100/64", "dev", "eth0");
      await fabric.run(guest, "arping", "-U", "-c", "1", "-I", "eth0", "192.168.40.100");
    };
    const leave = async (guest: Guest): Promise<void> => {
      await fabric.run(guest, "ip", "addr", "del", "192.168.40.100/24", "dev", "eth0");
      await fabric.run(guest, "ip", "addr", "del", "fd40::100/64", "dev", "eth0");
    };
    const asker = await fabric.guest("asker", "h2", { network_id: await networkOf(one) });
    await fabric.drops(one.host, "arp-spoof", 1, () => announce(one));
    await leave(one);
    const pairs = { allowed_address_pairs: shared.map((ip_address) => ({ ip_address })) };
    for (const { id } of [one, two]) await fabric.change("ports", id, pairs);
    const servers = [one, two].map((guest) => fabric.start(guest, process.execPath, "-e", SERVER, guest.name, "80"));
    for (const each of servers) await each.says(/listening/);
    for (const guest of [one, two, one]) {
      await announce(guest);
      // At once: the first packet after the word comes to whoever said it, and to nobody else.
      for (const address of shared) {
        const isAnswered = await pings(asker, address);
        const said = await asks(asker, address);
        if (!isAnswered || said !== guest.name) {
          const knows = (each: Guest, ...what: readonly string[]) =>
            fabric.run(each, "ip", ...what, "show", "dev", "eth0");
          const told = [await knows(asker, "neigh"), await knows(one, "addr"), await knows(two, "addr")];
          assert.fail(
            `${address}: ping ${isAnswered}, ${said}, not ${guest.name}\n${told.map((each) => each.said).join("\n")}`,
          );
        }
      }
      await leave(guest);
    }
    for (const each of servers) await each[Symbol.asyncDispose]();
    await fabric.remove("ports", asker.id);
    for (const { id } of [one, two]) await fabric.change("ports", id, { allowed_address_pairs: [] });
  });
});

async function networkOf(guest: Guest): Promise<string> {
  const reply = await world.fabric.api.ask("GET", `/v2.0/ports/${guest.id}`);
  const { port } = reply as { readonly port: { readonly network_id: string } };
  return port.network_id;
}
