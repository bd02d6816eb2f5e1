/** Declared tables held against a schema, with every kind of disagreement (RFC 7047 §3.2). */

import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError, SchemaMismatchError } from "./errors.ts";
import { checkTables, parseSchema } from "./schema.ts";
import { bigInteger, integer, map, optional, set, string, table, uuid } from "./table.ts";

const schema = parseSchema({
  name: "db",
  version: "1.0.0",
  tables: {
    T: {
      columns: {
        one: { type: "integer" },
        maybe: { type: { key: { type: "string", enum: ["set", ["a", "b"]] }, min: 0, max: 1 } },
        many: { type: { key: { type: "uuid", refTable: "T" }, min: 0, max: "unlimited" } },
        some: { type: { key: "integer", min: 1, max: 4096 } },
        ids: { type: { key: "string", value: "integer", min: 0, max: "unlimited" } },
        pair: { type: { key: "string", value: "string", min: 0, max: 1 } },
        atomic: { type: { key: { type: "integer", minInteger: 0 } } },
      },
    },
  },
});

test("declarations that agree with the schema pass, whichever part of it they take", () => {
  const T = table({
    name: "T",
    columns: {
      one: integer(),
      maybe: optional(string()),
      many: set(uuid()),
      some: set(integer()),
      ids: map(string(), bigInteger()),
      atomic: bigInteger(),
    },
  });
  checkTables(schema, [T, table({ name: "T", columns: {} })]);
});

test("all disagreements are listed at once", () => {
  const T = table({
    name: "T",
    columns: {
      one: optional(integer()),
      maybe: string(),
      many: set(string()),
      some: optional(integer()),
      ids: map(string(), string()),
      pair: map(string(), string()),
      colour: string(),
    },
  });
  assert.throws(
    () => checkTables(schema, [T, table({ name: "U", columns: {} })]),
    (error: unknown) => {
      assert.ok(error instanceof SchemaMismatchError);
      assert.deepEqual(error.mismatches, [
        "T.one is one integer, declared an optional integer",
        "T.maybe is an optional string, declared one string",
        "T.many is a set of uuid, declared a set of string",
        "T.some is a set of integer, declared an optional integer",
        "T.ids is a map of string to integer, declared a map of string to string",
        "T.pair is a map of at most one string to string, declared a map of string to string",
        "T.colour does not exist",
        "U does not exist",
      ]);
      return true;
    },
  );
});

test("a schema in no known form is a ProtocolError", () => {
  for (const json of [
    null,
    {},
    { tables: { T: {} } },
    { tables: { T: { columns: { c: { type: { key: 1 } } } } } },
    { tables: {} },
  ]) {
    assert.throws(() => parseSchema(json), ProtocolError);
  }
});
