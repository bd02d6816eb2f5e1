/** What the steps of routers and security groups mean, on small programs that are no one's. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, Frame } from "@selvage/packet";
import {
  type AnyTable,
  action,
  back,
  commit,
  constant,
  contentsOf,
  decrementTtl,
  drop,
  exact,
  F,
  goto,
  type Operand,
  optional,
  output,
  param,
  program,
  type Row,
  reply,
  report,
  row,
  type Step,
  select,
  set,
  table,
  track,
} from "@selvage/pipeline";
import { fragmentsOf, ping, tcp, udpBetween } from "../testing/ip-frames.ts";
import { Interpreter, type Trace } from "./interpreter.ts";

const one = { mac: "fa:16:3e:00:00:01", ip4: "10.0.0.1", ip6: "2001:db8::1" };
const two = { mac: "fa:16:3e:00:00:02", ip4: "10.0.0.2", ip6: "2001:db8::2" };
const frame = udpBetween(4, one, two, { src: 1, dst: 2 });

const stage = (number: number, name: string, miss: readonly Step[]) =>
  table({
    number,
    name,
    text: "",
    scheme: "exact",
    columns: { net: exact(F.net) },
    actions: { none: action([drop("table-miss")]) },
    miss,
  });
const doing = (steps: readonly Step[], ...others: readonly AnyTable[]): Interpreter =>
  new Interpreter(program("first", [stage(0, "first", steps), ...others]));

const ends = ({ outcomes }: Trace): readonly string[] =>
  outcomes.map((outcome) =>
    outcome.kind === "drop" ? outcome.reason : outcome.kind === "punt" ? outcome.punt : outcome.kind,
  );

test("a hop less, with the header's checksum, of both families", () => {
  for (const version of [4, 6] as const) {
    const sent = tcp(version, one, two, { src: 1, dst: 2 }, undefined, { ttl: 9 });
    const [outcome] = doing([decrementTtl(), reply()]).execute("p1", sent).outcomes;
    assert.ok(outcome?.kind === "output");
    assert.deepEqual(outcome.frame, tcp(version, one, two, { src: 1, dst: 2 }, undefined, { ttl: 8 }));
  }
});

test("types, addresses and ports are written with their checksums", () => {
  const writes: readonly (readonly [Uint8Array, Step])[] = [
    [ping(4, "request", one, two, { id: 1 }), set(F.icmpType, constant(0))],
    [ping(6, "request", one, two, { id: 1 }), set(F.icmp6Type, constant(129))],
    [ping(6, "request", one, two, { id: 1 }), set(F.icmp6Code, constant(3))],
    [tcp(4, one, two, { src: 1, dst: 2 }), set(F.ip4Src, constant("192.0.2.77"))],
    [tcp(6, one, two, { src: 1, dst: 2 }), set(F.ip6Dst, constant("2001:db8:ffff::77"))],
    [tcp(6, one, two, { src: 1, dst: 2 }), set(F.tcpDst, constant(65_535))],
    [frame, set(F.udpSrc, constant(0xfffe))],
  ];
  for (const [sent, step] of writes) {
    const [outcome] = doing([step, reply()]).execute("p1", sent).outcomes;
    assert.ok(outcome?.kind === "output");
    assert.notDeepEqual(outcome.frame, sent);
    assert.ok(decode(outcome.frame).ok, "its checksums are right");
  }
  assert.throws(() => doing([set(F.sctpDst, constant(1)), reply()]).execute("p1", frame), TypeError);
});

test("a report is a copy for the agent, as the packet is then, with its network and router; the packet goes on", () => {
  const steps = [set(F.net, constant(5)), set(F.vrf, constant(6)), set(F.srcPort, constant(7)), report("no-route")];
  const { outcomes } = doing([...steps, set(F.ttl, constant(1)), drop("no-route")]).execute("p1", frame);
  assert.deepEqual(outcomes, [
    { kind: "punt", punt: "no-route", net: 5, vrf: 6, srcPort: 7, frame },
    { kind: "drop", reason: "no-route", table: "first" },
  ]);
});

test("a way back is gone as often as it is counted", () => {
  const hops = table({
    number: 1,
    name: "hops",
    text: "",
    scheme: "exact",
    columns: { hop: exact(F.hop) },
    actions: { next: action({ next: "int" }, [set(F.hop, param("next")), back("first")]) },
    miss: [drop("loop-detected")],
    constants: [0, 1, 2].map((hop) => ({ key: { hop }, action: "next", args: { next: hop + 1 } })),
  });
  const trace = doing([goto("hops")], hops).execute("p1", frame);
  assert.deepEqual(ends(trace), ["loop-detected"]);
  assert.deepEqual(
    trace.visits.map((visit) => visit.table),
    ["first", "hops", "first", "hops", "first", "hops", "first", "hops"],
  );
});

const choices = table({
  number: 1,
  name: "choices",
  text: "",
  role: "members",
  scheme: "exact",
  columns: { net: exact(F.net), member: exact(F.dstPort) },
  actions: { to: action({ port: "name" }, [output(param("port"))]) },
});

test("a flow keeps its choice when another member comes or goes, and takes part of each otherwise", () => {
  const interpreter = doing([select("choices")], choices);
  const rows = [1, 2, 3, 4].map((member) => row(choices, { net: 0, member }, "to", { port: `m${member}` }));
  for (const each of rows) interpreter.put(each);
  interpreter.put(row(choices, { net: 9, member: 1 }, "to", { port: "another" }));
  const flows = Array.from({ length: 300 }, (_, n) => udpBetween(4, one, two, { src: 1_000 + n, dst: 2 }));
  const choose = (): readonly string[] =>
    flows.map((flow) => {
      const [outcome, ...others] = interpreter.execute("p1", flow).outcomes;
      assert.deepEqual(others, []);
      return outcome?.kind === "output" ? outcome.port : "none";
    });
  const before = choose();
  assert.deepEqual(choose(), before);
  for (const port of ["m1", "m2", "m3", "m4"]) {
    const share = before.filter((each) => each === port).length;
    assert.ok(share > 45 && share < 110, `${port} has ${share}`);
  }
  const [gone] = rows;
  assert.ok(gone !== undefined);
  interpreter.remove(gone);
  for (const [at, port] of choose().entries())
    if (before[at] !== "m1") assert.equal(port, before[at], "only those of the member that went change");
  for (const each of rows) interpreter.remove(each);
  assert.deepEqual(interpreter.execute("p1", frame).outcomes, [], "of none there is no choice");
});

test("who knows better which member a packet takes is asked, and may leave it to the hash", () => {
  const asked: (readonly string[])[] = [];
  const choose = (members: readonly Row[]) => {
    asked.push(members.map(({ id }) => id));
    return asked.length === 1 ? members[1] : undefined;
  };
  const interpreter = new Interpreter(program("first", [stage(0, "first", [select("choices")]), choices]), { choose });
  const rows = [1, 2].map((member) => row(choices, { net: 0, member }, "to", { port: `m${member}` }));
  for (const each of rows) interpreter.put(each);
  const chosen = () => interpreter.execute("p1", frame).visits.at(-1)?.row?.id;
  assert.equal(chosen(), rows[1]?.id);
  const usual = doing([select("choices")], choices);
  for (const each of rows) usual.put(each);
  assert.equal(chosen(), usual.execute("p1", frame).visits.at(-1)?.row?.id);
  assert.deepEqual(asked, [rows.map(({ id }) => id), rows.map(({ id }) => id)]);
});

test("both ends, protocol and ports are a flow; nothing else of a packet is", () => {
  const interpreter = doing([select("choices")], choices);
  for (let member = 0; member < 64; member += 1)
    interpreter.put(row(choices, { net: 0, member }, "to", { port: `m${member}` }));
  const chosen = (bytes: Uint8Array) => interpreter.execute("p1", bytes).visits.at(-1)?.row?.id;
  const same = udpBetween(4, { ...one, mac: two.mac }, two, { src: 1, dst: 2 }, new Uint8Array(99), { ttl: 3 });
  assert.equal(chosen(same), chosen(frame));
  const others = [
    udpBetween(4, two, one, { src: 1, dst: 2 }),
    udpBetween(4, one, two, { src: 2, dst: 1 }),
    udpBetween(6, one, two, { src: 1, dst: 2 }),
    tcp(4, one, two, { src: 1, dst: 2 }),
  ];
  assert.ok(new Set(others.map(chosen)).size > 1);
});

/** Tracks in a zone that a row names, and tells what is known by the table `said`. */
const named = table({
  number: 0,
  name: "named",
  text: "",
  scheme: "exact",
  columns: { ingress: exact(F.ingress) },
  actions: { zone: action({ zone: "name" }, [set(F.srcZone, param("zone")), track(F.srcZone, "said")]) },
  miss: [drop("port-not-bound")],
});
const keeps = (to: Operand): Step => commit(F.srcZone, [{ field: F.ctRule, to }]);
const said = table({
  number: 1,
  name: "said",
  text: "",
  scheme: "ranked",
  ranks: { one: 1 },
  columns: {
    isNew: optional(F.ctNew),
    established: optional(F.ctEstablished),
    reply: optional(F.ctReply),
    rule: optional(F.ctRule),
    later: optional(F.later),
    port: optional(F.ctDst),
    proto: optional(F.ctProto),
  },
  actions: {
    keep: action({ rule: "int" }, [keeps(param("rule")), reply()]),
    relabel: action([set(F.rule, constant(9)), keeps(contentsOf(F.rule)), drop("no-fdb-entry")]),
    later: action([drop("no-route")]),
  },
  miss: [drop("ct-invalid")],
});
const answer = udpBetween(4, two, one, { src: 2, dst: 1 });

test("a connection is kept with values, which are matched later and can be changed; zones that rows do not name are forgotten", () => {
  const interpreter = new Interpreter(program("named", [named, said]));
  const zones = ["p1", "p2"].map((ingress) => row(named, { ingress }, "zone", { zone: "one" }));
  const rows: readonly Row[] = [
    ...zones,
    row(said, { isNew: 1 }, "keep", { rule: 7 }, "one"),
    row(said, { established: 1, reply: 1, rule: 7 }, "relabel", {}, "one"),
    row(said, { established: 1, rule: 9 }, "keep", { rule: 7 }, "one"),
  ];
  for (const each of rows) interpreter.put(each);
  const go = (bytes: Uint8Array) => ends(interpreter.execute("p1", bytes));
  assert.deepEqual(go(answer), ["output"]);
  assert.deepEqual(go(frame), ["no-fdb-entry"], "the answer to it, with rule 7");
  assert.deepEqual(go(answer), ["output"], "rule 9 is kept");
  assert.equal(interpreter.connections("one"), 1);
  const [first, second] = zones;
  assert.ok(first !== undefined && second !== undefined);
  interpreter.remove(first);
  interpreter.flushUnnamed();
  assert.equal(interpreter.connections("one"), 1, "another row names it");
  interpreter.remove(second);
  interpreter.put(first);
  interpreter.flushUnnamed();
  assert.equal(interpreter.connections("one"), 1, "it was not without a name when the difference was whole");
  interpreter.remove(first);
  interpreter.flushUnnamed();
  assert.equal(interpreter.connections("one"), 0);
});

test("fragments are held, and go on together with what is known of their connection", () => {
  const interpreter = new Interpreter(program("named", [named, said]));
  interpreter.put(row(named, { ingress: "p1" }, "zone", { zone: "one" }));
  interpreter.put(row(said, { later: 0, isNew: 1 }, "keep", { rule: 7 }, "one"));
  interpreter.put(row(said, { later: 1, port: 2, proto: 17 }, "later", {}, "one"));
  for (const version of [4, 6] as const) {
    const whole = udpBetween(version, one, two, { src: 1, dst: 2 }, new Uint8Array(3_000));
    const [first = whole, second = whole, third = whole] = fragmentsOf(whole, 1_280, 1);
    for (const piece of [third, first])
      assert.deepEqual(interpreter.execute("p1", piece).outcomes, [{ kind: "held", zone: "one" }]);
    const trace = interpreter.execute("p1", second);
    assert.deepEqual(ends(trace), ["output", "no-route", "no-route"]);
    const [outcome] = trace.outcomes;
    assert.ok(outcome?.kind === "output");
    assert.deepEqual(outcome.frame, first);
    assert.equal(new Frame(first).get("udp_dst"), 2);
  }
  assert.equal(interpreter.connections("one"), 2);
});

test("before it is tracked a packet has no connection, and its copies have the packet's", () => {
  const interpreter = doing([goto("said")], said);
  interpreter.put(row(said, { isNew: 0, established: 0, rule: 0, port: 0 }, "later", {}, "one"));
  assert.deepEqual(ends(interpreter.execute("p1", frame)), ["no-route"]);
});

test("where no rule is met the visit tells the nearest, and where one is its clauses", () => {
  const rules = table({
    number: 1,
    name: "rules",
    text: "",
    scheme: "clauses",
    ranks: { verdict: 0, own: 1, service: 2 },
    columns: { rule: exact(F.rule), set: optional(F.srcSet), port: optional(F.udpDst) },
    actions: {
      clause: action({ of: "int" }, []),
      allow: action({ rule: "int" }, [set(F.rule, param("rule")), reply()]),
    },
    miss: [drop("sg-default-deny-egress")],
  });
  const interpreter = doing([set(F.srcSet, constant(3)), goto("rules")], rules);
  const rows = [5, 6].flatMap((rule) => [
    row(rules, { rule }, "allow", { rule }, "verdict"),
    row(rules, { rule, set: 3 }, "clause", { of: 2 }, "own"),
    row(rules, { rule, port: rule === 5 ? 2 : 53 }, "clause", { of: 2 }, "service"),
  ]);
  for (const each of rows) interpreter.put(each);
  const met = interpreter.execute("p1", frame).visits.at(-1);
  assert.equal(met?.row, rows[0]);
  assert.deepEqual(met?.clauses, [rows[1], rows[2]]);
  assert.equal(met?.nearest, undefined);
  const missed = interpreter.execute("p1", udpBetween(4, one, two, { src: 1, dst: 80 }));
  assert.deepEqual(ends(missed), ["sg-default-deny-egress"]);
  const near = missed.visits.at(-1)?.nearest;
  assert.deepEqual(
    near?.map(({ rule, failing }) => [rule, failing.map(({ part }) => part)]),
    [
      [5, ["service"]],
      [6, ["service"]],
    ],
  );
  for (const each of rows) interpreter.remove(each);
  assert.deepEqual(interpreter.execute("p1", frame).visits.at(-1)?.nearest, []);
});
