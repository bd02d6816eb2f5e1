/** Tests of what `selvage status` prints: the datapath of each host, and what an operator has to look at only where there is something. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FabricStatus } from "@selvage/lab";
import type { Output } from "../format.ts";
import { type Running, showStatus, statusJson } from "./status.ts";

const running: Running = { datapath: "ovs", why: null, url: "http://127.0.0.1:1", lab: "alive" };
const quiet: FabricStatus["hosts"][number] = {
  name: "h1",
  alive: true,
  tunnelIp: "fd00::1",
  datapath: "ovs",
  inForce: 7,
  unbound: [],
  problems: [],
  drift: [],
  drops: [],
};

function shown(
  hosts: FabricStatus["hosts"],
  how: Running = running,
  problems: FabricStatus["problems"] = [],
): { readonly text: string; readonly note: string } {
  const said = { text: "", note: "" };
  const output: Output = {
    text: (text) => {
      said.text += text;
    },
    note: (text) => {
      said.note += text;
    },
    isTerminal: false,
  };
  showStatus(how, { revision: 7, hosts, ports: { up: 0, down: 2 }, problems }, output);
  return said;
}

test("a fabric in which all is well has a line a host and no more", () => {
  const { text, note } = shown([quiet, { ...quiet, name: "h2", inForce: 0 }]);
  assert.equal(note, "");
  assert.match(
    text,
    /^datapath: ovs {3}server: http:\/\/127\.0\.0\.1:1 {3}lab: alive {3}revision: 7\nports: 0 up, 2 down\n/,
  );
  assert.match(text, /^h1 +fd00::1 +alive +ovs +7 +all in force$/m);
  assert.match(text, /^h2 +fd00::1 +alive +ovs +0 +7 behind$/m);
  assert.doesNotMatch(text, /TO LOOK AT/);
});

test("interfaces whose port is not bound, objects set aside and a switch that is away are told of their host", () => {
  const away = { ...quiet, name: "h2", datapath: "none", problems: ["the switch is away"] };
  const reason = "port/p1: its MAC\u001b[31m address is not one";
  const { text } = shown([{ ...quiet, unbound: ["port-9"], problems: [reason] }, away]);
  assert.match(text, /^HOST +TO LOOK AT$/m);
  assert.match(text, /^h1 +the interface of port port-9 is plugged in, but the port is not bound here$/m);
  assert.match(
    text,
    /^h1 +port\/p1: its MAC\?\[31m address is not one$/m,
    "nothing of it reaches the terminal as a command",
  );
  assert.match(text, /^h2 +the switch is away$/m);
  assert.match(text, /^h2 +fd00::1 +alive +none /m);
});

test("what is no host's to look at is told with a dash for the host", () => {
  const { text } = shown([quiet], running, ["network n stands on physical network x, which no host has"]);
  assert.match(text, /^- +network n stands on physical network x, which no host has$/m);
});

test("what a switch dropped is told by reason, most first, only of hosts that dropped something", () => {
  const drops = ["a", "b", "c", "d", "e", "f", "g", "h"].map((reason, at) => ({ reason, packets: 10 - at }));
  const { text } = shown([
    { ...quiet, drops },
    { ...quiet, name: "h2", drops: [] },
  ]);
  assert.match(text, /^HOST +PACKETS DROPPED, MOST FIRST \(docs\/drop-reasons\.md\)$/im);
  assert.match(text, /^h1 +a 10, b 9, c 8, d 7, e 6, others 12$/m);
  assert.equal([...text.matchAll(/^h2 /gm)].length, 1);
  assert.doesNotMatch(shown([quiet]).text, /DROPPED/i);
});

test("a host never heard of shows dashes; a dead lab says what repairs it; programs get all of it", () => {
  const unheard = { ...quiet, alive: false, tunnelIp: null, datapath: null, inForce: null };
  const { text, note } = shown([unheard], { ...running, lab: "dead" });
  assert.match(text, /^h1 +- +dead +- +- +-$/m);
  assert.match(note, /selvage up repairs it/);
  const drops = [{ reason: "port-not-bound", packets: 3 }];
  const hosts = [{ ...quiet, unbound: ["p"], problems: ["x"], drift: [], drops }];
  assert.deepEqual(statusJson(running, { revision: 7, hosts, ports: { up: 1, down: 0 }, problems: ["y"] }), {
    ...running,
    revision: 7,
    hosts: [
      {
        name: "h1",
        alive: true,
        tunnel_ip: "fd00::1",
        datapath: "ovs",
        revision: 7,
        unbound: ["p"],
        problems: ["x"],
        drift: [],
        drops,
      },
    ],
    ports: { up: 1, down: 0 },
    problems: ["y"],
  });
});
