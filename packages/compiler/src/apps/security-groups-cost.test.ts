/** What security groups cost: rows and work of a member that joins, of a new combination and of a rule, the same at 10 and at 10,000 members. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Attachment, type Change, Engine, Host, Network, Port, Router } from "@selvage/model";
import { makeNetwork, makePort, makeRouter, put, testId, testMac } from "@selvage/model/testing";
import type { Row } from "@selvage/pipeline";
import { hostsOf } from "../testing/intent.ts";
import { anythingIn, anythingOut, Policy, type PolicyPlan, type RulePlan } from "../testing/policy.ts";
import { securityGroups } from "./security-groups.ts";

interface Site {
  readonly engine: Engine<Row>;
  readonly policy: Policy;
  readonly apply: (changes: readonly Change[]) => Cost;
  readonly port: (number: number, host: string, groups: readonly string[] | undefined) => readonly Change[];
}

interface Cost {
  readonly rows: Readonly<Record<string, number>>;
  readonly unitsRun: number;
  readonly queriesRun: number;
}

/** Host h1 as it sees a network of members of `web` on h2, with ten of its own. */
function site(members: number, plan: PolicyPlan, type = "geneve"): Site {
  const { policy, changes } = Policy.from(plan);
  const engine = new Engine<Row>({ derivations: securityGroups.derivations({ name: "h1" }) });
  const network = makeNetwork({ "provider:network_type": type });
  let revision = 0;
  const apply = (batch: readonly Change[]): Cost => {
    const before = engine.counters;
    revision += 1;
    const { added, removed, modified } = engine.apply(batch, revision);
    assert.deepEqual([...engine.quarantined.keys()], []);
    const rows: Record<string, number> = {};
    for (const { table } of [...added, ...removed, ...modified.map(({ after }) => after)])
      rows[table] = (rows[table] ?? 0) + 1;
    const { unitsRun, queriesRun } = engine.counters;
    return { rows, unitsRun: unitsRun - before.unitsRun, queriesRun: queriesRun - before.queriesRun };
  };
  const port = (number: number, host: string, groups: readonly string[] | undefined): readonly Change[] => {
    const id = testId("port", number);
    const { grouping, changes: sets } = policy.assign(id, groups);
    const fixed_ips = [
      { subnet_id: testId("subnet", 1), ip_address: `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}` },
    ];
    const made = { id, key: number, mac_address: testMac(number), fixed_ips, "binding:host_id": host, ...grouping };
    return [...sets, put(Port, makePort(made)), ...(host === "h1" ? [put(Attachment, { id })] : [])];
  };
  apply([
    ...hostsOf(2).map((host) => put(Host, host)),
    put(Network, network),
    ...changes,
    ...Array.from({ length: 10 }, (_, at) => port(at + 1, "h1", [at % 2 === 0 ? "web" : "data"])).flat(),
    ...Array.from({ length: members }, (_, at) => port(at + 11, "h2", [at % 2 === 0 ? "web" : "data"])).flat(),
  ]);
  return { engine, policy, apply, port };
}

const inWeb: readonly RulePlan[] = Array.from(
  { length: 5 },
  (_, at): RulePlan => ({
    direction: "ingress",
    protocol: "tcp",
    ports: [8000 + at, 8000 + at],
    group: "data",
  }),
);
/** Two groups with ten rules in all, each letting the other in. */
const plan: PolicyPlan = {
  groups: {
    web: { rules: [...anythingOut.slice(0, 1), ...inWeb.slice(1)] },
    data: { rules: [...anythingOut.slice(0, 1), ...inWeb.slice(1).map((rule) => ({ ...rule, group: "web" }))] },
    other: { rules: anythingIn() },
  },
};

/** The same cost at 10 members and at 10,000. */
function costs(act: (site: Site) => Cost, of: PolicyPlan = plan, type = "geneve"): Cost {
  const [few, many] = [10, 10_000].map((members) => act(site(members, of, type)));
  assert.ok(few !== undefined && many !== undefined);
  assert.deepEqual(many, few);
  return few;
}

test("a member that joins is two rows on its own host", () => {
  assert.deepEqual(costs(({ apply, port }) => apply(port(20_001, "h1", ["web"]))).rows, { sender: 1, receiver: 1 });
});

test("and none on any other, where one unit looks whether its addresses are asked for", () => {
  const { rows, unitsRun, queriesRun } = costs(({ apply, port }) => apply(port(20_001, "h2", ["web"])));
  assert.deepEqual([rows, queriesRun], [{}, 0]);
  assert.ok(unitsRun <= 2, `${unitsRun} units`);
});

test("on a VXLAN network a member is known by its address where rules name its group", () => {
  const { rows, unitsRun } = costs(({ apply, port }) => apply(port(20_001, "h2", ["web"])), plan, "vxlan");
  assert.deepEqual(rows, { remote_id: 2 }, "its own address, and the link-local one of its MAC");
  assert.ok(unitsRun <= 2);
});

test("a member of a group that an egress rule here names is known by its address", () => {
  const out: PolicyPlan = { groups: { ...plan.groups, web: { rules: [{ direction: "egress", group: "data" }] } } };
  assert.deepEqual(costs(({ apply, port }) => apply(port(20_001, "h2", ["data"])), out).rows, { dst_id: 2 });
  assert.deepEqual(costs(({ apply, port }) => apply(port(20_001, "h2", ["web"])), out).rows, {});
});

test("the first port here on a network that a router joins to the members' wakes none of them", () => {
  const { rows, unitsRun, queriesRun } = costs(({ apply, policy }) => {
    const [router, other] = [makeRouter(), makeNetwork({ id: testId("network", 2), "provider:segmentation_id": 2 })];
    const doors = [testId("network", 1), other.id].map((network_id, at) =>
      makePort({ id: testId("door", at), key: 30_001 + at, network_id, router_id: router.id }),
    );
    apply([put(Router, router), put(Network, other), ...doors.map((door) => put(Port, door))]);
    const id = testId("port", 20_001);
    const { grouping, changes } = policy.assign(id, ["web"]);
    const first = makePort({ id, key: 20_001, network_id: other.id, "binding:host_id": "h1", ...grouping });
    return apply([...changes, put(Port, first), put(Attachment, { id })]);
  });
  assert.deepEqual(rows, { sender: 1, receiver: 1 });
  assert.ok(unitsRun <= 3 && queriesRun <= 10, `${unitsRun} units, ${queriesRun} queries`);
});

test("a new combination of groups is a clause and its live rows for each rule that names one of them", () => {
  const { rows, unitsRun } = costs(({ apply, port }) => apply(port(20_001, "h2", ["web", "other"])));
  assert.deepEqual(rows, { policy_in: 4, live_in: 4, live_out: 4 });
  assert.ok(unitsRun <= 4, `${unitsRun} units`);
});

test("a combination that is new here has its own clauses, and live rows for each set at the other side", () => {
  const { rows } = costs(({ apply, port }) => apply(port(20_001, "h1", ["web", "other"])));
  const own = { policy_out: 1, policy_in: 4 + 4 + 2 * 3 };
  assert.deepEqual(
    [rows.sender, rows.receiver, rows.policy_out, rows.policy_in],
    [1, 1, own.policy_out, own.policy_in],
  );
});

test("a rule that is added or goes is a verdict, its service, a clause of each set, and live rows", () => {
  const rule: RulePlan = { direction: "ingress", protocol: "tcp", ports: [443, 443], group: "data" };
  const come = costs(({ apply, policy }) => apply(policy.addRule("web", rule).changes));
  // Verdict, own, remote; one port: as it stands, of a connection, and untracked.
  assert.deepEqual(come.rows, { policy_in: 6, live_in: 2, live_out: 1 });
  const gone = costs(({ apply, policy }) => apply(policy.removeRule(policy.rulesOf("web").at(-1) ?? "")));
  assert.deepEqual(gone.rows, come.rows);
  for (const { unitsRun } of [come, gone]) assert.ok(unitsRun <= 3, `${unitsRun} units`);
});

test("a group of a network far away costs nothing here", () => {
  const { rows, unitsRun } = costs(({ apply, policy }) =>
    apply(policy.addRule("other", { direction: "ingress", group: "web" }).changes),
  );
  assert.deepEqual(rows, {});
  assert.ok(unitsRun <= 3, `${unitsRun} units`);
});

test("two groups of 2,000 with ten stateful rules and ten ports here are as many rows as with ten members", () => {
  const whole = (members: number): Readonly<Record<string, number>> => {
    const rows: Record<string, number> = {};
    for (const { table } of site(members, plan).engine.rows()) rows[table] = (rows[table] ?? 0) + 1;
    return rows;
  };
  const rows = whole(4_000);
  assert.deepEqual(rows, whole(10));
  assert.deepEqual(rows, { sender: 10, receiver: 10, policy_out: 6, policy_in: 48, live_in: 18, live_out: 10 });
});
