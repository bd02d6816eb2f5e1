/** What each primitive of the program means, on small programs that are no one's: the interpreter knows no table by name. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encode } from "@selvage/packet";
import {
  type Action,
  type AnyTable,
  action,
  call,
  constant,
  contentsOf,
  drop,
  exact,
  F,
  goto,
  makeRow,
  output,
  param,
  program,
  punt,
  type Row,
  replicate,
  reply,
  row,
  type Step,
  selvageProgram,
  set,
  table,
  tunnel,
} from "@selvage/pipeline";
import { arpRequest } from "../testing/frames.ts";
import { Interpreter, type Outcome } from "./interpreter.ts";
import { AmbiguousRows } from "./tuple-space.ts";

const speaker = { mac: "fa:16:3e:00:00:01", ip4: "10.0.0.1", ip6: "2001:db8::1" };
const frame = encode({
  eth: { src: speaker.mac, dst: "fa:16:3e:00:00:02" },
  ipv4: { src: "10.0.0.1", dst: "10.0.0.2" },
  udp: { src: 1, dst: 2 },
  payload: new Uint8Array(4),
});

/** One table that does the same to every packet, with others behind it. */
function doing(steps: readonly Step[], ...others: readonly AnyTable[]): Interpreter {
  const first = table({
    number: 0,
    name: "first",
    text: "",
    scheme: "exact",
    columns: { net: exact(F.net) },
    actions: { none: action([drop("table-miss")]) },
    miss: steps,
  });
  return new Interpreter(program("first", [first, ...others]));
}

const sends = (interpreter: Interpreter, bytes = frame): readonly Outcome[] =>
  interpreter.execute("p1", bytes).outcomes;

const stage = (number: number, name: string, steps: readonly Step[]): AnyTable =>
  table({
    number,
    name,
    text: "",
    scheme: "exact",
    columns: { net: exact(F.net) },
    actions: { none: action([drop("table-miss")]) },
    miss: steps,
  });

const members = (actions: Readonly<Record<string, Action>>): AnyTable =>
  table({
    number: 9,
    name: "members",
    text: "",
    role: "members",
    scheme: "exact",
    columns: { net: exact(F.net), member: exact(F.dstPort) },
    actions,
  });

const bytesOf = (outcome: Outcome | undefined): Uint8Array | undefined =>
  outcome !== undefined && "frame" in outcome ? outcome.frame : undefined;

test("output goes to the port, unless it came from there", () => {
  assert.deepEqual(sends(doing([output(constant("p2"))])), [{ kind: "output", port: "p2", frame }]);
  assert.deepEqual(sends(doing([output(constant("p1"))])), [{ kind: "suppressed", port: "p1" }]);
});

test("reply goes back where it came from", () => {
  assert.deepEqual(sends(doing([reply()])), [{ kind: "output", port: "p1", frame }]);
});

test("set rewrites the frame, with its checksums, and what is remembered", () => {
  const steps = [
    set(F.ip4Dst, constant("10.9.9.9")),
    set(F.ethDst, contentsOf(F.ethSrc)),
    set(F.net, constant(7)),
    goto("next"),
  ];
  const interpreter = doing(steps, stage(1, "next", [punt("nd")]));
  const wanted = encode({
    eth: { src: speaker.mac, dst: speaker.mac },
    ipv4: { src: "10.0.0.1", dst: "10.9.9.9" },
    udp: { src: 1, dst: 2 },
    payload: new Uint8Array(4),
  });
  assert.deepEqual(sends(interpreter), [{ kind: "punt", punt: "nd", net: 7, srcPort: 0, vrf: 0, frame: wanted }]);
  assert.deepEqual(
    interpreter.execute("p1", frame).visits.map((visit) => visit.table),
    ["first", "next"],
  );
});

test("a narrower value fills the low bits of a wider field, and leaves nothing of what was there", () => {
  const steps = [set(F.nh, constant("2001:db8::1")), set(F.nh, contentsOf(F.arpTpa)), goto("check")];
  const check = table({
    number: 1,
    name: "check",
    text: "",
    scheme: "exact",
    columns: { nh: exact(F.nh) },
    actions: { yes: action([reply()]) },
    miss: [drop("table-miss")],
  });
  const interpreter = doing(steps, check);
  interpreter.put(row(check, { nh: "10.0.0.2" }, "yes"));
  const [outcome] = sends(interpreter, arpRequest(speaker, "10.0.0.2"));
  assert.equal(outcome?.kind, "output");
});

test("a field that the frame does not have is not matched, not even by 0, and reads as 0", () => {
  const check = table({
    number: 1,
    name: "check",
    text: "",
    scheme: "exact",
    columns: { op: exact(F.arpOp) },
    actions: { yes: action([reply()]) },
    miss: [drop("table-miss")],
  });
  const interpreter = doing([set(F.nh, contentsOf(F.arpTpa)), goto("check")], check);
  interpreter.put(row(check, { op: 0 }, "yes"));
  assert.deepEqual(sends(interpreter), [{ kind: "drop", reason: "table-miss", table: "check" }]);
});

test("an IP header whose lengths are not those of the packet has no fields", () => {
  const check = table({
    number: 1,
    name: "check",
    text: "",
    scheme: "exact",
    columns: { from: exact(F.ip4Src) },
    actions: { yes: action([reply()]) },
    miss: [drop("table-miss")],
  });
  const interpreter = doing([goto("check")], check);
  interpreter.put(row(check, { from: "10.0.0.1" }, "yes"));
  const withWord = (at: number, word: number): Uint8Array => {
    const wrong = frame.slice();
    new DataView(wrong.buffer).setUint16(at, word);
    return wrong;
  };
  const padded = Buffer.concat([frame, new Uint8Array(14)]);
  assert.equal(sends(interpreter, padded)[0]?.kind, "output", "padding is no lie");
  for (const wrong of [withWord(16, 1000), withWord(16, 19), withWord(14, 0x4400), frame.subarray(0, 33)])
    assert.equal(sends(interpreter, wrong)[0]?.kind, "drop");
});

test("a subroutine sets and returns; its miss changes nothing", () => {
  const sub = table({
    number: 1,
    name: "sub",
    text: "",
    role: "subroutine",
    scheme: "exact",
    columns: { net: exact(F.net) },
    actions: { know: action({ mac: "mac" }, [set(F.nhMac, param("mac"))]) },
  });
  const interpreter = doing(
    [set(F.nhMac, constant("02:00:00:00:00:01")), call("sub"), set(F.ethDst, contentsOf(F.nhMac)), reply()],
    sub,
  );
  const toMac = () =>
    Buffer.from(bytesOf(sends(interpreter)[0]) ?? [])
      .subarray(0, 6)
      .toString("hex");
  assert.equal(toMac(), "020000000001");
  interpreter.put(row(sub, { net: 0 }, "know", { mac: "02:00:00:00:00:02" }));
  assert.equal(toMac(), "020000000002");
});

test("replicate gives each member a copy of its own, and what follows goes on with the original", () => {
  const group = members({
    copy: action({ port: "name", mac: "mac" }, [
      set(F.ethDst, param("mac")),
      set(F.net, constant(9)),
      output(param("port")),
    ]),
  });
  const interpreter = doing([replicate("members"), punt("nd")], group);
  for (const n of [1, 2, 3])
    interpreter.put(
      makeRow(group, { net: n === 3 ? 1 : 0, member: n }, "copy", { port: `p${n}`, mac: `02:00:00:00:00:0${n}` }),
    );
  const outcomes = sends(interpreter);
  assert.deepEqual(
    outcomes.map(({ kind }) => kind),
    ["suppressed", "output", "punt"],
  );
  assert.equal(
    Buffer.from(bytesOf(outcomes[1]) ?? [])
      .subarray(0, 6)
      .toString("hex"),
    "020000000002",
  );
  assert.deepEqual(bytesOf(outcomes[2]), frame);
  interpreter.remove(makeRow(group, { net: 0, member: 2 }, "copy", { port: "p2", mac: "02:00:00:00:00:02" }));
  assert.deepEqual(
    sends(interpreter).map(({ kind }) => kind),
    ["suppressed", "punt"],
  );
});

test("a tunnel bears the network's key, both ports and the sender's set, or by VXLAN the key alone, to an address of either family", () => {
  for (const to of ["192.0.2.1", "2001:db8::1", "::1"]) {
    const interpreter = doing([
      set(F.net, constant(5)),
      set(F.srcPort, constant(6)),
      set(F.dstPort, constant(0xffffff)),
      set(F.srcSet, constant(9)),
      tunnel("geneve", constant(to)),
    ]);
    assert.deepEqual(sends(interpreter), [
      { kind: "tunnel", by: "geneve", to, key: 5, srcPort: 6, dstPort: 0xffffff, srcSet: 9, frame },
    ]);
    const plain = doing([
      set(F.net, constant(5)),
      set(F.dstPort, constant(7)),
      set(F.srcSet, constant(9)),
      tunnel("vxlan", constant(to)),
    ]);
    assert.deepEqual(sends(plain), [
      { kind: "tunnel", by: "vxlan", to, key: 5, srcPort: 0, dstPort: 0, srcSet: 0, frame },
    ]);
  }
});

test("the address that a tunnel came from is matched with its family", () => {
  const check = table({
    number: 1,
    name: "check",
    text: "",
    scheme: "exact",
    columns: { from: exact(F.tunSrc) },
    actions: { yes: action([reply()]) },
    miss: [drop("tunnel-source")],
  });
  const interpreter = doing([goto("check")], check);
  interpreter.put(row(check, { from: "192.0.2.2" }, "yes"));
  const kinds = ["192.0.2.2", "::c000:202", "::ffff:192.0.2.2"].map(
    (source) => interpreter.execute("fabric", frame, { key: 1, source, srcPort: 1, dstPort: 1 }).outcomes[0]?.kind,
  );
  assert.deepEqual(kinds, ["output", "drop", "drop"]);
});

test("a drop says its reason and its table", () => {
  assert.deepEqual(sends(doing([drop("no-fdb-entry")])), [{ kind: "drop", reason: "no-fdb-entry", table: "first" }]);
});

test("two rows of one rank that quarrel over a packet stop it with an error, not with one of the two", () => {
  const [guard] = selvageProgram.tables.filter(({ name }) => name === "guard_ip");
  assert.ok(guard !== undefined);
  const interpreter = new Interpreter(program("guard_ip", selvageProgram.tables));
  interpreter.put(makeRow(guard, { srcPort: 0, ethType: 0x0800 }, "pass", {}, "allowed"));
  interpreter.put(makeRow(guard, { ethType: 0x0800, ip4Src: "10.0.0.1/32" }, "foreignIp", {}, "allowed"));
  assert.throws(() => interpreter.execute("p1", frame), AmbiguousRows);
});

test("a row that the program cannot mean is refused, and changes nothing", () => {
  const sub = table({
    number: 1,
    name: "sub",
    text: "",
    role: "subroutine",
    scheme: "exact",
    columns: { net: exact(F.net) },
    actions: { know: action({ port: "int" }, [set(F.srcPort, param("port"))]) },
  });
  const interpreter = doing([call("sub"), reply()], sub);
  const good: Row = row(sub, { net: 0 }, "know", { port: 0 });
  const before = [...interpreter.rows()].length;
  for (const wrong of [
    { ...good, table: "no-such" },
    { ...good, action: "no-such" },
    { ...good, key: {} },
    { ...good, key: { net: -1 } },
    { ...good, key: { net: "abc" } },
    { ...good, args: {} },
    { ...good, args: { port: 0x1000000 } },
  ])
    assert.throws(() => interpreter.put(wrong), TypeError, JSON.stringify(wrong));
  assert.equal([...interpreter.rows()].length, before);
});

test("what is put out has bytes of its own, whatever the sender does to its own", () => {
  const mine = frame.slice();
  const [outcome] = sends(doing([output(constant("p2"))]), mine);
  mine.fill(0);
  assert.deepEqual(bytesOf(outcome), frame);
});
