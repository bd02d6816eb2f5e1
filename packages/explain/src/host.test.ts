/** The part of intent that a trace compiles: a packet meets the same rows in it as among everything that its hosts are told of, and it is small. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type AnyResource,
  FloatingIp,
  Host,
  NatLease,
  Network,
  Port,
  Replica,
  Router,
  SecurityGroup,
  SecurityGroupRule,
  SecurityGroupSet,
  type StoredObject,
  Subnet,
} from "@selvage/model";
import {
  makeExternalNetwork,
  makeFloatingIp,
  makeGateway,
  makeHost,
  makeNatLease,
  makeNetwork,
  makePort,
  makeRouter,
  makeSecurityGroup,
  makeSecurityGroupRule,
  makeSecurityGroupSet,
  makeSubnet,
  put,
  testId,
  testMac,
} from "@selvage/model/testing";
import fc from "fast-check";
import { atOnce, buildHost, everything, type Intent, partInTurns, partThatMatters, type TracedHost } from "./host.ts";
import { sourceFor } from "./next-hop.ts";
import type { Question } from "./question.ts";
import { type Conversation, trace, traceAmong } from "./trace.ts";

const networks = 3;
const hosts = 3;
const groups = 3;
const floatings = 4;
const floatingAddress = (at: number): string => `203.0.113.${20 + at}`;
const noTurn = async (): Promise<void> => undefined;

/** An external network, where the router has 203.0.113.10 and each host some ports of it. */
function addOutside(add: (resource: AnyResource, object: StoredObject) => void): void {
  const external = makeExternalNetwork();
  add(Network, external);
  const [four, six] = [testId("external subnet", 1), testId("external subnet", 2)];
  const subnet = { network_id: external.id, enable_dhcp: false };
  add(Subnet, makeSubnet({ ...subnet, id: four, cidr: "203.0.113.0/24", gateway_ip: "203.0.113.1" }));
  add(
    Subnet,
    makeSubnet({ ...subnet, id: six, ip_version: 6, cidr: "2001:db8:ff::/64", gateway_ip: "2001:db8:ff::1" }),
  );
  const fixed_ips = [
    { subnet_id: four, ip_address: "203.0.113.10" },
    { subnet_id: six, ip_address: "2001:db8:ff::a" },
  ];
  add(Port, makeGateway({ gateway_of: testId("router"), device_id: testId("router"), fixed_ips }));
  for (let n = 1; n <= hosts; n += 1) {
    const lease = { id: testId("lease", n), host_id: testId("host", n), router_id: testId("router") };
    add(NatLease, makeNatLease({ ...lease, first: 1024 * n }));
  }
}

/** Three networks, two of them joined by a router, with machines spread over hosts and sets; some speak for addresses of others. */
function intentWith(machines: number, seed: number): Intent {
  const told: (readonly [AnyResource, StoredObject])[] = [];
  const add = (resource: AnyResource, object: StoredObject): void => void told.push([resource, object]);
  for (let n = 1; n <= hosts; n += 1)
    add(
      Host,
      makeHost({
        id: testId("host", n),
        name: `h${n}`,
        key: n,
        tunnel_ip: `192.0.2.${n}`,
        physical_networks: ["public"],
      }),
    );
  addOutside(add);
  for (let n = 0; n < networks; n += 1) {
    const network_id = testId("network", n);
    const type = n === 1 ? "vxlan" : "geneve";
    add(Network, makeNetwork({ id: network_id, "provider:segmentation_id": n + 1, "provider:network_type": type }));
    add(Subnet, makeSubnet({ id: testId("v4", n), network_id, cidr: `10.${n}.0.0/16`, gateway_ip: `10.${n}.0.1` }));
    add(
      Subnet,
      makeSubnet({ id: testId("v6", n), network_id, ip_version: 6, cidr: `fd0${n}::/64`, gateway_ip: `fd0${n}::1` }),
    );
  }
  for (let n = 0; n < groups; n += 1) {
    const id = testId("security group", n);
    add(SecurityGroup, makeSecurityGroup({ id }));
    const rule = { security_group_id: id, remote_group_id: n === 0 ? null : testId("security group", 0) };
    const plans = [{ direction: "ingress" }, { direction: "egress" }] as const;
    for (const [at, plan] of plans.entries())
      for (const [family, ethertype] of (["IPv4", "IPv6"] as const).entries()) {
        const key = 1 + n * 4 + at * 2 + family;
        add(SecurityGroupRule, makeSecurityGroupRule({ id: testId("rule", key), key, ethertype, ...rule, ...plan }));
      }
    add(
      SecurityGroupSet,
      makeSecurityGroupSet({ id: testId("set", n + 1), key: n + 1, groups: [id], stateful: n !== 2 }),
    );
  }
  let state = seed;
  const pick = (count: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % count;
  };
  for (let n = 0; n < machines; n += 1) {
    const network = pick(networks);
    const pairs =
      pick(10) === 0
        ? [
            {
              ip_address: `10.${network}.9.${1 + pick(3)}`,
              mac_address: pick(2) === 0 ? testMac(n) : "00:00:5e:00:01:01",
            },
          ]
        : [];
    const host = pick(hosts + 1);
    add(
      Port,
      portOf(n + 1, network, {
        "binding:host_id": host === 0 ? "" : `h${host}`,
        security_group_set: pick(groups + 1),
        allowed_address_pairs: pairs,
        fixed_ips: fixed(network, `${1 + (n >> 8)}.${n & 255}`, (n + 0x100).toString(16)),
      }),
    );
  }
  for (const n of [0, 1])
    add(
      Port,
      portOf(1_000_000 + n, n, {
        router_id: testId("router"),
        fixed_ips: fixed(n, n === 0 ? "0.1" : "0.2", n === 0 ? "1" : "2"),
      }),
    );
  const bound = told
    .map(([, object]) => object as Port)
    .reverse()
    .filter((port) => port["binding:host_id"]?.startsWith("h"));
  for (const [at, port] of bound
    .filter(({ network_id }) => network_id !== testId("network", 2))
    .slice(0, floatings)
    .entries())
    add(
      FloatingIp,
      makeFloatingIp({
        ...{ id: testId("floating ip", at), floating_ip_address: floatingAddress(at), router_id: testId("router") },
        ...{ port_id: port.id, fixed_ip_address: port.fixed_ips[0]?.ip_address ?? null },
      }),
    );
  const hop = bound.find(({ network_id }) => network_id === testId("network", 1))?.fixed_ips[0]?.ip_address;
  const routes = hop === undefined ? [] : [{ destination: "198.51.100.0/24", nexthop: hop }];
  add(Router, makeRouter({ id: testId("router"), key: 5, routes }));
  const view = new Replica();
  view.apply(
    told.map(([resource, object]) => put(resource, object as never)),
    1,
  );
  const need = told.map(([{ kind }, { id }]) => ({ kind, id }));
  return { view, needOf: () => need };
}

const fixed = (network: number, four: string, six: string) => [
  { subnet_id: testId("v4", network), ip_address: `10.${network}.${four}` },
  { subnet_id: testId("v6", network), ip_address: `fd0${network}::${six}` },
];

const portOf = (n: number, network: number, port: Partial<Port>): Port =>
  makePort({ id: testId("port", n), key: n, mac_address: testMac(n), network_id: testId("network", network), ...port });

/** All that a conversation met, as text. */
const met = ({ legs, isDelivered }: Conversation): unknown => ({
  isDelivered,
  legs: legs.map(({ direction, hops, ending }) => ({
    direction,
    ending: ending.kind === "dropped" ? ending.reason : ending.kind,
    hops: hops.map(({ at, trace: { visits, outcomes } }) => ({
      host: at.host.name,
      visits: visits.map(({ table, row, clauses }) => [table, row?.id, row?.body, clauses?.length]),
      outcomes: outcomes.map((each) =>
        "frame" in each ? { ...each, frame: Buffer.from(each.frame).toString("hex") } : each,
      ),
    })),
  })),
});

/** All hosts with everything, for as many conversations as are wanted: connections that were kept by one are none of the next's. */
const whole =
  (intent: Intent) =>
  (host: Host): Promise<TracedHost> =>
    buildHost(host, everything(intent, host), intent.view.revision);

function questionBetween(intent: Intent, from: Port, to: string, protocol: number): Question | undefined {
  const source = sourceFor(intent.view, from, to);
  if (source === undefined || source === to) return undefined;
  const version = to.includes(":") ? 6 : 4;
  const icmp = version === 4 ? 8 : 128;
  const probe = {
    version,
    protocol,
    sourcePort: 5,
    destinationPort: 80,
    icmpType: icmp,
    icmpCode: 0,
    ttl: 64,
  } as const;
  return { from: { kind: "port", port: from }, source, destination: to, probe };
}

/** The same packet from somebody outside. */
function fromOutside(intent: Intent, question: Question, destination: string): Question {
  const [network] = intent.view.by(Network.index.external, "external");
  assert.ok(network !== undefined);
  const six = destination.includes(":");
  return {
    from: { kind: "outside", network },
    source: six ? "2001:db8:fa::7" : "192.88.99.7",
    destination,
    probe: { ...question.probe, version: six ? 6 : 4, protocol: 6 },
  };
}

test("a packet meets the same among the part that matters as among everything, whoever asks for whom", async () => {
  const machines = 150;
  const outer = ["203.0.113.10", "2001:db8:ff::a", floatingAddress(0), "192.88.99.7", "2001:db8:fa::7"];
  await fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.array(
        fc.record({
          from: fc.nat(machines - 1),
          to: fc.oneof(fc.nat(machines - 1), fc.integer({ min: machines, max: machines + 11 })),
          six: fc.boolean(),
          tcp: fc.boolean(),
        }),
        {
          minLength: 5,
          maxLength: 5,
        },
      ),
      async (seed, pairs) => {
        const intent = intentWith(machines, seed);
        const others = ["10.0.0.1", "fd00::1", "198.51.100.7", "moves", "moves", "moves", "10.1.77.77", ...outer];
        for (const { from, to, six, tcp } of pairs) {
          const sender = intent.view.get(Port, testId("port", from + 1));
          const target = intent.view.get(Port, testId("port", to + 1))?.fixed_ips[six ? 1 : 0]?.ip_address;
          assert.ok(sender !== undefined);
          const other = others[to - machines] ?? "";
          const subnet = intent.view.get(Subnet, sender.fixed_ips[0]?.subnet_id ?? "");
          const destination = target ?? (other === "moves" ? (subnet?.cidr.replace("0.0/16", "9.1") ?? "") : other);
          const question = questionBetween(intent, sender, destination, tcp ? 6 : destination.includes(":") ? 58 : 1);
          if (question === undefined) continue;
          const asked = [
            question,
            ...(outer.includes(destination) ? [fromOutside(intent, question, destination)] : []),
          ];
          for (const each of asked) {
            const part = met(await trace(intent, each, noTurn));
            assert.deepEqual(part, met(await traceAmong(intent.view, each, whole(intent))));
          }
        }
      },
    ),
    { numRuns: 12 },
  );
});

test("with pauses it is the same, of one revision: begun anew for one that came meanwhile, and done at last", async () => {
  const intent = intentWith(6_000, 1);
  const host = { id: testId("host", 1) };
  const meeting = { addresses: new Set(["10.0.1.11"]), ports: new Set<string>() };
  const wanted = atOnce(partThatMatters(intent, host, meeting));
  let turns = 0;
  const turn = async (): Promise<void> => {
    turns += 1;
  };
  assert.deepEqual(await partInTurns(intent, host, meeting, turn), wanted);
  assert.ok(turns >= 2, `${turns}`);
  let revision = 1;
  const moving: Intent = {
    ...intent,
    view: new Proxy(intent.view, {
      get: (view, name) => {
        const value: unknown = Reflect.get(view, name, view);
        return name === "revision" ? revision : typeof value === "function" ? value.bind(view) : value;
      },
    }),
  };
  let moved = 0;
  const move = async (): Promise<void> => {
    moved += 1;
    revision += 1;
  };
  assert.deepEqual(await partInTurns(moving, host, meeting, move), wanted);
  assert.equal(moved, 3, "three times begun anew");
});

test("of ten thousand ports fewer than a hundred are compiled", () => {
  const intent = intentWith(10_000, 1);
  const [host] = intent.view.by(Host.index.name, "h1");
  assert.ok(host !== undefined);
  const meeting = { addresses: new Set(["10.0.1.11"]), ports: new Set<string>() };
  const part = atOnce(partThatMatters(intent, host, meeting));
  const ports = part.flatMap(([{ kind }, object]) => (kind === Port.kind ? [object as Port] : []));
  const pairs = ports.filter((port) => port.allowed_address_pairs.length > 0).length;
  // Each pair may bear another port's MAC, and then both are of it.
  assert.ok(ports.length - 2 * pairs < 100, `${ports.length} with ${pairs} pairs`);
});
