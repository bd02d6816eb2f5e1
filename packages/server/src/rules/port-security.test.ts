/** What a port may speak for and what rules it is under, by the API; and after any history the sets of groups are those that ports have. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { keyOf, Port, type Replica, SecurityGroup, SecurityGroupSet } from "@selvage/model";
import fc from "fast-check";
import { type Answer, errorOf, type Json, startTestServer, type TestProject, type TestServer } from "../testing/mod.ts";

let server: TestServer;
let red: TestProject;
let blue: TestProject;
before(async () => {
  server = await startTestServer({ on: "memory" });
  [red, blue] = await Promise.all([server.project("red"), server.project("blue")]);
});
after(() => server?.[Symbol.asyncDispose]());

const told = (answer: Answer): readonly [number, string] => [answer.status, errorOf(answer).type];
const replica = (): Replica => server.running.core.writer.replica;
const network = async (values: Json = {}): Promise<string> => (await red.member.create("network", values)).id;
const makePort = (network_id: string, values: Json = {}, client = red.member) =>
  client.post("/v2.0/ports", { port: { network_id, ...values } });
const port = (network_id: string, values: Json = {}, client = red.member) =>
  client.create("port", { network_id, ...values });
const set = (id: unknown, values: Json, client = red.member) =>
  client.put(`/v2.0/ports/${String(id)}`, { port: values });
const group = async (values: Json = {}): Promise<string> => {
  const answer = await red.member.post("/v2.0/security-groups", { security_group: { name: "g", ...values } });
  assert.equal(answer.status, 201, answer.text);
  return String((answer.body.security_group as Json).id);
};
/** The groups of the set that a port has; undefined: it has none. */
const setOf = (id: string): readonly string[] | undefined => {
  const key = replica().get(Port, id)?.security_group_set ?? 0;
  return key === 0 ? undefined : replica().by(SecurityGroupSet.index.key, String(key))[0]?.groups;
};

test("a port has its project's default group unless it says otherwise, has no port security, or is the platform's", async () => {
  const [open, guarded] = [await network({ port_security_enabled: false }), await network()];
  const usual = await port(guarded);
  const [own] = replica().by(SecurityGroup.index.default, red.id);
  assert.ok(own !== undefined);
  assert.deepEqual([usual.security_groups, setOf(usual.id)], [[own.id], [own.id]]);
  const none = await port(guarded, { security_groups: [] });
  assert.deepEqual([none.security_groups, setOf(none.id)], [[], []]);
  const unguarded = await port(open);
  assert.deepEqual([unguarded.security_groups, setOf(unguarded.id)], [[], undefined]);
  const platforms = await port(guarded, { device_owner: "network:dhcp" });
  assert.deepEqual(
    [platforms.security_groups, platforms.port_security_enabled, setOf(platforms.id)],
    [[], false, undefined],
  );
  const of = await port(guarded, { project_id: blue.id }, server.admin);
  assert.deepEqual(
    of.security_groups,
    replica()
      .by(SecurityGroup.index.default, blue.id)
      .map(({ id }) => id),
  );
  assert.equal("security_group_set" in usual, false, "the number is nobody's");
});

test("groups of a port are its caller's to use, and all stateful or all stateless", async () => {
  const guarded = await network();
  const [one, two, stateless] = [await group(), await group(), await group({ stateful: false })];
  const other = await blue.member.post("/v2.0/security-groups", { security_group: { name: "x" } });
  const foreign = String((other.body.security_group as Json).id);
  assert.deepEqual(told(await makePort(guarded, { security_groups: [foreign] })), [404, "SecurityGroupNotFound"]);
  const mixed = await makePort(guarded, { security_groups: [one, stateless] });
  assert.deepEqual(
    [mixed.status, errorOf(mixed).message],
    [
      409,
      "Error Cannot apply both stateful and stateless security groups on the same port at the same time while attempting the operation.",
    ],
  );
  assert.equal((await makePort(guarded, { security_groups: [one, one] })).status, 400);
  const both = await port(guarded, { security_groups: [two, one] });
  const turned = await port(guarded, { security_groups: [one, two] });
  assert.deepEqual(setOf(both.id), [one, two].toSorted());
  assert.equal(replica().get(Port, both.id)?.security_group_set, replica().get(Port, turned.id)?.security_group_set);
  const list = async (query: string) => (await red.member.list("ports", query)).map(({ id }) => id);
  const wanted = [both.id, turned.id].toSorted();
  assert.deepEqual(await list(`security_groups=${one}`), wanted);
  assert.deepEqual(await list(`security_groups=${one}&security_groups=${stateless}`), wanted);
  assert.deepEqual(await blue.member.list("ports", `security_groups=${one}`), []);
  assert.equal((await set(both.id, { security_groups: [stateless] })).status, 200);
  const [made] = replica().by(SecurityGroupSet.index.combination, keyOf("groups", stateless));
  assert.equal(made?.stateful, false);
  assert.deepEqual(told(await set(both.id, { security_groups: [stateless, one] })), [409, "SecurityGroupConflict"]);
});

test("without port security there are neither groups nor pairs, and both go before it does", async () => {
  const guarded = await network();
  const one = await group();
  const pair = { ip_address: "10.0.0.200" };
  const off = { port_security_enabled: false };
  const cases = [
    [{ ...off, security_groups: [one] }, 400, "PortSecurityAndIPRequiredForSecurityGroups"],
    [{ ...off, allowed_address_pairs: [pair] }, 409, "AddressPairAndPortSecurityRequired"],
  ] as const;
  for (const [values, status, type] of cases) assert.deepEqual(told(await makePort(guarded, values)), [status, type]);
  const { id } = await port(guarded, { security_groups: [one], allowed_address_pairs: [pair] });
  assert.deepEqual(told(await set(id, off)), [409, "AddressPairAndPortSecurityRequired"]);
  assert.deepEqual(told(await set(id, { ...off, allowed_address_pairs: [] })), [
    409,
    "PortSecurityPortHasSecurityGroup",
  ]);
  assert.equal((await set(id, { ...off, allowed_address_pairs: [], security_groups: [] })).status, 200);
  assert.equal(setOf(id), undefined);
  assert.deepEqual(told(await set(id, { allowed_address_pairs: [pair] })), [409, "AddressPairAndPortSecurityRequired"]);
  assert.deepEqual(told(await set(id, { security_groups: [one] })), [
    400,
    "PortSecurityAndIPRequiredForSecurityGroups",
  ]);
  assert.equal((await set(id, { port_security_enabled: true, security_groups: [one] })).status, 200);
  assert.deepEqual(setOf(id), [one]);
  assert.equal((await set(id, { port_security_enabled: true, security_groups: null })).status, 200);
  assert.deepEqual(setOf(id), []);
});

test("pairs are addresses or prefixes, with the port's MAC address where they say none, ten at most and each once", async () => {
  const guarded = await network();
  const refused = async (pairs: unknown, status: number, message: RegExp) => {
    const answer = await makePort(guarded, { allowed_address_pairs: pairs });
    assert.equal(answer.status, status, answer.text);
    assert.match(errorOf(answer).message, message);
  };
  const mac_address = "00:00:5e:00:01:01";
  await refused([{ mac_address }], 400, /^AllowedAddressPair must contain ip_address$/);
  await refused([{ ip_address: "bogus" }], 400, /'bogus' is not a valid IP address/);
  await refused([{ ip_address: "10.0.0.0/33" }], 400, /is not a valid IP subnet/);
  await refused([{ ip_address: "10.0.0.1", mac_address: "x" }], 400, /is not a valid MAC address/);
  await refused([{ ip_address: "10.0.0.1", other: "x" }], 400, /other/);
  await refused({ ip_address: "10.0.0.1" }, 400, /must be a list/);
  await refused(
    [{ ip_address: "fd00::1" }, { ip_address: "FD00:0::1" }],
    400,
    /^Request contains duplicate address pair/,
  );
  const many = Array.from({ length: 11 }, (_, n) => ({ ip_address: `10.0.0.${n}` }));
  await refused(many, 400, /^The number of allowed address pair exceeds the maximum 10\.$/);
  const made = await port(guarded, {
    allowed_address_pairs: [
      { ip_address: "10.0.0.200" },
      { ip_address: "fd00::/64", mac_address: "00-00-5E-00-01-01" },
    ],
  });
  assert.deepEqual(made.allowed_address_pairs, [
    { ip_address: "10.0.0.200", mac_address: made.mac_address },
    { ip_address: "fd00::/64", mac_address },
  ]);
  const cleared = await set(made.id, { allowed_address_pairs: null });
  assert.deepEqual((cleared.body.port as Json).allowed_address_pairs, []);
});

test("who only shares a network names no pairs there, and chooses its own groups", async () => {
  const shared = await network();
  const policy = { object_type: "network", object_id: shared, action: "access_as_shared", target_tenant: blue.id };
  assert.equal((await red.member.post("/v2.0/rbac-policies", { rbac_policy: policy })).status, 201);
  const pairs = { allowed_address_pairs: [{ ip_address: "10.0.0.1" }] };
  assert.deepEqual(told(await makePort(shared, pairs, blue.member)), [403, "PolicyNotAuthorized"]);
  const own = await port(shared, {}, blue.member);
  assert.deepEqual(told(await set(own.id, pairs, blue.member)), [403, "PolicyNotAuthorized"]);
  assert.equal((await set(own.id, { security_groups: [] }, blue.member)).status, 200);
});

test("a router's interface is under no rules, and a port that becomes one leaves its set", async () => {
  const guarded = await network();
  const { id: subnet_id } = await red.member.create("subnet", {
    network_id: guarded,
    ip_version: 4,
    cidr: "10.5.0.0/24",
  });
  const alone = await group();
  const { id } = await port(guarded, { security_groups: [alone], fixed_ips: [{ subnet_id }] });
  assert.deepEqual(setOf(id), [alone]);
  const router = await red.member.create("router", {});
  const interfaces = (action: string) =>
    red.member.put(`/v2.0/routers/${router.id}/${action}_router_interface`, { port_id: id });
  assert.equal((await interfaces("add")).status, 200);
  assert.equal(setOf(id), undefined);
  assert.equal(replica().exists(SecurityGroupSet.index.groups, alone), false);
  assert.equal((await interfaces("remove")).status, 200);
});

test("a port from before there were groups has none, is policed by none, and stays so until it is given some", async () => {
  const guarded = await network();
  const { id } = await port(guarded);
  await server.running.core.writer.transact({ kind: "system", id: "test", request_id: "test" }, (transaction) => {
    const held = transaction.view.get(Port, id);
    if (held !== undefined) transaction.put(Port, { ...held, security_groups: [], security_group_set: 0 });
  });
  assert.equal((await set(id, { name: "renamed" })).status, 200);
  assert.equal(setOf(id), undefined);
  const one = await group();
  assert.equal((await set(id, { security_groups: [one] })).status, 200);
  assert.deepEqual(setOf(id), [one]);
});

/** The sets that there should be, by what they are of: counted anew over all ports. */
function recounted(view: Replica): ReadonlySet<string> {
  const wanted = new Set<string>();
  for (const each of view.objects(Port)) {
    const policed = each.port_security_enabled && each.router_id === null && !each.device_owner.startsWith("network:");
    const combination = each.security_groups.toSorted().join();
    const [made] = view.by(SecurityGroupSet.index.key, String(each.security_group_set));
    assert.equal(made?.groups.join(), policed ? combination : undefined, `set of port ${each.id}`);
    if (policed) wanted.add(combination);
  }
  return wanted;
}

test("after any history each port has the set of its groups, and there is no other set", async () => {
  await using fresh = await startTestServer({ on: "memory" });
  const project = await fresh.project("green");
  const { member } = project;
  const view = fresh.running.core.writer.replica;
  const networkId = (await member.create("network", {})).id;
  const groups: string[] = [];
  for (let n = 0; n < 3; n++) {
    const answer = await member.post("/v2.0/security-groups", { security_group: { name: `g${n}` } });
    groups.push(String((answer.body.security_group as Json).id));
  }
  const some = fc.option(fc.subarray(groups), { nil: undefined });
  const step = fc.record({
    what: fc.constantFrom("make", "make", "groups", "security", "owner", "remove"),
    which: fc.nat(20),
    groups: some,
    on: fc.boolean(),
  });
  let made = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { maxLength: 8 }), async (batches) => {
      for (const batch of batches) {
        const ports = [...view.objects(Port)].map(({ id }) => id).sort();
        // What is asked at once is taken in one batch, or one after another.
        await Promise.all(
          batch.map(async ({ what, which, groups: chosen, on }) => {
            const id = ports[which % Math.max(ports.length, 1)];
            const security_groups = chosen === undefined ? {} : { security_groups: chosen };
            if (what === "make") {
              const answer = await member.post("/v2.0/ports", {
                port: { network_id: networkId, port_security_enabled: on, ...(on ? security_groups : {}) },
              });
              assert.equal(answer.status, 201, answer.text);
              made += 1;
              return;
            }
            if (id === undefined) return;
            const path = `/v2.0/ports/${id}`;
            const values = {
              groups: security_groups,
              security: { port_security_enabled: on, ...(on ? security_groups : { security_groups: [] }) },
              owner: { device_owner: on ? "network:dhcp" : "compute:nova" },
              remove: {},
            }[what];
            const answer =
              what === "remove" ? await member.delete(path) : await member.put(path, { port: values as Json });
            assert.ok([200, 204, 400, 404, 409].includes(answer.status), answer.text);
          }),
        );
        const wanted = recounted(view);
        const sets = [...view.objects(SecurityGroupSet)];
        assert.deepEqual(sets.map((each) => each.groups.join()).sort(), [...wanted].sort());
        assert.equal(new Set(sets.map(({ key }) => key)).size, sets.length);
        assert.ok(sets.every(({ stateful }) => stateful));
      }
    }),
    { numRuns: 15 },
  );
  assert.ok(made > 10);
});
