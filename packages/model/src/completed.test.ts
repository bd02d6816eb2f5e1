import assert from "node:assert/strict";
import { test } from "node:test";
import { completed } from "./completed.ts";
import { makeNetwork, makePort } from "./testing/mod.ts";

test("what an object lacks is its declared default; what it has stays, and a whole object is the same one", () => {
  const port = makePort({ tags: ["kept"], description: "d" });
  assert.equal(completed("port", port), port);
  const { tags: _tags, security_groups: _groups, ...old } = port;
  assert.deepEqual(completed("port", old), { ...port, tags: [], security_groups: [] });
  const network = makeNetwork({ name: "" });
  const { tags: _none, mtu: _mtu, ...older } = network;
  assert.equal("mtu" in completed("network", older), false, "no default: nothing is made up");
  assert.deepEqual(completed("thing", { id: "x" }), { id: "x" });
});
