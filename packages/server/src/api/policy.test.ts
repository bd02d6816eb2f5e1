import assert from "node:assert/strict";
import { test } from "node:test";
import { makeNetwork } from "@selvage/model/testing";
import { networkRules } from "../rules/network.ts";
import { portRules } from "../rules/port.ts";
import { type Caller, checkDelete, checkWrite } from "./policy.ts";

const caller = (projectId: string | undefined, ...roles: readonly ("admin" | "member" | "reader")[]): Caller => ({
  userId: "u",
  userName: "u",
  projectId,
  roles: new Set(roles),
});
const owner = caller("mine", "member", "reader");
const target = { projectId: "mine", network: makeNetwork({ project_id: "mine" }) };

test("a 403 names every rule that was asked, nested as the real policy engine nests them", () => {
  const given = new Map<string, unknown>([
    ["name", "x"],
    ["provider:network_type", "vlan"],
    ["provider:physical_network", "physnet1"],
  ]);
  assert.equal(
    checkWrite(networkRules.policy, "network", "create", owner, target, given)?.message,
    "((rule:create_network and rule:create_network:provider:network_type) and rule:create_network:provider:physical_network) is disallowed by policy",
  );
  assert.equal(
    checkWrite(networkRules.policy, "network", "create", caller("mine", "reader"), target, new Map())?.message,
    "rule:create_network is disallowed by policy",
  );
});

test("members of a list's items are asked for by name, and only those that are there", () => {
  const stranger = caller("other", "member", "reader");
  const shared = { projectId: "other", network: makeNetwork({ project_id: "mine" }), sharedWith: () => true };
  const check = (fixed_ips: unknown) =>
    checkWrite(portRules.policy, "port", "create", stranger, shared, new Map([["fixed_ips", fixed_ips]]));
  assert.equal(check([{ subnet_id: "s" }]), undefined);
  assert.equal(check([]), undefined);
  assert.match(check([{ subnet_id: "s" }, { ip_address: "10.0.0.1" }])?.message ?? "", /fixed_ips:ip_address/);
});

test("roles and projects: who may delete what", () => {
  const may = (who: Caller, projectId: string) =>
    checkDelete(networkRules.policy, "network", who, { projectId }) === undefined;
  assert.deepEqual(
    [
      owner,
      caller("mine", "reader"),
      caller("other", "member", "reader"),
      caller("other", "admin", "member", "reader"),
      caller(undefined, "member"),
    ].map((who) => may(who, "mine")),
    [true, false, false, true, false],
  );
  assert.equal(
    may(caller(undefined, "member", "reader"), ""),
    false,
    "an unscoped token owns not even what nobody owns",
  );
});
