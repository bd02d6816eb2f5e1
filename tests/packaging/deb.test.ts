/**
 * The package as an operator meets it: installed with dpkg into a whole Debian system, a server run from its configuration file without
 * any privilege, an agent without any capability that joins over TLS and serves a real switch, an upgrade, a backup, a purge.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { at } from "@selvage/lab";
import { until, whyNoLab } from "@selvage/lab/testing";
import { buildDeb } from "../../scripts/deb.ts";
import { DebianRoot, type Running, whyNoRoot } from "./root.ts";

const skip = whyNoRoot() ?? (await whyNoLab()) ?? false;
const folder = mkdtempSync(join(tmpdir(), "selvage-packaging-"));
const build = (version: string): string =>
  skip === false ? buildDeb({ out: folder, version, compression: "quick" }) : "";
const first = build("0.1.0");
const second = build("0.1.1~rc1");

let root: DebianRoot;
let server: Running | undefined;
let agent: Running | undefined;
let portId = "";

before(async () => {
  if (skip === false) root = await DebianRoot.open();
});
after(async () => {
  if (skip === false) await root[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const holds = (what: string, fact: () => boolean): Promise<true> =>
  until(`not seen: ${what}; the agent said ${agent?.output()}; the server said ${server?.output()}`, 240_000, () =>
    Promise.resolve(fact() ? true : undefined),
  );

/** What a unit with DynamicUser= and no capabilities leaves a process. */
const unprivileged = [
  "setpriv",
  "--reuid=61184",
  "--regid=61184",
  "--clear-groups",
  "--bounding-set=-all",
  "--no-new-privs",
];
/** What the agent's unit leaves root. */
const bareRoot = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"];

async function startServer(): Promise<void> {
  server = root.start([...unprivileged, "selvage", "server", "run", "--config", "/etc/selvage/server.yaml"]);
  await holds("the server serves", () => root.run(["selvage", "status"]).status !== 69);
}

function startAgent(): void {
  agent = root.start([...bareRoot, "selvage", "agent", "run", "--config", "/etc/selvage/agent.yaml"]);
}

/** Asks the server from inside the system as its administrator, with the Node of the package. */
function ask(method: string, path: string, body: unknown): unknown {
  const script = `
    const [auth, base, method, path, body] = process.argv.slice(1);
    const token = await fetch(base + "/identity/v3/auth/tokens", { method: "POST", body: auth });
    const reply = await fetch(base + path, { method, headers: { "x-auth-token": token.headers.get("x-subject-token") },
      ...(body === "null" ? {} : { body }) });
    if (!reply.ok) throw new Error(await reply.text());
    process.stdout.write(reply.status === 204 ? "null" : await reply.text());`;
  const password = root.ok(["cat", "/var/lib/selvage/admin-password"]).trim();
  const domain = { id: "default" };
  const auth = {
    auth: {
      identity: { methods: ["password"], password: { user: { name: "admin", domain, password } } },
      scope: { project: { name: "admin", domain } },
    },
  };
  const words = [JSON.stringify(auth), "http://127.0.0.1:9696", method, path, JSON.stringify(body)];
  return JSON.parse(root.ok(["/usr/lib/selvage/bin/node", "--input-type=module", "-e", script, ...words]));
}

test("one package, the same each time: what is in it is what the sources, the lock and the date say", { skip }, () => {
  const listing = (deb: string): readonly string[] => {
    const { stdout } = spawnSync("dpkg-deb", ["-c", deb], { encoding: "utf8", maxBuffer: 1 << 26 });
    return stdout.split("\n").filter((line) => !line.includes("changelog.gz"));
  };
  const files = listing(first);
  assert.deepEqual(files, listing(second));
  assert.ok(files.every((line) => line === "" || line.includes(" root/root ")));
  const names = files.map((line) => line.split(/\s+/)[5] ?? "");
  for (const needed of [
    "./usr/bin/selvage",
    "./usr/lib/selvage/bin/node",
    "./usr/lib/selvage/packages/cli/src/main.ts",
    "./usr/lib/selvage/node_modules/fastify/package.json",
    "./lib/systemd/system/selvage-agent.service",
    "./etc/selvage/server.yaml",
    "./usr/share/doc/selvage/operating.md",
    "./usr/share/doc/selvage/copyright",
  ])
    assert.ok(names.includes(needed), needed);
  const strange = names.filter((name) =>
    /\.test\.ts$|\/testing\/|node_modules\/(typescript|@biomejs|@types|fast-check)\//.test(name),
  );
  assert.deepEqual(strange, [], "what only developers need stays at home");
});

test("it is installed with dpkg alone, starts and enables nothing", { skip }, () => {
  root.put(first, "/tmp/first.deb");
  root.put(second, "/tmp/second.deb");
  root.ok(["dpkg", "--install", "/tmp/first.deb"]);
  assert.match(root.ok(["selvage", "--version"]), /^selvage \d/);
  assert.equal(root.ok(["dpkg", "--verify", "selvage"]), "");
  const enabled = root.changes().filter((path) => path.includes(".wants/") || path.startsWith("/var/lib/selvage"));
  assert.deepEqual(enabled, []);
});

test("an agent that was told nothing says what is missing, and its unit would not start it", { skip }, () => {
  const { status, stderr } = root.run(["selvage", "agent", "run", "--config", "/etc/selvage/agent.yaml"]);
  assert.equal(status, 64);
  assert.match(stderr, /\/etc\/selvage\/agent\.yaml:1:1: tunnelIp: it is required/);
  assert.match(
    root.ok(["cat", "/lib/systemd/system/selvage-agent.service"]),
    /\nConditionPathExists=\/var\/lib\/selvage-agent\/identity\.json\n/,
  );
});

test("the server runs from its file with no privilege at all, and root asks it", { skip }, async () => {
  // What systemd does for StateDirectory=.
  root.ok(["install", "-d", "-m", "0700", "-o", "61184", "-g", "61184", "/var/lib/selvage"]);
  await startServer();
  const status = JSON.parse(root.ok(["selvage", "status", "--json"]));
  assert.equal(at(status, "url"), "http://127.0.0.1:9696");
  const ready = JSON.parse(root.ok(["cat", "/var/lib/selvage/ready.json"]));
  assert.equal(root.ok(["stat", "-c", "%u", `/proc/${String(at(ready, "pid"))}`]), "61184\n");
});

test("a host joins over TCP with a token that is good once, and its agent serves a real switch without a capability", {
  skip,
}, async () => {
  root.ok([
    "sh",
    "-c",
    "mkdir -p /run/openvswitch /tmp/ovs && ovsdb-tool create /tmp/ovs/conf.db /usr/share/openvswitch/vswitch.ovsschema",
  ]);
  const log = ["--log-file=/tmp/ovs/log", "--pidfile", "--detach", "--no-chdir"];
  root.ok(["ovsdb-server", "/tmp/ovs/conf.db", "--remote=punix:/run/openvswitch/db.sock", ...log]);
  root.ok(["ovs-vsctl", "--no-wait", "init"]);
  root.ok(["ovs-vswitchd", ...log]);

  root.write("/etc/selvage/agent.yaml", "tunnelIp: 127.0.0.1\ndatapathType: netdev\nlog:\n  format: text\n");
  const made = JSON.parse(root.ok(["selvage", "host", "add", "h1", "--json"]));
  const word = `${String(at(made, "token"))}.${String(at(made, "ca_fingerprint"))}`;
  const join = ["selvage", "agent", "join", "https://127.0.0.1:9696", "-", "--config", "/etc/selvage/agent.yaml"];
  assert.equal(root.ok(join, `${word}\n`), "joined as h1\n");
  const again = root.run(join, word);
  assert.equal(again.status, 1);
  assert.match(again.stderr, /used/);
  assert.equal(root.ok(["stat", "-c", "%a %U", "/var/lib/selvage-agent/identity.json"]), "600 root\n");

  startAgent();
  await holds("the host is alive", () => root.run(["selvage", "status"]).status === 0);
});

test("a machine's interface on that switch brings its port up", { skip }, async () => {
  const network = at(ask("POST", "/v2.0/networks", { network: { name: "blue" } }), "network");
  const subnet = { network_id: at(network, "id"), ip_version: 6, cidr: "2001:db8::/64" };
  ask("POST", "/v2.0/subnets", { subnet });
  const port = { network_id: at(network, "id"), "binding:host_id": "h1" };
  portId = String(at(at(ask("POST", "/v2.0/ports", { port }), "port"), "id"));
  const add = [
    "ovs-vsctl",
    "--timeout=30",
    "add-port",
    "br-int",
    "tap0",
    "--",
    "set",
    "Interface",
    "tap0",
    "type=internal",
  ];
  root.ok([...add, `external_ids:iface-id=${portId}`]);
  await holds(
    "the port is ACTIVE",
    () => at(at(ask("GET", `/v2.0/ports/${portId}`, null), "port"), "status") === "ACTIVE",
  );
});

test("an upgrade keeps what the operator wrote and what is stored; the agent changes nothing on the switch", {
  skip,
}, async () => {
  root.ok(["selvage", "backup", "/tmp/before.db"]);
  await server?.[Symbol.asyncDispose]();
  await agent?.[Symbol.asyncDispose]();
  const flows = (): number => root.ok(["ovs-ofctl", "-O", "OpenFlow15", "dump-flows", "br-int"]).split("\n").length;
  const installed = flows();
  assert.ok(installed > 10, `${installed} flows`);
  assert.match(root.ok(["dpkg", "--install", "/tmp/second.deb"]), /selvage \(0\.1\.1~rc1\) over \(0\.1\.0\)/);
  assert.match(root.ok(["cat", "/etc/selvage/agent.yaml"]), /^tunnelIp: 127\.0\.0\.1\n/);
  await startServer();
  startAgent();
  await holds("the host is alive again", () => root.run(["selvage", "status"]).status === 0);
  await holds(
    "the port is ACTIVE again",
    () => at(at(ask("GET", `/v2.0/ports/${portId}`, null), "port"), "status") === "ACTIVE",
  );
  assert.equal(flows(), installed);
});

test("a backup taken from the running server brings back what was deleted since", { skip }, async () => {
  ask("DELETE", `/v2.0/ports/${portId}`, null);
  const running = root.run(["selvage", "restore", "--replace", "/tmp/before.db"]);
  assert.equal(running.status, 1);
  assert.match(running.stderr, /in use: end the servers on it first/);
  await server?.[Symbol.asyncDispose]();
  const there = root.run(["selvage", "restore", "/tmp/before.db"]);
  assert.match(there.stderr, /there is a store at .* already\n {2}→ say --replace/);
  root.ok(["selvage", "restore", "--replace", "/tmp/before.db"]);
  assert.equal(root.ok(["stat", "-c", "%a %u", "/var/lib/selvage/store.db"]), "600 61184\n");
  await startServer();
  await holds(
    "the port is back, and up",
    () => at(at(ask("GET", `/v2.0/ports/${portId}`, null), "port"), "status") === "ACTIVE",
  );
});

test("removed, it leaves settings and data; purged, it leaves nothing", { skip }, async () => {
  await agent?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
  const ours = (): readonly string[] =>
    root.changes().filter((path) => path.includes("selvage") && !path.startsWith("/var/lib/dpkg/"));
  root.ok(["dpkg", "--remove", "selvage"]);
  const left = ours();
  for (const kept of ["/etc/selvage/agent.yaml", "/var/lib/selvage/store.db", "/var/lib/selvage-agent/identity.json"])
    assert.ok(left.includes(kept), kept);
  assert.deepEqual(
    left.filter((path) => path.startsWith("/usr/") || path.startsWith("/lib/")),
    [],
  );
  root.ok(["dpkg", "--purge", "selvage"]);
  assert.deepEqual(ours(), []);
  assert.deepEqual(
    root.changes().filter((path) => !/^\/var\/(lib\/dpkg|log|cache\/(debconf|man))\//.test(path)),
    [],
    "what dpkg itself keeps apart",
  );
  assert.equal(root.run(["test", "-e", "/usr/lib/selvage"]).status, 1);
});
