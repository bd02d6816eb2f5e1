/** What `selvage drift` says: each difference with both texts, of the host that was asked for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FabricStatus } from "@selvage/lab";
import type { Output } from "../format.ts";
import { chosen, showDrift } from "./drift.ts";
import { showStatus } from "./status.ts";

const host = (name: string, drift: FabricStatus["hosts"][number]["drift"]): FabricStatus["hosts"][number] => ({
  name,
  alive: true,
  tunnelIp: "198.18.0.1",
  inForce: 1,
  datapath: "ovs",
  unbound: [],
  problems: [],
  drift,
  drops: [],
});
const at = "2026-11-21T05:00:00.000Z";
const changed = { at, what: "changed", row: "l2(net=1)", wanted: "actions=output:2", found: "actions=drop" };
const foreign = { at, what: "foreign", row: null, wanted: null, found: "actions=NORMAL" };

function said(show: (output: Output) => void): string {
  let all = "";
  const take = (text: string): void => {
    all += text;
  };
  show({ text: take, note: take, isTerminal: false });
  return all;
}

test("each difference is told with its host, time, row, and both texts", () => {
  const text = said((output) => showDrift([host("h1", [changed, foreign]), host("h2", [])], output));
  assert.equal(
    text,
    `h1  ${at}  changed  l2(net=1)\n  - actions=drop\n  + actions=output:2\nh1  ${at}  foreign\n  - actions=NORMAL\n`,
  );
  assert.match(
    said((output) => showDrift([host("h2", [])], output)),
    /^nothing was found/,
  );
});

test("one host is picked by its name, and one that is not there is refused", () => {
  const all = [host("h1", [changed]), host("h2", [])];
  assert.deepEqual(
    [chosen(all, undefined), chosen(all, "h2")].map((hosts) => hosts.map(({ name }) => name)),
    [["h1", "h2"], ["h2"]],
  );
  assert.throws(() => chosen(all, "h3"), /there is no host "h3"/);
});

test("the status points to it", () => {
  const fabric = {
    revision: 1,
    hosts: [host("h1", [changed]), host("h2", [])],
    ports: { up: 0, down: 0 },
    problems: [],
  };
  const running = { datapath: "ovs", why: null, url: "http://127.0.0.1:1", lab: "none" } as const;
  const text = said((output) => showStatus(running, fabric, output));
  assert.match(
    text,
    /h1 +one thing on its switch was changed by another hand and mended, last at .*: selvage drift h1/,
  );
  assert.doesNotMatch(text, /drift h2/);
});
