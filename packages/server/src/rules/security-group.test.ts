/** Security groups, their rules and address groups by the API: what may be said, who may, when it may go, and each project's default group. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { AddressGroup, Project, SecurityGroup, SecurityGroupRule } from "@selvage/model";
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
const said = (answer: Answer): readonly [number, string] => [answer.status, errorOf(answer).message];
const post = (path: string, kind: string, values: Json, client = red.member) =>
  client.post(`/v2.0/${path}`, { [kind]: values });
const made = (kind: string, answer: Answer): Json & { readonly id: string } => {
  assert.equal(answer.status, 201, answer.text);
  return answer.body[kind] as Json & { readonly id: string };
};
const group = async (values: Json = {}, client = red.member) =>
  made("security_group", await post("security-groups", "security_group", { name: "g", ...values }, client));
const tryRule = (values: Json, client = red.member) =>
  post("security-group-rules", "security_group_rule", { direction: "ingress", ...values }, client);
const rule = async (values: Json, client = red.member) => made("security_group_rule", await tryRule(values, client));
const addressGroup = async (addresses: readonly string[], client = red.member) =>
  made("address_group", await post("address-groups", "address_group", { name: "a", addresses }, client));
const groups = async (client = red.member, query = ""): Promise<readonly Json[]> =>
  (await client.get(`/v2.0/security-groups?${query}`)).body.security_groups as readonly Json[];
const change = (path: string, id: unknown, kind: string, values: Json, client = red.member) =>
  client.put(`/v2.0/${path}/${String(id)}`, { [kind]: values });

test("a project's default group is there when it is first looked for, once, with its four rules, and stays its own", async () => {
  const green = await server.project("green");
  const all = await Promise.all(Array.from({ length: 5 }, () => groups(green.reader)));
  for (const each of all)
    assert.deepEqual(
      each.map(({ name }) => name),
      ["default"],
    );
  const [first] = all[0] ?? [];
  const rules = (first?.security_group_rules ?? []) as readonly Json[];
  assert.deepEqual(rules.map((each) => [each.direction, each.ethertype, each.remote_group_id === first?.id]).sort(), [
    ["egress", "IPv4", false],
    ["egress", "IPv6", false],
    ["ingress", "IPv4", true],
    ["ingress", "IPv6", true],
  ]);
  const rename = (client = green.member) =>
    change("security-groups", first?.id, "security_group", { name: "x" }, client);
  assert.deepEqual(told(await rename()), [409, "SecurityGroupCannotUpdateDefault"]);
  assert.deepEqual(told(await rename(server.admin)), [409, "SecurityGroupCannotUpdateDefault"]);
  const remove = (client = green.member) => client.delete(`/v2.0/security-groups/${first?.id}`);
  assert.deepEqual(told(await remove()), [409, "SecurityGroupCannotRemoveDefault"]);
  for (const name of ["default", "Default"])
    assert.deepEqual(told(await post("security-groups", "security_group", { name }, green.member)), [
      409,
      "SecurityGroupDefaultAlreadyExists",
    ]);
  assert.equal((await remove(server.admin)).status, 204);
  assert.equal((await groups(green.member)).length, 1, "and there is another when it is looked for again");
});

test("who looks at its rules first finds those of its default group", async () => {
  const fresh = await server.project("fresh");
  const answer = await fresh.reader.get("/v2.0/security-group-rules");
  assert.equal((answer.body.security_group_rules as readonly Json[]).length, 4);
});

test("a project that has nothing but its default group can go, and the group goes with it", async () => {
  const brief = await server.project("brief");
  await groups(brief.member);
  assert.equal((await server.admin.delete(`/identity/v3/projects/${brief.id}`)).status, 204);
  const { replica } = server.running.core.writer;
  assert.equal(replica.has(Project, brief.id), false);
  assert.equal(replica.exists(SecurityGroup.index.project_id, brief.id), false);
  assert.equal(replica.exists(SecurityGroupRule.index.project_id, brief.id), false);
});

test("a rule that cannot be is refused as Neutron refuses it", async () => {
  const { id: security_group_id } = await group();
  const tcp = { protocol: "tcp" } as const;
  const cases: readonly (readonly [Json, string, string?])[] = [
    [{ ...tcp, port_range_min: -16, port_range_max: 80 }, "Invalid value for port -16"],
    [{ ...tcp, port_range_min: 80, port_range_max: 65_536 }, "Invalid value for port 65536"],
    [{ ...tcp, port_range_min: "x", port_range_max: 65_536 }, "Invalid value for port x"],
    [{ ...tcp, port_range_min: 0, port_range_max: 80 }, "Invalid value for port 0"],
    [{ ...tcp, port_range_max: 6 }, "For TCP/UDP protocols, port_range_min must be <= port_range_max"],
    [{ ...tcp, port_range_min: 6 }, "For TCP/UDP protocols, port_range_min must be <= port_range_max"],
    [
      { protocol: "icmp", port_range_min: 1, port_range_max: 256 },
      "Invalid value for ICMP code (port_range_max) 256. It must be 0 to 255.",
    ],
    [
      { protocol: "icmp", port_range_min: 300, port_range_max: 1 },
      "Invalid value for ICMP type (port_range_min) 300. It must be 0 to 255.",
    ],
    [
      { protocol: "ipv6-icmp", ethertype: "IPv6", port_range_max: 6 },
      "ICMP code (port-range-max) 6 is provided but ICMP type (port-range-min) is missing.",
    ],
    ...Object.entries({ udplite: 136, "136": 136, dccp: 33, gre: 47 }).map(
      ([protocol, number]): readonly [Json, string] => [
        { protocol, port_range_min: 1, port_range_max: 2 },
        `Invalid protocol ${number} for port range, only supported for SCTP, TCP, UDP.`,
      ],
    ),
    [{ protocol: 256 }, /./.source, "SecurityGroupRuleInvalidProtocol"],
    [{ protocol: "any" }, /./.source, "SecurityGroupRuleInvalidProtocol"],
    [{ protocol: "icmpv6", ethertype: "IPv4" }, "Invalid ethertype IPv4 for protocol icmpv6."],
    [{ protocol: "58", ethertype: "IPv4" }, "Invalid ethertype IPv4 for protocol 58."],
    [{ remote_ip_prefix: "10.0.0.0/33" }, "Invalid CIDR 10.0.0.0/33 given as IP prefix."],
    [{ remote_ip_prefix: "bogus" }, "Invalid CIDR bogus given as IP prefix."],
    [{ remote_ip_prefix: "fd00::/8" }, "Conflicting value ethertype IPv4 for CIDR fd00::/8"],
    [{ ethertype: "IPv5" }, "Invalid input for ethertype. Reason: 'IPv5' is not in ['IPv4', 'IPv6']."],
  ];
  for (const [values, message, type] of cases) {
    const answer = await tryRule({ security_group_id, ...values });
    assert.equal(answer.status, 400, `${JSON.stringify(values)}: ${answer.text}`);
    if (type === undefined) assert.equal(errorOf(answer).message, message, JSON.stringify(values));
    else assert.equal(errorOf(answer).type, type);
  }
  const absent = "00000000-0000-0000-0000-000000000000";
  assert.deepEqual(told(await tryRule({ security_group_id, remote_group_id: absent })), [404, "SecurityGroupNotFound"]);
  assert.deepEqual(told(await tryRule({ security_group_id, remote_address_group_id: absent })), [
    404,
    "AddressGroupNotFound",
  ]);
});

test("a rule says what was said: names and numbers, 0, prefixes with their host bits, and their network beside them", async () => {
  const { id: security_group_id } = await group();
  const shown = async (values: Json, ...names: readonly string[]) => {
    const one = await rule({ security_group_id, ...values });
    return names.map((name) => one[name]);
  };
  assert.deepEqual(
    await shown(
      { protocol: "ICMP", port_range_min: 0, port_range_max: 0 },
      "protocol",
      "port_range_min",
      "port_range_max",
    ),
    ["icmp", 0, 0],
  );
  assert.deepEqual(await shown({ protocol: 0 }, "protocol"), ["0"]);
  assert.deepEqual(await shown({ protocol: "icmp", ethertype: "IPv6" }, "protocol"), ["ipv6-icmp"]);
  assert.deepEqual(await shown({ remote_ip_prefix: "10.1.2.3/8" }, "remote_ip_prefix", "normalized_cidr"), [
    "10.1.2.3/8",
    "10.0.0.0/8",
  ]);
  assert.deepEqual(
    await shown({ ethertype: "ipv6", remote_ip_prefix: "FD00::1" }, "ethertype", "remote_ip_prefix", "normalized_cidr"),
    ["IPv6", "fd00::1/128", "fd00::1/128"],
  );
  assert.deepEqual(
    await shown({ protocol: "udp", port_range_min: 1, port_range_max: 65_535 }, "port_range_min", "port_range_max"),
    [null, null],
  );
});

test("a rule that is there is not made again, in other words or in one request; many are made in one", async () => {
  const { id: security_group_id } = await group();
  const one = await rule({ security_group_id, protocol: "tcp", remote_ip_prefix: "10.0.0.0/8" });
  const again = await tryRule({ security_group_id, protocol: "6", remote_ip_prefix: "10.9.9.9/8", description: "x" });
  assert.deepEqual(said(again), [409, `Security group rule already exists. Rule id is ${one.id}.`]);
  const other6 = await rule({ security_group_id, protocol: 1, ethertype: "IPv6" });
  assert.equal(other6.protocol, "58");
  for (const same of [{ protocol: "icmpv6" }, { protocol: "58", remote_ip_prefix: "::/0" }])
    assert.deepEqual(told(await tryRule({ security_group_id, ethertype: "IPv6", ...same })), [
      409,
      "SecurityGroupRuleExists",
    ]);
  await red.member.delete(`/v2.0/security-group-rules/${other6.id}`);
  const many = (...rules: readonly Json[]) =>
    red.member.post("/v2.0/security-group-rules", {
      security_group_rules: rules.map((each) => ({ security_group_id, direction: "egress", ...each })),
    });
  assert.deepEqual(told(await many({ protocol: "udp" }, { protocol: "17" })), [
    409,
    "DuplicateSecurityGroupRuleInPost",
  ]);
  const other = await group();
  assert.deepEqual(told(await many({ protocol: "udp" }, { security_group_id: other.id })), [
    400,
    "SecurityGroupNotSingleGroupRules",
  ]);
  const numbers = await many({ protocol: "udp" }, { protocol: "sctp" });
  assert.equal(numbers.status, 201);
  const rules = server.running.core.writer.replica.by(SecurityGroupRule.index.security_group_id, security_group_id);
  assert.equal(rules.length, 5);
  assert.equal(new Set(rules.map(({ key }) => key)).size, 5);
  const before = Number((await groups(red.member, `id=${security_group_id}`))[0]?.revision_number);
  assert.equal((await red.member.delete(`/v2.0/security-group-rules/${one.id}`)).status, 204);
  const [left] = await groups(red.member, `id=${security_group_id}`);
  assert.ok(Number(left?.revision_number) > before, "a rule that goes is a change of its group");
  assert.equal(((left?.security_group_rules ?? []) as readonly Json[]).length, 4);
});

test("who a group was given to uses it and adds nothing to it; its owner sees what an admin adds", async () => {
  const { id } = await group({ name: "given" });
  const seen = async () => (await groups(blue.member)).filter((each) => each.id === id).map(({ shared }) => shared);
  assert.deepEqual(await seen(), []);
  assert.deepEqual(told(await tryRule({ security_group_id: id }, blue.member)), [404, "SecurityGroupNotFound"]);
  const policy = { object_type: "security_group", object_id: id, action: "access_as_shared", target_tenant: blue.id };
  const given = made("rbac_policy", await post("rbac-policies", "rbac_policy", policy));
  assert.deepEqual(await seen(), [true]);
  assert.deepEqual(
    (await groups(blue.member, "shared=true")).map((each) => each.id),
    [id],
  );
  assert.deepEqual(told(await tryRule({ security_group_id: id }, blue.member)), [403, "PolicyNotAuthorized"]);
  const theirs = await group({}, blue.member);
  await rule({ security_group_id: theirs.id, remote_group_id: id }, blue.member);
  const network = await blue.member.create("network", {});
  const port = await blue.member.create("port", { network_id: network.id, security_groups: [id] });
  assert.deepEqual(port.security_groups, [id]);
  const take = () => red.member.delete(`/v2.0/rbac-policies/${given.id}`);
  assert.deepEqual(told(await take()), [409, "RbacPolicyInUse"]);
  await blue.member.delete(`/v2.0/ports/${port.id}`);
  assert.equal((await take()).status, 204);
  const admins = await rule({ security_group_id: id, protocol: "tcp" }, server.admin);
  assert.notEqual(admins.project_id, red.id);
  const path = `/v2.0/security-group-rules/${admins.id}`;
  assert.equal((await red.reader.get(path)).status, 200);
  assert.equal((await blue.member.get(path)).status, 404);
  assert.equal((await red.reader.delete(path)).status, 403);
  assert.equal((await red.member.delete(path)).status, 204);
});

test("a group that goes takes the rules that name it; one that a port has stays, as it was", async () => {
  const [one, two] = [await group(), await group()];
  const naming = await rule({ security_group_id: two.id, remote_group_id: one.id });
  const network = await red.member.create("network", {});
  const port = await red.member.create("port", { network_id: network.id, security_groups: [one.id] });
  const stateless = () => change("security-groups", one.id, "security_group", { stateful: false });
  assert.deepEqual(told(await stateless()), [409, "SecurityGroupInUse"]);
  const same = await change("security-groups", one.id, "security_group", { stateful: true, name: "h" });
  assert.equal(same.status, 200);
  const remove = () => red.member.delete(`/v2.0/security-groups/${one.id}`);
  assert.deepEqual(told(await remove()), [409, "SecurityGroupInUse"]);
  await red.member.delete(`/v2.0/ports/${port.id}`);
  assert.equal((await stateless()).status, 200);
  assert.equal((await remove()).status, 204);
  assert.equal((await red.member.get(`/v2.0/security-group-rules/${naming.id}`)).status, 404);
});

test("an address group's generation grows when an address goes, around in 16 bits, and then alone", async () => {
  const { id } = await addressGroup(["10.1.0.0/24", "2001:db8::/32"]);
  const generation = () => server.running.core.writer.replica.get(AddressGroup, id)?.generation;
  const act = (name: string, addresses: unknown, client = red.member) =>
    client.put(`/v2.0/address-groups/${id}/${name}`, { addresses });
  const added = await act("add_addresses", ["10.0.0.9/32", "10.2.0.7/24"]);
  assert.deepEqual((added.body.address_group as Json).addresses, [
    "10.0.0.9/32",
    "10.1.0.0/24",
    "10.2.0.0/24",
    "2001:db8::/32",
  ]);
  assert.equal(generation(), 0);
  assert.deepEqual(said(await act("add_addresses", ["10.1.0.0/24"])), [
    400,
    `Addresses ['10.1.0.0/24'] already exist in the address group ${id}.`,
  ]);
  assert.deepEqual(said(await act("remove_addresses", ["10.7.0.0/24"])), [
    404,
    `Addresses ['10.7.0.0/24'] not found in the address group ${id}.`,
  ]);
  const lone = await act("add_addresses", ["10.4.0.4", "2001:db8:4::4"]);
  assert.equal((lone.body.address_group as Json).addresses?.toString().includes("10.4.0.4/32"), true);
  assert.deepEqual(said(await act("remove_addresses", ["10.4.0.5"])), [
    404,
    `Addresses ['10.4.0.5/32'] not found in the address group ${id}.`,
  ]);
  for (const wrong of [["bogus"], ["10.3.0.0/24", "10.3.0.0/24"], "10.3.0.0/24", undefined])
    assert.equal((await act("add_addresses", wrong)).status, 400, String(wrong));
  assert.equal(generation(), 0);
  assert.equal((await act("remove_addresses", ["10.0.0.9/32", "10.2.0.0/24"])).status, 200);
  assert.equal(generation(), 1);
  await server.running.core.writer.transact({ kind: "system", id: "test", request_id: "test" }, (transaction) => {
    const held = transaction.view.get(AddressGroup, id);
    if (held !== undefined) transaction.put(AddressGroup, { ...held, generation: 0xffff });
  });
  assert.equal((await act("remove_addresses", ["10.1.0.0/24"])).status, 200);
  assert.equal(generation(), 0);
  assert.equal((await act("remove_addresses", ["2001:db8::/32"], red.reader)).status, 403);
  assert.equal((await act("remove_addresses", ["2001:db8::/32"], blue.member)).status, 404);
  const { id: security_group_id } = await group();
  const named = await rule({ security_group_id, remote_address_group_id: id });
  assert.deepEqual(told(await red.member.delete(`/v2.0/address-groups/${id}`)), [409, "AddressGroupInUse"]);
  await red.member.delete(`/v2.0/security-group-rules/${named.id}`);
  assert.equal((await red.member.delete(`/v2.0/address-groups/${id}`)).status, 204);
});

test("an address group is used by whom it was given to, and not taken back while it is", async () => {
  const { id } = await addressGroup(["10.1.0.0/24"]);
  const { id: security_group_id } = await group({}, blue.member);
  const named = () => tryRule({ security_group_id, remote_address_group_id: id }, blue.member);
  assert.deepEqual(told(await named()), [404, "AddressGroupNotFound"]);
  const policy = { object_type: "address_group", object_id: id, action: "access_as_shared", target_tenant: blue.id };
  const given = made("rbac_policy", await post("rbac-policies", "rbac_policy", policy));
  const { id: ruleId } = made("security_group_rule", await named());
  const take = () => red.member.delete(`/v2.0/rbac-policies/${given.id}`);
  assert.deepEqual(told(await take()), [409, "RbacPolicyInUse"]);
  await blue.member.delete(`/v2.0/security-group-rules/${ruleId}`);
  assert.equal((await take()).status, 204);
});

test("groups and rules have quotas, and the default group takes its place in them", async () => {
  const small = await server.project("small");
  await server.admin.put(`/v2.0/quotas/${small.id}`, { quota: { security_group: 2, security_group_rule: 7 } });
  const { id: security_group_id } = await group({}, small.member);
  assert.deepEqual(said(await post("security-groups", "security_group", { name: "h" }, small.member)), [
    409,
    "Quota exceeded for resources: ['security_group'].",
  ]);
  await rule({ security_group_id }, small.member);
  await server.admin.put(`/v2.0/quotas/${small.id}`, { quota: { security_group: 3 } });
  assert.deepEqual(
    said(await post("security-groups", "security_group", { name: "h" }, small.member)),
    [409, "Quota exceeded for resources: ['security_group_rule']."],
    "a group brings two rules along",
  );
  assert.deepEqual(said(await tryRule({ security_group_id, protocol: "tcp" }, small.member)), [
    409,
    "Quota exceeded for resources: ['security_group_rule'].",
  ]);
});
