/** What rows are of: every derivation of every app is over something that has a name for people. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NatLease, Network, Router } from "@selvage/model";
import { derivationsFor } from "./derivations.ts";
import { intentOf } from "./provenance.ts";

test("every derivation of every app leads to objects of intent", () => {
  for (const derivation of derivationsFor({ name: "h1" })) {
    const over = derivation.over === "object" ? derivation.resource.kind : derivation.index.id;
    const [object] = intentOf([{ derivation: derivation.name, over, key: "an-id|h1" }]);
    assert.ok(object !== undefined && !object.kind.includes("."), derivation.name);
    const kind = over === NatLease.index.holder.id ? Router.kind : Network.kind;
    if (derivation.over === "key") assert.deepEqual(object, { kind, id: "an-id" });
  }
});

test("each object once, in order; an index that nobody described is refused", () => {
  const of = (over: string, key: string) => ({ derivation: "a", over, key });
  assert.deepEqual(intentOf([of("port", "b"), of("host", "c"), of("port", "b"), of("port.networkHost", "n|h1")]), [
    { kind: "host", id: "c" },
    { kind: "network", id: "n" },
    { kind: "port", id: "b" },
  ]);
  assert.throws(() => intentOf([of("port.new", "x")]), /port\.new/);
});
