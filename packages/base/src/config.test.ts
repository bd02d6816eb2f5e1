/** Configuration: which source wins, where each value came from, and mistakes told with their places. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Type } from "typebox";
import { type ConfigSources, loadConfig } from "./config.ts";
import { isError } from "./errors.ts";

const schema = Type.Object({
  name: Type.String({ minLength: 1 }),
  server: Type.Object({
    listenPort: Type.Integer({ default: 9696, minimum: 0, maximum: 65535 }),
    addresses: Type.Array(Type.String(), { default: ["::"] }),
    tls: Type.Boolean({ default: true }),
  }),
  log: Type.Object({
    level: Type.Union([Type.Literal("debug"), Type.Literal("info")], { default: "info" }),
    file: Type.Optional(Type.String()),
  }),
  labels: Type.Optional(Type.Record(Type.String(), Type.String())),
  peers: Type.Optional(Type.Array(Type.Object({ host: Type.String(), port: Type.Optional(Type.Integer()) }))),
});

const yaml = (text: string): Pick<ConfigSources, "file"> => ({ file: { path: "selvage.yaml", text } });

async function mistakes(sources: ConfigSources): Promise<readonly string[]> {
  try {
    await loadConfig(schema, sources);
  } catch (error) {
    if (!isError(error, "ConfigInvalid")) throw error;
    return error.message
      .split("\n")
      .slice(1)
      .map((line) => line.trim());
  }
  return [];
}

test("flags win over the environment, that over the file, that over defaults; each says where it came from", async () => {
  const text = "name: a\nserver:\n  listenPort: 1\n  addresses: [10.0.0.1]\n  tls: no\nlabels: { any: thing }\n";
  const { value, origins, warnings } = await loadConfig(schema, {
    ...yaml(text.replace("no", "false")),
    env: { SELVAGE_SERVER_LISTEN_PORT: "2", SELVAGE_SERVER_ADDRESSES: "10.0.0.2, fd00::1", HOME: "/x" },
    flags: { "server-listen-port": "0", "log-level": undefined },
  });
  assert.deepEqual(value, {
    name: "a",
    server: { listenPort: 0, addresses: ["10.0.0.2", "fd00::1"], tls: false },
    log: { level: "info" },
    labels: { any: "thing" },
  });
  assert.deepEqual(Object.fromEntries(origins), {
    name: { from: "file", file: "selvage.yaml", line: 1, column: 1 },
    "server.listenPort": { from: "flag", name: "--server-listen-port" },
    "server.addresses": { from: "environment", name: "SELVAGE_SERVER_ADDRESSES" },
    "server.tls": { from: "file", file: "selvage.yaml", line: 5, column: 3 },
    "log.level": { from: "default" },
    labels: { from: "file", file: "selvage.yaml", line: 6, column: 1 },
  });
  assert.deepEqual(warnings, []);
});

test("every mistake is told at once, with file, line, column, field and the nearest name", async () => {
  const text =
    "nam: a\nserver:\n  listen_port: 5\n  tls: 3\n  addresses:\n    - ok\n    - 5\npeers:\n  - host: a\n  - hst: b\n";
  assert.deepEqual(await mistakes(yaml(text)), [
    "selvage.yaml:1:1: nam: it is not a setting; did you mean name?",
    "selvage.yaml:3:3: server.listen_port: it is not a setting; did you mean listenPort?",
    "selvage.yaml:10:5: peers.1.hst: it is not a setting; did you mean host?",
    "selvage.yaml:1:1: name: it is required",
    "selvage.yaml:7:7: server.addresses.1: must be string; it is 5",
    "selvage.yaml:4:3: server.tls: must be boolean; it is 3",
    "selvage.yaml:10:5: peers.1.host: it is required",
  ]);
});

test("two letters in the wrong order, and a setting of a section outside it, are told with their name", async () => {
  const told = await mistakes(yaml("anme: a\nlistenPort: 5\nname: a\nserver:\n  tsl: true\n"));
  assert.deepEqual(told, [
    "selvage.yaml:1:1: anme: it is not a setting; did you mean name?",
    "selvage.yaml:2:1: listenPort: it is not a setting; did you mean server.listenPort?",
    "selvage.yaml:5:3: server.tsl: it is not a setting; did you mean tls?",
  ]);
});

test("a value of the environment or of a flag is blamed on its name", async () => {
  const sources = {
    env: { SELVAGE_SERVER_LISTEN_PORT: "ninety", SELVAGE_SERVER_TLS: "maybe" },
    flags: { name: "", "log-levl": "info" },
  };
  assert.deepEqual(await mistakes(sources), [
    'SELVAGE_SERVER_LISTEN_PORT: server.listenPort: "ninety" does not stand for an integer',
    'SELVAGE_SERVER_TLS: server.tls: "maybe" does not stand for a boolean',
    "--log-levl: log-levl: it is not a setting; did you mean log-level?",
    '--name: name: must NOT have fewer than 1 characters; it is ""',
  ]);
  assert.deepEqual(await mistakes({ flags: { name: "a", "server-listen-port": 65536 } }), [
    "--server-listen-port: server.listenPort: must be <= 65535; it is 65536",
  ]);
});

test("a flag mends what the file got wrong", async () => {
  const { value } = await loadConfig(schema, { ...yaml("name: 5\n"), flags: { name: "a" } });
  assert.equal(value.name, "a");
});

test("a file that is no YAML, or no mapping, or twice the same key, is told with its place", async () => {
  assert.match((await mistakes(yaml("name: a\nserver: [1\n"))).join("\n"), /^selvage\.yaml:\d+:\d+: \(file\): /);
  assert.match(
    (await mistakes(yaml("name: a\nname: b\n"))).join("\n"),
    /^selvage\.yaml:2:1: \(file\): Map keys must be unique/,
  );
  assert.match((await mistakes(yaml("- a\n"))).join("\n"), /^selvage\.yaml:1:1: \(file\): it is not a mapping/);
});

test("an empty file and an empty section leave the defaults", async () => {
  const { value } = await loadConfig(schema, { ...yaml("# nothing\n"), flags: { name: "a" } });
  assert.equal(value.server.listenPort, 9696);
  const section = await loadConfig(schema, { ...yaml("name: a\nserver:\n") });
  assert.deepEqual(section.value.server, { listenPort: 9696, addresses: ["::"], tls: true });
});

test("defaults are copies: one configuration does not change the next", async () => {
  const first = await loadConfig(schema, { flags: { name: "a" } });
  first.value.server.addresses.push("changed");
  const second = await loadConfig(schema, { flags: { name: "a" } });
  assert.deepEqual(second.value.server.addresses, ["::"]);
});

test("a variable that is no setting is a warning, since others may own it", async () => {
  const { warnings } = await loadConfig(schema, {
    env: { SELVAGE_NAME: "a", SELVAGE_LOG_LEVL: "debug", SELVAGE_TOKEN: "x" },
  });
  assert.deepEqual(warnings, [
    "SELVAGE_LOG_LEVL is not a setting; did you mean SELVAGE_LOG_LEVEL?",
    "SELVAGE_TOKEN is not a setting",
  ]);
});

test("a file that cannot be read is an error that names it", async () => {
  const missing = loadConfig(schema, { file: { path: "no/such/selvage.yaml" } });
  await assert.rejects(
    missing,
    (error) => isError(error, "ConfigUnreadable") && error.message.includes("no/such/selvage.yaml"),
  );
});

test("two settings with one name are a fault of the program", async () => {
  const clash = Type.Object({ a_b: Type.String(), a: Type.Object({ b: Type.String() }) });
  await assert.rejects(loadConfig(clash, {}), /Two settings are named SELVAGE_A_B/);
});
