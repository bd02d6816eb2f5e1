/** The contract of a program: every way to break it is refused where it is put together, and Selvage's own program keeps it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isReasonCode } from "@selvage/base";
import { F, type Field } from "./fields.ts";
import { program, selvageProgram } from "./program.ts";
import type { Row } from "./row.ts";
import {
  type Action,
  type AnyTable,
  action,
  back,
  type Column,
  call,
  commit,
  constant,
  contentsOf,
  decrementTtl,
  drop,
  exact,
  goto,
  measure,
  operandsOf,
  optional,
  output,
  param,
  punt,
  replicate,
  report,
  type Step,
  select,
  set,
  type TableDeclaration,
  table,
  track,
} from "./table.ts";

/** A table that keeps the contract, with something about it changed. */
const made = (number: number, name: string, part: Partial<TableDeclaration<never, never, never>> = {}): AnyTable =>
  table({
    number,
    name,
    text: "",
    scheme: "exact",
    columns: { net: exact(F.net) },
    actions: { end: action([drop("table-miss")]) },
    ...(part.role === undefined || part.role === "stage" ? { miss: [drop("table-miss")] } : {}),
    ...part,
  });

const withAction = (steps: readonly Step[], part: Partial<TableDeclaration<never, never, never>> = {}): AnyTable => ({
  ...made(0, "first", part),
  actions: { act: action({ p: "int" }, steps) },
});

const sub = made(8, "sub", { role: "subroutine" });
const settingSub: AnyTable = { ...sub, actions: { end: action([set(F.nhMac, constant("02:00:00:00:00:01"))]) } };
const group = made(9, "group", { role: "members" });

test("a program that keeps the contract is put together", () => {
  const first = withAction([call("sub"), replicate("group"), set(F.net, param("p")), goto("second")]);
  const whole = program("first", [first, made(1, "second"), settingSub, group]);
  assert.equal(whole.byName.get("second")?.number, 1);
  assert.deepEqual(whole.constants, []);
});

const broken: (readonly [string, readonly AnyTable[], RegExp])[] = [
  ["two tables with one number", [made(0, "first"), made(0, "second")], /share the number 0/],
  ["two tables with one name", [made(0, "first"), made(1, "first")], /two tables are named first/],
  ["no entry", [made(0, "second")], /no entry table first/],
  ["a step to no table", [withAction([goto("nowhere")])], /goto nowhere/],
  ["a step into a subroutine", [withAction([goto("sub")]), settingSub], /goto sub/],
  ["a call of a stage", [withAction([call("second"), drop("table-miss")]), made(1, "second")], /call second/],
  ["replication to a stage", [withAction([replicate("second")]), made(1, "second")], /replicate second/],
  ["steps behind the end", [withAction([drop("table-miss"), set(F.net, constant(1))])], /steps follow drop/],
  ["a list without an end", [withAction([set(F.net, constant(1))])], /does not end/],
  ["a miss without an end", [made(0, "first", { miss: [] })], /first miss: the list does not end/],
  ["a subroutine that ends packets", [made(0, "first"), sub], /only sets fields/],
  ["a subroutine with a miss", [made(0, "first"), { ...settingSub, miss: [drop("table-miss")] }], /miss does nothing/],
  ["a parameter that the action lacks", [withAction([set(F.net, param("q")), drop("table-miss")])], /no parameter q/],
  ["an output to a parameter that the action lacks", [withAction([output(param("q"))])], /no parameter q/],
  ["a measure into a whole field", [withAction([measure(F.net, param("p")), drop("table-miss")])], /one bit of memory/],
  ["a measure into the packet", [withAction([measure(F.tagged, param("p")), drop("table-miss")])], /one bit of memory/],
  [
    "a limit that the action lacks",
    [withAction([measure(F.oversize, param("q")), drop("table-miss")])],
    /no parameter q/,
  ],
  [
    "an exact table with an optional column",
    [{ ...made(0, "first"), columns: { net: optional(F.net) } }],
    /exact columns only/,
  ],
  [
    "a loop",
    [withAction([goto("second")]), made(1, "second", { miss: [goto("first")] })],
    /loops: first → second → first/,
  ],
  [
    "a loop through members",
    [withAction([replicate("group"), drop("table-miss")]), { ...group, actions: { again: action([goto("first")]) } }],
    /loops/,
  ],
  [
    "a constant of an action that is not there",
    [{ ...made(0, "first"), constants: [{ key: { net: 1 }, action: "nothing" }] }],
    /no action nothing/,
  ],
];

/** A table of rules that keeps the contract, with something about it changed. */
const rules = (part: Partial<AnyTable> = {}): AnyTable => ({
  ...table({
    number: 0,
    name: "first",
    text: "",
    scheme: "clauses",
    ranks: { verdict: 0, own: 1, service: 2 },
    columns: { rule: exact(F.rule), set: optional(F.srcSet) },
    actions: { clause: action({ of: "int" }, []), allow: action([drop("table-miss")]) },
    miss: [drop("table-miss")],
  }),
  ...part,
});

/** A table that counts rounds and leads back to `second`, with something about it changed. */
const rounds = (part: Partial<AnyTable> = {}): AnyTable => ({
  ...table({
    number: 0,
    name: "first",
    text: "",
    scheme: "exact",
    columns: { hop: exact(F.hop) },
    actions: { next: action({ next: "int" }, [set(F.hop, param("next")), back("second")]) },
    miss: [drop("table-miss")],
    constants: [{ key: { hop: 0 }, action: "next", args: { next: 1 } }],
  }),
  ...part,
});
const around = made(1, "second", { miss: [goto("first")] });

test("rules, rounds, connections and choices keep the contract", () => {
  assert.equal(program("first", [rules()]).byName.get("first")?.scheme, "clauses");
  assert.equal(program("second", [rounds(), around]).constants.length, 1);
  const kept = [{ field: F.ctRule, to: param("p") }];
  const first = withAction([
    commit(F.srcZone, kept),
    decrementTtl(),
    report("ttl-expired"),
    track(F.dstZone, "second"),
  ]);
  program("first", [first, made(1, "second", { miss: [select("group")] }), group]);
});

broken.push(
  ["rules that no column names", [rules({ columns: { set: optional(F.srcSet) } })], /no column names the rule/],
  [
    "rules that a packet's field names",
    [rules({ columns: { set: exact(F.ipProto), rule: exact(F.rule) } })],
    /no column names the rule/,
  ],
  ["rules without a verdict", [rules({ ranks: { own: 1, service: 2, remote: 3 } })], /a verdict and two parts/],
  ["rules of one part", [rules({ ranks: { verdict: 0, own: 1 } })], /a verdict and two parts/],
  ["rules with a part left out", [rules({ ranks: { verdict: 0, own: 1, remote: 3 } })], /numbered from 1/],
  [
    "clauses that do not count",
    [rules({ actions: { clause: action([]), allow: action([drop("table-miss")]) } })],
    /a clause counts/,
  ],
  [
    "a verdict that does not end the packet's way",
    [rules({ actions: { clause: action({ of: "int" }, []), allow: action([set(F.net, constant(1))]) } })],
    /does not end/,
  ],
  ["an action of no steps in a table of no rules", [withAction([])], /does not end/],
  [
    "a connection that keeps what is not its own",
    [withAction([commit(F.srcZone, [{ field: F.rule, to: param("p") }]), drop("table-miss")])],
    /does not keep rule/,
  ],
  [
    "a connection that keeps a parameter which the action lacks",
    [withAction([commit(F.srcZone, [{ field: F.ctRule, to: param("q") }]), drop("table-miss")])],
    /no parameter q/,
  ],
  ["a zone in a field that holds no name", [withAction([commit(F.net, []), drop("table-miss")])], /net holds no zone/],
  ["a zone that is the ingress", [withAction([track(F.ingress, "second")]), made(1, "second")], /holds no zone/],
  ["tracking into members", [withAction([track(F.srcZone, "group")]), group], /track group/],
  ["a choice among what are no members", [withAction([select("second")]), made(1, "second")], /select second/],
  [
    "steps behind tracking",
    [withAction([track(F.srcZone, "second"), drop("table-miss")]), made(1, "second")],
    /steps follow track/,
  ],
  ["steps behind a choice", [withAction([select("group"), drop("table-miss")]), group], /steps follow select/],
  [
    "a subroutine that keeps connections",
    [made(0, "first"), { ...sub, actions: { end: action([commit(F.srcZone, [])]) } }],
    /only sets fields/,
  ],
  [
    "a loop by tracking",
    [withAction([track(F.srcZone, "second")]), made(1, "second", { miss: [goto("first")] })],
    /loops: first → second → first/,
  ],
  [
    "a loop by a choice",
    [withAction([select("group")]), { ...group, actions: { again: action([goto("first")]) } }],
    /loops/,
  ],
  [
    "a way back from a table of several columns",
    [rounds({ columns: { hop: exact(F.hop), net: exact(F.net) }, constants: [] }), around],
    /only an exact table of one count/,
  ],
  [
    "a way back from a table that may leave the count out",
    [rounds({ scheme: "ranked", ranks: { one: 1 }, columns: { hop: optional(F.hop) }, constants: [] }), around],
    /only an exact table of one count/,
  ],
  [
    "a way back by what the packet says",
    [rounds({ columns: { hop: exact(F.ttl) }, constants: [] }), around],
    /one count/,
  ],
  ["a miss that leads back", [rounds({ miss: [back("second")] }), around], /without end/],
  [
    "a round that is not counted",
    [rounds({ actions: { next: action([back("second")]) }, constants: [] }), around],
    /not counted/,
  ],
  [
    "a count that does not grow",
    [rounds({ constants: [{ key: { hop: 1 }, action: "next", args: { next: 1 } }] }), around],
    /does not grow/,
  ],
);

for (const [what, tables, message] of broken) {
  test(`refused: ${what}`, () => assert.throws(() => program("first", tables), message));
}

const actionsOf = (each: AnyTable): readonly Action[] => Object.values(each.actions);
const stepsOf = (each: AnyTable): readonly Step[] => [...actionsOf(each).flatMap((one) => one.steps), ...each.miss];

test("Selvage's tables bear the numbers of the design, which are never reused", () => {
  assert.deepEqual(Object.fromEntries(selvageProgram.tables.map(({ name, number }) => [name, number])), {
    classify: 0,
    guard_mac: 1,
    guard_ip: 2,
    fragments: 3,
    service_class: 4,
    router_solicitation: 9,
    arp: 10,
    nd: 11,
    dhcp: 12,
    dhcp6: 13,
    metadata: 14,
    arp_answer: 16,
    nd_answer: 17,
    dst_id: 18,
    sender: 19,
    track_out: 20,
    live_out: 21,
    policy_out: 22,
    kept_out: 24,
    commit_out: 25,
    to_router: 27,
    carriage: 29,
    l2: 30,
    holders_here: 31,
    holders_there: 33,
    mcast: 34,
    copy_carriage: 35,
    flood_local: 36,
    flood_remote: 37,
    copies: 38,
    router_in: 40,
    route: 44,
    next_hops: 45,
    neighbour: 46,
    routed: 47,
    scopes: 48,
    hops: 49,
    wire_fragments: 53,
    service_in: 54,
    from_physical: 55,
    provider_in: 56,
    remote_id: 57,
    fabric_vni: 58,
    tunnel_source: 59,
    fabric_in: 60,
    tunnel_domain: 61,
    physical_reply: 62,
    ext_in: 64,
    ext_in_state: 65,
    own_lease: 66,
    lease_hosts: 67,
    nat_out: 70,
    snat_state: 72,
    snat_new: 73,
    snat_check: 74,
    tunnel_out: 80,
    provider_out: 82,
    quotation: 63,
    receiver: 83,
    track_in: 84,
    live_in: 85,
    policy_in: 86,
    commit_in: 88,
    kept_in: 89,
    interface_in: 68,
    echo_back: 41,
    nat_ask: 75,
    nat_asked: 76,
    turn: 91,
    deliver: 92,
  });
  for (const { number } of selvageProgram.tables) assert.ok(number >= 0 && number <= 253);
});

test("every drop has a reason of the registry, and every table says in a sentence what it is", () => {
  for (const each of selvageProgram.tables) {
    for (const step of stepsOf(each)) if (step.do === "drop") assert.ok(isReasonCode(step.reason), each.name);
    assert.match(each.text, /^[A-Z].+\.$/, each.name);
  }
});

/** Where packets of the agent's own go on, and no others come. */
const asked = ["nat_ask"] as const;

test("every table is reached from the entry or by the agent, and every parameter of an action is used", () => {
  const reached = new Set<string>();
  const visit = (name: string): void => {
    if (reached.has(name)) return;
    reached.add(name);
    const found = selvageProgram.byName.get(name);
    if (found !== undefined) for (const step of stepsOf(found)) if ("table" in step) visit(step.table);
  };
  visit(selvageProgram.entry);
  for (const name of asked) {
    assert.ok(!reached.has(name), name);
    visit(name);
  }
  assert.deepEqual(
    selvageProgram.tables.filter(({ name }) => !reached.has(name)),
    [],
  );
  for (const each of selvageProgram.tables) {
    for (const one of actionsOf(each)) {
      // A clause has no steps: what it counts is the table's business.
      if (each.scheme === "clauses" && one.steps.length === 0) continue;
      const used = new Set(one.steps.flatMap(operandsOf).flatMap((each) => (each.from === "param" ? [each.name] : [])));
      assert.deepEqual(
        Object.keys(one.params).filter((name) => !used.has(name)),
        [],
        each.name,
      );
    }
  }
});

test("no field is set that a packet only arrives with", () => {
  for (const each of selvageProgram.tables) {
    for (const step of stepsOf(each)) {
      if (step.do !== "set") continue;
      assert.ok(step.field.home === "memory" || step.field.home === "frame", `${each.name} sets ${step.field.name}`);
      // An address asked for holds IPv4 in its low bits: of that alone a narrower field takes a part.
      if (step.to.from === "field" && step.to.field !== F.nh)
        assert.ok(step.to.field.bits <= step.field.bits, `${each.name}: ${step.to.field.name} is too wide`);
    }
  }
});

/** Whether two rows of a table could match one packet: no column of which both are given differs. */
const overlap = (one: Row, other: Row): boolean =>
  Object.entries(one.key).every(([name, value]) => other.key[name] === undefined || other.key[name] === value);

test("constant rows of one rank that could match one packet do the same", () => {
  for (const [at, one] of selvageProgram.constants.entries()) {
    for (const other of selvageProgram.constants.slice(at + 1)) {
      if (one.table !== other.table || one.rank !== other.rank || !overlap(one, other)) continue;
      assert.equal(one.body, other.body, `${one.id} and ${other.id}`);
    }
  }
});

test("a constant row that matches a field of a header also says which header it is", () => {
  for (const constantRow of selvageProgram.constants) {
    const columns: Readonly<Record<string, Column>> = selvageProgram.byName.get(constantRow.table)?.columns ?? {};
    const asked = new Map(
      Object.keys(constantRow.key).map((name) => [columns[name]?.field.name, constantRow.key[name]]),
    );
    for (const name of Object.keys(constantRow.key)) {
      const field: Field | undefined = columns[name]?.field;
      for (const [needed, value] of Object.entries(field?.requires ?? {})) {
        // A table in which only ARP or only ND arrives needs not say it again.
        if (!asked.has(needed))
          assert.ok(["arp", "nd"].includes(constantRow.table), `${constantRow.id}: ${name} needs ${needed}`);
        else assert.equal(asked.get(needed), value, constantRow.id);
      }
    }
  }
});

test("a stage can be left in every way that a packet may take: steps name what they read", () => {
  const memory = new Set<string>();
  for (const each of selvageProgram.tables)
    for (const step of stepsOf(each))
      if ((step.do === "set" || step.do === "measure") && step.field.home === "memory") memory.add(step.field.name);
  for (const each of selvageProgram.tables) {
    for (const column of Object.values<Column>(each.columns))
      if (column.field.home === "memory")
        assert.ok(memory.has(column.field.name), `${each.name} matches ${column.field.name}, which nobody sets`);
  }
});

test("a punt is of a kind that a service answers", () => {
  const kinds = selvageProgram.tables.flatMap(stepsOf).flatMap((step) => (step.do === "punt" ? [step.kind] : []));
  assert.deepEqual([...new Set(kinds)].sort(), ["dhcp4", "dhcp6", "icmp-inner", "nd", "neighbour", "rs", "translated"]);
  assert.equal(punt("nd").do, "punt");
  assert.deepEqual(contentsOf(F.net), { from: "field", field: F.net });
});

test("no packet is tracked more than twice, at its sender and at its receiver, and a connection is kept where it was tracked", () => {
  const most = new Map<string, number>();
  const tracks = (name: string): number => {
    const known = most.get(name);
    if (known !== undefined) return known;
    const found = selvageProgram.byName.get(name);
    const ways = (found === undefined ? [] : stepsOf(found)).flatMap((step) =>
      "table" in step && step.do !== "back" ? [(step.do === "track" ? 1 : 0) + tracks(step.table)] : [],
    );
    const count = Math.max(0, ...ways);
    most.set(name, count);
    return count;
  };
  assert.equal(tracks(selvageProgram.entry), 2);
  const steps = selvageProgram.tables.flatMap(stepsOf);
  const zones = (kind: "track" | "commit") =>
    new Set(steps.flatMap((step) => (step.do === kind && "zone" in step ? [step.zone.name] : [])));
  assert.deepEqual(zones("commit"), zones("track"));
});
