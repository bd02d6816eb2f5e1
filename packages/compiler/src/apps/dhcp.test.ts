/** DHCP: questions go to the agent of the asking host with all that it must know, and to nobody else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { dhcp6Solicit, dhcpDiscover } from "@selvage/datapath/testing";
import { linkLocalOf, macOf, Subnet, textOfIp } from "@selvage/model";
import { makeSubnet, put, testId } from "@selvage/model/testing";
import { encode } from "@selvage/packet";
import { dhcp6Mode, dhcpMac, dhcpServer } from "../dhcp.ts";
import { fabric } from "../testing/fabric.ts";
import { net } from "../testing/intent.ts";

const blue = net("blue", { a: "h1", b: "h1", c: "h2" });

test("a discover is punted with its port, its network and the frame as it came, and goes to nobody", async () => {
  const world = await fabric({ hosts: 2 }, blue, net("red", { x: "h1" }));
  for (const [name, key] of [
    ["a", 1],
    ["x", 2],
  ] as const) {
    const { mac, port } = world.machine(name);
    const frame = dhcpDiscover(mac, 7);
    const journey = world.send(name, frame);
    assert.deepEqual(journey.punts, [
      { kind: "dhcp4", attachment: port.id, net: key, srcPort: port.key, vrf: 0, frame },
    ]);
    assert.deepEqual(journey.delivered, []);
    assert.equal(journey.crossed, 0);
  }
});

test("a renewal, by unicast from the address that was leased, is punted too", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const a = world.machine("a");
  const frame = encode({
    eth: { src: a.mac, dst: dhcpMac },
    ipv4: { src: a.ip4, dst: "10.0.0.1" },
    udp: { src: 68, dst: 67 },
    dhcp: { op: "request", xid: 1, chaddr: a.mac, ciaddr: a.ip4, options: { messageType: "request" } },
  });
  const [punt] = world.send("a", frame).punts;
  assert.equal(punt?.kind, "dhcp4");
});

test("a network without a DHCP subnet leaves questions to its own machines", async () => {
  for (const plan of [
    net("blue", { a: "h1", b: "h2" }, { subnet4: { enable_dhcp: false } }),
    net(
      "blue",
      { a: { host: "h1", port: { port_security_enabled: false } }, b: "h2" },
      { cidr6: "2001:db8::/64", subnet4: { enable_dhcp: false } },
    ),
  ]) {
    const world = await fabric({ hosts: 2 }, plan);
    const journey = world.send("a", dhcpDiscover(world.machine("a").mac, 1));
    assert.deepEqual(journey.punts, []);
    assert.deepEqual(journey.delivered, ["b"]);
  }
});

test("DHCP follows its subnet, on and off", async () => {
  const world = await fabric({ hosts: 2 }, blue);
  const frame = dhcpDiscover(world.machine("a").mac, 1);
  const subnet = makeSubnet({ id: testId("subnet", 2) });
  for (const on of [false, true]) {
    world.change([put(Subnet, { ...subnet, enable_dhcp: on })]);
    assert.equal(world.send("a", frame).punts.length, on ? 1 : 0);
  }
});

const modes = [null, "dhcpv6-stateful", "dhcpv6-stateless", "slaac"] as const;
const linkLocal = (mac: string): string => textOfIp(linkLocalOf(macOf(mac)));

test("a DHCPv6 question from a machine's link-local address is punted as it came, from policed ports too, and goes to nobody", async () => {
  const policed = { host: "h1", groups: ["none"] };
  for (const subnet6 of [
    {},
    { ipv6_address_mode: "dhcpv6-stateful" },
    { ipv6_address_mode: "dhcpv6-stateless" },
  ] as const) {
    const plan = net("blue", { a: "h1", b: "h1", c: "h2", d: policed }, { cidr6: "2001:db8::/64", subnet6 });
    const world = await fabric({ hosts: 2, policy: { groups: { none: { rules: [] } } } }, plan);
    for (const name of ["a", "d"]) {
      const { mac, port } = world.machine(name);
      const frame = dhcp6Solicit({ mac }, linkLocal(mac), 7);
      const journey = world.send(name, frame);
      assert.deepEqual(journey.punts, [
        { kind: "dhcp6", attachment: port.id, net: 1, srcPort: port.key, vrf: 0, frame },
      ]);
      assert.deepEqual([journey.delivered, journey.crossed, journey.drops], [[], 0, []]);
    }
  }
});

test("a network whose addresses come otherwise leaves DHCPv6 questions to its machines, and nobody asks as another", async () => {
  const slaac = { ipv6_address_mode: "slaac", ipv6_ra_mode: "slaac" } as const;
  for (const subnet6 of [slaac, { enable_dhcp: false }, { ipv6_ra_mode: "dhcpv6-stateful" }] as const) {
    const world = await fabric({ hosts: 2 }, net("blue", { a: "h1", b: "h2" }, { subnet6 }));
    const [a, b] = [world.machine("a"), world.machine("b")];
    const journey = world.send("a", dhcp6Solicit(a, linkLocal(a.mac), 1));
    assert.deepEqual([journey.punts, journey.delivered], [[], ["b"]]);
    assert.deepEqual(world.send("a", dhcp6Solicit(a, linkLocal(b.mac), 1)).drops, ["anti-spoof-ip"]);
  }
});

test("which subnets DHCPv6 serves is for the mode of addresses, and without any mode it is served to who asks", () => {
  const modeOf = (at: number, ra: (typeof modes)[number]) =>
    dhcp6Mode(
      makeSubnet({ ip_version: 6, cidr: "2001:db8::/64", ipv6_address_mode: modes[at] ?? null, ipv6_ra_mode: ra }),
    );
  assert.deepEqual(
    modes.map((ra) => modes.map((_, at) => modeOf(at, ra))),
    [
      ["stateful", "stateful", "stateless", undefined],
      [undefined, "stateful", "stateless", undefined],
      [undefined, "stateful", "stateless", undefined],
      [undefined, "stateful", "stateless", undefined],
    ],
  );
  assert.equal(dhcp6Mode(makeSubnet()), undefined);
  assert.equal(dhcp6Mode(makeSubnet({ ip_version: 6, cidr: "2001:db8::/64", enable_dhcp: false })), undefined);
});

test("the server is at the gateway's address, or link-local without one; IPv6 and subnets without DHCP have none", () => {
  assert.deepEqual(dhcpServer(makeSubnet(), "geneve"), { address: "10.0.0.1", mac: dhcpMac });
  // A router outside has the gateway's address itself.
  assert.deepEqual(dhcpServer(makeSubnet(), "physical"), { address: "169.254.169.253", mac: dhcpMac });
  assert.deepEqual(dhcpServer(makeSubnet({ gateway_ip: null }), "vxlan"), { address: "169.254.169.253", mac: dhcpMac });
  assert.equal(dhcpServer(makeSubnet({ enable_dhcp: false }), "geneve"), undefined);
  assert.equal(
    dhcpServer(makeSubnet({ ip_version: 6, cidr: "2001:db8::/64", gateway_ip: "2001:db8::1" }), "geneve"),
    undefined,
  );
});
