import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { type Answer, errorOf, type Json, TestClient } from "../client.ts";
import { startTestServer } from "../server.ts";
import {
  beyondCaptured,
  decided,
  emptyHere,
  notApplicable,
  unlistedAttributes,
  unlistedInReplies,
  untranslatable,
} from "./decisions.ts";

interface Capture {
  readonly name: string;
  readonly as: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
  readonly status: number;
  readonly reply: unknown;
}

/** Values that are each server's own: their type is compared, not what they are. */
const own = new Set([
  "availability_zones",
  "binding:vif_details",
  "binding:vif_type",
  "created_at",
  "dns_assignment",
  "external_gateway_info",
  "fixed_ips",
  "floating_ip_address",
  "href",
  "mac_address",
  "mtu",
  "provider:network_type",
  "provider:physical_network",
  "provider:segmentation_id",
  "revision_number",
  "subnet_ip_availability",
  "subnets",
  "total_ips",
  "updated_at",
  "used_ips",
]);

/** Errors whose text names what is each server's own: ports in use, its MTU, its revision numbers. */
const ownText = new Set([
  "NetworkInUse",
  // The address that nobody named, and the one of several subnets that the port is on.
  "FloatingIPPortAlreadyAssociated",
  "ExternalGatewayForFloatingIPNotFound",
  // Its ports in the order of their ids.
  "RouterInUse",
  "RevisionNumberConstraintFailed",
  // Its text holds names of Neutron's callbacks.
  "RbacPolicyInUse",
]);

/** Of a list's elements, those that one has and another has not. */
const nullable = new Set([
  "external_gateway_info",
  "gateway_ip",
  "ipv4_address_scope",
  "ipv6_address_mode",
  "ipv6_address_scope",
  "ipv6_ra_mode",
  "provider:physical_network",
  "provider:segmentation_id",
  "subnetpool_id",
]);

/** Addresses that captures ask for by name, after which one they could be given at random, and before which they must be free. */
const keptAddresses = [
  { after: "subnet-create-v4", address: "10.50.0.100", before: "port-create" },
  { after: "subnet-create-v4", address: "10.50.0.101", before: "port-update" },
  { after: "subnet-create-v4", address: "10.50.0.140", before: "port-with-sg" },
  { after: "subnet-create-v4", address: "10.50.0.150", before: "port-for-pf" },
  { after: "subnet-create-external", address: "203.0.113.200", before: "floatingip-address-admin" },
] as const;

const captures = JSON.parse(
  await readFile(new URL("./networking.json", import.meta.url), "utf8"),
) as readonly Capture[];

test("every captured exchange of networks, subnets, ports, lists and revisions is answered the same, or otherwise for a stated reason", async (t) => {
  // The zone that the captured Neutron was told.
  await using server = await startTestServer({ settings: { dnsDomain: "example.org." } });
  const demo = await server.project("demo");
  const alternative = await server.project("alt_demo");
  await server.host("compute-1");
  const adminProject = (await server.admin.get("/identity/v3/auth/projects")).body.projects as readonly Json[];
  const clients = new Map<string, TestClient>([
    ["admin", server.admin],
    ["member(demo)", demo.member],
    ["reader(demo)", demo.reader],
    ["member(alt_demo)", alternative.member],
    ["no token", server.nobody],
    ["bad token", new TestClient(server.url, "gAAAAABbad")],
  ]);
  /** Captured id → ours. */
  const ids = new Map<string, string>([
    ["9280c53a8c7a4e2eb98b37df21b679d5", demo.id],
    ["e2b22b892551452bbf36b5651d41b456", alternative.id],
    ["cc5d3711f3c14672b875b3952882c1e1", String(adminProject[0]?.id)],
  ]);
  const ours = (text: string): string =>
    text.replace(/[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}/g, (id) => ids.get(id) ?? id);
  const failures: string[] = [];
  let replayed = 0;
  /** Ports that keep addresses, by them. */
  const kept = new Map<string, string>();
  for (const capture of captures) {
    if (notApplicable.has(capture.name)) continue;
    replayed += 1;
    for (const { address, before } of keptAddresses)
      if (before === capture.name) await server.admin.delete(`/v2.0/ports/${kept.get(address)}`);
    const client = clients.get(capture.as);
    assert.ok(client, `nobody is ${capture.as}`);
    const body =
      capture.body === null
        ? undefined
        : typeof capture.body === "string"
          ? capture.body
          : (JSON.parse(ours(JSON.stringify(translated(capture.body)))) as unknown);
    const answer = await client.request(capture.method, ours(capture.path), body, capture.headers);
    // What a project has without asking for it is learnt where it is first shown.
    const first = capture.name === "security-group-list-default" || capture.path.endsWith("add_router_interface");
    if (answer.status === capture.status && (capture.method === "POST" || first))
      learn(ids, capture.reply, answer.body);
    for (const { address } of keptAddresses.filter(({ after }) => after === capture.name)) {
      const { network_id } = answer.body.subnet as Json;
      const port = await server.admin.create("port", { network_id, fixed_ips: [{ ip_address: address }] });
      kept.set(address, port.id);
    }
    try {
      compare(capture, answer, ours, server.url);
    } catch (error) {
      failures.push(
        `${capture.name}: ${error instanceof Error ? error.message : String(error)} (${answer.status} ${answer.text.slice(0, 300)})`,
      );
    }
  }
  assert.deepEqual(failures, []);
  t.diagnostic(`${replayed} replayed, ${notApplicable.size} not applicable`);
  assert.ok(replayed > 150);
});

test("each decision names a capture that is there", () => {
  const names = new Set(captures.map((capture) => capture.name));
  for (const name of [...notApplicable.keys(), ...decided.keys()])
    assert.ok(names.has(name), `${name} was not captured`);
});

function compare(capture: Capture, answer: Answer, ours: (text: string) => string, url: string): void {
  assert.match(answer.headers.get("x-openstack-request-id") ?? "", /^req-[0-9a-f-]{36}$/);
  const decision = decided.get(capture.name);
  if (decision !== undefined) {
    assert.equal(answer.status, decision.status, decision.reason);
    if (decision.type !== undefined) assert.equal(errorOf(answer).type, decision.type);
    else if (decision.status === capture.status && decision.form !== "other")
      for (const [key, value] of Object.entries(capture.reply as Json)) sameShape(answer.body[key], value, key);
    return;
  }
  assert.equal(answer.status, capture.status);
  if (capture.reply === null) {
    assert.equal(answer.text, "");
    return;
  }
  assert.equal(answer.headers.get("content-type"), "application/json");
  const expected = JSON.parse(ours(JSON.stringify(capture.reply)).replaceAll("http://127.0.0.1:9796", url)) as Json;
  const wanted = expected.NeutronError as Json | undefined;
  if (wanted !== undefined) {
    const found = errorOf(answer);
    assert.equal(found.type, wanted.type);
    if (!ownText.has(found.type)) assert.equal(found.message, String(wanted.message).replace("is 1442", "is 1434"));
    return;
  }
  for (const [key, value] of Object.entries(expected)) {
    const found = answer.body[key];
    if (key.endsWith("_links")) {
      const rels = (links: unknown) => (links as readonly Json[]).map((link) => link.rel);
      assert.deepEqual(rels(found), rels(value));
    } else if (key === "extensions") sameExtensions(found, value);
    else if (key === "resources") sameShape((found as readonly Json[])[0], (value as readonly Json[])[0], key);
    else if (key === "quota" || key === "quotas") sameQuotas(found, value);
    else if (Array.isArray(value) && value.some((each) => typeof each === "string")) assert.deepEqual(found, value);
    else if (Array.isArray(value) && capture.method !== "POST") {
      sameElements(found, value, key);
      assert.equal(value.length > 0 && (found as readonly unknown[]).length === 0, emptyHere.has(capture.name));
    } else sameValue(found, value, key);
  }
  assert.deepEqual(Object.keys(answer.body).sort(), Object.keys(expected).sort());
}

/** Ours are a part of what was captured, to the letter; what its other driver lists is named. */
function sameExtensions(found: unknown, expected: unknown): void {
  const captured = new Map((expected as readonly Json[]).map((each) => [each.alias, each]));
  for (const each of found as readonly Json[]) {
    if (beyondCaptured.has(String(each.alias))) assert.equal(captured.has(each.alias), false, String(each.alias));
    else assert.deepEqual(withoutKinds(each), withoutKinds(captured.get(each.alias)));
  }
}

/** The name of an extension of many kinds lists those that each server has. */
function withoutKinds(extension: Json | undefined): Json | undefined {
  return extension && { ...extension, name: String(extension.name).replace(/: .*/, "") };
}

/** Limits are each deployment's own, and of the kinds that it has. */
function sameQuotas(found: unknown, expected: unknown): void {
  const [ours, captured] = [found, expected].map((each) => (Array.isArray(each) ? each : [each]) as readonly Json[]);
  for (const quota of ours ?? []) {
    for (const [kind, limit] of Object.entries(quota)) sameType(limit, captured?.[0]?.[kind], kind);
    assert.ok("network" in quota && "port" in quota);
  }
}

/** Lists hold what each server holds: their elements have the same form. */
function sameElements(found: unknown, expected: readonly unknown[], path: string): void {
  assert.ok(Array.isArray(found), `${path} is no list`);
  // A network of several segments has another form than one of one, and which of them a page holds is by chance.
  const isOne = (element: unknown): boolean => !("segments" in (element as Json));
  for (const element of found) {
    const like = expected.find((each) => isOne(each) === isOne(element));
    if (like !== undefined) sameShape(element, like, path);
  }
}

/** Rules in the order of what they say. */
function bySaying(rules: readonly unknown[]): readonly unknown[] {
  const key = (rule: unknown): string => {
    const { direction, ethertype, protocol, port_range_min, remote_group_id } = rule as Json;
    return JSON.stringify([direction, ethertype, protocol, port_range_min, remote_group_id]);
  };
  return rules.toSorted((one, other) => (key(one) < key(other) ? -1 : 1));
}

function sameShape(found: unknown, expected: unknown, path: string): void {
  assert.deepEqual(keysOf(found), keysOf(expected), path);
  for (const key of keysOf(expected)) sameType((found as Json)[key], (expected as Json)[key], `${path}.${key}`);
}

function sameValue(found: unknown, expected: unknown, path: string): void {
  if (Array.isArray(expected)) {
    assert.ok(Array.isArray(found) && found.length === expected.length, `${path}: another length`);
    // They stand in the order of their ids, which are each server's own.
    const unordered = path.endsWith("security_group_rules");
    const [left, right] = unordered ? [bySaying(found), bySaying(expected)] : [found, expected];
    for (const [index, each] of right.entries()) sameValue(left[index], each, `${path}.${index}`);
    return;
  }
  if (typeof expected !== "object" || expected === null) {
    assert.deepEqual(found, expected, path);
    return;
  }
  assert.deepEqual(keysOf(found), keysOf(expected), path);
  for (const key of keysOf(expected)) {
    const [left, right] = [(found as Json)[key], (expected as Json)[key]];
    // An id that was not there before is learnt from this very reply.
    if (own.has(key) || key === "id" || untranslatable.has(key)) sameType(left, right, `${path}.${key}`);
    else sameValue(left, right, `${path}.${key}`);
  }
}

/** The keys of what is listed. */
function keysOf(value: unknown): readonly string[] {
  // `is_default` of a network says of an external one whether it is the deployment's.
  const isNetwork = "mtu" in (value as Json);
  return Object.keys(value as Json)
    .filter(
      (key) => !unlistedAttributes.has(key) && !unlistedInReplies.has(key) && !(isNetwork && key === "is_default"),
    )
    .sort();
}

function sameType(found: unknown, expected: unknown, path: string): void {
  const typeOf = (value: unknown) => (value === null ? "null" : Array.isArray(value) ? "list" : typeof value);
  const key = path.split(".").at(-1) ?? "";
  if (untranslatable.has(key) || (nullable.has(key) && (found === null || expected === null))) return;
  assert.equal(typeOf(found), typeOf(expected), path);
}

/** Remembers which of our ids stands for which captured one. */
function learn(ids: Map<string, string>, captured: unknown, found: unknown): void {
  if (Array.isArray(captured) && Array.isArray(found)) {
    for (const [index, each] of captured.entries()) learn(ids, each, found[index]);
    return;
  }
  if (isId(captured) && isId(found) && !ids.has(captured)) ids.set(captured, found);
  if (typeof captured !== "object" || captured === null || typeof found !== "object" || found === null) return;
  for (const [key, value] of Object.entries(captured)) {
    const mine = (found as Json)[key];
    learn(ids, value, mine);
  }
}

const isId = (value: unknown): value is string =>
  typeof value === "string" && /^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(value);

/** A body without what this server has no other kind of. */
function translated(body: unknown): unknown {
  if (Array.isArray(body)) return body.map(translated);
  if (typeof body !== "object" || body === null) return body;
  const kept = Object.entries(body).filter(([key]) => !unlistedAttributes.has(key) && !untranslatable.has(key));
  return Object.fromEntries(kept.map(([key, value]) => [key, translated(value)]));
}
