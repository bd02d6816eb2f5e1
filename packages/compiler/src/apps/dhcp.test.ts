/** DHCP: questions go to the agent of the asking host with all that it must know, and to nobody else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { dhcpDiscover } from "@selvage/datapath/testing";
import { Subnet } from "@selvage/model";
import { makeSubnet, put, testId } from "@selvage/model/testing";
import { encode } from "@selvage/packet";
import { dhcpMac, dhcpServer } from "../dhcp.ts";
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

test("the server is at the gateway's address, or link-local without one; IPv6 and subnets without DHCP have none", () => {
  assert.deepEqual(dhcpServer(makeSubnet()), { address: "10.0.0.1", mac: dhcpMac });
  assert.deepEqual(dhcpServer(makeSubnet({ gateway_ip: null })), { address: "169.254.169.253", mac: dhcpMac });
  assert.equal(dhcpServer(makeSubnet({ enable_dhcp: false })), undefined);
  assert.equal(dhcpServer(makeSubnet({ ip_version: 6, cidr: "2001:db8::/64", gateway_ip: "2001:db8::1" })), undefined);
});
