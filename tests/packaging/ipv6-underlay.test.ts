/** Hosts whose tunnels run over IPv6, on real switches: machines reach each other, in packets as large as their network allows, and only over IPv6. */
import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { at } from "@selvage/lab";
import { whyNoLab } from "@selvage/lab/testing";

const main = join(import.meta.dirname, "../../packages/cli/src/main.ts");
const skip = (await whyNoLab()) ?? false;
const place = mkdtempSync(join(tmpdir(), "selvage-v6-"));
// The server's user must be able to pass.
chmodSync(place, 0o755);
const data = join(place, "data");
const encoding = "utf8";

function selvage(...words: readonly string[]): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [main, ...words], { encoding, timeout: 600_000 });
}

const inMachine = (port: string, ...words: readonly string[]) =>
  selvage("lab", "exec", "--data", data, port, "--", ...words);
const inHost = (host: string, ...words: readonly string[]): readonly string[] => [
  ...[main, "lab", "exec", "--in-host", "--data", data, host, "--"],
  ...words,
];

let report: unknown;

before(() => {
  if (skip !== false) return;
  const up = selvage("up", "--hosts", "2", "--port", "0", "--underlay", "fd00:5e1::/64", "--data", data, "--json");
  assert.equal(up.status, 0, up.stderr);
  report = JSON.parse(up.stdout);
});
after(() => {
  if (skip === false) selvage("down", "--purge", "--data", data);
  rmSync(place, { recursive: true, force: true });
});

test("the fabric proves itself over an IPv6 underlay, with IPv4 and IPv6 inside", { skip }, () => {
  assert.equal(at(report, "datapath"), "ovs");
  assert.equal(at(report, "ok"), true);
  const hosts = at(report, "hosts");
  assert.ok(Array.isArray(hosts));
  assert.deepEqual(
    hosts.map((host: unknown) => at(host, "tunnel_ip")),
    ["fd00:5e1::1", "fd00:5e1::2"],
  );
  const pings = at(report, "pings");
  assert.ok(Array.isArray(pings));
  const reached = pings
    .filter((ping: unknown) => at(ping, "expected") === "reached")
    .map((ping: unknown) => String(at(ping, "to")));
  assert.equal(reached.length, 4);
});

test("a packet as large as the network's MTU passes unfragmented in both families", { skip }, () => {
  // 20 and 8 bytes of IPv4 and ICMP, 40 and 8 of IPv6 and ICMPv6, of 1,500.
  for (const [address, size] of [
    ["10.0.0.12", 1472],
    ["fd00::12", 1452],
  ] as const) {
    const fits = inMachine("red-1", "ping", "-c", "2", "-w", "10", "-M", "do", "-s", String(size), address);
    assert.equal(fits.status, 0, `${address}: ${fits.stdout}${fits.stderr}`);
    const tooLarge = inMachine("red-1", "ping", "-c", "1", "-w", "2", "-M", "do", "-s", String(size + 1), address);
    assert.notEqual(tooLarge.status, 0, `${address}: one byte more is too much`);
  }
});

test("what goes between the hosts is Geneve in IPv6 and nothing in IPv4", { skip }, async () => {
  const listen = spawn(
    process.execPath,
    inHost("h1", "tcpdump", "-l", "-n", "-c", "4", "-i", "uplink", "udp port 6081"),
    {
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  try {
    const errors = createInterface({ input: listen.stderr });
    for await (const line of errors) if (line.includes("listening on")) break;
    const lines: string[] = [];
    createInterface({ input: listen.stdout }).on("line", (line) => lines.push(line));
    const ended = once(listen, "exit");
    assert.equal(inMachine("red-1", "ping", "-c", "3", "-w", "10", "10.0.0.12").status, 0);
    await ended;
    const heads = lines.filter((line) => line.includes("Geneve"));
    assert.ok(heads.length >= 4, lines.join("\n"));
    for (const line of heads) assert.match(line, /IP6 fd00:5e1::[12]\.\d+ > fd00:5e1::[12]\.6081: Geneve/);
  } finally {
    listen.kill();
  }
});
