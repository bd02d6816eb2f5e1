/** What of security groups each host is told: what polices its ports, the sets that this names, and nothing else of anybody's; and what a change costs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AddressGroup,
  type Change,
  Host,
  Network,
  Port,
  SecurityGroup,
  SecurityGroupRule,
  SecurityGroupSet,
} from "@selvage/model";
import {
  makeAddressGroup,
  makeHost,
  makeNetwork,
  makePort,
  makeSecurityGroup,
  makeSecurityGroupRule,
  makeSecurityGroupSet,
  put,
} from "@selvage/model/testing";
import { objectKey, Scopes } from "./scopes.ts";

const hosts = ["h1", "h2", "h3"].map((name, at) => makeHost({ id: name, name, key: at + 1, tunnel_ip: null }));
const group = (id: string, project_id: string) => put(SecurityGroup, makeSecurityGroup({ id, project_id, name: id }));
const rule = (id: string, security_group_id: string, names: Partial<SecurityGroupRule> = {}) =>
  put(SecurityGroupRule, makeSecurityGroupRule({ id, security_group_id, ...names }));
const set = (key: number, ...groups: readonly string[]) =>
  put(SecurityGroupSet, makeSecurityGroupSet({ id: `set-${key}`, key, groups }));
const port = (id: string, network_id: string, host: string, security_group_set: number) =>
  put(Port, makePort({ id, network_id, security_group_set, "binding:host_id": host }));
const network = (id: string, at: number) => put(Network, makeNetwork({ id, "provider:segmentation_id": at }));

/** Red on h1 names blue's group and an address group; blue is on h2; a green group that also bears blue's is on h3. */
const intent: readonly Change[] = [
  ...hosts.map((host) => put(Host, host)),
  ...["red", "blue", "green"].map((id, at) => network(id, at + 1)),
  ...["red", "blue", "green"].map((id) => group(`${id}-group`, id)),
  put(AddressGroup, makeAddressGroup({ id: "offices" })),
  put(AddressGroup, makeAddressGroup({ id: "unnamed" })),
  rule("red-rule", "red-group", { remote_group_id: "blue-group" }),
  rule("red-offices", "red-group", { remote_address_group_id: "offices" }),
  rule("blue-rule", "blue-group"),
  rule("green-rule", "green-group", { remote_group_id: "green-group" }),
  set(1, "red-group"),
  set(2, "blue-group"),
  set(3, "blue-group", "green-group"),
  set(4, "green-group"),
  port("red-port", "red", "h1", 1),
  port("blue-port", "blue", "h2", 2),
  port("both-port", "green", "h3", 3),
  port("green-port", "green", "h3", 4),
];

function scopesOf(changes: readonly Change[]): Scopes {
  const scopes = new Scopes();
  scopes.apply(changes, 1, () => undefined);
  return scopes;
}

const policyKinds = [SecurityGroup, SecurityGroupRule, AddressGroup, SecurityGroupSet].map(({ kind }) => `${kind}|`);
const policyOf = (scopes: Scopes, host: string): readonly string[] =>
  [...scopes.needOf(host)].filter((key) => policyKinds.some((kind) => key.startsWith(kind))).sort();

const keys = (kind: { readonly kind: string }, ...ids: readonly string[]) => ids.map((id) => objectKey(kind.kind, id));

test("a host is told of its ports' groups, and of what they name no more than the sets", () => {
  const scopes = scopesOf(intent);
  assert.deepEqual(
    policyOf(scopes, "h1"),
    [
      ...keys(SecurityGroup, "red-group"),
      ...keys(SecurityGroupRule, "red-rule", "red-offices"),
      ...keys(AddressGroup, "offices"),
      ...keys(SecurityGroupSet, "set-1", "set-2", "set-3"),
    ].sort(),
  );
  assert.deepEqual(
    policyOf(scopes, "h2"),
    [
      ...keys(SecurityGroup, "blue-group"),
      ...keys(SecurityGroupRule, "blue-rule"),
      ...keys(SecurityGroupSet, "set-2"),
    ].sort(),
  );
  for (const key of scopes.needOf("h1")) assert.doesNotMatch(key, /blue|green/, "only numbers of others' sets");
});

test("what a set says of others' groups is their ids, and it goes when the rule that names it does", () => {
  const scopes = scopesOf(intent);
  const touched: string[] = [];
  const gone: Change = { kind: SecurityGroupRule.kind, id: "red-rule", object: null };
  scopes.apply([gone], 2, (host, key) => touched.push(`${host} ${key}`));
  assert.deepEqual(
    policyOf(scopes, "h1"),
    [
      ...keys(SecurityGroup, "red-group"),
      ...keys(SecurityGroupRule, "red-offices"),
      ...keys(AddressGroup, "offices"),
      ...keys(SecurityGroupSet, "set-1"),
    ].sort(),
  );
  assert.deepEqual(
    [...new Set(touched)].sort(),
    ["red-rule", "set-2", "set-3"].map((id) => {
      const kind = id === "red-rule" ? SecurityGroupRule.kind : SecurityGroupSet.kind;
      return `h1 ${kind}|${id}`;
    }),
  );
});

test("a host whose last port of a set goes is told nothing more of its groups", () => {
  const scopes = scopesOf(intent);
  scopes.apply([port("red-port", "red", "h1", 0)], 2, () => undefined);
  assert.deepEqual(policyOf(scopes, "h1"), []);
});

for (const members of [10, 10_000]) {
  test(`a port that joins a set of ${members} costs its own host and no other, and as much as in a small one`, () => {
    const many = Array.from({ length: members }, (_, at) => port(`blue-${at}`, "blue", "h2", 2));
    const scopes = scopesOf([...intent, ...many]);
    const before = scopes.counters;
    const touched = new Set<string>();
    scopes.apply([port("joins", "blue", "h2", 2)], 2, (host, key) => touched.add(`${host} ${key}`));
    assert.deepEqual([...touched], [`h2 ${objectKey(Port.kind, "joins")}`]);
    assert.equal(scopes.counters.unitsRun - before.unitsRun, 1);
    assert.equal(scopes.counters.rowsTouched - before.rowsTouched, 1);
  });

  test(`a new combination beside ${members} members is told to its host and to those whose rules name it`, () => {
    const many = Array.from({ length: members }, (_, at) => port(`blue-${at}`, "blue", "h2", 2));
    const scopes = scopesOf([...intent, ...many]);
    const before = scopes.counters;
    const touched = new Set<string>();
    scopes.apply([set(5, "blue-group", "other"), port("joins", "blue", "h2", 5)], 2, (host, key) =>
      touched.add(`${host} ${key}`),
    );
    assert.ok(touched.has(`h1 ${objectKey(SecurityGroupSet.kind, "set-5")}`));
    assert.ok(![...touched].some((each) => each.startsWith("h3 ")));
    assert.ok(scopes.counters.unitsRun - before.unitsRun <= 4, "as much as in a small one");
  });
}
