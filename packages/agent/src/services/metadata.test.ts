/** The trees of metadata by path, as cloud-init walks them; and that nothing of a port's is shown under a path that is none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Network, type Port, Replica, Subnet } from "@selvage/model";
import { makeNetwork, makePort, makeSubnet, put } from "@selvage/model/testing";
import fc from "fast-check";
import { machineName } from "./machine-name.ts";
import { answerMetadata } from "./metadata.ts";

const view = new Replica();
view.apply(
  [
    put(Network, makeNetwork({ id: "net", mtu: 1442 })),
    put(Subnet, makeSubnet({ id: "four", network_id: "net", cidr: "10.0.0.0/24", dns_nameservers: ["192.0.2.53"] })),
    put(
      Subnet,
      makeSubnet({
        id: "still",
        network_id: "net",
        cidr: "10.1.0.0/16",
        enable_dhcp: false,
        gateway_ip: "10.1.0.1",
        host_routes: [{ destination: "10.2.0.0/24", nexthop: "10.1.0.9" }],
      }),
    ),
    put(
      Subnet,
      makeSubnet({
        id: "six",
        network_id: "net",
        ip_version: 6,
        cidr: "2001:db8::/64",
        gateway_ip: "2001:db8::1",
        ipv6_ra_mode: "slaac",
        ipv6_address_mode: "slaac",
      }),
    ),
  ],
  1,
);

const port = (part: Partial<Port> = {}): Port =>
  makePort({
    id: "6f7a1f0e-0000-4000-8000-000000000001",
    name: "Web 1.example",
    project_id: "red",
    network_id: "net",
    mac_address: "fa:16:3e:00:00:01",
    device_id: "0123abcd-1111-4111-8111-111111111111",
    fixed_ips: [
      { subnet_id: "four", ip_address: "10.0.0.11" },
      { subnet_id: "still", ip_address: "10.1.0.11" },
      { subnet_id: "six", ip_address: "2001:db8::11" },
    ],
    ...part,
  });

const ask = (path: string, part: Partial<Port> = {}) => {
  const { status, type, body } = answerMetadata(view, port(part), path);
  return { status, type, text: new TextDecoder().decode(body) };
};
const read = (path: string, part: Partial<Port> = {}): unknown => {
  const { status, type, text } = ask(path, part);
  assert.deepEqual([status, type], [200, "application/json"], path);
  return JSON.parse(text);
};

test("OpenStack's documents are the port's own", () => {
  assert.deepEqual(read("/openstack/latest/meta_data.json"), {
    uuid: "0123abcd-1111-4111-8111-111111111111",
    name: "Web 1.example",
    hostname: "web-1",
    project_id: "red",
    launch_index: 0,
    meta: {},
    devices: [],
  });
  assert.deepEqual(read("/openstack/2018-08-27/network_data.json"), {
    links: [
      {
        id: "tap6f7a1f0e-00",
        vif_id: "6f7a1f0e-0000-4000-8000-000000000001",
        type: "ovs",
        ethernet_mac_address: "fa:16:3e:00:00:01",
        mtu: 1442,
      },
    ],
    networks: [
      { id: "network0", link: "tap6f7a1f0e-00", network_id: "net", type: "ipv4_dhcp" },
      {
        id: "network1",
        link: "tap6f7a1f0e-00",
        network_id: "net",
        type: "ipv4",
        ip_address: "10.1.0.11",
        netmask: "255.255.0.0",
        routes: [
          { network: "0.0.0.0", netmask: "0.0.0.0", gateway: "10.1.0.1" },
          { network: "10.2.0.0", netmask: "255.255.255.0", gateway: "10.1.0.9" },
        ],
      },
      { id: "network2", link: "tap6f7a1f0e-00", network_id: "net", type: "ipv6_slaac" },
    ],
    services: [{ type: "dns", address: "192.0.2.53" }],
  });
  assert.deepEqual(read("/openstack/latest/vendor_data.json"), {});
});

test("a port of no server is its own, and one without a name is called by its address", () => {
  const meta = read("/openstack/latest/meta_data.json", { device_id: "", name: "" }) as Record<string, unknown>;
  assert.deepEqual([meta.uuid, meta.name], ["6f7a1f0e-0000-4000-8000-000000000001", "host-10-0-0-11"]);
});

test("EC2's tree says what a port knows, and lists only what it has", () => {
  assert.match(ask("/").text, /^1\.0\n.*\nlatest$/s);
  assert.equal(ask("/latest/").text, "meta-data/");
  const list = ask("/latest/meta-data/").text.split("\n");
  assert.ok(list.includes("local-ipv4") && list.includes("ipv6"));
  for (const each of list) assert.equal(ask(`/2009-04-04/meta-data/${each}`).status, 200, each);
  assert.equal(ask("/latest/meta-data/local-ipv4").text, "10.0.0.11");
  assert.equal(ask("/latest/meta-data/instance-id").text, "i-0123abcd");
  const bare = { fixed_ips: [] };
  assert.equal(ask("/latest/meta-data/local-ipv4", bare).status, 404);
  assert.ok(!ask("/latest/meta-data", bare).text.includes("local-ipv4"));
});

test("user data come as the bytes that they are, in both trees, and where there are none there is no such path", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, n) => n);
  const user_data = Buffer.from(bytes).toString("base64");
  for (const path of ["/openstack/latest/user_data", "/latest/user-data", "/latest/user-data/"]) {
    assert.deepEqual(Uint8Array.from(answerMetadata(view, port({ user_data }), path).body), bytes);
    assert.equal(ask(path).status, 404);
  }
  assert.ok(ask("/openstack/latest/", { user_data }).text.includes("user_data"));
  assert.ok(!ask("/openstack/latest/").text.includes("user_data"));
});

test("a query and a last slash count for nothing, and what is no path of the trees is not there", () => {
  assert.equal(ask("/latest/meta-data/mac/?x=1#y").text, "fa:16:3e:00:00:01");
  for (const path of [
    "/openstack/1999-01-01/meta_data.json",
    "/latest/meta-data/constructor",
    "/openstack/latest/constructor",
    "/openstack/latest/toString",
    "/openstack/latest/__proto__",
    "/openstack/latest/meta_data.json/constructor",
    "/latest/meta-data/mac/more",
  ])
    assert.equal(ask(path).status, 404, path);
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom("openstack", "latest", "meta-data", "..", "__proto__", "valueOf", "", "user_data", "x")),
      (parts) => {
        const { status, text } = ask(`/${parts.join("/")}`, { user_data: "" });
        assert.ok(status === 200 || (status === 404 && text === "Not Found\n"));
      },
    ),
  );
});

test("a machine's name is one that a host can have, whatever its port is called", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 255 }), (name) => {
      assert.match(machineName(port({ name })), /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
    }),
  );
  const fixed_ips = [{ subnet_id: "six", ip_address: "2001:db8::" }];
  assert.equal(machineName(port({ name: "", fixed_ips })), "host-2001-db8");
  assert.equal(machineName(port({ name: "Web server", dns_name: "www.shop" })), "www", "as others are told of it");
});
