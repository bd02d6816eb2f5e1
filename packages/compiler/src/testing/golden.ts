/**
 * Golden text: what each app makes of one small intent on host h1, kept in `packages/compiler/golden/<app>.txt` and read in review.
 * After a change that is meant, write the files anew with `UPDATE_GOLDEN=1` in the environment of the tests, and look at the difference.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  Attachment,
  type Change,
  Engine,
  HeldAddress,
  type Host,
  HostGateway,
  LearnedNeighbour,
  NdpProxy,
} from "@selvage/model";
import { makeHeldAddress, makeHostGateway, makeLearnedNeighbour, makeNdpProxy, put } from "@selvage/model/testing";
import { physicalName, type Row, rowText } from "@selvage/pipeline";
import type { App } from "../app.ts";
import { hostsOf, intentOf, type Machine, net, routedNet } from "./intent.ts";
import {
  externalChanges,
  floatingChange,
  forwardingChanges,
  gatewayChanges,
  leaseChange,
  upstream,
} from "./outside.ts";
import { anythingOut, type PolicyPlan } from "./policy.ts";
import { poolId, routerOf, scopeOf, type TestRouter } from "./routers.ts";

const onVlan = {
  "provider:network_type": "vlan",
  "provider:physical_network": "public",
  "provider:segmentation_id": 42,
  key: 0xf00001,
};

/** Addresses that move, on networks that routers join. */
const movingPairs = ["10.0.1.200", "2001:db8:1::c8", "10.0.1.208/28"].map((ip_address) => ({
  ip_address,
  mac_address: "00:00:5e:00:01:07",
}));

/** A group of each kind of rule: ports, ICMP, groups both ways, a prefix, an address group; and a stateless one. */
const policy: PolicyPlan = {
  addressGroups: { offices: ["198.51.100.0/24", "203.0.113.7/32", "2001:db8:ff::/48"] },
  groups: {
    web: {
      rules: [
        ...anythingOut,
        { direction: "ingress", protocol: "tcp", ports: [80, 81] },
        { direction: "ingress", protocol: "icmp", ports: [8, 0] },
        { direction: "ingress", version: 6, protocol: "icmpv6" },
        { direction: "ingress", protocol: "tcp", ports: [22, 22], cidr: "192.0.2.0/24" },
        { direction: "ingress", version: 6, protocol: "udp", ports: [1000, 1999], addressGroup: "offices" },
        { direction: "ingress", protocol: "132", ports: [0, 65_535], group: "data" },
      ],
    },
    data: { rules: [...anythingOut, { direction: "ingress", protocol: "tcp", ports: [5432, 5432], group: "web" }] },
    quiet: {
      stateful: false,
      rules: [
        { direction: "egress", protocol: "udp", ports: [53, 53], group: "data" },
        { direction: "ingress", protocol: "udp" },
      ],
    },
  },
};

/**
 * On h1 of three hosts (the third has not said where its tunnels end): a network of both families with ports as they come, one
 * down, one without port security, one that is not plugged; a network that is down; a network that has no machine here; one of VXLAN; and
 * security groups and address pairs on both kinds of network; networks that routers join, one of which has no machine, one address scope, and a router
 * that is none of this host's business.
 */
export function goldenRows(app: App): readonly Row[] {
  const pairs = [
    { ip_address: "10.0.0.200", mac_address: "00:00:5e:00:01:07" },
    { ip_address: "2001:db8::c8", mac_address: "00:00:5e:00:02:07" },
    { ip_address: "10.0.0.208/28", mac_address: "fa:16:3e:00:00:03" },
  ];
  const hosts = hostsOf(3).map(
    (host): Host => ({
      ...host,
      physical_networks: ["public"],
      ...(host.name === "h3" ? { tunnel_ip: null } : {}),
    }),
  );
  const plans = [
    net("blue", {
      here: "h1",
      there: "h2",
      nowhere: "h3",
      down: { host: "h1", port: { admin_state_up: false } },
      open: { host: "h1", port: { port_security_enabled: false } },
      unplugged: { host: "h1", plugged: false },
      unbound: { host: "", plugged: false },
    }),
    net(
      "dark",
      { lone: "h1" },
      { cidr6: "2001:db8:1::/64", network: { admin_state_up: false }, subnet4: { enable_dhcp: false } },
    ),
    net("far", { stranger: "h2" }),
    net("plain", { left: "h1", right: "h2" }, { network: { "provider:network_type": "vxlan" } }),
    net("guarded", {
      web: { host: "h1", groups: ["web"] },
      many: { host: "h1", groups: ["web", "quiet"] },
      quiet: { host: "h1", groups: ["quiet"] },
      tied: { host: "h1", groups: [] },
      data: { host: "h2", groups: ["data"] },
      twin: { host: "h1", port: { allowed_address_pairs: pairs } },
      sibling: { host: "h2", port: { allowed_address_pairs: pairs } },
    }),
    net(
      "guarded-plain",
      {
        webs: { host: "h1", groups: ["web"] },
        datas: { host: "h2", groups: ["data"] },
        twins: { host: "h1", port: { allowed_address_pairs: pairs } },
      },
      { network: { "provider:network_type": "vxlan" } },
    ),
    routedNet(
      1,
      "office",
      { desk: { host: "h1", port: { allowed_address_pairs: movingPairs } } },
      { subnet4: { subnetpool_id: poolId(1) }, subnet6: { ipv6_ra_mode: "slaac" } },
    ),
    routedNet(
      2,
      "lab",
      { bench: { host: "h2", port: { allowed_address_pairs: movingPairs } } },
      { network: { "provider:network_type": "vxlan", mtu: 1400 } },
    ),
    routedNet(3, "transit", {}, { subnet4: { subnetpool_id: poolId(1) } }),
    routedNet(4, "cellar", { press: "h2" }),
    routedNet(5, "attic", { lamp: "h2" }),
    net("dmz", { bastion: "h1", mail: "h2" }, { network: onVlan }),
  ];
  const { changes: made, plugged, networks, machines } = intentOf(hosts, plans, policy);
  const routers = [
    {
      number: 1,
      on: { office: 1, lab: 1, transit: 1 },
      routes: [
        { destination: "10.0.4.0/24", nexthop: "10.0.3.2" },
        { destination: "2001:db8:4::/64", nexthop: "2001:db8:3::2" },
        { destination: "198.51.100.0/24", nexthop: "10.0.3.2" },
        { destination: "198.51.100.0/24", nexthop: "10.0.3.3" },
        { destination: "10.0.2.0/24", nexthop: "10.0.3.2" },
        { destination: "192.0.2.0/24", nexthop: "203.0.113.1" },
      ],
    },
    { number: 2, on: { transit: 2, cellar: 1 } },
    { number: 3, on: { office: 3, cellar: 3 }, up: false },
    { number: 4, on: { attic: 1 } },
    { number: 5, on: { dmz: 1, attic: 5 } },
  ];
  const routed = routers.map((plan) => routerOf(plan, networks));
  const changes = [
    ...made,
    ...scopeOf(1),
    ...routed.flatMap((router) => router.changes),
    ...outsideOf(routed, machines),
  ];
  const engine = new Engine<Row>({ derivations: app.derivations({ name: "h1" }) });
  const interfaces = plugged.filter(({ host }) => host === "h1").map(({ port }) => port);
  const facts = [...interfaces, physicalName("public")].map((id) => put(Attachment, { id }));
  engine.apply([...changes, ...facts], 1);
  assert.deepEqual([...engine.quarantined.keys()], []);
  assert.deepEqual(engine.conflicts(), []);
  return [...engine.rows()];
}

/** The first router goes out by a flat external network, the fourth, which no machine here is behind, too; a network stands on a VLAN beside it. */
function outsideOf(routed: readonly TestRouter[], machines: ReadonlyMap<string, Machine>): readonly Change[] {
  const [first, , , fourth] = routed;
  const [desk, lamp] = ["desk", "lamp"].map((name) => machines.get(name));
  const held = { address: "10.0.1.200", mac: "00:00:5e:00:01:07" };
  if (first === undefined || fourth === undefined || desk === undefined || lamp === undefined) return [];
  return [
    ...externalChanges(),
    ...gatewayChanges(first),
    ...gatewayChanges(fourth),
    leaseChange(first, "h1", 1024, 128),
    leaseChange(first, "h2", 2048),
    leaseChange(fourth, "h2", 1024),
    floatingChange(1, first, desk),
    floatingChange(2, fourth, lamp),
    ...forwardingChanges(3, first, [
      [8080, desk, 80, "tcp"],
      [5353, lamp, 53, "udp"],
    ]),
    put(NdpProxy, makeNdpProxy({ router_id: first.router.id, port_id: desk.port.id, ip_address: desk.ip6 })),
    put(HeldAddress, makeHeldAddress({ network_id: desk.port.network_id, port_id: desk.port.id, ...held })),
    put(LearnedNeighbour, makeLearnedNeighbour({ mac: upstream.mac })),
    put(HostGateway, makeHostGateway({ addresses: ["203.0.113.201", "2001:db8:ff::201"] })),
  ];
}

/** Compares an app's rows with its golden file. */
export function assertGolden(app: App): void {
  const rows = goldenRows(app);
  const tables = new Set(app.tables.map(({ name }) => name));
  for (const row of rows) assert.ok(tables.has(row.table), `${app.name} may not write ${row.table}`);
  const text = `${rows.map(rowText).sort().join("\n")}\n`;
  const path = join(import.meta.dirname, "../../golden", `${app.name}.txt`);
  if (process.env.UPDATE_GOLDEN === "1") writeFileSync(path, text);
  assert.equal(text, readFileSync(path, "utf8"));
}
