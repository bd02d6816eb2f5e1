/** Tuple-space search finds what a scan of all rows finds, for tables of every scheme. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type AnyTable,
  action,
  type Column,
  drop,
  exact,
  F,
  type Field,
  makeRow,
  masked,
  optional,
  prefix,
  type Row,
  table,
} from "@selvage/pipeline";
import fc from "fast-check";
import { AmbiguousRows, placeOf, TupleSpace } from "./tuple-space.ts";

const actions = { x: action([drop("table-miss")]), y: action([drop("no-fdb-entry")]) };

const tables = {
  exact: table({
    number: 0,
    name: "exact",
    text: "",
    scheme: "exact",
    columns: { net: exact(F.net), port: exact(F.dstPort) },
    actions,
    miss: [drop("table-miss")],
  }),
  longest: table({
    number: 1,
    name: "longest",
    text: "",
    scheme: "longest",
    columns: { net: exact(F.net), ip: prefix(F.ip4Dst) },
    actions,
    miss: [drop("table-miss")],
  }),
  ranked: table({
    number: 2,
    name: "ranked",
    text: "",
    scheme: "ranked",
    ranks: { low: 0, middle: 1, high: 7 },
    columns: { net: optional(F.net), mac: masked(F.ethDst), type: optional(F.icmp6Type), from: optional(F.ingress) },
    actions,
    miss: [drop("table-miss")],
  }),
} as const;

const small = fc.nat(2);
const macText = (value: number): string => `00:00:00:00:00:0${value}`;
const body = fc.constantFrom("x", "y");

const rowsOf = {
  exact: fc
    .record({ net: small, port: small, body })
    .map(({ body: name, ...key }) => makeRow(tables.exact, key, name, {})),
  longest: fc
    .record({ net: small, bits: fc.nat(15), length: fc.integer({ min: 0, max: 4 }), given: fc.boolean(), body })
    .map(({ net, bits, length, given, body: name }) =>
      makeRow(tables.longest, given ? { net, ip: `${bits << 4}.0.0.0/${length}` } : { net }, name, {}),
    ),
  ranked: fc
    .record(
      {
        net: small,
        mac: fc.tuple(fc.nat(7), fc.nat(7)).map(([value, mask]) => `${macText(value)}/${macText(mask)}`),
        type: small,
        from: fc.constantFrom("p", "q"),
        body,
        rank: fc.constantFrom("low", "middle", "high"),
      },
      { requiredKeys: ["body", "rank"] },
    )
    .map(({ body: name, rank, ...key }) => makeRow(tables.ranked, key, name, {}, rank)),
} as const;

/** What a packet has in its fields; one without an IPv4 destination or an ICMPv6 type has none. */
const packets = fc.record({
  net: small.map(BigInt),
  dstPort: small.map(BigInt),
  ip4Dst: fc.option(
    fc.nat(15).map((bits) => BigInt(bits << 4) << 24n),
    { nil: undefined },
  ),
  ethDst: fc.nat(7).map(BigInt),
  icmp6Type: fc.option(small.map(BigInt), { nil: undefined }),
  ingress: fc.constantFrom("p", "q"),
});
type Values = Readonly<Record<string, bigint | string | undefined>>;

/** Whether a row matches, read from its text bit by bit. */
function matches(row: Row, of: AnyTable, values: Values): boolean {
  return Object.entries(row.key).every(([name, asked]) => {
    const field: Field = of.columns[name].field;
    const held = values[field.name];
    if (held === undefined) return false;
    const [value = "", after] = String(asked).split("/");
    if (after === undefined) return String(held) === value;
    const bits = (of.columns[name].match === "prefix" ? 32 : 48) - 1;
    const bitAt = (number: bigint, at: number): bigint => (number >> BigInt(at)) & 1n;
    const numberOf = (text: string): bigint =>
      text.includes(":") ? BigInt(`0x${text.replaceAll(":", "")}`) : BigInt(Number(text.split(".")[0])) << 24n;
    return Array.from({ length: bits + 1 }, (_, at) => at).every((at) => {
      const counts = after.includes(":") ? bitAt(numberOf(after), at) === 1n : at > bits - Number(after);
      return !counts || bitAt(BigInt(held), at) === bitAt(numberOf(value), at);
    });
  });
}

const rankOf = (row: Row, of: AnyTable): number =>
  of.scheme === "ranked"
    ? Number(of.ranks[row.rank ?? ""])
    : of.scheme === "longest"
      ? Number(String(row.key.ip ?? "/0").split("/")[1])
      : 0;

/** The truth: every row that matches at the best rank; more than one word is ambiguous. */
function scan(rows: readonly Row[], of: AnyTable, values: Values): string {
  const hits = rows.filter((row) => matches(row, of, values));
  const best = Math.max(...hits.map((row) => rankOf(row, of)));
  const words = new Set(hits.filter((row) => rankOf(row, of) === best).map((row) => row.body));
  return words.size > 1 ? "ambiguous" : ([...words][0] ?? "miss");
}

function placeText(row: Row, of: AnyTable): string {
  const { signature, key } = placeOf(Object.entries<Column>(of.columns), row);
  return `${signature};${key}`;
}

function found(space: TupleSpace, values: Values): string {
  try {
    return space.find((field) => values[field.name])[0]?.body ?? "miss";
  } catch (error) {
    assert.ok(error instanceof AmbiguousRows);
    return "ambiguous";
  }
}

for (const scheme of ["exact", "longest", "ranked"] as const) {
  test(`a table of scheme ${scheme} finds what a scan finds, while rows come and go`, () => {
    const seen = new Map<string, number>();
    fc.assert(
      fc.property(
        fc.array(fc.record({ row: rowsOf[scheme], goes: fc.nat(9) }), { maxLength: 25, size: "max" }),
        fc.array(packets, { minLength: 5, maxLength: 5 }),
        (steps, asked) => {
          const of: AnyTable = tables[scheme];
          const space = new TupleSpace(of);
          const held = new Map<string, Row>();
          for (const { row, goes } of steps) {
            // A row may be said in several texts ("/0" and absent); the first that stands keeps its place.
            const same = [...held.values()].find(
              (each) => rankOf(each, of) === rankOf(row, of) && placeText(each, of) === placeText(row, of),
            );
            if (same !== undefined && same.id !== row.id) continue;
            if (goes < 3) {
              space.remove(row);
              held.delete(row.id);
            } else {
              space.put(row);
              held.set(row.id, row);
            }
            assert.equal(space.size, held.size);
            assert.deepEqual(new Set(space), new Set(held.values()));
            for (const values of asked) {
              const truth = scan([...held.values()], of, values);
              assert.equal(found(space, values), truth);
              seen.set(truth, (seen.get(truth) ?? 0) + 1);
            }
          }
        },
      ),
      { numRuns: 150 },
    );
    for (const each of ["miss", "x()", "y()", ...(scheme === "ranked" ? ["ambiguous"] : [])])
      assert.ok((seen.get(each) ?? 0) > 20, `${each} is met: ${seen.get(each)}`);
  });
}

test("a row replaced says the new thing; one removed twice is gone once", () => {
  const space = new TupleSpace(tables.exact);
  const read = (field: Field) => (field.name === "net" ? 0n : 1n);
  const [x, y] = [
    makeRow(tables.exact, { net: 0, port: 1 }, "x", {}),
    makeRow(tables.exact, { net: 0, port: 1 }, "y", {}),
  ];
  space.put(x);
  space.put(y);
  assert.deepEqual(space.find(read), [y]);
  assert.equal(space.size, 1);
  space.remove(x);
  space.remove(x);
  assert.equal(space.size, 0);
  assert.deepEqual(space.find(read), []);
});

test("two texts for one place are refused: one switch entry cannot be two rows", () => {
  const space = new TupleSpace(tables.ranked);
  space.put(makeRow(tables.ranked, { mac: "00:00:00:00:00:01/00:00:00:00:00:01" }, "x", {}, "low"));
  assert.throws(
    () => space.put(makeRow(tables.ranked, { mac: "00:00:00:00:00:03/00:00:00:00:00:01" }, "y", {}, "low")),
    AmbiguousRows,
  );
});

test("rows of one rank that match one packet and say the same are no quarrel", () => {
  const space = new TupleSpace(tables.ranked);
  space.put(makeRow(tables.ranked, { net: 1 }, "x", {}, "low"));
  space.put(makeRow(tables.ranked, { type: 0 }, "x", {}, "low"));
  assert.equal(space.find((field) => (field.name === "net" ? 1n : 0n))[0]?.body, "x()");
});

test("what does not fit a field or a table is refused", () => {
  const space = new TupleSpace(tables.ranked);
  const wrong: readonly (readonly [Readonly<Record<string, number | string>>, string])[] = [
    [{ net: 0x1000000 }, "low"],
    [{ type: 256 }, "low"],
    [{ mac: "00:00:00:00:00:01" }, "low"],
    [{ mac: "nonsense/ff:ff:ff:ff:ff:ff" }, "low"],
    [{ net: 1 }, "no-such"],
  ];
  for (const [key, rank] of wrong) {
    const good = makeRow(tables.ranked, {}, "x", {}, "low");
    assert.throws(() => space.put({ ...good, key, rank }), TypeError, JSON.stringify(key));
  }
  assert.equal(space.size, 0);
  const longest = new TupleSpace(tables.longest);
  for (const ip of ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/-1"])
    assert.throws(() => longest.put(makeRow(tables.longest, { net: 0, ip }, "x", {})), TypeError, ip);
});
