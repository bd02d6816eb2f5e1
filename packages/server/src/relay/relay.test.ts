/** The relay against a plain model of what each host needs, over random histories, cut streams and slow hosts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AddressGroup,
  AddressScope,
  type AnyResource,
  type Change,
  Host,
  Network,
  Port,
  type Replica,
  Router,
  SecurityGroup,
  SecurityGroupRule,
  SecurityGroupSet,
  type StoredObject,
  Subnet,
  Subnetpool,
} from "@selvage/model";
import {
  makeAddressGroup,
  makeAddressScope,
  makeHost,
  makeNetwork,
  makePort,
  makeRouter,
  makeSecurityGroup,
  makeSecurityGroupRule,
  makeSecurityGroupSet,
  makeSubnet,
  makeSubnetpool,
} from "@selvage/model/testing";
import { type Hello, projectionFingerprint, protocolVersions, readFromServer } from "@selvage/sync";
import fc from "fast-check";
import { Relay } from "./relay.ts";
import type { Channel, Session } from "./session.ts";
import { Log, needBySpecification } from "./testing/world.ts";

/** A host's end of the stream: applies what it is told, and remembers it when it is cut off. */
class Client implements Channel {
  readonly held = new Map<string, { readonly revision: number; readonly object: StoredObject }>();
  readonly received: string[] = [];
  backlog = 0;
  closed = false;
  revision = 0;
  /** The log that what is held is of, and that the stream is of. */
  log: string | undefined;
  #streamLog: string | undefined;
  refusal: string | undefined;
  session: Session | undefined;

  connect(relay: Relay, hostId: string, projection = projectionFingerprint): void {
    this.closed = false;
    const hello: Hello = {
      type: "hello",
      protocols: [...protocolVersions],
      agent: "test",
      tunnel_ip: "198.18.0.1",
      projection,
      ...(this.log === undefined ? {} : { log: this.log }),
      held: [...this.held].map(([key, { revision }]) => {
        const [kind = "", id = ""] = key.split("|");
        return [kind, id, revision];
      }),
      more: false,
    };
    this.session = relay.connect(hostId, hello, this);
  }

  send(text: string): void {
    this.received.push(text);
    const message = readFromServer(text);
    if (message.type === "refused") this.refusal = message.code;
    if (message.type === "welcome") this.#streamLog = message.log;
    if (message.type !== "changes") return;
    if (message.reset) this.held.clear();
    for (const { kind, id } of message.removes) this.held.delete(`${kind}|${id}`);
    for (const { kind, revision, object } of message.puts) this.held.set(`${kind}|${object.id}`, { revision, object });
    this.revision = message.revision;
    if (!message.more) this.log = this.#streamLog;
  }

  close(): void {
    this.closed = true;
  }
}

const hosts = ["h1", "h2", "h3"].map((name, at) =>
  makeHost({ id: `host-${at + 1}`, name, key: at + 1, tunnel_ip: `198.18.0.${at + 1}` }),
);
const networks = ["n1", "n2", "n3"].map((id, at) => makeNetwork({ id, "provider:segmentation_id": at + 1 }));
const put = (kind: string, object: StoredObject): Change => ({ kind, id: object.id, object });
const portOn = (at: number, network: number, host: number, name: string, set = 0) =>
  makePort({
    security_group_set: set,
    id: `p${at}`,
    key: at + 1,
    name,
    network_id: `n${network + 1}`,
    mac_address: `fa:16:3e:00:00:0${at}`,
    "binding:host_id": host === 3 ? "" : (hosts[host]?.name ?? ""),
  });

type PolicyKind = "group" | "rule" | "addresses" | "set";

/** What several networks have to do with: routers, pools of subnets and address scopes. */
type SharedKind = "router" | "pool" | "scope";

type Step =
  | {
      readonly do: "port";
      readonly at: number;
      readonly network: number;
      readonly host: number;
      readonly name: string;
      readonly set?: number;
    }
  | {
      readonly do: "policy";
      readonly kind: PolicyKind;
      readonly at: number;
      readonly groups: readonly number[];
      readonly present: boolean;
    }
  | { readonly do: "delete"; readonly at: number }
  | { readonly do: "subnet"; readonly network: number; readonly present: boolean; readonly pool: number }
  | { readonly do: "interface"; readonly router: number; readonly network: number; readonly present: boolean }
  | { readonly do: "shared"; readonly kind: SharedKind; readonly at: number; readonly present: boolean }
  | { readonly do: "network"; readonly network: number; readonly mtu: number }
  | { readonly do: "host"; readonly host: number; readonly address: number }
  | { readonly do: "cut" | "connect" | "stall" | "resume"; readonly host: number };

const host = fc.nat(2);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("port" as const),
      at: fc.nat(5),
      network: fc.nat(2),
      host: fc.nat(3),
      name: fc.string({ maxLength: 3 }),
      set: fc.nat(3),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("policy" as const),
      kind: fc.constantFrom<PolicyKind>("group", "rule", "rule", "addresses", "set", "set"),
      at: fc.nat(3),
      groups: fc.uniqueArray(fc.nat(2), { maxLength: 3 }),
      present: fc.nat(4).map((roll) => roll > 0),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("delete" as const), at: fc.nat(5) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("subnet" as const),
      network: fc.nat(2),
      present: fc.boolean(),
      pool: fc.nat(2),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("interface" as const),
      router: fc.nat(1),
      network: fc.nat(2),
      present: fc.nat(3).map((roll) => roll > 0),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("shared" as const),
      kind: fc.constantFrom<SharedKind>("router", "pool", "scope"),
      at: fc.nat(1),
      present: fc.nat(3).map((roll) => roll > 0),
    }),
  },
  fc.record({ do: fc.constant("network" as const), network: fc.nat(2), mtu: fc.integer({ min: 1000, max: 1002 }) }),
  fc.record({ do: fc.constant("host" as const), host, address: fc.integer({ min: 1, max: 9 }) }),
  fc.record({ do: fc.constantFrom("cut" as const, "connect" as const, "stall" as const, "resume" as const), host }),
);

/** Groups, rules that name one (the first number is whose rule, the second whom it names; 2 alone names an address group), and sets, with and without each other. */
function policyObject({ kind, at, groups }: Extract<Step, { do: "policy" }>): readonly [AnyResource, StoredObject] {
  const ids = groups.map((each) => `g${each}`);
  switch (kind) {
    case "group":
      return [SecurityGroup, makeSecurityGroup({ id: `g${at}`, stateful: groups.length > 1 })];
    case "rule": {
      const [own = "g0", named = null] = ids;
      const addresses = named === null && groups[0] === 2 ? "a0" : null;
      const names = { remote_group_id: named, remote_address_group_id: addresses };
      return [
        SecurityGroupRule,
        makeSecurityGroupRule({ id: `r${at}`, key: at + 1, security_group_id: own, ...names }),
      ];
    }
    case "addresses":
      return [AddressGroup, makeAddressGroup({ id: "a0", generation: at })];
    case "set":
      return [SecurityGroupSet, makeSecurityGroupSet({ id: `set${at}`, key: at + 1, groups: ids })];
  }
}

function sharedObject({ kind, at }: Extract<Step, { do: "shared" }>): readonly [AnyResource, StoredObject] {
  switch (kind) {
    case "router":
      return [Router, makeRouter({ id: `router${at}`, key: at + 1 })];
    case "pool":
      return [Subnetpool, makeSubnetpool({ id: `pool${at}`, address_scope_id: `scope${at}` })];
    case "scope":
      return [AddressScope, makeAddressScope({ id: `scope${at}`, key: at + 1 })];
  }
}

const interfaceOf = (router: number, network: number): StoredObject =>
  makePort({
    id: `i${router}${network}`,
    key: 100 + 3 * router + network,
    network_id: `n${network + 1}`,
    mac_address: `fa:16:3e:ff:0${router}:0${network}`,
    fixed_ips: [],
    router_id: `router${router}`,
  });

/** Puts an object, or takes it away where it is. */
function presence(replica: Replica, resource: AnyResource, object: StoredObject, present: boolean): readonly Change[] {
  if (present) return [put(resource.kind, object)];
  return replica.has(resource, object.id) ? [{ kind: resource.kind, id: object.id, object: null }] : [];
}

function changesOf(step: Step, replica: Replica): readonly Change[] {
  switch (step.do) {
    case "port":
      return [put(Port.kind, portOn(step.at, step.network, step.host, step.name, step.set))];
    case "policy": {
      const [resource, object] = policyObject(step);
      return presence(replica, resource, object, step.present);
    }
    case "shared": {
      const [resource, object] = sharedObject(step);
      return presence(replica, resource, object, step.present);
    }
    case "interface":
      return presence(replica, Port, interfaceOf(step.router, step.network), step.present);
    case "delete":
      return replica.has(Port, `p${step.at}`) ? [{ kind: Port.kind, id: `p${step.at}`, object: null }] : [];
    case "subnet": {
      const { network, pool } = step;
      const subnetpool_id = pool === 2 ? null : `pool${pool}`;
      const subnet = makeSubnet({ id: `s${network}`, network_id: `n${network + 1}`, subnetpool_id });
      return presence(replica, Subnet, subnet, step.present);
    }
    case "network":
      return [put(Network.kind, { ...networks[step.network], mtu: step.mtu } as Network)];
    case "host":
      return [put(Host.kind, { ...hosts[step.host], tunnel_ip: `198.18.${step.host}.${step.address}` } as Host)];
    default:
      return [];
  }
}

test("every connected host holds exactly what it needs after every step, whatever was cut, slow or resumed", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const log = new Log();
      log.append([...hosts.map((each) => put(Host.kind, each)), ...networks.map((each) => put(Network.kind, each))]);
      const relay = new Relay(log, { schedule: (flush) => flush() });
      const clients = hosts.map(() => new Client());
      for (const each of steps) {
        const client = "host" in each ? clients[each.host] : undefined;
        if (each.do === "cut" && client?.session !== undefined) {
          relay.disconnect(client.session);
          client.session = undefined;
        }
        if (each.do === "connect" && client !== undefined && client.session === undefined) {
          client.backlog = 0;
          client.connect(relay, hosts[each.host]?.id ?? "");
        }
        if (each.do === "stall" && client !== undefined) client.backlog = 1e9;
        if (each.do === "resume" && client?.session !== undefined) {
          client.backlog = 0;
          relay.drained(client.session);
        }
        const changes = changesOf(each, log.replica);
        if (changes.length > 0) log.append(changes);
        for (const [at, one] of clients.entries()) {
          const host = log.replica.get(Host, `host-${at + 1}`);
          if (one.session === undefined || one.backlog > 0 || host === undefined) continue;
          const need = needBySpecification(log.replica, host);
          assert.deepEqual(new Map([...one.held].map(([key, { object }]) => [key, object])), need);
        }
      }
      assert.equal(relay.counters.fullRecomputes, 0);
    }),
    { numRuns: 300 },
  );
});

test("a relay that is begun while the log goes on needs what one that is made afterwards does", async () => {
  const log = new Log();
  log.append([...hosts.map((each) => put(Host.kind, each)), ...networks.map((each) => put(Network.kind, each))]);
  const ports = Array.from({ length: 4_100 }, (_, at) => ({ ...portOn(1, at % 3, 2, ""), id: `p${at}` }));
  log.append(ports.map((each) => put(Port.kind, each)));
  const beginning = Relay.begin(log, { schedule: (flush) => flush() });
  log.append([put(Port.kind, portOn(0, 0, 0, "moved")), { kind: Port.kind, id: "p4099", object: null }]);
  const relay = await beginning;
  log.append([put(Port.kind, portOn(7, 1, 1, "later"))]);
  const other = new Relay(log);
  const sorted = (need: Iterable<unknown>): readonly string[] => [...need].map((each) => JSON.stringify(each)).sort();
  for (const { id } of hosts) assert.deepEqual(sorted(relay.needOf(id)), sorted(other.needOf(id)));
  assert.equal([...relay.needOf("host-3")].length, 4_099 + networks.length + hosts.length);
  const client = new Client();
  client.connect(relay, "host-1");
  assert.equal(client.held.has("port|p0"), true);
});

type Past = Step | { readonly do: "back"; readonly to: number };
const past: fc.Arbitrary<Past> = fc.oneof(
  { weight: 8, arbitrary: step },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("back" as const), to: fc.nat(40) }) },
);

/** Plays steps; `back` brings the log to an older state, whose numbers are then given to other entries. `nameOf` names the n-th log. */
function playWithRestores(steps: readonly Past[], nameOf: (restores: number) => string): void {
  let entries: (readonly Change[])[] = [];
  let restores = 0;
  let log = new Log();
  const begin = [...hosts.map((each) => put(Host.kind, each)), ...networks.map((each) => put(Network.kind, each))];
  const write = (changes: readonly Change[]): void => {
    entries.push(changes);
    log.append(changes);
  };
  const open = () => new Relay(log, { schedule: (flush) => flush(), logId: nameOf(restores) });
  write(begin);
  let relay = open();
  const clients = hosts.map(() => new Client());
  const connect = (client: Client, at: number): void => client.connect(relay, `host-${at + 1}`);
  for (const each of steps) {
    if (each.do === "back") {
      restores += 1;
      entries = entries.slice(0, Math.max(1, Math.min(each.to, entries.length)));
      relay.close();
      log = new Log();
      for (const changes of entries) log.append(changes);
      relay = open();
      for (const client of clients) client.session = undefined;
      continue;
    }
    if (each.do === "connect" && clients[each.host]?.session === undefined)
      connect(clients[each.host] as Client, each.host);
    const changes = changesOf(each, log.replica);
    if (changes.length > 0) write(changes);
  }
  for (const [at, client] of clients.entries()) {
    if (client.session === undefined) connect(client, at);
    const host = log.replica.get(Host, `host-${at + 1}`) as Host;
    const held = new Map([...client.held].map(([key, { object }]) => [key, object]));
    assert.deepEqual(held, needBySpecification(log.replica, host));
  }
}

test("a log that is brought back and written on gives its numbers again, and no host takes the one for the other", () => {
  const steps = fc.array(past, { maxLength: 60 });
  fc.assert(
    fc.property(steps, (all) => playWithRestores(all, (restores) => `log-${restores}`)),
    { numRuns: 300 },
  );
  const again: readonly Past[] = [
    { do: "port", at: 0, network: 0, host: 0, name: "" },
    { do: "network", network: 0, mtu: 1000 },
    { do: "connect", host: 0 },
    { do: "back", to: 2 },
    { do: "network", network: 0, mtu: 1001 },
  ];
  playWithRestores(again, (restores) => `log-${restores}`);
  assert.throws(() => playWithRestores(again, () => "log"), assert.AssertionError, "what the names are for");
});

test("what is held counts within its log alone, and the welcome names it", () => {
  const log = new Log();
  log.append([put(Host.kind, hosts[0] as Host), put(Network.kind, networks[0] as Network)]);
  log.append([put(Port.kind, portOn(1, 0, 0, "a"))]);
  const resets = (client: Client) =>
    client.received.map(readFromServer).flatMap((message) => (message.type === "changes" ? [message.reset] : []));
  const client = new Client();
  const relay = new Relay(log, { logId: "one" });
  for (const _ of [1, 2]) client.connect(relay, "host-1");
  client.connect(new Relay(log, { logId: "two" }), "host-1");
  client.log = undefined;
  client.connect(new Relay(log, { logId: "two" }), "host-1");
  client.connect(new Relay(log, { logId: "two" }), "host-1");
  assert.deepEqual(resets(client), [true, false, true, true, false]);
  assert.equal(client.log, "two");
});

test("a host never sees descriptions of its ports, nor names or devices of anybody else's", () => {
  const log = new Log();
  log.append([...hosts.slice(0, 2).map((host) => put(Host.kind, host)), put(Network.kind, networks[0] as Network)]);
  const own: Port = { ...portOn(1, 0, 0, "own"), description: "secret-text" };
  const other: Port = { ...portOn(2, 0, 1, "secret-name"), description: "secret-text", device_id: "secret-device" };
  log.append([put(Port.kind, own), put(Port.kind, other)]);
  const client = new Client();
  client.connect(new Relay(log), "host-1");
  assert.equal(client.held.size, 5);
  assert.doesNotMatch(client.received.join("\n"), /secret/);
});

test("an edit that no host may see is not sent, and the host counts as up to date without a message", () => {
  const log = new Log();
  log.append([
    put(Host.kind, hosts[0] as Host),
    put(Network.kind, networks[0] as Network),
    put(Port.kind, portOn(1, 0, 0, "a")),
  ]);
  const relay = new Relay(log, { schedule: (flush) => flush() });
  const client = new Client();
  client.connect(relay, "host-1");
  const before = client.received.length;
  assert.equal(client.session?.inForce, undefined, "nothing is in force before the host has said so");
  assert.equal(client.session?.acknowledge(client.revision), true);
  const edited: Port = { ...portOn(1, 0, 0, "a"), description: "b" };
  log.append([put(Port.kind, edited)]);
  assert.equal(client.received.length, before);
  assert.equal(relay.inForce("host-1"), log.replica.revision);
  assert.equal(client.session?.acknowledge(client.revision + 100), false, "a revision that was never sent");
});

test("a host with nothing new is told the revision, and resumes without being sent what it holds", () => {
  const log = new Log();
  log.append([
    put(Host.kind, hosts[0] as Host),
    put(Network.kind, networks[0] as Network),
    put(Port.kind, portOn(1, 0, 0, "a")),
  ]);
  const relay = new Relay(log);
  const client = new Client();
  client.connect(relay, "host-1");
  assert.equal(client.held.size, 3);
  client.received.length = 0;
  client.connect(relay, "host-1");
  const changes = client.received.map(readFromServer).filter((message) => message.type === "changes");
  assert.deepEqual(
    changes.map(({ puts, removes, reset }) => ({ puts, removes, reset })),
    [{ puts: [], removes: [], reset: false }],
  );
  client.connect(relay, "host-1", "another projection");
  assert.equal(client.held.size, 3, "what was cut by another projection does not count and is sent whole");
});

test("a newer stream of a host ends the older; an unknown host and a strange version are refused", () => {
  const log = new Log();
  log.append([put(Host.kind, hosts[0] as Host)]);
  const relay = new Relay(log);
  const first = new Client();
  const second = new Client();
  first.connect(relay, "host-1");
  second.connect(relay, "host-1");
  assert.deepEqual(
    [first.refusal, first.closed, second.refusal, second.closed],
    ["Superseded", true, undefined, false],
  );
  if (first.session !== undefined) relay.disconnect(first.session);
  assert.equal(relay.session("host-1"), second.session, "the older one's end does not end the newer");
  const stranger = new Client();
  stranger.connect(relay, "host-9");
  assert.deepEqual([stranger.refusal, stranger.closed, stranger.session], ["HostUnknown", true, undefined]);
});

test("a large need goes out as room comes, and what changed meanwhile is in it before the host takes the whole", () => {
  const log = new Log();
  const many = Array.from({ length: 2_500 }, (_, at) =>
    makePort({ id: `q${at}`, key: at + 100, network_id: "n1", mac_address: macOf(at), "binding:host_id": "h2" }),
  );
  log.append([...hosts.map((each) => put(Host.kind, each)), put(Network.kind, networks[0] as Network)]);
  log.append([put(Port.kind, portOn(1, 0, 0, "own")), ...many.map((port) => put(Port.kind, port))]);
  const relay = new Relay(log, { schedule: (flush) => flush() });
  const client = new Client();
  const send = client.send.bind(client);
  // Each message fills the way to the host.
  client.send = (text) => {
    if (text.includes('"changes"')) client.backlog = 1e9;
    send(text);
  };
  client.connect(relay, "host-1", "another projection");
  const parts = () => client.received.map(readFromServer).filter((message) => message.type === "changes");
  assert.deepEqual(
    parts().map(({ more, reset }) => ({ more, reset })),
    [{ more: true, reset: true }],
  );
  assert.equal(client.session?.acknowledge(log.replica.revision), false, "a part is nothing to acknowledge");
  const moved: Port = { ...(many[0] as Port), mac_address: macOf(9_999) };
  log.append([put(Port.kind, moved)]);
  log.append([{ kind: Port.kind, id: "q1", object: null }]);
  const drain = () => {
    client.backlog = 0;
    if (client.session !== undefined) relay.drained(client.session);
  };
  drain();
  drain();
  assert.deepEqual(
    parts().map(({ reset }) => reset),
    [true, false, false],
  );
  assert.deepEqual([parts().at(-1)?.more, parts().at(-1)?.revision], [false, log.replica.revision]);
  const need = needBySpecification(log.replica, hosts[0] as Host);
  assert.deepEqual(new Map([...client.held].map(([key, { object }]) => [key, object])), need);
  assert.equal(client.session?.acknowledge(log.replica.revision), true);
  assert.equal(relay.inForce("host-1"), log.replica.revision);
});

const macOf = (number: number): string =>
  `fa:16:3e:01:${(number >> 8).toString(16).padStart(2, "0")}:${(number & 255).toString(16).padStart(2, "0")}`;
