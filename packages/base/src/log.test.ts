/** The log: lines as JSON and as text, levels by room at run time, secrets that never reach it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "./clock.ts";
import { fail } from "./errors.ts";
import { createLog, type LogOptions, silentLog } from "./log.ts";

async function logTo(options: LogOptions = {}) {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const clock = new ManualClock(Date.UTC(2026, 10, 21, 3, 0, 0));
  const log = await createLog({ clock, destination, ...options });
  return { log, lines, last: (): unknown => JSON.parse(lines.at(-1) ?? "null") };
}

test("a line is one JSON object with time, level, room, text and fields", async () => {
  const { log, last, lines } = await logTo({ room: "agent" });
  log.child("sync", { host: "h1" }).info("joined", { revision: 0, key: 7n });
  const time = "2026-11-21T03:00:00.000Z";
  assert.deepEqual(last(), {
    level: "info",
    time,
    room: "agent/sync",
    host: "h1",
    revision: 0,
    key: "7",
    msg: "joined",
  });
  assert.match(lines[0] ?? "", /\}\n$/);
});

test("levels change while it runs, for all rooms or for one and those inside it", async () => {
  const { log, lines } = await logTo({ level: "warn" });
  const agent = log.child("agent");
  const sync = agent.child("sync");
  sync.info("no");
  assert.equal(sync.isOn("info"), false);
  log.setLevel("debug", "agent");
  sync.debug("yes");
  agent.debug("yes");
  log.child("agents").info("no");
  sync.trace("no");
  log.setLevel("silent", "agent/sync");
  sync.fatal("no");
  agent.debug("yes");
  log.setLevel("error");
  agent.warn("no");
  sync.error("yes");
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).msg),
    ["yes", "yes", "yes", "yes"],
  );
});

test("secrets are redacted by their names at any depth, and private keys wherever they stand", async () => {
  const { log, lines } = await logTo();
  const keyPem = "-----BEGIN PRIVATE KEY-----\nMIGHAgEA\n-----END PRIVATE KEY-----";
  log.info("told", {
    password: "hunter2",
    auth: { identity: { passwd: "hunter2", user: "demo", tokens: 3 } },
    headers: [{ "X-Auth-Token": "hunter2" }, { Authorization: "Bearer hunter2" }],
    note: keyPem,
    error: Object.assign(new Error(`failed ${keyPem}`), { joinToken: "hunter2" }),
    empty: { token: "" },
  });
  const text = lines.join("");
  assert.equal(text.includes("hunter2"), false);
  assert.equal(text.includes("MIGH"), false);
  assert.ok(text.includes('"user":"demo"') && text.includes('"tokens":3') && text.includes('"token":""'));
});

test("an error keeps its text, its code and its cause; a circle is cut", async () => {
  const { log, last } = await logTo();
  log.error("failed", { error: fail("StoreUnavailable", { reason: "disk" }, { cause: new Error("ENOSPC") }) });
  const line = JSON.stringify(last());
  assert.ok(line.includes('"code":"StoreUnavailable"') && line.includes('"message":"ENOSPC"'));
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  log.info("circle", { circle });
  assert.ok(JSON.stringify(last()).includes("[deep]"));
});

test("the readable form holds the same on one line, an error's stack below", async () => {
  const { log, lines } = await logTo({ format: "text", room: "agent" });
  log.warn("port is up", { port: "p1", note: "two words", token: "hunter2" });
  assert.equal(lines[0], '2026-11-21T03:00:00.000Z WARN  agent: port is up port=p1 note="two words" token=[secret]\n');
  log.error("failed", { error: new Error("boom") });
  assert.match(lines[1] ?? "", /^2026-\S+ ERROR agent: failed error="boom"\n {4}Error: boom\n/);
});

test("the silent log says nothing anywhere", () => {
  assert.equal(silentLog.child("x").isOn("fatal"), false);
  assert.equal(silentLog.info("x"), undefined);
});
