import assert from "node:assert/strict";
import { test } from "node:test";
import { accessAsShared, everyProject, Network, type RbacPolicy, Replica, track } from "@selvage/model";
import { makeNetwork, testId } from "@selvage/model/testing";
import { aboutNothing, isNeeded, isSharedWith, sharedObjects, sharedTargets } from "./sharing.ts";

const networkId = (n: number): string => testId("network", n);
const given = (n: number, target_tenant: string, action = accessAsShared): RbacPolicy => ({
  ...aboutNothing,
  id: `policy-${n}-${target_tenant}-${action}`,
  project_id: "red",
  network_id: networkId(n),
  action,
  target_tenant,
});

/** A thousand networks of one project, and these policies. */
function world(...policies: readonly RbacPolicy[]): Replica {
  const replica = new Replica();
  const networks = Array.from({ length: 1_000 }, (_, n) =>
    makeNetwork({ id: networkId(n), project_id: "red", "provider:segmentation_id": n + 1 }),
  );
  replica.load(
    [
      ...networks.map((object) => ({ kind: "network", id: object.id, revision: 1, object })),
      ...policies.map((object) => ({ kind: "rbac_policy", id: object.id, revision: 1, object })),
    ],
    1,
  );
  return replica;
}

test("what a project was given is found under its own name and everybody's, each once, without a look at the rest", () => {
  const { view, reads } = track(world(given(1, "blue"), given(2, everyProject), given(2, "blue"), given(3, "green")));
  const ids = (project: string | undefined) =>
    [...sharedObjects(view, Network, "network", project)].map(({ id }) => id);
  assert.deepEqual(ids("blue").toSorted(), [networkId(1), networkId(2)].toSorted());
  assert.deepEqual(ids(undefined), [networkId(2)]);
  assert.ok(reads.size <= 4, String(reads.size));
  assert.deepEqual(
    ["blue", "green", "red", undefined].map((project) => isSharedWith(view, "network", networkId(1), project)),
    [true, false, false, false],
  );
  assert.equal(isSharedWith(view, "network", networkId(2), undefined), true);
  assert.equal(isSharedWith(view, "subnetpool", networkId(2), "blue"), false, "each kind on its own");
});

test("a policy of another action shares nothing", () => {
  const replica = world(given(1, "blue", "access_as_external"));
  assert.deepEqual([...sharedObjects(replica, Network, "network", "blue")], []);
  assert.equal(isSharedWith(replica, "network", networkId(1), "blue"), false);
  assert.deepEqual([...sharedTargets(replica, "network", networkId(1))], []);
});

test("a policy is needed when a project would lose what it uses: not its owner, not one with another policy", () => {
  const needed = (policies: readonly RbacPolicy[], target: string, users: readonly string[]) =>
    isNeeded(world(...policies), "network", { id: networkId(1), project_id: "red" }, target, users);
  const [blue, all] = [given(1, "blue"), given(1, everyProject)];
  for (const [policies, target, users, wanted] of [
    [[blue], "blue", ["blue"], true],
    [[blue], "blue", ["red", "green"], false],
    [[blue, all], "blue", ["blue"], false],
    [[blue, all], everyProject, ["red", "blue"], false],
    [[blue, all], everyProject, ["green"], true],
    [[given(1, "red")], "red", ["red"], false],
    [[all], everyProject, ["red"], false],
    [[all], everyProject, [], false],
  ] as const)
    assert.equal(needed(policies, target, users), wanted, `${target} ${users.join()}`);
});
