import assert from "node:assert/strict";
import { test } from "node:test";
import { Network, RbacPolicy, Segment } from "@selvage/model";
import { makeExternalNetwork, makeNetwork, makeProject, makeSegment } from "@selvage/model/testing";
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

test("segments of networks that a program took away which knew of none go, and who has their place by now gets its own", async () => {
  const store = await openStore("memory:");
  const project = makeProject();
  const outside = makeExternalNetwork();
  const place = { network_type: "flat", physical_network: "public", segmentation_id: null } as const;
  const left = makeSegment({ id: "22222222-0000-4000-8000-000000000001", network_id: "gone", ...place });
  const objects = [
    { kind: "project", id: project.id, object: project },
    { kind: "network", id: outside.id, object: outside },
    { kind: "segment", id: left.id, object: left },
  ];
  await store.append(0, [{ id: "earlier", at: "2026-01-01T00:00:00.000Z", author, changes: objects }]);
  const writer = await Writer.open(store);
  try {
    await upgrade(writer);
    assert.deepEqual(
      [...writer.replica.objects(Segment)].map((each) => [each.network_id, each.physical_network]),
      [[outside.id, "public"]],
    );
    const { revision } = writer.replica;
    await upgrade(writer);
    assert.equal(writer.replica.revision, revision, "nothing is left to do");
  } finally {
    await writer.close();
    await store.close();
  }
});

test("a network of before there were segments gets the one that it says itself, once, and its place is taken", async () => {
  const store = await openStore("memory:");
  const project = makeProject();
  const tunnelled = makeNetwork();
  const outside = makeExternalNetwork();
  const objects = [
    { kind: "project", id: project.id, object: project },
    { kind: "network", id: tunnelled.id, object: tunnelled },
    { kind: "network", id: outside.id, object: outside },
  ];
  await store.append(0, [{ id: "earlier", at: "2026-01-01T00:00:00.000Z", author, changes: objects }]);
  const writer = await Writer.open(store);
  const placesOf = (id: string) =>
    writer.replica
      .by(Segment.index.network_id, id)
      .map((each) => [each.network_type, each.physical_network, each.segmentation_id, each.position]);
  try {
    await upgrade(writer);
    assert.deepEqual(placesOf(tunnelled.id), [["geneve", null, 1, 0]]);
    assert.deepEqual(placesOf(outside.id), [["flat", "public", null, 0]]);
    const { revision } = writer.replica;
    await upgrade(writer);
    assert.equal(writer.replica.revision, revision, "nothing is left to do");
    const again = { id: "11111111-0000-4000-8000-000000000003", network_type: "flat", physical_network: "public" };
    await assert.rejects(
      writer.transact(author, (transaction) =>
        transaction.put(Segment, makeSegment({ ...again, network_id: tunnelled.id, segmentation_id: null })),
      ),
      { type: "FlatNetworkInUse" },
    );
  } finally {
    await writer.close();
    await store.close();
  }
});
