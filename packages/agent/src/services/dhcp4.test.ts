/** DHCPv4 as a client meets it: RFC 2131's tables message by message, with real codecs on both sides. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { dhcpMac } from "@selvage/compiler";
import { Network, type Port, Port as Ports, Replica, Subnet } from "@selvage/model";
import { makeNetwork, makePort, makeSubnet, put } from "@selvage/model/testing";
import { type Dhcp, type DhcpSpec, decode, encode, type Packet, UdpPort } from "@selvage/packet";
import fc from "fast-check";
import type { Answer } from "./answer.ts";
import { answerDhcp4 } from "./dhcp4.ts";

const mac = "fa:16:3e:00:00:01";
const other = "fa:16:3e:00:00:02";
const settings = { leaseTime: 86_400 };

function viewOf(port: Partial<Port> = {}, subnet: Partial<Subnet> = {}, more: readonly Subnet[] = []): Replica {
  const view = new Replica();
  view.apply(
    [
      put(Network, makeNetwork({ id: "net", mtu: 1434 })),
      put(Subnet, makeSubnet({ id: "sub", network_id: "net", dns_nameservers: ["10.0.0.53"], ...subnet })),
      ...more.map((each) => put(Subnet, each)),
      put(
        Ports,
        makePort({
          id: "port",
          key: 7,
          network_id: "net",
          mac_address: mac,
          fixed_ips: [{ subnet_id: "sub", ip_address: "10.0.0.11" }],
          ...port,
        }),
      ),
    ],
    1,
  );
  return view;
}

interface Question extends Partial<DhcpSpec> {
  readonly from?: string;
}

function ask(
  view: Replica,
  question: Question,
  more: { readonly srcPort?: number; readonly domainName?: string } = {},
): Answer {
  const { from = mac, ...dhcp } = question;
  const ciaddr = dhcp.ciaddr ?? "0.0.0.0";
  const frame = encode({
    eth: { src: from, dst: "ff:ff:ff:ff:ff:ff" },
    ipv4: { src: ciaddr, dst: "255.255.255.255" },
    udp: { src: UdpPort.dhcpClient, dst: UdpPort.dhcpServer },
    dhcp: { op: "request", xid: 0xdeadbeef, chaddr: mac, options: {}, ...dhcp },
  });
  const punt = { kind: "dhcp4", attachment: "port", net: 1, vrf: 0, srcPort: more.srcPort ?? 7, frame } as const;
  return answerDhcp4(view, punt, {
    ...settings,
    ...(more.domainName === undefined ? {} : { domainName: more.domainName }),
  });
}

interface Received {
  readonly packet: Packet;
  readonly dhcp: Dhcp;
}

function received(answer: Answer): Received {
  assert.equal(answer.answer, "reply", JSON.stringify(answer));
  const decoded = decode((answer.answer === "reply" ? answer.frames[0] : undefined) ?? new Uint8Array());
  assert.ok(decoded.ok && decoded.packet.dhcp !== undefined);
  return { packet: decoded.packet, dhcp: decoded.packet.dhcp };
}

const unanswered = (answer: Answer): void => assert.notEqual(answer.answer, "reply");

test("a discover is offered the port's address with all that a client needs, to the address that it is given", () => {
  const { packet, dhcp } = received(ask(viewOf(), { options: { messageType: "discover" } }));
  assert.deepEqual([packet.eth.src, packet.eth.dst], [dhcpMac, mac]);
  assert.deepEqual([packet.ipv4?.src, packet.ipv4?.dst], ["10.0.0.1", "10.0.0.11"]);
  assert.deepEqual([packet.udp?.src, packet.udp?.dst], [67, 68]);
  assert.deepEqual([dhcp.op, dhcp.xid, dhcp.yiaddr, dhcp.chaddr], ["reply", 0xdeadbeef, "10.0.0.11", mac]);
  assert.deepEqual(dhcp.options, {
    messageType: "offer",
    serverId: "10.0.0.1",
    leaseTime: 86_400,
    renewalTime: 43_200,
    rebindingTime: 75_600,
    mtu: 1434,
    subnetMask: "255.255.255.0",
    routers: ["10.0.0.1"],
    dnsServers: ["10.0.0.53"],
    domainName: "openstacklocal",
    broadcastAddress: "10.0.0.255",
  });
});

test("who cannot take unicast yet is answered by broadcast", () => {
  const { packet, dhcp } = received(ask(viewOf(), { broadcast: true, options: { messageType: "discover" } }));
  assert.deepEqual([packet.eth.dst, packet.ipv4?.dst, dhcp.broadcast], ["ff:ff:ff:ff:ff:ff", "255.255.255.255", true]);
});

test("a request in each state: selecting, rebooting, renewing, rebinding; right ones get an ack, wrong ones a nak", () => {
  const serverId = "10.0.0.1";
  const right = "10.0.0.11";
  const wrong = "10.0.0.99";
  const cases: readonly (readonly [Question, "ack" | "nak" | undefined])[] = [
    [{ options: { messageType: "request", serverId, requestedAddress: right } }, "ack"],
    [{ options: { messageType: "request", serverId, requestedAddress: wrong } }, "nak"],
    [{ options: { messageType: "request", serverId } }, "nak"],
    [{ options: { messageType: "request", serverId: "10.0.0.2", requestedAddress: right } }, undefined],
    [{ options: { messageType: "request", requestedAddress: right } }, "ack"],
    [{ options: { messageType: "request", requestedAddress: wrong } }, "nak"],
    [{ ciaddr: right, options: { messageType: "request" } }, "ack"],
    [{ ciaddr: wrong, options: { messageType: "request" } }, "nak"],
    [{ options: { messageType: "request" } }, undefined],
    [{ ciaddr: right, options: { messageType: "request", requestedAddress: right } }, undefined],
  ];
  for (const [question, expected] of cases) {
    const answer = ask(viewOf(), question);
    const got = answer.answer === "reply" ? received(answer).dhcp.options.messageType : undefined;
    assert.equal(got, expected, JSON.stringify(question));
  }
});

test("a renewal is answered where the client is, a nak to all with nothing else in it", () => {
  const renewed = received(ask(viewOf(), { ciaddr: "10.0.0.11", options: { messageType: "request" } }));
  assert.deepEqual([renewed.packet.ipv4?.dst, renewed.packet.eth.dst], ["10.0.0.11", mac]);
  assert.deepEqual([renewed.dhcp.ciaddr, renewed.dhcp.yiaddr], ["10.0.0.11", "10.0.0.11"]);
  const nak = received(ask(viewOf(), { ciaddr: "10.9.9.9", options: { messageType: "request" } }));
  assert.deepEqual([nak.packet.ipv4?.dst, nak.packet.eth.dst], ["255.255.255.255", "ff:ff:ff:ff:ff:ff"]);
  assert.deepEqual(
    [nak.dhcp.yiaddr, Object.keys(nak.dhcp.options).sort()],
    ["0.0.0.0", ["message", "messageType", "serverId"]],
  );
});

test("an inform gets options and no lease; release and decline get nothing", () => {
  const { dhcp, packet } = received(ask(viewOf(), { ciaddr: "10.0.0.77", options: { messageType: "inform" } }));
  assert.deepEqual([dhcp.yiaddr, dhcp.options.messageType, packet.ipv4?.dst], ["0.0.0.0", "ack", "10.0.0.77"]);
  assert.equal("leaseTime" in dhcp.options, false);
  unanswered(ask(viewOf(), { ciaddr: "10.0.0.11", options: { messageType: "release" } }));
  assert.equal(ask(viewOf(), { options: { messageType: "decline", requestedAddress: "10.0.0.11" } }).answer, "notice");
  for (const messageType of ["offer", "ack", "nak"] as const) unanswered(ask(viewOf(), { options: { messageType } }));
});

test("what was asked for is sent, and the MTU always", () => {
  const options = (parameterRequest: readonly number[], domainName?: string) =>
    received(
      ask(
        viewOf(),
        { options: { messageType: "discover", parameterRequest } },
        domainName === undefined ? {} : { domainName },
      ),
    ).dhcp.options;
  assert.deepEqual(Object.keys(options([])).sort(), [
    "leaseTime",
    "messageType",
    "mtu",
    "rebindingTime",
    "renewalTime",
    "serverId",
  ]);
  assert.deepEqual(options([1, 3, 15], "blue.example").domainName, "blue.example");
  assert.equal(options([1, 3], "blue.example").domainName, undefined);
  assert.deepEqual(options([3]).routers, ["10.0.0.1"]);
  assert.equal(options([3]).subnetMask, undefined);
});

test("without servers of names a subnet's machines are told this host's resolver, and the zone of their network", () => {
  const { dhcp } = received(ask(viewOf({}, { dns_nameservers: [] }), { options: { messageType: "discover" } }));
  assert.deepEqual([dhcp.options.dnsServers, dhcp.options.domainName], [["169.254.169.252"], "openstacklocal"]);
  const asked = { options: { messageType: "discover", parameterRequest: [6, 15] } } as const;
  const said = received(ask(viewOf({}, { dns_nameservers: ["2001:db8::53"] }), asked)).dhcp.options;
  assert.deepEqual([said.dnsServers, said.domainName], [["169.254.169.252"], "openstacklocal"]);
});

test("routes go in option 121, the default one among them, for who takes 121 ignores 3", () => {
  const host_routes = [
    { destination: "10.1.0.0/16", nexthop: "10.0.0.5" },
    { destination: "2001:db8::/32", nexthop: "fe80::1" },
  ];
  const routesOf = (subnet: Partial<Subnet>) =>
    received(ask(viewOf({}, subnet), { options: { messageType: "discover" } })).dhcp.options.classlessRoutes;
  assert.deepEqual(routesOf({ host_routes }), [
    { destination: "10.1.0.0/16", gateway: "10.0.0.5" },
    { destination: "0.0.0.0/0", gateway: "10.0.0.1" },
  ]);
  const own = [{ destination: "0.0.0.0/0", nexthop: "10.0.0.7" }];
  assert.deepEqual(routesOf({ host_routes: own }), [{ destination: "0.0.0.0/0", gateway: "10.0.0.7" }]);
  assert.equal(routesOf({ host_routes: [] }), undefined);
});

test("a subnet without gateway has no router, and is served from a link-local address", () => {
  const { dhcp, packet } = received(ask(viewOf({}, { gateway_ip: null }), { options: { messageType: "discover" } }));
  assert.equal(dhcp.options.routers, undefined);
  assert.deepEqual([dhcp.options.serverId, packet.ipv4?.src], ["169.254.169.253", "169.254.169.253"]);
  const onLink = ["169.254.169.254/32", "169.254.169.252/32"].map((destination) => ({
    destination,
    gateway: "0.0.0.0",
  }));
  assert.deepEqual(dhcp.options.classlessRoutes, onLink, "the host's services are on its link");
});

test("on a physical network the gateway is whoever is outside: the host's services are on the link, and the default route is told with them", () => {
  const view = viewOf();
  view.apply([put(Network, makeNetwork({ id: "net", "provider:network_type": "flat" }))], 2);
  const { dhcp } = received(ask(view, { options: { messageType: "discover" } }));
  assert.deepEqual([dhcp.options.serverId, dhcp.options.routers], ["169.254.169.253", ["10.0.0.1"]]);
  assert.deepEqual(dhcp.options.classlessRoutes, [
    { destination: "169.254.169.254/32", gateway: "0.0.0.0" },
    { destination: "169.254.169.252/32", gateway: "0.0.0.0" },
    { destination: "0.0.0.0/0", gateway: "10.0.0.1" },
  ]);
});

test("the first address on a subnet with DHCP is the one that is given; without one there is silence", () => {
  const off = makeSubnet({
    id: "off",
    network_id: "net",
    cidr: "10.5.0.0/24",
    gateway_ip: "10.5.0.1",
    enable_dhcp: false,
  });
  const six = makeSubnet({
    id: "six",
    network_id: "net",
    ip_version: 6,
    cidr: "2001:db8::/64",
    gateway_ip: "2001:db8::1",
  });
  const fixed_ips = [
    { subnet_id: "off", ip_address: "10.5.0.9" },
    { subnet_id: "six", ip_address: "2001:db8::9" },
    { subnet_id: "sub", ip_address: "10.0.0.12" },
  ];
  const view = viewOf({ fixed_ips }, {}, [off, six]);
  assert.equal(received(ask(view, { options: { messageType: "discover" } })).dhcp.yiaddr, "10.0.0.12");
  unanswered(
    ask(viewOf({ fixed_ips: fixed_ips.slice(0, 2) }, {}, [off, six]), { options: { messageType: "discover" } }),
  );
  unanswered(ask(viewOf({ fixed_ips: [] }), { options: { messageType: "discover" } }));
});

test("who asks is the interface: another's hardware address, another port's key, a relay agent get nothing", () => {
  const discover = { options: { messageType: "discover" } } as const;
  assert.equal(ask(viewOf(), { chaddr: other, ...discover }).answer, "notice");
  unanswered(ask(viewOf(), { giaddr: "10.0.0.200", ...discover }));
  unanswered(ask(viewOf(), discover, { srcPort: 8 }));
  unanswered(ask(new Replica(), discover));
});

test("a client's identifier comes back to it (RFC 6842)", () => {
  const { dhcp } = received(ask(viewOf(), { options: { messageType: "discover", clientId: "01fa163e000001" } }));
  assert.equal(dhcp.options.clientId, "01fa163e000001");
});

test("no bytes whatever make it throw, and none that say another hardware address make it speak", () => {
  const view = viewOf();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (frame) => {
      const answer = answerDhcp4(
        view,
        { kind: "dhcp4", attachment: "port", net: 1, vrf: 0, srcPort: 7, frame },
        settings,
      );
      assert.notEqual(answer.answer, "reply");
    }),
  );
});
