import assert from "node:assert/strict";
import { test } from "node:test";
import { Network, RbacPolicy } from "@selvage/model";
import { makeNetwork, makeProject } from "@selvage/model/testing";
import { openStore } from "@selvage/store";
import { upgrade } from "./upgrade.ts";
import { Writer } from "./writer.ts";

const author = { kind: "system", id: "test", request_id: "test" } as const;

test("a network that an earlier program had as shared is every project's by a policy, once, and can be taken back for good", async () => {
  const store = await openStore("memory:");
  const project = makeProject();
  const [shared, own] = [
    { ...makeNetwork(), shared: true },
    { ...makeNetwork({ id: "11111111-0000-4000-8000-000000000002", "provider:segmentation_id": 77 }), shared: false },
  ];
  const objects = [
    { kind: "project", id: project.id, object: project },
    { kind: "network", id: shared.id, object: shared },
    { kind: "network", id: own.id, object: own },
  ];
  await store.append(0, [{ id: "earlier", at: "2026-01-01T00:00:00.000Z", author, changes: objects }]);
  const writer = await Writer.open(store);
  const policies = () => writer.replica.by(RbacPolicy.index.network_id, shared.id);
  try {
    await upgrade(writer);
    assert.deepEqual(
      policies().map((policy) => [policy.target_tenant, policy.action, policy.project_id]),
      [["*", "access_as_shared", shared.project_id]],
    );
    assert.deepEqual(writer.replica.by(RbacPolicy.index.network_id, own.id), []);
    assert.equal("shared" in (writer.replica.get(Network, shared.id) ?? {}), false);
    const { revision } = writer.replica;
    await upgrade(writer);
    assert.equal(writer.replica.revision, revision, "nothing is left to do");
    await writer.transact(author, (transaction) => {
      for (const policy of policies()) transaction.remove(RbacPolicy, policy.id);
    });
    await upgrade(writer);
    assert.deepEqual(policies(), []);
  } finally {
    await writer.close();
    await store.close();
  }
});
