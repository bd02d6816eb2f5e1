/** DHCPv6 as a client meets it: RFC 8415's exchanges message by message, with real codecs on both sides. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { dhcp6Address, dhcp6Duid, dhcpMac } from "@selvage/compiler";
import { linkLocalOf, macOf, Network, type Port, Port as Ports, Replica, Subnet, textOfIp } from "@selvage/model";
import { makeNetwork, makePort, makeSubnet, put } from "@selvage/model/testing";
import {
  type Dhcpv6,
  type Dhcpv6MessageType,
  Dhcpv6OptionCode,
  type Dhcpv6Options,
  Dhcpv6Status,
  decode,
  encode,
  type IaNa,
  multicastMac,
  type Packet,
  UdpPort,
} from "@selvage/packet";
import fc from "fast-check";
import type { Answer } from "./answer.ts";
import { answerDhcp6 } from "./dhcp6.ts";

const mac = "fa:16:3e:00:00:01";
const local = textOfIp(linkLocalOf(macOf(mac)));
const clientId = "00030001fa163e000001";
const own = "2001:db8::11";
const stateful = { ipv6_address_mode: "dhcpv6-stateful", ipv6_ra_mode: "dhcpv6-stateful" } as const;
const stateless = { ipv6_address_mode: "dhcpv6-stateless", ipv6_ra_mode: "dhcpv6-stateless" } as const;
const settings = { leaseTime: 86_400 };

function viewOf(subnet: Partial<Subnet> = stateful, port: Partial<Port> = {}, more: readonly Subnet[] = []): Replica {
  const view = new Replica();
  const six = { ip_version: 6, cidr: "2001:db8::/64", gateway_ip: "2001:db8::1" } as const;
  view.apply(
    [
      put(Network, makeNetwork({ id: "net" })),
      put(Subnet, makeSubnet({ id: "six", network_id: "net", ...six, dns_nameservers: ["2001:db8::53"], ...subnet })),
      put(Subnet, makeSubnet({ id: "four", network_id: "net", dns_nameservers: ["10.0.0.53"] })),
      ...more.map((each) => put(Subnet, each)),
      put(
        Ports,
        makePort({
          id: "port",
          key: 7,
          network_id: "net",
          mac_address: mac,
          fixed_ips: [
            { subnet_id: "four", ip_address: "10.0.0.11" },
            { subnet_id: "six", ip_address: own },
          ],
          ...port,
        }),
      ),
    ],
    1,
  );
  return view;
}

interface Envelope {
  readonly from?: string;
  readonly to?: string;
  readonly srcPort?: number;
  readonly domainName?: string;
}

function ask(view: Replica, dhcpv6: Dhcpv6, more: Envelope = {}): Answer {
  const dst = more.to ?? "ff02::1:2";
  const frame = encode({
    eth: { src: more.from ?? mac, dst: dst.startsWith("ff") ? multicastMac(dst) : dhcpMac },
    ipv6: { src: local, dst },
    udp: { src: UdpPort.dhcpv6Client, dst: UdpPort.dhcpv6Server },
    dhcpv6,
  });
  const punt = { kind: "dhcp6", attachment: "port", net: 1, vrf: 0, srcPort: more.srcPort ?? 7, frame } as const;
  return answerDhcp6(view, punt, {
    ...settings,
    ...(more.domainName === undefined ? {} : { domainName: more.domainName }),
  });
}

const message = (type: Dhcpv6MessageType, options: Dhcpv6Options = {}): Dhcpv6 => ({
  type,
  transactionId: 0xabcdef,
  options: { clientId, ...options },
});
const ia = (iaid: number, ...addresses: readonly string[]): IaNa => ({
  iaid,
  t1: 0,
  t2: 0,
  addresses: addresses.map((address) => ({ address, preferred: 0, valid: 0 })),
});

interface Received {
  readonly packet: Packet;
  readonly type: string;
  readonly transactionId: number;
  readonly options: Dhcpv6Options;
}
function received(answer: Answer): Received {
  assert.equal(answer.answer, "reply", JSON.stringify(answer));
  const decoded = decode((answer.answer === "reply" ? answer.frames[0] : undefined) ?? new Uint8Array());
  assert.ok(decoded.ok && decoded.packet.dhcpv6 !== undefined && "transactionId" in decoded.packet.dhcpv6);
  return { packet: decoded.packet, ...decoded.packet.dhcpv6 };
}
const unanswered = (answer: Answer, why = "it is not answered"): void => assert.notEqual(answer.answer, "reply", why);

test("a solicit is advertised the port's address with all that a client needs, from the link's own server", () => {
  const { packet, type, transactionId, options } = received(ask(viewOf(), message("solicit", { iaNa: [ia(1)] })));
  assert.deepEqual([packet.eth.src, packet.eth.dst], [dhcpMac, mac]);
  assert.deepEqual([packet.ipv6?.src, packet.ipv6?.dst], [dhcp6Address, local]);
  assert.deepEqual(packet.udp, { src: 547, dst: 546 });
  assert.deepEqual([type, transactionId], ["advertise", 0xabcdef]);
  assert.deepEqual(options, {
    clientId,
    serverId: dhcp6Duid,
    iaNa: [{ iaid: 1, t1: 43_200, t2: 69_120, addresses: [{ address: own, preferred: 86_400, valid: 86_400 }] }],
    dnsServers: ["2001:db8::53"],
    domainSearch: ["openstacklocal"],
  });
});

test("without servers of names a subnet's machines are told this host's resolver, on the link", () => {
  const view = viewOf({ ...stateful, dns_nameservers: ["10.0.0.53"] });
  const { options } = received(ask(view, message("information-request")));
  assert.deepEqual(options.dnsServers, ["fe80::a9fe:a9fc"]);
});

test("rapid commit makes two messages of four", () => {
  const { type, options } = received(ask(viewOf(), message("solicit", { iaNa: [ia(1)], rapidCommit: true })));
  assert.deepEqual([type, options.rapidCommit, options.iaNa?.[0]?.addresses[0]?.address], ["reply", true, own]);
  const none = received(ask(viewOf(stateless), message("solicit", { iaNa: [ia(1)], rapidCommit: true })));
  assert.deepEqual([none.type, none.options.rapidCommit], ["advertise", undefined], "there is nothing to commit");
});

test("a request, a renewal and a rebinding are bound to the port's address, and to no other", () => {
  const serverId = dhcp6Duid;
  const addressesOf = (dhcpv6: Dhcpv6) =>
    received(ask(viewOf(), dhcpv6)).options.iaNa?.map((each) => [
      each.status?.code,
      ...each.addresses.map(({ address, valid }) => [address, valid]),
    ]);
  for (const iaNa of [[ia(1)], [ia(1, own)], [ia(1, "2001:db8::99")]])
    assert.deepEqual(addressesOf(message("request", { serverId, iaNa })), [[undefined, [own, 86_400]]]);
  assert.deepEqual(addressesOf(message("request", { serverId, iaNa: [ia(1, "2001:db8:1::9")] })), [
    [Dhcpv6Status.notOnLink],
  ]);
  for (const [type, more] of [
    ["renew", { serverId }],
    ["rebind", {}],
  ] as const) {
    assert.deepEqual(addressesOf(message(type, { ...more, iaNa: [ia(1, own)] })), [[undefined, [own, 86_400]]]);
    assert.deepEqual(
      addressesOf(message(type, { ...more, iaNa: [ia(1, "2001:db8::99")] })),
      [[undefined, [own, 86_400], ["2001:db8::99", 0]]],
      "what is not its own ends, and its own takes the place",
    );
  }
});

test("a second association has the addresses that it names, and else none", () => {
  const two = viewOf(stateful, {
    fixed_ips: [
      { subnet_id: "six", ip_address: own },
      { subnet_id: "six", ip_address: "2001:db8::12" },
    ],
  });
  const shares = (...iaNa: readonly IaNa[]) =>
    received(ask(two, message("solicit", { iaNa }))).options.iaNa?.map((each) =>
      each.addresses.map(({ address }) => address),
    );
  assert.deepEqual(shares(ia(1), ia(2)), [[own, "2001:db8::12"], []]);
  assert.deepEqual(shares(ia(1), ia(2, "2001:db8::12")), [[own], ["2001:db8::12"]]);
  const { options } = received(ask(viewOf(), message("solicit", { iaNa: [ia(1), ia(2)] })));
  assert.equal(options.iaNa?.[1]?.status?.code, Dhcpv6Status.noAddrsAvail);
});

test("what a client still has is confirmed when it is the port's own", () => {
  const status = (...iaNa: readonly IaNa[]) =>
    received(ask(viewOf(), message("confirm", { iaNa }))).options.status?.code;
  assert.equal(status(ia(1, own)), Dhcpv6Status.success);
  assert.equal(status(ia(1, own, "2001:db8::99")), Dhcpv6Status.notOnLink);
  unanswered(ask(viewOf(), message("confirm", { iaNa: [ia(1)] })), "a question about nothing");
});

test("release and decline are taken note of, and change nothing; of what is not the port's there is no binding", () => {
  for (const type of ["release", "decline"] as const) {
    const { options } = received(
      ask(viewOf(), message(type, { serverId: dhcp6Duid, iaNa: [ia(1, own), ia(2, "::9")] })),
    );
    assert.equal(options.status?.code, Dhcpv6Status.success);
    assert.deepEqual(
      options.iaNa?.map(({ iaid, status }) => [iaid, status?.code]),
      [[2, Dhcpv6Status.noBinding]],
    );
  }
});

test("a stateless subnet tells all but addresses, and gives none", () => {
  const view = viewOf(stateless);
  const { type, options } = received(
    ask(
      view,
      { type: "information-request", transactionId: 5, options: { requested: [23, 24, 32] } },
      {
        domainName: "blue.example",
      },
    ),
  );
  assert.equal(type, "reply");
  assert.deepEqual(options, {
    serverId: dhcp6Duid,
    dnsServers: ["2001:db8::53"],
    domainSearch: ["blue.example"],
    other: [{ code: 32, data: Uint8Array.of(0, 1, 0x51, 0x80) }],
  });
  const solicited = received(ask(view, message("solicit", { iaNa: [ia(1)] })));
  assert.equal(solicited.options.iaNa?.[0]?.status?.code, Dhcpv6Status.noAddrsAvail);
  assert.deepEqual(solicited.options.iaNa?.[0]?.addresses, []);
});

test("what was asked for is sent, and no more", () => {
  const options = (...requested: readonly number[]) =>
    Object.keys(received(ask(viewOf(), message("information-request", { requested }), { domainName: "a.b" })).options);
  assert.deepEqual(options(Dhcpv6OptionCode.domainSearch), ["clientId", "serverId", "domainSearch"]);
  assert.deepEqual(options(Dhcpv6OptionCode.dnsServers), ["clientId", "serverId", "dnsServers"]);
  assert.deepEqual(options(), ["clientId", "serverId"]);
});

test("messages that a server must discard are discarded (RFC 8415, section 16)", () => {
  const view = viewOf();
  const wrong: readonly Dhcpv6[] = [
    { type: "solicit", transactionId: 1, options: { iaNa: [ia(1)] } },
    message("solicit", { serverId: dhcp6Duid }),
    message("confirm", { serverId: dhcp6Duid, iaNa: [ia(1, own)] }),
    message("rebind", { serverId: dhcp6Duid, iaNa: [ia(1, own)] }),
    message("request", { iaNa: [ia(1)] }),
    message("request", { serverId: "0003000102000000ffff", iaNa: [ia(1)] }),
    message("renew", { iaNa: [ia(1)] }),
    message("release", { serverId: "0003000102000000ffff" }),
    message("decline"),
    message("information-request", { serverId: "0003000102000000ffff" }),
    message("information-request", { iaNa: [ia(1)] }),
    message("advertise"),
    message("reply"),
    message("reconfigure"),
    { ...message("solicit"), options: { clientId: "00" } },
    { type: "relay-forward", hopCount: 0, link: "::", peer: "::", options: {} },
  ];
  for (const each of wrong) unanswered(ask(view, each), JSON.stringify(each));
});

test("who asks one server alone is told to ask all, and is otherwise not heard", () => {
  const to = dhcp6Address;
  for (const type of ["request", "renew", "release", "decline"] as const) {
    const { options } = received(ask(viewOf(), message(type, { serverId: dhcp6Duid, iaNa: [ia(1, own)] }), { to }));
    assert.deepEqual([options.status?.code, options.iaNa], [Dhcpv6Status.useMulticast, undefined]);
  }
  for (const type of ["solicit", "rebind", "confirm", "information-request"] as const)
    unanswered(ask(viewOf(), message(type), { to }));
});

test("who asks is the interface: another's MAC, another's key and a port without such a subnet get nothing", () => {
  const solicit = message("solicit", { iaNa: [ia(1)] });
  assert.equal(ask(viewOf(), solicit, { from: "fa:16:3e:00:00:02" }).answer, "notice");
  unanswered(ask(viewOf(), solicit, { srcPort: 8 }));
  unanswered(ask(viewOf({ ipv6_ra_mode: "slaac", ipv6_address_mode: "slaac" }), solicit));
  unanswered(ask(viewOf({ enable_dhcp: false }), solicit));
  unanswered(ask(viewOf(stateful, { fixed_ips: [{ subnet_id: "four", ip_address: "10.0.0.11" }] }), solicit));
});

test("a subnet without modes is served to who asks, and one whose addresses another gives is not", () => {
  const solicit = message("solicit", { iaNa: [ia(1)] });
  const modes = (ipv6_ra_mode: Subnet["ipv6_ra_mode"], ipv6_address_mode: Subnet["ipv6_address_mode"]) =>
    ask(viewOf({ ipv6_ra_mode, ipv6_address_mode }), solicit);
  assert.equal(received(modes(null, null)).options.iaNa?.[0]?.addresses.length, 1);
  assert.equal(received(modes(null, "dhcpv6-stateful")).options.iaNa?.[0]?.addresses.length, 1);
  unanswered(modes("dhcpv6-stateful", null));
});

test("whatever bytes come, an answer is a whole frame to the port's own MAC or there is none", () => {
  const view = viewOf();
  const head = encode({
    eth: { src: mac, dst: multicastMac("ff02::1:2") },
    ipv6: { src: local, dst: "ff02::1:2" },
    udp: { src: 546, dst: 547 },
    dhcpv6: message("solicit", { iaNa: [ia(1)], requested: [23, 24] }),
  });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(head.length - 1), fc.nat(255)), { maxLength: 6 }), (edits) => {
      const frame = Uint8Array.from(head);
      for (const [at, value] of edits) frame[at] = value;
      const punt = { kind: "dhcp6", attachment: "port", net: 1, vrf: 0, srcPort: 7, frame } as const;
      const answer = answerDhcp6(view, punt, settings);
      if (answer.answer === "reply") assert.equal(received(answer).packet.eth.dst, mac);
    }),
    { numRuns: 2_000 },
  );
});
