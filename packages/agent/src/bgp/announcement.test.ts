/** What a host announces, of what its switch takes and of what it knows: for whom, by which address, and what never. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostEngine } from "@selvage/compiler";
import {
  AddressScope,
  Attachment,
  BgpPeer,
  BgpSpeaker,
  type Change,
  FloatingIp,
  Host,
  HostGateway,
  NatLease,
  Network,
  Port,
  PortForwarding,
  Router,
  Subnet,
  Subnetpool,
} from "@selvage/model";
import {
  makeAddressScope,
  makeBgpPeer,
  makeBgpSpeaker,
  makeExternalNetwork,
  makeFloatingIp,
  makeHost,
  makeHostGateway,
  makeNatLease,
  makePort,
  makePortForwarding,
  makeRouter,
  makeSubnet,
  makeSubnetpool,
  put,
  testId,
  testMac,
} from "@selvage/model/testing";
import { ExtIn, physicalName, row } from "@selvage/pipeline";
import { type Announcement, announcementsOf, type Taken, takenBy } from "./announcement.ts";

const external = makeExternalNetwork();
const net = external.key ?? 0;
const floating = makeFloatingIp();
const address = floating.floating_ip_address;
const router = makeRouter();
const pool = makeSubnetpool({ address_scope_id: testId("address scope", 1) });
const open = makeSubnet({ id: testId("subnet", 8), cidr: "10.8.0.0/24", subnetpool_id: pool.id });
const closed = makeSubnet({ id: testId("subnet", 9), cidr: "10.9.0.0/24", subnetpool_id: null });

const known: readonly Change[] = [
  put(Host, makeHost()),
  put(Network, external),
  put(AddressScope, makeAddressScope({ id: testId("address scope", 1) })),
  put(Subnetpool, pool),
  put(Subnet, open),
  put(Subnet, closed),
  put(Router, router),
  put(
    Port,
    makePort({
      router_id: router.id,
      fixed_ips: [
        { subnet_id: open.id, ip_address: "10.8.0.1" },
        { subnet_id: closed.id, ip_address: "10.9.0.1" },
      ],
    }),
  ),
  put(FloatingIp, floating),
  put(BgpPeer, makeBgpPeer()),
  put(BgpSpeaker, makeBgpSpeaker({ networks: [external.id] })),
  put(HostGateway, makeHostGateway({ network_id: external.id, addresses: ["203.0.113.201", "2001:db8:ff::201"] })),
];

const all: readonly Taken[] = [
  { net, prefix: `${address}/32` },
  { net, prefix: "203.0.113.9/32" },
  { net: net + 1, prefix: "203.0.113.8/32" },
  { net, prefix: "10.8.0.0/24", vrf: router.key },
  { net, prefix: "10.9.0.0/24", vrf: router.key },
  { net, prefix: "10.8.0.0/24", vrf: router.key + 1 },
  { net, prefix: "2001:db8:8::/64", vrf: router.key },
];

function announced(...more: readonly Change[]): readonly Announcement[] {
  const engine = hostEngine({ name: "h1" });
  engine.apply([...known, ...more], 1);
  return announcementsOf(engine.view, "h1", all);
}

const routesOf = (...more: readonly Change[]) => announced(...more).map(({ routes }) => Object.fromEntries(routes));

test("floating IPs and prefixes of an address scope are announced by the host's own address of the family; what is not known or has no scope is not", () => {
  assert.deepEqual(announced(), [
    {
      ...{ speaker: makeBgpSpeaker().id, localAs: 64512, version: 4 },
      peers: [{ address: "203.0.113.1", remoteAs: 64513, secret: null }],
      routes: new Map([
        [`${address}/32`, "203.0.113.201"],
        ["10.8.0.0/24", "203.0.113.201"],
      ]),
    },
  ]);
});

test("a speaker's own words decide which of them", () => {
  const speaker = makeBgpSpeaker({ networks: [external.id] });
  assert.deepEqual(routesOf(put(BgpSpeaker, { ...speaker, advertise_tenant_networks: false })), [
    { [`${address}/32`]: "203.0.113.201" },
  ]);
  assert.deepEqual(routesOf(put(BgpSpeaker, { ...speaker, advertise_floating_ip_host_routes: false })), [
    { "10.8.0.0/24": "203.0.113.201" },
  ]);
});

test("IPv6 leads to the host's IPv6 address", () => {
  const subnet = makeSubnet({
    ...{ id: testId("subnet", 6), ip_version: 6 },
    cidr: "2001:db8:8::/64",
    subnetpool_id: pool.id,
  });
  const port = makePort({ router_id: router.id, fixed_ips: [{ subnet_id: subnet.id, ip_address: "2001:db8:8::1" }] });
  const speaker = put(BgpSpeaker, makeBgpSpeaker({ ip_version: 6, networks: [external.id] }));
  assert.deepEqual(routesOf(put(Subnet, subnet), put(Port, port), speaker), [
    { "2001:db8:8::/64": "2001:db8:ff::201" },
  ]);
});

test("nobody speaks who has no address there, or nobody to tell", () => {
  assert.deepEqual(announced(put(BgpSpeaker, makeBgpSpeaker({ networks: [] }))), []);
  assert.deepEqual(announced(put(BgpSpeaker, makeBgpSpeaker({ networks: [external.id], peers: [] }))), []);
  const gateway = makeHostGateway({ network_id: external.id });
  assert.deepEqual(announced(put(HostGateway, { ...gateway, addresses: ["2001:db8:ff::201"] })), []);
  assert.deepEqual(announced(put(HostGateway, { ...gateway, host_id: testId("host", 2) })), []);
});

test("an address of forwarded ports is announced by who sends them on to another host, as long as their router is up; a router's own is not", () => {
  const engine = hostEngine({ name: "h1" });
  const machine = makePort({ id: testId("port", 7), "binding:host_id": "h2", mac_address: testMac(7), key: 7 });
  const shared = makeFloatingIp({
    ...{ id: testId("floating", 7), floating_ip_address: "203.0.113.7" },
    ...{ port_id: null, fixed_ip_address: null },
  });
  const lease = makeNatLease({ router_id: router.id, host_id: testId("host", 2), network_id: external.id });
  const { added } = engine.apply(
    [
      ...known,
      put(Host, makeHost({ id: testId("host", 2), name: "h2", key: 2, tunnel_ip: "192.0.2.2" })),
      put(Attachment, { id: physicalName("public") }),
      put(Port, machine),
      put(FloatingIp, shared),
      put(PortForwarding, makePortForwarding({ floatingip_id: shared.id, internal_port_id: machine.id })),
      put(NatLease, lease),
    ],
    1,
  );
  const steered = added.filter(({ action }) => action === "steer");
  assert.deepEqual([...new Set(steered.map(({ key }) => key.ip4Dst))].sort(), [
    `${lease.address}/32`,
    "203.0.113.7/32",
  ]);
  const said = () => {
    const taken = steered.flatMap((each) => takenBy(each) ?? []);
    return announcementsOf(engine.view, "h1", taken).flatMap(({ routes }) => [...routes]);
  };
  assert.deepEqual(said(), [["203.0.113.7/32", "203.0.113.201"]]);
  engine.apply([put(Router, { ...router, admin_state_up: false })], 2);
  assert.deepEqual(said(), []);
});

test("rows say what the switch takes: floating addresses, forwarded ports, prefixes; not what an echo or a lease is for", () => {
  const at = { net, ethType: 0x800, ip4Dst: "203.0.113.9/32" } as const;
  const six = { net, ethType: 0x86dd, ip6Dst: "2001:db8:8::/64" } as const;
  assert.deepEqual(takenBy(row(ExtIn, at, "floating", { vrf: 7, address: "10.8.0.5" }, "floating")), {
    net,
    prefix: "203.0.113.9/32",
  });
  const forwarded = { vrf: 7, address: "10.8.0.5", port: 80 };
  const here = row(ExtIn, { ...at, ipProto: 6, tcpDst: "80/0xffff" }, "forwardedTcp", forwarded, "forwarded");
  assert.deepEqual(takenBy(here), { net, prefix: "203.0.113.9/32" });
  assert.deepEqual(takenBy(row(ExtIn, six, "plain", { vrf: 7 }, "plain")), { net, prefix: "2001:db8:8::/64", vrf: 7 });
  assert.equal(takenBy(row(ExtIn, at, "own", {}, "lease")), undefined);
  assert.equal(takenBy(row(ExtIn, { ...at, ipProto: 1, icmpType: 8 }, "echo4", {}, "echo")), undefined);
});
