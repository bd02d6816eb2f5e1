/** Names of ports as a machine that asks sees them: its own project's, on the networks that it reaches, in both directions of the tree. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { viewIndexes, viewResources } from "@selvage/compiler";
import { type Change, FloatingIp, Network, Port, Replica, Router, Subnet } from "@selvage/model";
import { makeFloatingIp, makeNetwork, makePort, makeRouter, makeSubnet, put } from "@selvage/model/testing";
import { DnsType } from "@selvage/packet";
import fc from "fast-check";
import { addressOfReverse, lookUp } from "./zone.ts";

const project = { project_id: "red", dns_project: "red" };
const machine = (id: string, key: number, network: string, more: Partial<Port> = {}): Port =>
  makePort({
    id,
    key,
    network_id: network,
    mac_address: `fa:16:3e:00:00:0${key}`,
    "binding:host_id": "h1",
    fixed_ips: [
      { subnet_id: `${network}4`, ip_address: `10.0.${network === "office" ? 0 : 1}.${10 + key}` },
      { subnet_id: `${network}6`, ip_address: `2001:db8:${network === "office" ? "a" : "b"}::${key}` },
    ],
    project_id: "red",
    ...more,
  });
const subnets = (network: string, at: number): readonly Subnet[] => [
  makeSubnet({ id: `${network}4`, network_id: network, cidr: `10.0.${at}.0/24` }),
  makeSubnet({
    id: `${network}6`,
    network_id: network,
    ip_version: 6,
    cidr: `2001:db8:${at === 0 ? "a" : "b"}::/64`,
    gateway_ip: null,
  }),
];

/** An office, and a lab with a zone of its own; a router joins them, unless it is told not to. */
function world(isJoined = true, more: readonly Change[] = []): { readonly view: Replica; readonly asker: Port } {
  const asker = machine("asker", 1, "office", { ...project, dns_name: "asker" });
  const interfaceOf = (network: string, key: number) =>
    put(Port, machine(`r-${network}`, key, network, { router_id: "router", "binding:host_id": "" }));
  const view = new Replica({ resources: viewResources, indexes: viewIndexes });
  view.apply(
    [
      put(Network, makeNetwork({ id: "office", "provider:segmentation_id": 1 })),
      put(Network, makeNetwork({ id: "lab", "provider:segmentation_id": 2, dns_domain: "lab.example.org." })),
      ...[...subnets("office", 0), ...subnets("lab", 1)].map((each) => put(Subnet, each)),
      put(Port, asker),
      put(Port, machine("web", 2, "office", { ...project, dns_name: "web" })),
      put(Port, machine("foreign", 3, "office", { dns_name: "web", project_id: "blue", dns_project: "blue" })),
      put(Port, machine("plain", 4, "office")),
      put(Port, machine("bench", 5, "lab", { ...project, dns_name: "bench" })),
      put(Port, machine("own", 10, "office", { ...project, dns_name: "own", dns_domain: "example.net." })),
      put(Port, machine("whole", 6, "lab", { ...project, dns_name: "a.b.lab.example.org." })),
      ...(isJoined ? [put(Router, makeRouter({ id: "router" })), interfaceOf("office", 7), interfaceOf("lab", 8)] : []),
      ...more,
    ],
    1,
  );
  return { view, asker };
}

function asked(name: string, type: number = DnsType.any, { view, asker } = world()): readonly string[] | string {
  const found = lookUp(view, asker, { name, type, class: 1 });
  if (found.found !== "records") return found.found;
  return found.records.map(({ data }) =>
    data.kind === "address" ? data.address : data.kind === "name" ? data.name : data.kind,
  );
}

test("a name has the addresses of its port, by the type that is asked, in any case of letters", () => {
  assert.deepEqual(asked("web.openstacklocal.", DnsType.a), ["10.0.0.12"]);
  assert.deepEqual(asked("WEB.openStackLocal.", DnsType.aaaa), ["2001:db8:a::2"]);
  assert.deepEqual(asked("web.openstacklocal."), ["10.0.0.12", "2001:db8:a::2"]);
  assert.equal(asked("web.openstacklocal.", 15), "no-data");
});

test("another project's name on the same network is nobody's", () => {
  assert.deepEqual(asked("web.openstacklocal.", DnsType.a), ["10.0.0.12"], "the own one alone");
  const { view } = world();
  const blue = view.get(Port, "foreign");
  assert.ok(blue !== undefined);
  assert.deepEqual(asked("web.openstacklocal.", DnsType.a, { view, asker: blue }), ["10.0.0.13"]);
  assert.equal(asked("asker.openstacklocal.", DnsType.a, { view, asker: blue }), "no-name");
  assert.deepEqual(asked("12.0.0.10.in-addr.arpa.", DnsType.ptr, { view, asker: blue }), [
    "host-10-0-0-12.openstacklocal.",
  ]);
});

test("names are known over routers, in the zone of their own network, and not without", () => {
  assert.deepEqual(asked("bench.lab.example.org.", DnsType.a), ["10.0.1.15"]);
  assert.deepEqual(asked("a.b.lab.example.org.", DnsType.a), ["10.0.1.16"]);
  assert.deepEqual(asked("own.example.net.", DnsType.a), ["10.0.0.20"], "a port's own zone goes before its network's");
  assert.equal(asked("own.openstacklocal."), "no-name");
  assert.equal(asked("www.example.net."), "elsewhere");
  assert.deepEqual(asked("20.0.0.10.in-addr.arpa.", DnsType.ptr), ["own.example.net."]);
  assert.equal(asked("bench.openstacklocal."), "no-name", "it is another zone's");
  assert.equal(asked("web.lab.example.org."), "elsewhere", "a zone that has a name may be in the world, too");
  assert.equal(asked("bench.lab.example.org.", DnsType.a, world(false)), "elsewhere");
  assert.equal(asked("15.1.0.10.in-addr.arpa.", DnsType.ptr, world(false)), "elsewhere");
});

test("a port without a name is called by its address", () => {
  assert.deepEqual(asked("host-10-0-0-14.openstacklocal."), ["10.0.0.14"]);
  assert.deepEqual(asked("host-2001-db8-a--4.openstacklocal."), ["2001:db8:a::4"]);
  for (const name of ["host-10-0-0-99", "host-10-0-0-014", "host-", "host-10-0-1-15"])
    assert.equal(asked(`${name}.openstacklocal.`), "no-name", name);
});

test("an address has the name of its port; one of our subnets that nobody has has none, and others are others'", () => {
  assert.deepEqual(asked("12.0.0.10.in-addr.arpa.", DnsType.ptr), ["web.openstacklocal."]);
  assert.deepEqual(asked("15.1.0.10.in-addr.arpa.", DnsType.ptr), ["bench.lab.example.org."]);
  assert.deepEqual(asked("14.0.0.10.in-addr.arpa.", DnsType.ptr), ["host-10-0-0-14.openstacklocal."]);
  const six = `2.${"0.".repeat(15)}0.0.0.0.a.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.`;
  assert.deepEqual(asked(six, DnsType.ptr), ["web.openstacklocal."]);
  assert.equal(asked("12.0.0.10.in-addr.arpa.", DnsType.a), "no-data");
  assert.equal(asked("99.0.0.10.in-addr.arpa.", DnsType.ptr), "no-name");
  assert.equal(asked("1.2.0.192.in-addr.arpa.", DnsType.ptr), "elsewhere");
});

test("a zone itself is there, and says who answers for it", () => {
  assert.equal(asked("openstacklocal.", DnsType.a), "no-data");
  assert.deepEqual(asked("openstacklocal.", DnsType.soa), ["authority"]);
  assert.equal(asked("example.org.", DnsType.a), "elsewhere");
  assert.equal(asked("notopenstacklocal.", DnsType.a), "elsewhere", "a zone ends at a dot");
  assert.equal(asked(".", DnsType.ns), "elsewhere");
});

test("a floating IP's name has its address, for its own project, as long as it stands for a machine that is reached", () => {
  const floating = (port_id: string | null, dns_project = "red"): Change =>
    put(FloatingIp, makeFloatingIp({ port_id, dns_project, dns_name: "shop", dns_domain: "example.net." }));
  const shop = (change: Change, isJoined = true) => asked("shop.example.net.", DnsType.a, world(isJoined, [change]));
  const { floating_ip_address } = makeFloatingIp();
  assert.deepEqual(shop(floating("bench")), [floating_ip_address]);
  for (const found of [shop(floating("bench"), false), shop(floating(null)), shop(floating("bench", "blue"))])
    assert.equal(found, "elsewhere");
  assert.equal(asked("shop.example.net.", DnsType.aaaa, world(true, [floating("bench")])), "no-data");
});

test("several ports of a name have all their addresses", () => {
  const second = put(Port, machine("web2", 9, "office", { ...project, dns_name: "web" }));
  assert.deepEqual(asked("web.openstacklocal.", DnsType.a, world(true, [second])), ["10.0.0.12", "10.0.0.19"]);
});

test("the reverse tree is read back: each address from its name, and nothing from others", () => {
  const byte = fc.nat(255);
  fc.assert(
    fc.property(fc.tuple(byte, byte, byte, byte), (octets) => {
      const text = octets.join(".");
      assert.equal(addressOfReverse(`${[...octets].reverse().join(".")}.in-addr.arpa.`), text);
    }),
  );
  for (const name of [
    "1.2.3.in-addr.arpa.",
    "256.2.3.4.in-addr.arpa.",
    "01.2.3.4.in-addr.arpa.",
    "ip6.arpa.",
    "a.ip6.arpa.",
  ])
    assert.equal(addressOfReverse(name), undefined, name);
  assert.equal(addressOfReverse(`${"0.".repeat(31)}0.ip6.arpa.`), "::");
});
