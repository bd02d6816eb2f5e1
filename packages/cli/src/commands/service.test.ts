/** The server as a process with a real file of settings: it serves as the file says, answers probes, keeps its log short, ends when it is told. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { LOG_LIMIT } from "@selvage/lab";
import { until } from "@selvage/lab/testing";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const WAIT_MS = 240_000;
const folder = mkdtempSync(join(tmpdir(), "selvage-service-"));
// The server's own user must be able to pass.
chmodSync(folder, 0o755);
after(() => rmSync(folder, { recursive: true, force: true }));

interface Run {
  readonly child: ChildProcess;
  readonly url: string;
  end(): Promise<number | null>;
}

/** Starts `selvage server run` with standard error and descriptor 3 as given; resolves when it listens. */
async function serve(words: readonly string[], ready: string, log: number, older: number): Promise<Run> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SELVAGE_")));
  const child = spawn(process.execPath, [MAIN, "server", "run", ...words], {
    stdio: ["ignore", "ignore", log, older],
    env,
  });
  const ended = once(child, "exit");
  const { url } = await until("the server did not start", WAIT_MS, async () => {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
    // It is put in place whole.
    return existsSync(ready) ? (JSON.parse(readFileSync(ready, "utf8")) as { readonly url: string }) : undefined;
  });
  return {
    child,
    url,
    async end() {
      child.kill("SIGTERM");
      await ended;
      return child.exitCode;
    },
  };
}

test("a server runs as its file says, answers probes, and moves what is too much of its log aside", async () => {
  const data = join(folder, "data");
  const logPath = join(folder, "server.log");
  const file = join(folder, "server.yaml");
  writeFileSync(file, `data: ${data}\nport: 0\nregion: north\nlog:\n  level: debug\n`);
  const earlier = `${"x".repeat(1023)}\n`.repeat(LOG_LIMIT / 1024);
  writeFileSync(logPath, earlier);
  const [log, older] = [openSync(logPath, "a+", 0o600), openSync(`${logPath}.1`, "a", 0o600)];
  const words = ["--config", file, "--older-log", "3"];
  const run = await serve(words, join(data, "ready.json"), log, older);
  try {
    closeSync(log);
    closeSync(older);
    const ask = (path: string) => fetch(`${run.url}${path}`);
    assert.equal((await ask("/healthz")).status, 200);
    assert.equal((await ask("/readyz")).status, 200);
    assert.match(await (await ask("/metrics")).text(), /^selvage_hosts_alive 0$/m);
    const password = readFileSync(join(data, "admin-password"), "utf8").trim();
    const user = { name: "admin", domain: { id: "default" }, password };
    const auth = {
      identity: { methods: ["password"], password: { user } },
      scope: { project: { name: "admin", domain: { id: "default" } } },
    };
    const token = await fetch(`${run.url}/identity/v3/auth/tokens`, { method: "POST", body: JSON.stringify({ auth }) });
    assert.match(await token.text(), /"region":"north"/);
    assert.ok(readFileSync(`${logPath}.1`, "utf8") === earlier, "all that was there has moved");
    assert.ok(statSync(logPath).size < 100_000);
    const lines = readFileSync(logPath, "utf8").trim().split("\n");
    assert.ok(lines.some((line) => (JSON.parse(line) as { readonly msg?: string }).msg === "serving"));
  } finally {
    assert.equal(await run.end(), 0);
  }
  assert.equal(existsSync(join(data, "ready.json")), false);
});
