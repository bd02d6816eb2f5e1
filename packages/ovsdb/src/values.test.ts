/** Values on the wire and back, and differences of sets and maps against plain models (RFC 7047 §3.1). */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ValueError } from "./errors.ts";
import type { Json } from "./json.ts";
import type { Column } from "./table.ts";
import {
  bigInteger,
  boolean,
  integer,
  map,
  named,
  optional,
  parseUuid,
  real,
  set,
  string,
  uuid,
  ZERO_UUID,
} from "./table.ts";
import type { AnyInput, AnyValue } from "./values.ts";
import { applyDifference, decodeValue, defaultValue, encodeValue, sameValue } from "./values.ts";

const id = parseUuid("550E8400-e29b-41d4-a716-446655440000");

const readable: readonly (readonly [Column, Json, AnyValue])[] = [
  [integer(), 0, 0],
  [integer(), -5, -5],
  [bigInteger(), 7, 7n],
  [bigInteger(), 9223372036854775807n, 9223372036854775807n],
  [real(), 0.5, 0.5],
  [real(), 3, 3],
  [boolean(), false, false],
  [string(), "", ""],
  [string(), "fd00::1", "fd00::1"],
  [uuid(), ["uuid", id], id],
  [optional(integer()), ["set", []], null],
  [optional(integer()), 0, 0],
  [optional(integer()), ["set", [0]], 0],
  [set(string()), "alone", new Set(["alone"])],
  [set(uuid()), ["uuid", id], new Set([id])],
  [set(uuid()), ["set", [["uuid", id]]], new Set([id])],
  [set(integer()), ["set", []], new Set()],
  [map(string(), integer()), ["map", [["a", 0]]], new Map([["a", 0]])],
  [map(integer(), uuid()), ["map", [[0, ["uuid", id]]]], new Map([[0, id]])],
];

test("every notation of RFC 7047 §3.1 is read, and what is written reads the same", () => {
  for (const [column, json, value] of readable) {
    assert.deepEqual(decodeValue(column, json, "T.c"), value);
    assert.deepEqual(decodeValue(column, encodeValue(column, value, "T.c"), "T.c"), value);
  }
});

test("what does not fit its column is refused when read, and the error names table and column", () => {
  const cases: readonly (readonly [Column, Json])[] = [
    [integer(), 1.5],
    [integer(), "1"],
    [integer(), 9007199254740993n],
    [integer(), ["set", [1]]],
    [bigInteger(), 9223372036854775808n],
    [real(), "1"],
    [boolean(), 0],
    [string(), null],
    [uuid(), id],
    [uuid(), ["uuid", "not-one"]],
    [uuid(), ["named-uuid", "a"]],
    [optional(integer()), ["set", [1, 2]]],
    [set(integer()), ["set", [1, 1]]],
    [set(integer()), ["set", 1]],
    [set(integer()), ["set", [1], 2]],
    [
      map(string(), string()),
      [
        "map",
        [
          ["a", "b"],
          ["a", "c"],
        ],
      ],
    ],
    [map(string(), string()), ["map", [["a"]]]],
    [map(string(), string()), ["set", []]],
    [map(string(), string()), { a: "b" }],
  ];
  for (const [column, json] of cases) {
    assert.throws(
      () => decodeValue(column, json, "Port.tag"),
      (error: unknown) =>
        error instanceof ValueError && error.column === "Port.tag" && error.message.startsWith("Port.tag: "),
    );
  }
});

test("what OVSDB cannot carry is refused when written", () => {
  const cases: readonly (readonly [Column, AnyInput])[] = [
    [integer(), 2 ** 53],
    [integer(), 0.5],
    [integer(), null],
    [integer(), 1n],
    [bigInteger(), 2n ** 63n],
    [real(), Number.NaN],
    [real(), Number.POSITIVE_INFINITY],
    [string(), "a\u0000b"],
    [string(), "\ud800"],
    [string(), 1],
    [uuid(), "not-one"],
    [set(string()), "text is no set"],
    [set(string()), ["a", "a"]],
    [map(string(), string()), ["a"]],
    [map(string(), string()), { a: "\u0000" }],
    [map(string(), string()), named("x")],
  ];
  for (const [column, value] of cases) assert.throws(() => encodeValue(column, value, "T.c"), ValueError);
});

test("references to rows of the same transaction, arrays as sets and objects as maps are written", () => {
  assert.deepEqual(encodeValue(uuid(), named("a"), "T.c"), ["named-uuid", "a"]);
  assert.deepEqual(encodeValue(optional(uuid()), named("a"), "T.c"), ["named-uuid", "a"]);
  assert.deepEqual(encodeValue(set(uuid()), [id, named("a")], "T.c"), [
    "set",
    [
      ["uuid", id],
      ["named-uuid", "a"],
    ],
  ]);
  assert.deepEqual(encodeValue(map(string(), string()), { k: "v" }, "T.c"), ["map", [["k", "v"]]]);
  assert.deepEqual(encodeValue(map(string(), string()), { namedUuid: "v", k: "w" }, "T.c"), [
    "map",
    [
      ["namedUuid", "v"],
      ["k", "w"],
    ],
  ]);
});

test("defaults are those of RFC 7047 §5.2.1", () => {
  const columns = [integer(), bigInteger(), real(), boolean(), string(), uuid(), optional(string())];
  assert.deepEqual(columns.map(defaultValue), [0, 0n, 0, false, "", ZERO_UUID, null]);
  assert.deepEqual(defaultValue(set(string())), new Set());
  assert.deepEqual(defaultValue(map(string(), string())), new Map());
});

const smallSet = fc.uniqueArray(fc.integer({ min: 0, max: 9 })).map((items) => new Set(items));
const smallMap = fc
  .dictionary(fc.constantFrom("a", "b", "c", "d", "e"), fc.integer({ min: 0, max: 2 }))
  .map((object) => new Map(Object.entries(object)));

test("a set's difference, made by plain membership, leads from any set to any other", () => {
  fc.assert(
    fc.property(smallSet, smallSet, (old, next) => {
      const before = new Set(old);
      const difference = new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].filter((item) => old.has(item) !== next.has(item)));
      const result = applyDifference(set(integer()), old, difference);
      assert.deepEqual(result, next);
      assert.ok(sameValue(result, next));
      assert.equal(sameValue(result, old), difference.size === 0);
      assert.deepEqual(old, before, "the old value is not changed");
    }),
  );
});

test("a map's difference, made key by key as the server does, leads from any map to any other", () => {
  fc.assert(
    fc.property(smallMap, smallMap, (old, next) => {
      const before = new Map(old);
      const difference = new Map<string, number>();
      for (const key of ["a", "b", "c", "d", "e"]) {
        const [from, to] = [old.get(key), next.get(key)];
        if (from === to) continue;
        // Gone: the pair that was; new or changed: the pair that is (ovsdb-server(7) §4.1.14).
        difference.set(key, to === undefined ? from! : to);
      }
      const result = applyDifference(map(string(), integer()), old, difference);
      assert.deepEqual(result, next);
      assert.equal(sameValue(result, old), difference.size === 0);
      assert.deepEqual(old, before, "the old value is not changed");
    }),
  );
});

test("a column of at most one element is replaced by its difference", () => {
  assert.equal(applyDifference(integer(), 4, 0), 0);
  assert.equal(applyDifference(optional(integer()), 4, null), null);
  assert.equal(applyDifference(optional(integer()), null, 0), 0);
});

test("any JSON reads as a value or a ValueError, never as something else", () => {
  const columns = readable.map(([column]) => column);
  const tagged = fc.tuple(fc.constantFrom("set", "map", "uuid", "named-uuid"), fc.jsonValue());
  fc.assert(
    fc.property(fc.constantFrom(...columns), fc.oneof(fc.jsonValue(), tagged), (column, json) => {
      try {
        const value = decodeValue(column, JSON.parse(JSON.stringify(json)), "T.c");
        assert.ok(sameValue(decodeValue(column, encodeValue(column, value, "T.c"), "T.c"), value));
      } catch (error) {
        // A NUL in a string can be read (another client's JSON) but not written.
        assert.ok(error instanceof ValueError, String(error));
      }
    }),
  );
});
