/** Tests of the configurations with real files, most through the command line: who wins, where each value came from, mistakes with their places. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { agentSettingsOf, defaultAgentSettings } from "@selvage/agent";
import { isError } from "@selvage/base";
import { defaultSettings, settingsOf } from "@selvage/server";
import { askableUrl } from "../commands/service.ts";
import { agentPart } from "./agent.ts";
import { loadDeclared, valueText } from "./declared.ts";
import { readConfig } from "./parts.ts";
import { fileInForce } from "./places.ts";
import { serverPart } from "./server.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "selvage-config-"));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function selvage(words: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SELVAGE_")));
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...words], {
    encoding: "utf8",
    env: { ...clean, ...env },
    cwd: folder,
  });
  return { status, stdout, stderr };
}

const ofServer = async (text: string, flags = {}) =>
  (await readConfig(serverPart, { file: file("s.yaml", text), flags })).value;
const ofAgent = async (text: string, flags = {}) =>
  (await readConfig(agentPart, { file: file("a.yaml", text), flags })).value;

test("an empty file makes a server with its own defaults, on the loopback address, that tells Nova nothing", async () => {
  const config = await ofServer("");
  assert.deepEqual(settingsOf(config), defaultSettings);
  assert.deepEqual(
    [config.host, config.port, config.data, config.nova.authUrl, config.macPrefix],
    ["127.0.0.1", 9696, "/var/lib/selvage", "", "fa:16:3e"],
  );
  assert.deepEqual(agentSettingsOf(await ofAgent("tunnelIp: 192.0.2.1")), defaultAgentSettings);
  assert.deepEqual(defaultAgentSettings, {
    auditInterval: 60_000,
    dhcpLeaseTime: 86_400,
    dhcpDomain: "",
    dnsServers: "",
    metadata: "port",
    bgpDaemon: "/usr/lib/frr/bgpd",
    bgpSource: "",
    bgpRestartTime: 60,
    bgpBfdInterval: 300,
  });
});

test("what the file says reaches the settings, flags win over it, 0 is a value", async () => {
  const config = await ofServer(
    "underlayMtu: 9000\ntunnelOverhead: 86\npasswordQueue: 0\npublicUrl: https://net.example/\n",
    { "underlay-mtu": 8950, port: 0 },
  );
  const settings = settingsOf(config);
  assert.deepEqual(
    [settings.underlayMtu, settings.tunnelOverhead, settings.passwordQueue, settings.publicUrl, config.port],
    [8950, 86, 0, "https://net.example", 0],
  );
  const agent = await ofAgent("tunnelIp: 2001:db8::7\ndhcpLeaseTime: 600\n");
  assert.equal(agent.tunnelIp, "2001:db8::7");
  assert.deepEqual(agentSettingsOf(agent), { ...defaultAgentSettings, dhcpLeaseTime: 600 });
});

test("mistakes are told with their places, unknown names with the nearest, and what only the whole shows as well", async () => {
  const told = (says: RegExp) => (error: unknown) => {
    assert.ok(isError(error, "ConfigInvalid"), String(error));
    assert.match(error.message, says);
    return true;
  };
  await assert.rejects(ofAgent(""), told(/a\.yaml:1:1: tunnelIp: it is required/));
  await assert.rejects(
    ofAgent("data: /x\ntunnelIp: 10.0.0.300\n"),
    told(/a\.yaml:2:1: tunnelIp: "10\.0\.0\.300" is not/),
  );
  await assert.rejects(ofAgent("tunnelIp: 192.0.2.1", { ovsdb: "/run/db.sock" }), told(/--ovsdb: ovsdb: must match/));
  await assert.rejects(
    ofServer("underlayMTU: 1500\n"),
    told(/s\.yaml:1:1: underlayMTU: it is not a setting; did you mean underlayMtu\?/),
  );
  await assert.rejects(ofServer("nova:\n  gather: 0\n"), told(/s\.yaml:2:3: nova\.gather/));
  await assert.rejects(ofServer("macPrefix: 'fb:16:3e'\n"), told(/macPrefix/));
  await assert.rejects(ofServer("nova:\n  authUrl: http://k/v3\n"), told(/nova\.passwordFile: it is required where/));
  await assert.rejects(
    ofServer("publicUrl: net.example\n"),
    told(/s\.yaml:1:1: publicUrl: "net\.example" is not a URL/),
  );
  await assert.rejects(
    ofServer("port: 1\ncertificate:\n  addresses: [192.0.2.1, here]\n"),
    told(/s\.yaml:3:3: certificate\.addresses: "here" is not an IP address/),
  );
});

test("config show says of every setting what is in force and where it came from", async () => {
  const path = file("shown.yaml", "region: north\nlog: { format: text }\nstore: postgres://me:secret@db/selvage\n");
  const env = { SELVAGE_TOKEN_LIFETIME: "120", SELVAGE_REGIN: "x" };
  const { status, stdout, stderr } = selvage(["config", "show", "server", "--config", path], env);
  assert.equal(status, 0, stderr);
  assert.ok(stdout.startsWith(`server: ${path}\n`), stdout);
  assert.match(stdout, /^region +north +\S+shown\.yaml:1:1$/m);
  assert.match(stdout, /^log\.format +text +\S+shown\.yaml:2:8$/m);
  assert.match(stdout, /^tokenLifetime +120 +s +SELVAGE_TOKEN_LIFETIME$/m);
  assert.match(stdout, /^port +9696 +default$/m);
  assert.match(stdout, /^store +postgres:\/\/me:…@db\/selvage /m);
  assert.match(stderr, /SELVAGE_REGIN is not a setting; did you mean SELVAGE_REGION\?/);
  const declared = (await loadDeclared()).server;
  for (const { field } of declared) assert.match(stdout, new RegExp(`^${field.replace(".", "\\.")} `, "m"));
  const json: unknown = JSON.parse(selvage(["config", "show", "server", "--config", path, "--json"], env).stdout);
  assert.deepEqual((json as { server: { settings: Record<string, unknown> } }).server.settings.tokenLifetime, {
    value: 120,
    from: "SELVAGE_TOKEN_LIFETIME",
    unit: "s",
  });
});

test("config show of the agent, by its own name; with a mistake it ends with 64 and says where", () => {
  const path = file("agent.yaml", "tunnelIp: fd00::1\nbrige: br0\n");
  const wrong = selvage(["config", "show", "agent", "--config", path]);
  assert.deepEqual([wrong.status, wrong.stdout], [64, ""]);
  assert.match(wrong.stderr, /agent\.yaml:2:1: brige: it is not a setting; did you mean bridge\?/);
  const right = selvage(["config", "show", "agent", "--config", path], { SELVAGE_BRIDGE: "br9" });
  assert.equal(right.status, 64, "a variable does not mend the file's mistake");
  file("agent.yaml", "tunnelIp: fd00::1\n");
  assert.match(selvage(["config", "show", "agent", "--config", path]).stdout, /^tunnelIp +fd00::1 +\S+:1:1$/m);
});

test("a process does not start on a wrong file, variable or flag; each is named, with the exit code of wrong use", () => {
  const path = file("run.yaml", "port: 0\nhost: 127.0.0.1\n");
  for (const [words, env, says] of [
    [["server", "run", "--config", path, "--port", "70000"], {}, /--port: port: must be <= 65535/],
    [["server", "run", "--config", path, "--port", "many"], {}, /--port: port: "many" does not stand for an integer/],
    [["server", "run", "--config", path], { SELVAGE_LOG_LEVEL: "loud" }, /SELVAGE_LOG_LEVEL: log\.level: /],
    [["server", "run", "--config", file("bad.yaml", "a: [\n")], {}, /bad\.yaml:\d:\d/],
    [["agent", "run", "--config", path], {}, /run\.yaml:1:1: port: it is not a setting/],
  ] as const) {
    const { status, stderr } = selvage(words, env);
    assert.equal(status, 64, `${words.join(" ")}: ${stderr}`);
    assert.match(stderr, says);
  }
  const none = selvage(["server", "run", "--config", "no-such.yaml"]);
  assert.equal(none.status, 69);
  assert.match(none.stderr, /no-such\.yaml cannot be read/);
});

test("prot is told as port, and what the system refuses is told under the setting that asked for it", async () => {
  const misspelt = selvage(["server", "run", "--config", file("prot.yaml", "prot: 0\n")]);
  assert.equal(misspelt.status, 64);
  assert.match(misspelt.stderr, /prot\.yaml:1:1: prot: it is not a setting; did you mean port\?/);
  const holder = createServer().listen(0, "127.0.0.1");
  await once(holder, "listening");
  const { port } = holder.address() as AddressInfo;
  const data = join(folder, "asked");
  const run = file(
    "asked.yaml",
    `data: ${data}\nport: 0\nnova: { authUrl: "http://k/v3", passwordFile: ${folder}/none }\n`,
  );
  const nova = ["--nova-auth-url", ""];
  for (const [words, status, says] of [
    [["--port", String(port), ...nova], 69, new RegExp(`--port: port: .*EADDRINUSE.*:${port}`)],
    [["--host", "203.0.113.9", ...nova], 69, /--host: host: .*EADDRNOTAVAIL.* 203\.0\.113\.9/],
    [["--socket", join(folder, "none", "s"), ...nova], 69, /--socket: socket: .*\/none\/s/],
    [["--store", "foo:bar", ...nova], 64, /--store: store: 'foo:bar' names no store/],
    [["--data", join(folder, "prot.yaml", "d"), ...nova], 69, /--data: data: ENOTDIR/],
    [[], 69, /asked\.yaml:3:\d+: nova\.passwordFile: ENOENT.*\/none/],
  ] as const) {
    const ended = selvage(["server", "run", "--config", run, ...words]);
    assert.equal(ended.status, status, `${words.join(" ")}: ${ended.stderr}`);
    assert.match(ended.stderr, says);
  }
  holder.close();
});

test("the usual file counts where it exists, a named one in its place, and none where that is said", () => {
  const etc = join(folder, "etc");
  mkdirSync(etc);
  assert.equal(fileInForce("server", undefined, etc), undefined);
  writeFileSync(join(etc, "server.yaml"), "");
  assert.equal(fileInForce("server", undefined, etc), join(etc, "server.yaml"));
  assert.equal(fileInForce("agent", undefined, etc), undefined);
  assert.equal(fileInForce("server", "/x.yaml", etc), "/x.yaml");
  assert.equal(fileInForce("server", false, etc), undefined);
});

test("with --no-config neither variables nor files count", async () => {
  process.env.SELVAGE_REGION = "from-the-environment";
  try {
    const with_ = await readConfig(serverPart, { file: file("s.yaml", ""), flags: {} });
    const without = await readConfig(serverPart, { file: false, flags: { port: "1" } });
    assert.deepEqual(
      [with_.value.region, without.value.region, without.value.port],
      ["from-the-environment", "RegionOne", 1],
    );
  } finally {
    delete process.env.SELVAGE_REGION;
  }
});

test("help names every option with its default and its variable, as declared", async () => {
  const declared = await loadDeclared();
  for (const part of ["server", "agent"] as const) {
    const words = selvage([part, "run", "--help"]).stdout.replaceAll(/\s+/g, " ");
    for (const option of declared[part]) {
      assert.ok(words.includes(`--${option.flag} <`), option.flag);
      assert.ok(words.includes(`${option.env})`), option.env);
      assert.notEqual(option.description, "", option.field);
    }
  }
});

test("a value is shown as a file would have it", () => {
  assert.deepEqual(
    ["", "RegionOne", "127.0.0.1", "fa:16:3e", "10", "-1.5", "true", "a: b", "# x", [], ["a"], 0, "/x"].map(valueText),
    [
      '""',
      "RegionOne",
      "127.0.0.1",
      "fa:16:3e",
      '"10"',
      '"-1.5"',
      '"true"',
      '"a: b"',
      '"# x"',
      "[]",
      '["a"]',
      "0",
      "/x",
    ],
  );
});

test("a server that listens everywhere is asked on the loopback address", () => {
  assert.deepEqual(
    ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1"].map((host) => askableUrl(host, 1)),
    ["http://127.0.0.1:1", "http://[::1]:1", "http://192.0.2.1:1", "http://[2001:db8::1]:1"],
  );
});
