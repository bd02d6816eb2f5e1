/** The configuration files that the package brings: every option there is, with its default, and as they are they say nothing. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadConfig } from "@selvage/base";
import type { TObject } from "typebox";
import { agentConfig } from "../../packages/cli/src/config/agent.ts";
import { serverConfig } from "../../packages/cli/src/config/server.ts";

const shipped = join(import.meta.dirname, "../../packaging/etc");
const folder = mkdtempSync(join(tmpdir(), "selvage-settings-"));
after(() => rmSync(folder, { recursive: true }));

const textOf = (name: string): string => readFileSync(join(shipped, name), "utf8");
/** The file with every option's "#" taken away; sentences begin with "# ". */
const opened = (name: string): string => textOf(name).replace(/^#(?=[a-z]| {2}[a-z])/gim, "");

/** Dotted paths of all settings. */
function pathsOf(schema: { readonly properties?: object }, prefix = ""): readonly string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, child]: [string, { readonly properties?: object }]) =>
    child.properties === undefined ? [prefix + name] : pathsOf(child, `${prefix}${name}.`),
  );
}

async function load(schema: TObject, name: string, text: string) {
  const path = join(folder, name);
  writeFileSync(path, text);
  return loadConfig(schema, { file: { path } });
}

for (const [name, schema, said] of [
  ["server.yaml", serverConfig, {}],
  ["agent.yaml", agentConfig, { tunnelIp: "192.0.2.11" }],
] as const) {
  test(`${name} as it comes sets nothing`, () => {
    const lines = textOf(name).split("\n");
    assert.deepEqual(
      lines.filter((line) => line !== "" && !line.startsWith("#")),
      [],
    );
    assert.deepEqual(
      lines.filter((line) => line.length > 140),
      [],
    );
  });

  test(`${name} shows every option once, with the default that it has`, async () => {
    const plain = await load(schema, `plain-${name}`, JSON.stringify(said));
    const full = await load(schema, name, opened(name));
    assert.deepEqual(full.value, plain.value);
    const shown = [...full.origins].filter(([, origin]) => origin.from === "file").map(([path]) => path);
    assert.deepEqual(shown.sort(), [...pathsOf(schema)].sort());
  });
}
