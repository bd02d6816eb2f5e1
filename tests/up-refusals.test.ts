/** What `selvage up` refuses before it starts anything, and the one line with which it says so. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { processesNaming, whyNoLab } from "@selvage/lab/testing";

const MAIN = fileURLToPath(new URL("../packages/cli/src/main.ts", import.meta.url));
const skip = (await whyNoLab()) ?? false;

function temporary() {
  const root = mkdtempSync(join(tmpdir(), "selvage-refused-"));
  return { root, [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }) };
}

function run(file: string, ...words: readonly string[]) {
  return spawnSync(file, words, { encoding: "utf8", timeout: 600_000 });
}

const complaint = (stderr: string): string => stderr.split("\n").find((line) => line.startsWith("selvage: ")) ?? stderr;

test("a port in use: its holder's id and command and the flag are named, and nothing is started", {
  skip,
}, async () => {
  using directory = temporary();
  const data = join(directory.root, "d");
  const holder = createServer();
  holder.listen(0, "127.0.0.1");
  await once(holder, "listening");
  const address = holder.address();
  assert.ok(typeof address === "object" && address !== null);
  const result = run(process.execPath, MAIN, "up", "--port", String(address.port), "--data", data);
  holder.close();
  assert.equal(result.status, 69, result.stderr);
  assert.match(complaint(result.stderr), new RegExp(`port ${address.port} is held by process ${process.pid} \\(`));
  assert.match(result.stderr, /--port N/);
  assert.deepEqual(processesNaming(data), []);
  assert.equal(existsSync(join(data, "lab.json")), false, "what was refused is not what the next `up` goes by");
});

test("an underlay that overlaps a route of the machine is refused with the route named", { skip }, () => {
  using directory = temporary();
  const data = join(directory.root, "d");
  const inside = [
    "ip link set lo up && ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up",
    "ip addr add 198.18.5.1/24 dev v0 && ip -6 addr add fd00:5e1:7::1/64 dev v0 nodad",
    '"$@"',
  ].join(" && ");
  const up = (...words: readonly string[]) =>
    run(
      "unshare",
      "--net",
      "sh",
      "-c",
      inside,
      "sh",
      process.execPath,
      MAIN,
      "up",
      "--data",
      data,
      "--port",
      "0",
      ...words,
    );
  const four = up();
  assert.equal(four.status, 69, four.stderr);
  assert.match(
    complaint(four.stderr),
    /underlay 198\.18\.0\.0\/15 overlaps this machine's route 198\.18\.5\.0\/24 dev v0/,
  );
  assert.match(four.stderr, /--underlay CIDR/);
  const six = up("--underlay", "fd00:5e1::/32");
  assert.equal(six.status, 69, six.stderr);
  assert.match(complaint(six.stderr), /route fd00:5e1:7::\/64 dev v0/);
  assert.deepEqual(processesNaming(data), []);
});

test("a data directory that the server's user cannot reach is refused with the directory in its way", { skip }, () => {
  using directory = temporary();
  const closed = join(directory.root, "closed");
  mkdirSync(closed);
  chmodSync(closed, 0o700);
  chmodSync(directory.root, 0o755);
  const result = run(process.execPath, MAIN, "up", "--port", "0", "--data", join(closed, "d"));
  assert.equal(result.status, 69, result.stderr);
  assert.equal(complaint(result.stderr), `selvage: the server runs as user 61616 and may not pass through ${closed}`);
  assert.match(result.stderr, /chmod o\+x/);
});

test("down where nothing ever ran makes nothing, purge of a directory keeps what is not ours", () => {
  using directory = temporary();
  const data = join(directory.root, "d");
  assert.equal(run(process.execPath, MAIN, "down", "--data", data).status, 0);
  assert.equal(existsSync(data), false);
  mkdirSync(join(data, "mine"), { recursive: true });
  mkdirSync(join(data, "server"));
  assert.equal(run(process.execPath, MAIN, "down", "--purge", "--data", data).status, 0);
  assert.deepEqual([existsSync(join(data, "mine")), existsSync(join(data, "server"))], [true, false]);
});
