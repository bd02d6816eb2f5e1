/** The text of `ofproto/trace` read back: which rows, why it dropped, and which of two outcomes of a measurement. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nameOf, Renderer } from "@selvage/datapath/testing";
import { Deliver, FloodLocal, GuardMac, L2, type Row, row, selvageProgram } from "@selvage/pipeline";
import { Ending } from "./ending.ts";
import { RowNames, readTrace } from "./trace.ts";
import { measuring, type TooLarge } from "./way.ts";

const renderer = new Renderer(selvageProgram);
const guard = row(GuardMac, { srcPort: 1, ethSrc: "fa:16:3e:00:00:01" }, "pass", {}, "mac");
const here = row(Deliver, { port: 2 }, "output", { port: "b" });
const down = row(Deliver, { port: 3 }, "portDown");
const unicast = row(L2, { net: 1, ethDst: "fa:16:3e:00:00:02/ff:ff:ff:ff:ff:ff" }, "local", { port: 2 }, "port");
const member = row(FloodLocal, { net: 1, port: 2 }, "copy", { port: 2 });
const [tooLarge] = selvageProgram.constants.filter(({ table, action }) => table === "l2" && action === "tooLarge");
const names = new RowNames([guard, here, down, unicast, member]);

const cookie = (of: Row): string => `cookie 0x${renderer.cookieOf(of).toString(16)}`;
const missOf = (table: string): string => {
  const miss = renderer.misses().find((flow) => (flow.cookie & ((1n << 44n) - 1n)) === nameOf(`${table}(miss)`));
  return `cookie 0x${miss?.cookie.toString(16)}`;
};
const text = (...lines: readonly string[]): string =>
  ["Flow: udp", "", 'bridge("br-int")', "----------------", ...lines, "", "Final flow: unchanged", ""].join("\n");
const anonymous = "a flow that is no row's, 0x0";
const larger: TooLarge = new Set(["carriage", "copy_carriage"].map((table) => measuring(table, anonymous)));
const way = (trace: string, tooLarge: TooLarge = new Set()): readonly string[] => {
  const ending = new Ending();
  readTrace(trace, tooLarge, 0, names, ending);
  return ending.way;
};

test("rows, misses and lookups that found nothing are told, and the reason of a drop; other bridges and the driver's tables are not", () => {
  const trace = text(
    ` 1. reg0=0x1,dl_src=fa:16:3e:00:00:01, priority 200, ${cookie(guard)}`,
    "    resubmit(,46)",
    "    46. No match.",
    "            drop",
    "    resubmit(,30)",
    `30. priority 0, ${missOf("l2")}`,
    "    drop",
    "250. reg14=0x1,in_port=2, priority 2, cookie 0x100fa3ede104eabc",
    'bridge("br-ul")',
    "---------------",
    " 0. priority 0",
  );
  assert.deepEqual(way(trace), [
    `h1 drops: no-fdb-entry`,
    `h1 guard_mac: ${guard.id}`,
    "h1 l2: miss",
    "h1 neighbour: miss",
  ]);
});

test("a flow that no row explains is told by its cookie", () => {
  assert.deepEqual(way(text(" 1. priority 5, cookie 0x7")), ["h1 guard_mac: a flow that is no row's, 0x7"]);
});

test("of a measurement only the outcome asked for is read", () => {
  const trace = text(
    "29. metadata=0x1/0xffffff, priority 100, cookie 0x0",
    "    check_pkt_larger(1456)->NXM_NX_REG15[24]",
    "    resubmit(,30)",
    `    30. reg15=0x1000000/0x1000000, priority 200, ${cookie(tooLarge ?? guard)}`,
    "            meter:7",
    "    resubmit(,30)",
    `30. metadata=0x1/0xffffff, priority 100, ${cookie(unicast)}`,
    "    set_field:0x2->reg1",
    "    resubmit(,92)",
    `92. reg1=0x2, priority 100, ${cookie(here)}`,
    "    output:2",
  );
  const carriage = "h1 carriage: a flow that is no row's, 0x0";
  assert.deepEqual(way(trace), [carriage, `h1 deliver: ${here.id}`, `h1 l2: ${unicast.id}`]);
  assert.deepEqual(way(trace, larger), [carriage, "h1 drops: mtu-exceeded", `h1 l2: ${tooLarge?.id}`]);
});

test("each copy of a flooded frame is measured apart, and what comes after a copy is the next one", () => {
  const copy = (port: number, delivers: Row): readonly string[] => [
    `            bucket ${port}`,
    "                    resubmit(,35)",
    `                35. metadata=0x1/0xffffff, priority 100, cookie 0x0`,
    "                    check_pkt_larger(1456)->NXM_NX_REG15[24]",
    "                    resubmit(,38)",
    `                    38. reg15=0x1000000/0x1000000, priority 200, cookie 0x1`,
    "                            meter:7",
    "                    resubmit(,38)",
    `                38. priority 0, cookie 0x2`,
    "                    resubmit(,92)",
    `                92. reg1=0x${port}, priority 100, ${cookie(delivers)}`,
    "                    output:2",
    "",
  ];
  const trace = text(
    "34. metadata=0x1/0xffffff, priority 100, cookie 0x0",
    "    resubmit(,36)",
    "    36. metadata=0x1/0xffffff, priority 100, cookie 0x0",
    "            group:1",
    ...copy(2, here),
    ...copy(3, down),
    "    resubmit(,46)",
    "    46. No match.",
  );
  const deliveries = (tooLarge?: TooLarge) => way(trace, tooLarge).filter((fact) => !fact.includes("no row's"));
  assert.deepEqual(deliveries(), [
    `h1 deliver: ${here.id}`,
    `h1 deliver: ${down.id}`,
    "h1 drops: port-admin-down",
    "h1 neighbour: miss",
  ]);
  assert.deepEqual(deliveries(larger), ["h1 neighbour: miss"]);
  assert.equal(way(trace, larger).filter((fact) => fact === "h1 copies: a flow that is no row's, 0x1").length, 2);
});

test("what is no trace is refused", () => {
  assert.throws(() => way("ofproto/trace: unknown bridge"), SyntaxError);
  const broken = text("29. priority 1, cookie 0x0", "    check_pkt_larger(9)->NXM_NX_REG15[24]", "    output:2");
  assert.throws(() => way(broken), SyntaxError);
});
