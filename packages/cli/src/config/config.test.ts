/** Tests of the configurations: every setting of server and agent can be set, files win over defaults, flags over files, mistakes are told. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { defaultAgentSettings } from "@selvage/agent";
import { isError } from "@selvage/base";
import { defaultSettings } from "@selvage/server";
import { askableUrl } from "../commands/service.ts";
import { agentConfig, agentSettingsOf } from "./agent.ts";
import { readConfig } from "./parts.ts";
import { serverConfig, settingsOf } from "./server.ts";

const folder = mkdtempSync(join(tmpdir(), "selvage-config-"));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const ofServer = async (text: string, flags = {}) =>
  (await readConfig(serverConfig, file("s.yaml", text), flags)).value;
const ofAgent = async (text: string, flags = {}) => (await readConfig(agentConfig, file("a.yaml", text), flags)).value;

test("an empty file makes a server with its own defaults, on the loopback address, that tells Nova nothing", async () => {
  const config = await ofServer("");
  assert.deepEqual(settingsOf(config), defaultSettings);
  assert.deepEqual(
    [config.host, config.port, config.data, config.nova.authUrl],
    ["127.0.0.1", 9696, "/var/lib/selvage", ""],
  );
});

test("every setting that a server and an agent have can be set", () => {
  const has = (schema: { readonly properties: object }, settings: object): readonly string[] =>
    Object.keys(settings).filter((name) => !Object.hasOwn(schema.properties, name));
  assert.deepEqual(has(serverConfig, { ...defaultSettings, publicUrl: "" }), []);
  assert.deepEqual(has(agentConfig, defaultAgentSettings), []);
});

test("what the file says reaches the settings, flags win over it, 0 is a value", async () => {
  const config = await ofServer(
    "underlayMtu: 9000\ntunnelOverhead: 86\npasswordQueue: 0\npublicUrl: https://net.example/\n",
    {
      "underlay-mtu": 8950,
      port: 0,
    },
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

test("an agent must be told its tunnel's address; a misspelt setting is named with its place", async () => {
  const invalid = (says: RegExp) => (error: unknown) => isError(error, "ConfigInvalid") && says.test(error.message);
  await assert.rejects(ofAgent(""), invalid(/tunnelIp: it is required/));
  await assert.rejects(
    ofServer("underlayMTU: 1500\n"),
    invalid(/s\.yaml:1:1: underlayMTU: it is not a setting; did you mean underlayMtu\?/),
  );
  await assert.rejects(ofServer("nova:\n  gather: 0\n"), invalid(/s\.yaml:2:3: nova\.gather/));
  await assert.rejects(ofServer("macPrefix: 'fb:16:3e'\n"), invalid(/macPrefix/), "a group's address");
});

test("a server that listens everywhere is asked on the loopback address", () => {
  assert.deepEqual(
    ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1"].map((host) => askableUrl(host, 1)),
    ["http://127.0.0.1:1", "http://[::1]:1", "http://192.0.2.1:1", "http://[2001:db8::1]:1"],
  );
});
