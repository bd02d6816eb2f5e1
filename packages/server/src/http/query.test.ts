import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatQuery, parseQuery } from "./query.ts";

test("keys repeat, keep their order and may be blank", () => {
  const query = parseQuery("name=&fields=id&fields=name&fixed_ips=ip_address%3D10.0.0.1&x=a+b");
  assert.deepEqual(query.all("fields"), ["id", "name"]);
  assert.deepEqual(query.all("name"), [""]);
  assert.equal(query.last("fixed_ips"), "ip_address=10.0.0.1");
  assert.equal(query.last("x"), "a b");
  assert.equal(query.last("absent"), undefined);
  assert.deepEqual(query.names, ["name", "fields", "fixed_ips", "x"]);
});

test("what is written is read back, and looks as Python writes it", () => {
  assert.equal(
    formatQuery([
      ["fixed_ips", "ip_address=10.0.0.1"],
      ["n", "a b!*"],
    ]),
    "fixed_ips=ip_address%3D10.0.0.1&n=a+b%21%2A",
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }))), (pairs) => {
      assert.deepEqual(parseQuery(formatQuery(pairs)).pairs, pairs);
    }),
  );
});
