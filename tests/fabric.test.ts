/** The main job as a new user does it: `selvage up` with real switches, the stock openstack client, machines plugged and entered, repair, `down` and `up` again. */

import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { at } from "@selvage/lab";
import { machineSnapshot, processesNaming, until, whyNoLab } from "@selvage/lab/testing";

const MAIN = fileURLToPath(new URL("../packages/cli/src/main.ts", import.meta.url));
const skip = (await whyNoLab()) ?? false;
const place = mkdtempSync(join(tmpdir(), "selvage-fabric-"));
// The server's user must be able to pass.
chmodSync(place, 0o755);
const data = join(place, "data");

function selvage(...words: readonly string[]): SpawnSyncReturns<string> {
  const [first = "", ...rest] = words;
  const nested = ["lab", "host", "server"].includes(first)
    ? [first, rest[0] ?? "", "--data", data, ...rest.slice(1)]
    : [first, "--data", data, ...rest];
  return spawnSync(process.execPath, [MAIN, ...nested], { encoding: "utf8", timeout: 600_000 });
}

function ok(result: SpawnSyncReturns<string>): string {
  assert.equal(result.status, 0, `${result.stderr}\n${result.stdout}`);
  return result.stdout;
}

function json(result: SpawnSyncReturns<string>): unknown {
  return JSON.parse(ok(result));
}

function list(value: unknown, key: string): readonly unknown[] {
  const found = at(value, key);
  assert.ok(Array.isArray(found), `${key} is a list`);
  return found;
}

const untilTrue = async (what: string, holds: () => boolean | Promise<boolean>): Promise<void> => {
  await until(`not seen: ${what}`, 240_000, async () => ((await holds()) ? true : undefined));
};

let environment: Readonly<Record<string, string>> = {};

function openstack(...words: readonly string[]): unknown {
  const result = spawnSync("openstack", [...words, "-f", "json"], {
    encoding: "utf8",
    env: { ...process.env, ...environment },
  });
  assert.equal(result.status, 0, `openstack ${words.join(" ")}: ${result.stderr}`);
  return result.stdout.trim() === "" ? null : JSON.parse(result.stdout);
}

function quietOpenstack(...words: readonly string[]): void {
  const result = spawnSync("openstack", words, { encoding: "utf8", env: { ...process.env, ...environment } });
  assert.equal(result.status, 0, `openstack ${words.join(" ")}: ${result.stderr}`);
}

const pidsOf = (): string =>
  JSON.stringify(list(json(selvage("lab", "hosts", "--json")), "hosts").map((host) => at(host, "pids")));
const pinged = (from: string, address: string): boolean =>
  selvage("lab", "exec", from, "--", "ping", "-n", "-c", "1", "-W", "5", address).status === 0;
const allAlive = (): boolean => {
  const result = selvage("status", "--json");
  if (result.stdout === "") return false;
  const status: unknown = JSON.parse(result.stdout);
  const revision = at(status, "revision");
  return list(status, "hosts").every((host) => at(host, "alive") === true && at(host, "revision") === revision);
};

let snapshot: unknown;

before(async () => {
  if (skip !== false) return;
  snapshot = await machineSnapshot();
});

after(async () => {
  selvage("down", "--purge");
  rmSync(place, { recursive: true, force: true });
});

test("up starts two hosts, proves reach within each project and silence between them, and says so in JSON", {
  skip,
}, () => {
  const report = json(selvage("up", "--hosts", "2", "--port", "0", "--json"));
  assert.equal(at(report, "datapath"), "ovs");
  assert.equal(at(report, "ok"), true);
  assert.deepEqual(
    list(report, "hosts").map((host) => [at(host, "name"), at(host, "alive"), at(host, "machines")]),
    [
      ["h1", true, 2],
      ["h2", true, 2],
    ],
  );
  const pings = list(report, "pings");
  assert.equal(
    pings.filter((ping) => at(ping, "expected") === "reached" && typeof at(ping, "milliseconds") === "number").length,
    4,
  );
  assert.equal(pings.filter((ping) => at(ping, "expected") === "silence" && at(ping, "ok") === true).length, 4);
  const addresses = list(report, "machines").map((machine) => [
    at(machine, "name"),
    at(machine, "ipv4"),
    at(machine, "host"),
  ]);
  assert.deepEqual(addresses.toSorted(), [
    ["blue-1", "10.0.0.11", "h2"],
    ["blue-2", "10.0.0.13", "h1"],
    ["red-1", "10.0.0.11", "h1"],
    ["red-2", "10.0.0.12", "h2"],
  ]);
});

test("a second up is harmless: the same processes go on", { skip }, () => {
  const pids = pidsOf();
  const report = json(selvage("up", "--json"));
  assert.equal(at(report, "ok"), true);
  assert.equal(pidsOf(), pids);
});

test("the server does not run as root", { skip }, () => {
  assert.equal(typeof at(json(selvage("status", "--json")), "url"), "string");
  const server = processesNaming(data).filter((line) => line.includes(" server run "));
  assert.equal(server.length, 1, server.join("\n"));
  const pid = server[0]?.split(" ")[0] ?? "";
  const uid = spawnSync("stat", ["-c", "%u %g", `/proc/${pid}`], { encoding: "utf8" }).stdout.trim();
  assert.equal(uid, "61616 61616");
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  assert.match(status, /^NoNewPrivs:\t1$/m, "no program that it starts could give it root back");
  assert.match(status, /^CapEff:\t0+$/m);
});

test("what a trace says is what a ping does, allowed and denied, over both families; flows and drops say the same of the switch", {
  skip,
}, async () => {
  const words = ok(selvage("env", "--project", "red"));
  environment = Object.fromEntries(
    [...words.matchAll(/^export (\w+)=(.*)$/gm)].map(([, name = "", value = ""]) => [name, value]),
  );
  const ends = [
    ["-4", "10.0.0.12"],
    ["-6", "fd00::12"],
  ] as const;
  const traced = (...more: readonly string[]) => {
    const { status, stdout, stderr } = selvage("trace", "red-1", ...more, "--json");
    assert.notEqual(stdout, "", stderr);
    const told: unknown = JSON.parse(stdout);
    assert.equal(status, at(told, "delivered") === true ? 0 : 1);
    return { delivered: at(told, "delivered"), ending: at(list(told, "legs").at(-1), "ending") };
  };
  for (const [family, address] of ends) {
    assert.equal(traced("red-2", family).delivered, true);
    assert.equal(pinged("red-1", address), true);
  }
  assert.equal(at(traced("10.0.0.77").ending, "reason"), "neighbour-unresolved");
  assert.equal(pinged("red-1", "10.0.0.77"), false);

  openstack("security", "group", "create", "only-web");
  openstack("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "80", "only-web");
  quietOpenstack("port", "set", "--no-security-group", "--security-group", "only-web", "red-2");
  await untilTrue("it is in force", allAlive);
  for (const [family, address] of ends) {
    const { delivered, ending } = traced("red-2", family);
    assert.deepEqual([delivered, at(ending, "reason")], [false, "sg-default-deny-ingress"]);
    assert.equal(pinged("red-1", address), false);
  }
  const { ending } = traced("red-2", "-4");
  assert.equal(at(list(ending, "nearest")[0], "text"), "ingress IPv4 tcp port 80 from 0.0.0.0/0");
  assert.equal(traced("red-2", "-4", "--tcp", "80").delivered, true);
  const people = selvage("trace", "red-1", "red-2", "--tcp", "81");
  assert.equal(people.status, 1);
  assert.match(people.stdout, /^NOT delivered: The packet is dropped \(sg-default-deny-ingress\)/m);
  await untilTrue("the host counts the drops", () =>
    /^[1-9]\d* {2}sg-default-deny-ingress: /m.test(ok(selvage("drops", "h2"))),
  );
  const flows = list(json(selvage("flows", "h2", "--port", "red-2", "--json")), "flows");
  const receiver = flows.find((flow) => at(flow, "table") === "receiver");
  assert.equal(at(list(receiver, "objects")[0], "name"), "red-2");
  assert.ok(Number(at(receiver, "packets")) > 0, "the pings were counted where they were dropped");
  const strange = list(json(selvage("flows", "h2", "--json")), "flows").filter((flow) => at(flow, "row") === null);
  assert.deepEqual(strange, [], "every flow on the switch is a row's");

  quietOpenstack("port", "set", "--no-security-group", "--security-group", "default", "red-2");
  await untilTrue("it is in force again", allAlive);
  for (const [family, address] of ends) {
    assert.equal(traced("red-2", family).delivered, true);
    assert.equal(pinged("red-1", address), true);
  }
  quietOpenstack("security", "group", "delete", "only-web");
});

test("a tenant's own network with the stock client: made, plugged, reached, shown, deleted", { skip }, async () => {
  const words = ok(selvage("env", "--project", "red"));
  assert.match(words, /^export OS_AUTH_URL=http:\/\/127\.0\.0\.1:\d+\/identity\/v3$/m);
  environment = Object.fromEntries(
    [...words.matchAll(/^export (\w+)=(.*)$/gm)].map(([, name = "", value = ""]) => [name, value]),
  );
  openstack("network", "create", "mine");
  openstack(
    "subnet",
    "create",
    "--network",
    "mine",
    "--subnet-range",
    "192.168.7.0/24",
    "--dns-nameserver",
    "192.0.2.53",
    "mine-v4",
  );
  openstack("port", "create", "--network", "mine", "--fixed-ip", "ip-address=192.168.7.21", "m-a");
  openstack("port", "create", "--network", "mine", "--fixed-ip", "ip-address=192.168.7.22", "m-b");
  const a = json(selvage("lab", "plug", "m-a", "--host", "h1", "--json"));
  assert.equal(at(a, "ipv4"), "192.168.7.21");
  assert.equal(at(json(selvage("lab", "plug", "m-b", "--host", "h2", "--json")), "ipv4"), "192.168.7.22");
  await untilTrue("m-a reaches m-b", () => pinged("m-a", "192.168.7.22"));
  assert.match(ok(selvage("lab", "exec", "m-a", "--", "cat", "/etc/resolv.conf")), /nameserver 192\.0\.2\.53/);
  assert.match(ok(selvage("lab", "exec", "m-a", "--", "cat", "/sys/class/net/eth0/mtu")), /^1500$/m);
  await untilTrue("the port is ACTIVE", () => at(openstack("port", "show", "m-a"), "status") === "ACTIVE");
  assert.equal(selvage("lab", "exec", "m-a", "--", "sh", "-c", "exit 9").status, 9);
  assert.equal(selvage("lab", "exec", "m-a", "--", "sh", "-c", "kill -TERM $$").status, 143);
  assert.equal(selvage("lab", "exec", "nobody", "--", "true").status, 125);
  assert.match(ok(selvage("lab", "exec", "--in-host", "h1", "--", "ip", "addr", "show", "br-ul")), /198\.18\.0\.1\/15/);
  ok(selvage("lab", "unplug", "m-a"));
  await untilTrue("the port is DOWN", () => at(openstack("port", "show", "m-a"), "status") === "DOWN");
  ok(selvage("lab", "unplug", "m-b"));
  quietOpenstack("port", "delete", "m-a", "m-b");
  quietOpenstack("network", "delete", "mine");
  const machines = list(json(selvage("lab", "machines", "--json")), "machines").map((machine) => at(machine, "name"));
  assert.deepEqual(machines.toSorted(), ["blue-1", "blue-2", "red-1", "red-2"]);
});

test("a machine whose port was deleted is told as such at once; unplug pulls it out, and so does the next up", {
  skip,
}, () => {
  const machines = (): ReadonlyMap<string, unknown> =>
    new Map(
      list(json(selvage("lab", "machines", "--json")), "machines").map((machine) => [
        `${String(at(machine, "name"))} ${String(at(machine, "port"))}`,
        at(machine, "port_deleted"),
      ]),
    );
  const before = [...machines().keys()];
  openstack("port", "create", "--network", "red-net", "brief");
  ok(selvage("lab", "plug", "brief", "--host", "h1"));
  quietOpenstack("port", "delete", "brief", "red-2");
  assert.deepEqual(
    [...machines()].filter(([, deleted]) => deleted === true).map(([name]) => name.split(" ")[0]),
    ["brief", "red-2"],
  );
  const shown = selvage("lab", "machines");
  assert.match(shown.stdout, /^brief .*\(port deleted\)$/m);
  assert.doesNotMatch(shown.stdout, /^red-1 .*\(port deleted\)$/m);
  ok(selvage("lab", "unplug", "brief"));
  assert.equal(
    [...machines().keys()].some((name) => name.startsWith("brief ")),
    false,
  );
  const up = selvage("up", "--json");
  assert.equal(at(json(up), "ok"), true, "the demo's own port is made anew, and its machine with it");
  assert.match(up.stderr, /unplugged, for their ports were deleted: red-2/);
  const after = machines();
  assert.deepEqual([...after.values()], [false, false, false, false]);
  assert.deepEqual(
    before.filter((name) => !after.has(name)).map((name) => name.split(" ")[0]),
    ["red-2"],
  );
});

test("a port's interface that turns up on another host stays dead there and is reported; the port's own host forwards on", {
  skip,
}, async () => {
  const hosts = list(json(selvage("lab", "hosts", "--json")), "hosts");
  const h2 = `--db=${String(at(hosts[1], "ovsdb"))}`;
  const machines = list(json(selvage("lab", "machines", "--json")), "machines");
  const red = machines.find((machine) => at(machine, "name") === "red-1");
  const [port, mac] = [String(at(red, "port")), String(at(red, "mac"))];
  const vsctl = (...words: readonly string[]): string =>
    ok(spawnSync("ovs-vsctl", [h2, ...words], { encoding: "utf8" }));
  const unbound = (): readonly unknown[] => list(list(json(selvage("status", "--json")), "hosts")[1], "unbound");
  vsctl(
    "add-port",
    "br-int",
    "thief",
    "--",
    "set",
    "Interface",
    "thief",
    "type=internal",
    `external_ids:iface-id=${port}`,
  );
  await untilTrue("h2 reports the interface", () => unbound().includes(port));
  const steal = [
    `ip link set thief address ${mac} up && ip addr add 10.0.0.11/24 dev thief`,
    "ping -n -c 3 -i 0.2 -w 2 -I thief 10.0.0.12",
  ].join(" && ");
  const stolen = selvage("lab", "exec", "--in-host", "h2", "--", "sh", "-c", steal);
  assert.match(stolen.stdout, / 0 received/, "with the port's own MAC and address it reaches nobody");
  assert.ok(pinged("red-1", "10.0.0.12"), "the port's own host forwards on");
  vsctl("del-port", "br-int", "thief");
  await untilTrue("the report is withdrawn", () => unbound().length === 0);
});

/** What an agent answers on its own socket. */
function agentSays(host: unknown, path: string): Promise<string> {
  const socketPath = join(String(at(host, "ovsdb")).replace(/^unix:/, ""), "..", "..", "agent", "agent.sock");
  return new Promise((resolve, reject) => {
    get({ socketPath, path }, (response) => resolve(text(response))).on("error", reject);
  });
}

test("what a switch drops is counted by reason: in its agent's metrics and in the status", { skip }, async () => {
  const [h1] = list(json(selvage("lab", "hosts", "--json")), "hosts");
  const spoofed = async (): Promise<number> => {
    const line = /^selvage_drops_total\{.*reason="arp-spoof".*\} (\d+)$/m.exec(await agentSays(h1, "/metrics"));
    return Number(line?.[1] ?? 0);
  };
  const before = await spoofed();
  const spoof =
    "ip addr add 10.0.0.99/24 dev eth0; ping -n -c 2 -w 3 -I 10.0.0.99 10.0.0.77; ip addr del 10.0.0.99/24 dev eth0";
  selvage("lab", "exec", "red-1", "--", "sh", "-c", spoof);
  await untilTrue("the spoofed questions are counted", async () => (await spoofed()) > before);
  const dropped = (): number => {
    const [host] = list(json(selvage("status", "--json")), "hosts");
    const found = list(host, "drops").find((one) => at(one, "reason") === "arp-spoof");
    return Number(at(found, "packets") ?? 0);
  };
  await untilTrue("the status tells of them", () => dropped() > 0);
  assert.match(ok(selvage("status")), /^h1 +.*arp-spoof \d+/m);
});

test("a host that the lab does not have is refused", { skip }, () => {
  const wrong = selvage("lab", "plug", "red-1", "--host", "h9");
  assert.equal(wrong.status, 64);
  assert.match(wrong.stderr, /the lab has no host "h9"/);
});

/** Pings every 10 ms from the first answer until `meanwhile` is over and one more answer came; gives how many of those before the last answer were missing. */
async function lostUnderPing(meanwhile: () => void | Promise<void>): Promise<number> {
  const stop = join(place, "stop");
  rmSync(stop, { force: true });
  const script = `ping -n -i 0.01 10.0.0.12 & while [ ! -e ${stop} ]; do sleep 0.1; done; kill -INT $!; wait $!`;
  const words = ["lab", "exec", "--data", data, "red-1", "--", "sh", "-c", script];
  const ping = spawn(process.execPath, [MAIN, ...words], { stdio: ["ignore", "pipe", "ignore"] });
  let said = "";
  ping.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const ended = once(ping, "close");
  const answered = (): readonly number[] => [...said.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, seq]) => Number(seq));
  const more = async (count: number): Promise<void> => {
    const wanted = answered().length + count;
    await untilTrue(`${count} answers more`, () => answered().length >= wanted);
  };
  try {
    await more(1);
    await meanwhile();
    await more(100);
  } finally {
    writeFileSync(stop, "");
    await ended;
  }
  const seen = new Set(answered());
  return Math.max(...seen) - seen.size;
}

function killAgents(): void {
  const hosts = list(json(selvage("lab", "hosts", "--json")), "hosts");
  for (const host of hosts) {
    const pid = at(at(host, "pids"), "agent");
    assert.equal(typeof pid, "number");
    process.kill(Number(pid), "SIGKILL");
  }
}

const serverPid = (): number =>
  Number(
    processesNaming(data)
      .find((line) => line.includes(" server run "))
      ?.split(" ")[0],
  );
const agentStarts = (): number =>
  list(json(selvage("lab", "hosts", "--json")), "hosts").reduce<number>(
    (sum, host) => sum + Number(at(at(host, "starts"), "agent")),
    0,
  );

test("the key of tokens is replaced while the fabric runs; a lab's authority is not", { skip }, async () => {
  const url = String(at(json(selvage("status", "--json")), "url"));
  const words = ok(selvage("env"));
  const variable = (name: string): string => new RegExp(`^export ${name}=(.*)$`, "m").exec(words)?.[1] ?? "";
  const domain = { id: "default" };
  const identity = {
    methods: ["password"],
    password: { user: { name: variable("OS_USERNAME"), password: variable("OS_PASSWORD"), domain } },
  };
  const scope = { project: { name: variable("OS_PROJECT_NAME"), domain } };
  const body = JSON.stringify({ auth: { identity, scope } });
  const login = await fetch(`${url}/identity/v3/auth/tokens`, { method: "POST", body });
  const headers = { "x-auth-token": login.headers.get("x-subject-token") ?? "" };
  const asked = async (): Promise<number> => (await fetch(`${url}/v2.0/networks`, { headers })).status;
  assert.equal(await asked(), 200);
  assert.match(ok(selvage("server", "rotate-keys")), /signed with a new key/);
  assert.equal(await asked(), 401);
  const refused = selvage("server", "rotate-keys", "--authority");
  assert.equal(refused.status, 69);
  assert.match(refused.stderr, /the hosts of a lab join once/);
  assert.ok(allAlive(), "commands sign in anew, hosts are not touched");
});

/** Whether every agent has taken its switch over. */
async function allReady(): Promise<boolean> {
  const hosts = list(json(selvage("lab", "hosts", "--json")), "hosts");
  const answers = await Promise.all(hosts.map((host) => agentSays(host, "/readyz").catch(() => "{}")));
  return answers.every((answer) => at(JSON.parse(answer), "ready") === true);
}

/** Kills all agents; resolves when each was started again and has taken its switch over. */
async function agentsComeBack(): Promise<void> {
  const starts = agentStarts();
  killAgents();
  await untilTrue("the agents were started again", () => agentStarts() >= starts + 2);
  await untilTrue("they have taken their switches over", allReady);
}

test("all agents killed with SIGKILL under a 10 ms ping: nothing is lost until they have come back", {
  skip,
}, async () => {
  assert.equal(await lostUnderPing(agentsComeBack), 0);
  await untilTrue("all hosts are alive and current", allAlive);
});

test("the same with the server dead: hosts go on alone; up repairs it", { skip }, async () => {
  process.kill(serverPid(), "SIGKILL");
  assert.equal(await lostUnderPing(agentsComeBack), 0, "the agents that came back without a server changed nothing");
  assert.equal(selvage("status").status, 69);
  assert.equal(at(json(selvage("up", "--json")), "ok"), true);
  await untilTrue("all hosts are alive and current", allAlive);
});

test("a switch killed with SIGKILL: everything returns", { skip }, async () => {
  const [host] = list(json(selvage("lab", "hosts", "--json")), "hosts");
  const pid = at(at(host, "pids"), "switch");
  assert.equal(typeof pid, "number");
  process.kill(Number(pid), "SIGKILL");
  await untilTrue("red-1 reaches red-2 again", () => pinged("red-1", "10.0.0.12"));
  await untilTrue("blue-1 reaches blue-2 again", () => pinged("blue-1", "10.0.0.13"));
});

test("the lab's first process killed: nothing of it is left, and up brings the same machines back", {
  skip,
}, async () => {
  const first = Number(at(json(selvage("lab", "hosts", "--json")), "first_pid"));
  process.kill(first, "SIGKILL");
  await untilTrue("only the server is left", () =>
    processesNaming(data).every((line) => line.includes(" server run ")),
  );
  const report = json(selvage("up", "--json"));
  assert.equal(at(report, "ok"), true);
  assert.equal(list(report, "machines").length, 4);
});

test("down keeps the data and leaves nothing else: the machine is as it was; up brings the same fabric back", {
  skip,
}, async () => {
  ok(selvage("lab", "plug", "red-1", "--host", "h2"));
  const before = json(selvage("lab", "machines", "--json"));
  ok(selvage("down"));
  assert.deepEqual(processesNaming(data), []);
  assert.deepEqual(await machineSnapshot(), snapshot);
  assert.match(ok(selvage("down")), /nothing was running/);
  assert.equal(at(json(selvage("up", "--json")), "ok"), true);
  assert.deepEqual(json(selvage("lab", "machines", "--json")), before);
  ok(selvage("down", "--purge"));
  assert.deepEqual(processesNaming(data), []);
});
