/** Rules are found as their definition says, read clause by clause, while rows come and go; and the nearest are told when none is met. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { action, drop, exact, F, makeRow, masked, optional, prefix, type Row, table } from "@selvage/pipeline";
import fc from "fast-check";
import { ClauseSpace } from "./clauses.ts";
import { AmbiguousRows, type FieldReader } from "./tuple-space.ts";

const rules = table({
  number: 0,
  name: "rules",
  text: "",
  scheme: "clauses",
  ranks: { verdict: 0, own: 1, service: 2, remote: 3 },
  columns: {
    rule: exact(F.rule),
    set: optional(F.dstSet),
    port: masked(F.udpDst),
    ip: prefix(F.ip4Src),
    type: optional(F.icmpType),
  },
  actions: { clause: action({ of: "int" }, []), allow: action([drop("table-miss")]), deny: action([drop("no-route")]) },
  miss: [drop("table-miss")],
});

const clause = (rule: number, part: string, key: Readonly<Record<string, number | string>>, of = 3): Row =>
  makeRow(rules, { rule, ...key }, "clause", { of }, part);
const verdict = (rule: number): Row => makeRow(rules, { rule }, "allow", {}, "verdict");

interface Values {
  readonly dstSet: number;
  readonly udpDst: number | undefined;
  readonly ip4Src: number;
  readonly icmpType: number | undefined;
}
const reader =
  (values: Values): FieldReader =>
  (field) => {
    const value = values[field.name as keyof Values];
    return value === undefined ? undefined : BigInt(value);
  };

/** Whether a packet has what a clause asks for, read from its text. */
function meets({ key }: Row, { dstSet, udpDst, ip4Src, icmpType }: Values): boolean {
  if (key.set !== undefined && key.set !== dstSet) return false;
  if (key.type !== undefined && key.type !== icmpType) return false;
  if (key.port !== undefined) {
    const [value = 0, mask = 0] = String(key.port).split("/").map(Number);
    if (udpDst === undefined || (udpDst & mask) !== (value & mask)) return false;
  }
  if (key.ip === undefined) return true;
  const [address = "", length] = String(key.ip).split("/");
  const wanted = address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
  const size = 2 ** (32 - Number(length));
  return Math.floor(ip4Src / size) === Math.floor(wanted / size);
}

/** The definition: a rule is met when in each of its parts a clause is; of several the one of the lowest number. */
function scan(rows: readonly Row[], values: Values): number | undefined {
  const numbers = [...new Set(rows.map(({ key }) => Number(key.rule)))].sort((one, other) => one - other);
  return numbers.find((rule) => {
    const own = rows.filter(({ key }) => key.rule === rule);
    const clauses = own.filter((each) => each.action === "clause");
    const of = Number(clauses.find(({ rank }) => rank === "own")?.args.of ?? Number.NaN);
    if (!own.some(({ rank }) => rank === "verdict") || Number.isNaN(of)) return false;
    const parts = ["own", "service", "remote"].slice(0, of);
    return parts.every((part) => clauses.some((each) => each.rank === part && meets(each, values)));
  });
}

const number = fc.integer({ min: 1, max: 4 });
const row: fc.Arbitrary<Row> = fc.oneof(
  number.map(verdict),
  fc.tuple(number, fc.nat(2)).map(([rule, set]) => clause(rule, "own", { set }, rule === 1 ? 2 : 3)),
  fc
    .tuple(number, fc.nat(7), fc.constantFrom("0xffff", "0xfffe", "0xfffc"), fc.nat(3))
    .map(([rule, port, mask, other]) => {
      const key = other === 0 ? { type: port % 3 } : { port: `${port & Number(mask)}/${mask}` };
      return clause(rule, "service", key, rule === 1 ? 2 : 3);
    }),
  fc.tuple(number, fc.nat(3), fc.constantFrom(30, 31, 32, 24, 0)).map(([rule, last, length]) => {
    const base = length === 32 ? last : length === 31 ? last & 2 : 0;
    return clause(rule === 1 ? 2 : rule, "remote", { ip: `10.0.0.${base}/${length}` });
  }),
);
const packet = fc.record({
  dstSet: fc.nat(2),
  udpDst: fc.option(fc.nat(7), { nil: undefined }),
  ip4Src: fc.oneof(
    fc.nat(3).map((last) => 0x0a000000 + last),
    fc.nat(0xffff),
  ),
  icmpType: fc.option(fc.nat(2), { nil: undefined }),
});

test("the rule that is found is the one that a scan finds, while rows come and go", () => {
  const seen = new Map<number | undefined, number>();
  fc.assert(
    fc.property(
      fc.array(fc.record({ row, goes: fc.nat(9) }), { maxLength: 40, size: "max" }),
      fc.array(packet, { minLength: 6, maxLength: 6 }),
      (steps, packets) => {
        const space = new ClauseSpace(rules);
        const held = new Map<string, Row>();
        for (const { row: each, goes } of steps) {
          if (goes < 3) {
            space.remove(each);
            held.delete(each.id);
          } else {
            // One place, one text: `10.0.0.0/0` and `0.0.0.0/0` are not both drawn.
            space.put(each);
            held.set(each.id, each);
          }
          assert.equal(space.size, held.size);
          assert.deepEqual(new Set(space), new Set(held.values()));
        }
        for (const values of packets) {
          const wanted = scan([...held.values()], values);
          seen.set(wanted, (seen.get(wanted) ?? 0) + 1);
          const found = space.find(reader(values));
          assert.equal(found.at(-1)?.key.rule, wanted);
          for (const each of found.slice(0, -1)) assert.ok(meets(each, values) && each.key.rule === wanted, each.id);
          if (wanted !== undefined) assert.equal(found.length, Number(found[0]?.args.of) + 1);
          for (const near of space.nearest(reader(values), 10)) {
            const clauses = [...held.values()].filter((each) => each.key.rule === near.rule);
            for (const each of near.met) assert.ok(meets(each, values));
            for (const { part, clauses: lacking } of near.failing) {
              assert.ok(lacking.every((each) => each.rank === part && !meets(each, values)));
              assert.equal(lacking.length, clauses.filter(({ rank }) => rank === part).length);
            }
            assert.equal(near.met.length + near.failing.length, Number(near.met[0]?.args.of));
          }
        }
      },
    ),
    { numRuns: 400 },
  );
  for (const rule of [undefined, 1, 2, 3, 4]) assert.ok((seen.get(rule) ?? 0) > 5, `rule ${rule}: ${seen.get(rule)}`);
});

test("the nearest rules are told with what they lack, those with least to lack first", () => {
  const space = new ClauseSpace(rules);
  for (const rule of [5, 6, 7]) space.put(verdict(rule));
  space.put(clause(5, "own", { set: 1 }));
  space.put(clause(5, "service", { port: "80/0xffff" }));
  space.put(clause(5, "remote", { ip: "10.9.0.0/16" }));
  space.put(clause(6, "own", { set: 1 }));
  space.put(clause(6, "service", { port: "80/0xffff" }));
  space.put(clause(6, "service", { port: "443/0xffff" }));
  space.put(clause(6, "remote", { ip: "10.0.0.0/8" }));
  space.put(clause(7, "own", { set: 2 }, 2));
  space.put(clause(7, "service", {}, 2));
  const values = { dstSet: 1, udpDst: 22, ip4Src: 0x0a000001, icmpType: undefined };
  assert.deepEqual(space.find(reader(values)), []);
  const near = space.nearest(reader(values), 10);
  assert.deepEqual(
    near.map(({ rule, met, failing }) => ({
      rule,
      met: met.map(({ rank }) => rank),
      failing: failing.map(({ part, clauses }) => [part, clauses.map(({ key }) => key.port ?? key.ip)]),
    })),
    [
      { rule: 6, met: ["own", "remote"], failing: [["service", ["80/0xffff", "443/0xffff"]]] },
      {
        rule: 5,
        met: ["own"],
        failing: [
          ["service", ["80/0xffff"]],
          ["remote", ["10.9.0.0/16"]],
        ],
      },
    ],
    "the rule of another set is not near",
  );
  assert.equal(space.nearest(reader(values), 1).length, 1);
  assert.equal(
    near[0]?.verdict,
    [...space].find(({ id }) => id === "rules(verdict: rule=6)"),
  );
});

test("two texts for one clause are refused, and what does not fit changes nothing", () => {
  const space = new ClauseSpace(rules);
  space.put(clause(5, "remote", { ip: "10.0.0.0/8" }));
  assert.throws(() => space.put(clause(5, "remote", { ip: "10.1.0.0/8" })), AmbiguousRows);
  space.put(clause(6, "remote", { ip: "10.1.0.0/8" }));
  const good = clause(5, "service", {});
  for (const wrong of [
    { ...good, rank: "no-such" },
    { ...good, key: { rule: "5" } },
    { ...good, key: { rule: 5, port: "80" } },
    { ...good, key: { rule: 5, ip: "10.0.0.0/33" } },
  ]) {
    assert.throws(() => space.check(wrong), TypeError);
    assert.throws(() => space.put(wrong), TypeError);
  }
  assert.equal(space.size, 2);
});
