/** Identifiers and secrets: their forms, and randomness without bias. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  hashOfSecret,
  isUuid,
  randomBelow,
  randomBigintBelow,
  requestId,
  sameSecret,
  secretToken,
  uuid,
} from "./ids.ts";

test("identifiers have their forms and differ", () => {
  assert.match(uuid(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.notEqual(uuid(), uuid());
  assert.ok(requestId().startsWith("req-") && isUuid(requestId().slice(4)));
  assert.ok(isUuid("075EBE5E-cd24-439d-9c34-531a27a25c55"));
  for (const text of [
    "",
    "075ebe5ecd24439d9c34531a27a25c55",
    "075ebe5e-cd24-439d-9c34-531a27a25c5",
    ` ${uuid()}`,
    `${uuid()}\n`,
  ])
    assert.equal(isUuid(text), false, text);
});

test("secrets are long, safe in a URL, and compared whole", () => {
  assert.match(secretToken(), /^[A-Za-z0-9_-]{43}$/);
  assert.notEqual(secretToken(), secretToken());
  for (const bytes of [15, 0, 16.5]) assert.throws(() => secretToken(bytes), RangeError);
  const secret = secretToken(16);
  assert.ok(sameSecret(secret, secret));
  assert.ok(!sameSecret(secret, `${secret}A`) && !sameSecret(secret, ""));
  assert.equal(hashOfSecret("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});

test("random numbers stay below their limit and reach all values", () => {
  const seen = new Set(Array.from({ length: 400 }, () => randomBelow(5)));
  assert.deepEqual([...seen].sort(), [0, 1, 2, 3, 4]);
  const wide = new Set(Array.from({ length: 400 }, () => randomBigintBelow(5n)));
  assert.deepEqual([...wide].sort(), [0n, 1n, 2n, 3n, 4n]);
  assert.equal(randomBigintBelow(1n), 0n);
  const limit = (1n << 128n) - 1n;
  for (let round = 0; round < 50; round++) assert.ok(randomBigintBelow(limit) < limit);
  assert.ok(Array.from({ length: 50 }, () => randomBigintBelow(1n << 64n)).some((n) => n >= 1n << 63n));
  assert.throws(() => randomBigintBelow(0n), RangeError);
});
