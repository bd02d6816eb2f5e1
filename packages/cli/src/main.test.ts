/** Tests of the command line as it is typed: help, wrong use, exit codes; each in a process of its own. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadDeclared } from "./config/declared.ts";
import { buildProgram } from "./main.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

function selvage(...words: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...words], { encoding: "utf8" });
  return { status, stdout, stderr };
}

test("help teaches with examples and says the exit codes", () => {
  const { status, stdout } = selvage("--help");
  assert.equal(status, 0);
  assert.match(stdout, /Examples:\n {2}selvage up /);
  assert.match(stdout, /Exit codes: 0 done, 1 tried and failed, 64 written wrongly, 69 /);
  assert.equal(selvage().status, 0);
});

test("every command has a description, and what it takes is described too", async () => {
  const program = buildProgram(() => undefined, await loadDeclared());
  const all = program.commands.flatMap((command) => [command, ...command.commands]);
  assert.ok(all.length > 15);
  for (const command of all) {
    assert.notEqual(command.description(), "", command.name());
    for (const option of command.options) assert.notEqual(option.description, "", `${command.name()} ${option.flags}`);
  }
});

test("what is written wrongly ends with 64, says so, and suggests the nearest word", () => {
  for (const [words, says] of [
    [["upp"], /unknown command 'upp'[\s\S]*Did you mean up/],
    [["up", "--hosts", "0"], /whole number from 1 to 200/],
    [["up", "--port", "65536"], /whole number from 0 to 65535/],
    [["up", "--port", "1e3"], /whole number/],
    [["lab", "plug", "p"], /required option '--host <name>' not specified/],
    [["lab", "exec", "p"], /missing required argument 'command'/],
    [["up", "--bogus"], /unknown option '--bogus'/],
  ] as const) {
    const { status, stderr } = selvage(...words);
    assert.equal(status, 64, words.join(" "));
    assert.match(stderr, says, words.join(" "));
  }
});

test("where nothing runs, a command ends with 69 and says how to start; lab exec with 125", () => {
  const data = mkdtempSync(join(tmpdir(), "selvage-cli-"));
  try {
    for (const words of [
      ["status"],
      ["env"],
      ["host", "list"],
      ["lab", "hosts"],
      ["lab", "plug", "p", "--host", "h1"],
    ]) {
      const { status, stderr, stdout } = selvage(...words, "--data", data);
      assert.deepEqual([status, stdout], [69, ""], words.join(" "));
      assert.match(stderr, /^selvage: no fabric runs in .*\n {2}→ start one: \.\/selvage up/, words.join(" "));
    }
    assert.equal(selvage("lab", "exec", "--data", data, "p", "--", "true").status, 125);
    const down = selvage("down", "--data", data);
    assert.deepEqual([down.status, down.stdout], [0, "nothing was running\n"]);
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
});

test("a wrong underlay or a data directory that cannot be is refused before anything starts", () => {
  const data = mkdtempSync(join(tmpdir(), "selvage-cli-"));
  try {
    const underlay = selvage("up", "--underlay", "10.0.0.300/8", "--data", data);
    assert.equal(underlay.status, 64, underlay.stderr);
    assert.match(underlay.stderr, /underlay: "10\.0\.0\.300\/8" is not an address range/);
    assert.equal(selvage("up", "--data", "/run/selvage").status, 69);
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
});

test("the version is printed, and output that nobody reads any more is no failure", () => {
  const { status, stdout } = selvage("--version");
  assert.equal(status, 0);
  assert.match(stdout, /^selvage \d+\.\d+\.\d+\n$/);
  const script = `set -o pipefail; '${process.execPath}' '${MAIN}' --help | true`;
  const piped = spawnSync("bash", ["-c", script], { encoding: "utf8" });
  assert.deepEqual([piped.status, piped.stderr], [0, ""]);
});

test("what has no default must be typed, or stand in a file", () => {
  for (const [option, ...words] of [
    ["--data <dir>", "lab", "simulate"],
    ["--tunnel-ip <text>", "agent", "run"],
    ["--tunnel-ip <text>", "agent", "join", "https://192.0.2.1", "token"],
  ]) {
    const { status, stderr } = selvage(...words);
    assert.equal(status, 64, words.join(" "));
    assert.ok(stderr.includes(`required option '${option}' not specified`), `${words.join(" ")}: ${stderr}`);
  }
  const { status, stderr } = selvage("server", "run", "--config", join(tmpdir(), "selvage-no-such-file.yaml"));
  assert.equal(status, 69);
  assert.match(stderr, /selvage-no-such-file\.yaml/);
});

test("a join that is written wrongly is wrong use, and nothing is asked of any server", () => {
  const data = join(tmpdir(), "selvage-no-such-host");
  for (const [url, token, says] of [
    ["https://127.0.0.1:9", "", /the join token is empty/],
    ["https://127.0.0.1:9", "secret", /the token bears no fingerprint: give TOKEN\.FINGERPRINT/],
    ["https://127.0.0.1:9", "secret.abc", /the authority's fingerprint is not 64 hex digits/],
    ["127.0.0.1:9", "secret", /the server's URL "127\.0\.0\.1:9" is not https:\/\/host:port or unix:\/path/],
  ] as const) {
    const { status, stderr } = selvage(
      "agent",
      "join",
      "--no-config",
      url,
      token,
      "--tunnel-ip",
      "192.0.2.1",
      "--data",
      data,
    );
    assert.equal(status, 64, stderr);
    assert.match(stderr, says);
  }
  // Written rightly, but nobody is there: tried and failed.
  const token = `secret.${"a".repeat(64)}`;
  const words = ["--no-config", "https://127.0.0.1:9", token, "--tunnel-ip", "192.0.2.1", "--data", data];
  assert.equal(selvage("agent", "join", ...words).status, 1);
});
