/** What `selvage trace`, `flows` and `drops` ask and say. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ToldTrace } from "@selvage/explain";
import type { Output } from "../format.ts";
import { explained, showDrops } from "./drops.ts";
import { namedFlows, showFlows } from "./flows.ts";
import { showTrace, traceBody } from "./trace.ts";

function said(show: (output: Output) => void): string {
  let all = "";
  const take = (text: string): void => {
    all += text;
  };
  show({ text: take, note: take, isTerminal: false });
  return all;
}

test("the words of a trace are the question to the server", () => {
  assert.deepEqual(traceBody("a", "b", {}), { from: "a", to: "b" });
  assert.deepEqual(traceBody("a", "b", { tcp: 0, 4: true, ttl: 0 }), {
    from: "a",
    to: "b",
    protocol: "tcp",
    destination_port: 0,
    ip_version: 4,
    ttl: 0,
  });
  assert.deepEqual(traceBody("a", "b", { icmp: "3/1", 6: true, size: 100 }), {
    from: "a",
    to: "b",
    protocol: "icmp",
    icmp_type: 3,
    icmp_code: 1,
    ip_version: 6,
    size: 100,
  });
  assert.deepEqual(traceBody("a", "b", { icmp: true }), { from: "a", to: "b", protocol: "icmp" });
  assert.deepEqual(traceBody("a", "b", { proto: 47, sourcePort: 9 }), {
    from: "a",
    to: "b",
    protocol: 47,
    source_port: 9,
  });
  assert.throws(() => traceBody("a", "b", { tcp: 1, icmp: true }), /one protocol/);
  assert.throws(() => traceBody("a", "b", { 4: true, 6: true }), /one IP version/);
  assert.throws(() => traceBody("a", "b", { icmp: "ping" }), /"ping" is no ICMP type/);
});

const port = { kind: "port", id: "an-id", name: "red-1" };
const hidden = { kind: "security_group_rule", id: null, name: null };

test("a trace is told host by host, and ends in one line with what can be done", () => {
  const told: ToldTrace = {
    delivered: false,
    summary: "The packet is dropped (sg-default-deny-ingress): no rule.",
    source: "10.0.0.1",
    destination: "10.0.0.2",
    legs: [
      {
        direction: "forward",
        from: port,
        hops: [
          {
            host: "h1",
            packet: "a packet",
            steps: [
              { table: "classify", text: "", row: { row: "classify(x)", action: "machine", objects: [port] } },
              { table: "guard_mac", text: "", row: null },
              { table: "live_in", text: "", row: { row: null, action: "pass", objects: [hidden] } },
            ],
            outcomes: ["dropped: sg-default-deny-ingress"],
          },
        ],
        ending: {
          kind: "dropped",
          reason: "sg-default-deny-ingress",
          text: "no rule",
          hint: "Add one.",
          table: "policy_in",
          nearest: [
            { rule: hidden, group: "web", text: "ingress IPv4 tcp port 443 from anybody", fails: ["it is for 443"] },
          ],
        },
      },
    ],
    notes: ["Host h1 is behind."],
  };
  assert.equal(
    said((output) => showTrace(told, output)),
    [
      "from 10.0.0.1 to 10.0.0.2",
      "",
      "there",
      "  h1: a packet",
      "    TABLE      OF                                      ROW",
      "    classify   port red-1                              classify(x)",
      "    guard_mac  no row",
      "    live_in    security group rule of another project  pass",
      "    = dropped: sg-default-deny-ingress",
      "",
      "NOT delivered: The packet is dropped (sg-default-deny-ingress): no rule.",
      "  → Add one.",
      "  nearest rule: ingress IPv4 tcp port 443 from anybody (security group web); it is for 443",
      "note: Host h1 is behind.",
      "",
    ].join("\n"),
  );
});

test("flows are those of a port, by name, and what nobody explains is said to be nobody's", () => {
  const flow = { table: "l2", row: "l2(x)", packets: 3, text: "switch words" };
  const held = {
    host: "h1",
    flows: [
      { ...flow, objects: [{ kind: "port", id: "an-id" }] },
      { ...flow, row: "l2(y)", objects: [] },
      { table: null, row: null, objects: [], packets: 0, text: "priority=1 actions=NORMAL" },
    ],
  };
  const names = new Map([["an-id", "red-1"]]);
  assert.deepEqual(namedFlows(held, names, "an-id"), [{ ...flow, objects: [port] }]);
  assert.deepEqual(namedFlows(held, names, "other"), []);
  assert.equal(
    said((output) => showFlows(namedFlows(held, names, undefined), output)),
    [
      "PACKETS  OF          ROW",
      "      3  port red-1  l2(x)",
      "      3  always      l2(y)",
      "      0  NOBODY      priority=1 actions=NORMAL",
      "",
    ].join("\n"),
  );
});

test("drops bear the registry's words", () => {
  const drops = [explained({ reason: "port-admin-down", packets: 5 }), explained({ reason: "from-later", packets: 1 })];
  assert.equal(
    said((output) => showDrops(drops, output)),
    "5  port-admin-down: the port is administratively down\n  → Set admin_state_up of the port.\n1  from-later: \n  → \n",
  );
  assert.equal(
    said((output) => showDrops([], output)),
    "nothing was dropped\n",
  );
});
