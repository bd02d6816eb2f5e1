/** Rows: their canonical text, and that what is not a value never gets into one. Zero is a value. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { F } from "./fields.ts";
import { selvageProgram } from "./program.ts";
import { makeRow, type Row, row, rowText } from "./row.ts";
import { action, drop, exact, masked, optional, param, prefix, set, table } from "./table.ts";
import { Deliver, FabricIn, GuardIp, L2, TunnelOut } from "./tables.ts";
import { Neighbour } from "./tables-neighbour.ts";
import { PolicyIn } from "./tables-policy.ts";

const sample = table({
  number: 0,
  name: "sample",
  text: "",
  scheme: "ranked",
  ranks: { zero: 0, one: 1 },
  columns: { net: exact(F.net), type: optional(F.icmp6Type), ip: prefix(F.ip4Dst), mac: masked(F.ethDst) },
  actions: {
    put: action({ net: "int", mac: "mac" }, [
      set(F.net, param("net")),
      set(F.ethDst, param("mac")),
      drop("table-miss"),
    ]),
  },
  miss: [drop("table-miss")],
});

const good = { key: { net: 0 }, args: { net: 0, mac: "00:00:00:00:00:00" } } as const;

test("a row's text is its table, rank, key and action, in the declaration's order", () => {
  assert.equal(
    rowText(row(L2, { ethDst: "fa:16:3e:00:00:01/ff:ff:ff:ff:ff:ff", net: 5 }, "remote", { host: 3, port: 2 }, "port")),
    "l2(port: net=5, ethDst=fa:16:3e:00:00:01/ff:ff:ff:ff:ff:ff) → remote(port=2, host=3)",
  );
  assert.equal(
    rowText(row(TunnelOut, { host: 1, encapsulation: 0 }, "geneve", { to: "2001:db8::1" })),
    "tunnel_out(host=1, encapsulation=0) → geneve(to=2001:db8::1)",
  );
  assert.equal(row(Deliver, { port: 0 }, "portDown").body, "portDown()");
});

test("the order in which a key is written makes no difference; what is left out does", () => {
  fc.assert(
    fc.property(fc.nat(0xffffff), fc.nat(255), fc.constantFrom("zero", "one"), (net, type, rank) => {
      const one = makeRow(sample, { net, type }, "put", good.args, rank);
      const other = makeRow(sample, { type, net }, "put", { mac: good.args.mac, net: 0 }, rank);
      assert.equal(one.id, other.id);
      assert.equal(one.body, other.body);
      assert.notEqual(one.id, makeRow(sample, { net }, "put", good.args, rank).id);
      assert.notEqual(one.id, makeRow(sample, { net, type }, "put", good.args, rank === "zero" ? "one" : "zero").id);
    }),
  );
});

test("0 is a value in a key, in an argument and as a rank", () => {
  const zero = makeRow(sample, { net: 0, type: 0 }, "put", good.args, "zero");
  assert.equal(rowText(zero), "sample(zero: net=0, type=0) → put(net=0, mac=00:00:00:00:00:00)");
  assert.deepEqual(zero.key, { net: 0, type: 0 });
  assert.equal(row(FabricIn, { net: 1, port: 0 }, "flood").id, "fabric_in(net=1, port=0)");
});

test("a row is frozen: nobody changes what is installed", () => {
  const made: Row = row(Neighbour, { net: 1, nh: "10.0.0.1" }, "known", { mac: "fa:16:3e:00:00:01" });
  for (const part of [made, made.key, made.args]) assert.ok(Object.isFrozen(part));
});

const refused: (readonly [string, () => Row, RegExp])[] = [
  ["an action that is not there", () => makeRow(sample, good.key, "nothing", good.args, "one"), /no action nothing/],
  [
    "an inherited name for an action",
    () => makeRow(sample, good.key, "toString", good.args, "one"),
    /no action toString/,
  ],
  ["no rank where there are ranks", () => makeRow(sample, good.key, "put", good.args), /one of the ranks zero, one/],
  ["a rank that is not there", () => makeRow(sample, good.key, "put", good.args, "two"), /one of the ranks/],
  ["a rank where there are none", () => makeRow(Deliver, { port: 1 }, "portDown", {}, "one"), /has no ranks/],
  ["a missing exact column", () => makeRow(sample, {}, "put", good.args, "one"), /net is missing/],
  ["a column that is not there", () => makeRow(sample, { net: 0, port: 1 }, "put", good.args, "one"), /no column port/],
  ["a missing argument", () => makeRow(sample, good.key, "put", { net: 0 }, "one"), /needs mac/],
  [
    "an argument that is not there",
    () => makeRow(sample, good.key, "put", { ...good.args, port: 1 }, "one"),
    /no parameter port/,
  ],
  ["text for a number", () => makeRow(sample, { net: "1" }, "put", good.args, "one"), /not a value of kind int/],
  ["a number for text", () => makeRow(sample, good.key, "put", { net: 0, mac: 1 }, "one"), /not a value of kind mac/],
  ["a negative number", () => makeRow(sample, { net: -1 }, "put", good.args, "one"), /not a value/],
  ["a broken number", () => makeRow(sample, { net: 1.5 }, "put", good.args, "one"), /not a value/],
  ["a number that is none", () => makeRow(sample, { net: Number.NaN }, "put", good.args, "one"), /not a value/],
  ["a number wider than its field", () => makeRow(sample, { net: 0x1000000 }, "put", good.args, "one"), /24 bits/],
  [
    "an argument wider than the field that it sets",
    () => makeRow(sample, good.key, "put", { ...good.args, net: 0x1000000 }, "one"),
    /24 bits/,
  ],
  ["an empty text", () => makeRow(sample, good.key, "put", { net: 0, mac: "" }, "one"), /not a value of kind mac/],
];

/** A clause or a verdict of rule 7. */
const ofRule = (rank: string, key: Readonly<Record<string, number>> = {}, of?: number): Row =>
  of === undefined
    ? makeRow(PolicyIn, { rule: 7, ...key }, "allow", { rule: 7, generation: 0 }, rank)
    : makeRow(PolicyIn, { rule: 7, ...key }, "clause", { of }, rank);

refused.push(
  ["a verdict that asks something", () => ofRule("verdict", { dstSet: 1 }), /a verdict is of the rule alone/],
  ["a clause in the verdict's place", () => ofRule("verdict", {}, 2), /a clause is no verdict/],
  ["a verdict in a clause's place", () => ofRule("own"), /part 1 of a rule that has undefined/],
  ["a part that the rule has not", () => ofRule("remote", { srcSet: 1 }, 2), /part 3 of a rule that has 2/],
  ["a rule of one part", () => ofRule("own", { dstSet: 1 }, 1), /part 1 of a rule that has 1/],
  ["a clause of no rule", () => makeRow(PolicyIn, {}, "clause", { of: 2 }, "own"), /rule is missing/],
  ["a clause of no part", () => makeRow(PolicyIn, { rule: 7 }, "clause", { of: 2 }), /one of the ranks verdict, own/],
);

test("a rule is a verdict, and clauses that count its parts", () => {
  assert.equal(rowText(ofRule("verdict")), "policy_in(verdict: rule=7) → allow(rule=7, generation=0)");
  assert.equal(rowText(ofRule("own", { dstSet: 0 }, 2)), "policy_in(own: rule=7, dstSet=0) → clause(of=2)");
  const later = makeRow(PolicyIn, { rule: 0, later: 1, ctDst: "0/0xff00" }, "clause", { of: 3 }, "service");
  assert.equal(later.id, "policy_in(service: rule=0, later=1, ctDst=0/0xff00)");
});

for (const [what, make, message] of refused) {
  test(`refused: ${what}`, () =>
    assert.throws(make, (error: Error) => error instanceof TypeError && message.test(error.message)));
}

test("the widest number that a field holds is a value", () => {
  assert.equal(makeRow(sample, { net: 0xffffff }, "put", good.args, "one").key.net, 0xffffff);
});

test("what the types refuse", () => {
  const untyped = [
    // @ts-expect-error a number belongs here
    () => row(Deliver, { port: "1" }, "portDown"),
    // @ts-expect-error the action has no such parameter
    () => row(TunnelOut, { host: 1, encapsulation: 0 }, "geneve", { too: "192.0.2.1" }),
    // @ts-expect-error the table has no such action
    () => row(Deliver, { port: 1 }, "flood"),
    // @ts-expect-error an exact column is missing
    () => row(GuardIp, { srcPort: 1 }, "pass", {}, "allowed"),
  ];
  for (const make of untyped) assert.throws(make, TypeError);
});

test("the program's constants are rows like others", () => {
  const ids = selvageProgram.constants.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  assert.ok(ids.includes("classify(ingress=fabric)"));
  assert.ok(ids.includes("service_class(first: tagged=1)"));
});
