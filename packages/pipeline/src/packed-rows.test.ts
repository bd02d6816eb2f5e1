/** Rows come back from bytes as they were; what does not fit into them is kept all the same. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { F } from "./fields.ts";
import { PackedRows } from "./packed-rows.ts";
import { selvageProgram } from "./program.ts";
import { makeRow, type Row, row } from "./row.ts";
import { RowTable } from "./row-table.ts";
import { Slab } from "./slab.ts";
import { action, exact, masked, optional, prefix, table } from "./table.ts";
import { L2 } from "./tables.ts";

const sample = table({
  number: 7,
  name: "sample",
  text: "",
  scheme: "ranked",
  ranks: { zero: 0, one: 1 },
  columns: {
    net: exact(F.net),
    rule: optional(F.rule),
    ip: prefix(F.ip6Dst),
    mac: masked(F.ethDst),
    name: optional(F.ingress),
  },
  actions: { none: action([]), put: action({ number: "int", mac: "mac", name: "name" }, []) },
});
const plain = table({
  number: 8,
  name: "plain",
  text: "",
  scheme: "exact",
  columns: { net: exact(F.net) },
  actions: { none: action([]) },
});
const program = { tables: [plain, sample] };

const octet = fc.nat(255).map((value) => value.toString(16).padStart(2, "0"));
const mac = fc.array(octet, { minLength: 6, maxLength: 6 }).map((octets) => octets.join(":"));
const name = fc.oneof(
  fc.string({ minLength: 1, maxLength: 40 }),
  fc.constantFrom(
    "fa:16:3e:00:00:0G",
    "FA:16:3E:00:00:01",
    "fa-16-3e-00-00-01",
    ", net=1",
    ") → put(",
    "Zürich",
    "東京",
    "x".repeat(251),
    "y".repeat(900),
  ),
  mac,
);
const value = fc.oneof(
  mac,
  mac.map((each) => `${each}/ff:ff:ff:ff:ff:ff`),
  mac.map((each) => `${each}/01:00:00:00:00:00`),
);
const rows: fc.Arbitrary<Row> = fc.oneof(
  fc.nat(0xffffff).map((net) => makeRow(plain, { net }, "none", {})),
  fc
    .record({
      key: fc.record(
        {
          net: fc.nat(0xffffff),
          rule: fc.nat(0xffffffff),
          ip: fc.constantFrom("::/0", "2001:db8::/64"),
          mac: value,
          name,
        },
        { requiredKeys: ["net"] },
      ),
      args: fc.record({ number: fc.nat(Number.MAX_SAFE_INTEGER), mac, name }),
      rank: fc.constantFrom("zero", "one"),
      action: fc.constantFrom("none", "put"),
    })
    .map(({ key, args, rank, action: what }) => makeRow(sample, key, what, what === "none" ? {} : args, rank)),
);

test("rows come back as they were put, through taking and putting others in their place", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(rows, fc.boolean()), { maxLength: 60 }), (steps) => {
      const shelf = new PackedRows(program);
      const held = new Map<number, Row>();
      for (const [each, stays] of steps) {
        const place = shelf.put(each);
        assert.ok(place !== 0 && !held.has(place));
        held.set(place, each);
        const [[first = 0] = []] = held;
        if (!stays) {
          shelf.take(first);
          held.delete(first);
        }
        for (const [at, kept] of held) assert.deepEqual({ ...shelf.at(at) }, { ...kept });
      }
    }),
  );
});

test("a row that was not made as rows are comes back as the object that it is", () => {
  const shelf = new PackedRows(selvageProgram);
  const made = row(
    L2,
    { net: 5, ethDst: "fa:16:3e:00:00:01/ff:ff:ff:ff:ff:ff" },
    "remote",
    { port: 2, host: 3 },
    "port",
  );
  const strange: readonly Row[] = [
    { ...made, table: "nowhere" },
    { ...made, action: "nothing" },
    { ...made, rank: "none" },
    { ...made, id: `${made.id} ` },
    { ...made, id: "l2" },
    { ...made, body: "remote(port=2, host=33)" },
    { ...made, key: { ...made.key, net: 5.5 } },
    { ...made, key: { ...made.key, net: "5" } },
    { ...made, args: { port: 2 } },
    { ...made, args: { port: 2 }, body: "remote(port=2)" },
  ];
  for (const each of strange) assert.equal(shelf.at(shelf.put(each)), each);
  assert.notEqual(shelf.at(shelf.put(made)), made);
  assert.deepEqual({ ...shelf.at(shelf.put(made)) }, { ...made });
});

test("a hundred thousand rows take no more than 32 bytes each, and again no more when others take their places", () => {
  const shelf = new PackedRows(selvageProgram);
  const macOf = (number: number): string => `fa:16:3e:${(number + 0x100000).toString(16).match(/../g)?.join(":")}`;
  const count = 100_000;
  const putAll = (host: number): readonly number[] =>
    Array.from({ length: count }, (_, at) =>
      shelf.put(row(L2, { net: 5, ethDst: `${macOf(at)}/ff:ff:ff:ff:ff:ff` }, "remote", { port: at, host }, "port")),
    );
  const before = process.memoryUsage().arrayBuffers;
  const places = putAll(2);
  const after = process.memoryUsage().arrayBuffers;
  assert.ok(after - before < 32 * count, `${(after - before) / count} bytes a row`);
  for (const place of places) shelf.take(place);
  putAll(3);
  assert.ok(process.memoryUsage().arrayBuffers - before < 32 * count);
});

test("a slab gives what was freed to a record of the same size, and never lays one across two pages", () => {
  const slab = new Slab();
  const record = Buffer.alloc(Slab.longest, 7);
  const places = Array.from({ length: 200 }, () => slab.put(record, Slab.longest));
  assert.equal(new Set(places).size, places.length);
  for (const place of places) assert.ok(slab.offset(place) + Slab.longest <= slab.page(place).length);
  const [first = 0] = places;
  slab.take(first);
  assert.notEqual(slab.put(record, 8), first);
  assert.equal(slab.put(record, Slab.longest - 1), first);
  assert.throws(() => slab.page(1 << 30), /no record/);
});

test("a table of rows answers as a map by id does", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(rows, fc.boolean()), { maxLength: 60 }), (steps) => {
      const all = new RowTable(program);
      const model = new Map<string, Row>();
      for (const [each, stays] of steps) {
        if (stays) {
          all.put(each);
          model.set(each.id, each);
        } else {
          all.delete(each.id);
          model.delete(each.id);
        }
        assert.equal(all.size, model.size);
        assert.equal(all.has(each.id), model.has(each.id));
        assert.equal(all.get(each.id)?.body, model.get(each.id)?.body);
      }
      assert.deepEqual(
        [...all.values()].map(({ id, body }) => [id, body]).sort(),
        [...model.values()].map(({ id, body }) => [id, body]).sort(),
      );
    }),
  );
});
