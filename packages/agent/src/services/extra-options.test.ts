/** A port's own DHCP options as its machine is told them, by both versions, with real codecs on both sides. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { dhcp6Duid } from "@selvage/compiler";
import {
  dhcpOptionOf,
  type ExtraDhcpOption,
  InvalidValue,
  linkLocalOf,
  macOf,
  Network,
  Port,
  Replica,
  Subnet,
  textOfIp,
} from "@selvage/model";
import { makeNetwork, makePort, makeSubnet, put } from "@selvage/model/testing";
import {
  type Dhcp,
  type DhcpOptions,
  type Dhcpv6MessageType,
  type Dhcpv6Options,
  decode,
  encode,
  multicastMac,
  UdpPort,
} from "@selvage/packet";
import fc from "fast-check";
import type { Answer } from "./answer.ts";
import { answerDhcp4 } from "./dhcp4.ts";
import { answerDhcp6 } from "./dhcp6.ts";

const mac = "fa:16:3e:00:00:01";
const clientId = "00030001fa163e000001";
const settings = { leaseTime: 86_400 };
const utf8 = new TextEncoder();

type Said = readonly (readonly [name: string, value: string, version?: 4 | 6])[];

function viewOf(said: Said): Replica {
  const view = new Replica();
  const six = {
    id: "six",
    ip_version: 6,
    cidr: "2001:db8::/64",
    gateway_ip: "2001:db8::1",
    ipv6_address_mode: "dhcpv6-stateful",
  } as const;
  const extra_dhcp_opts = said.map(([opt_name, opt_value, ip_version = 4]) => ({ opt_name, opt_value, ip_version }));
  view.apply(
    [
      put(Network, makeNetwork({ id: "net", mtu: 1434 })),
      put(Subnet, makeSubnet({ id: "four", network_id: "net", dns_nameservers: ["10.0.0.53"] })),
      put(Subnet, makeSubnet({ network_id: "net", dns_nameservers: ["2001:db8::53"], ...six })),
      put(
        Port,
        makePort({
          id: "port",
          key: 7,
          network_id: "net",
          mac_address: mac,
          fixed_ips: [
            { subnet_id: "four", ip_address: "10.0.0.11" },
            { subnet_id: "six", ip_address: "2001:db8::11" },
          ],
          extra_dhcp_opts,
        }),
      ),
    ],
    1,
  );
  return view;
}

function frameOf(answer: Answer): Uint8Array {
  const frame = answer.answer === "reply" ? answer.frames[0] : undefined;
  assert.ok(frame, JSON.stringify(answer));
  return frame;
}

const puntOf = (kind: "dhcp4" | "dhcp6", frame: Uint8Array) =>
  ({ kind, attachment: "port", net: 1, vrf: 0, srcPort: 7, frame }) as const;

function frame4(said: Said, options: DhcpOptions): Uint8Array {
  const frame = encode({
    eth: { src: mac, dst: "ff:ff:ff:ff:ff:ff" },
    ipv4: { src: "0.0.0.0", dst: "255.255.255.255" },
    udp: { src: UdpPort.dhcpClient, dst: UdpPort.dhcpServer },
    dhcp: { op: "request", xid: 1, chaddr: mac, options },
  });
  return frameOf(answerDhcp4(viewOf(said), puntOf("dhcp4", frame), settings));
}

function told4(said: Said, options: DhcpOptions = { messageType: "discover" }): Dhcp {
  const decoded = decode(frame4(said, options));
  assert.ok(decoded.ok && decoded.packet.dhcp !== undefined);
  return decoded.packet.dhcp;
}

function frame6(said: Said, type: Dhcpv6MessageType, options: Dhcpv6Options): Uint8Array {
  const frame = encode({
    eth: { src: mac, dst: multicastMac("ff02::1:2") },
    ipv6: { src: textOfIp(linkLocalOf(macOf(mac))), dst: "ff02::1:2" },
    udp: { src: UdpPort.dhcpv6Client, dst: UdpPort.dhcpv6Server },
    dhcpv6: { type, transactionId: 1, options: { clientId, ...options } },
  });
  return frameOf(answerDhcp6(viewOf(said), puntOf("dhcp6", frame), settings));
}

const iaNa = [{ iaid: 1, t1: 0, t2: 0, addresses: [] }];

function told6(said: Said, type: Dhcpv6MessageType, options: Dhcpv6Options = {}): Dhcpv6Options {
  const decoded = decode(frame6(said, type, options));
  assert.ok(decoded.ok && decoded.packet.dhcpv6 !== undefined && "transactionId" in decoded.packet.dhcpv6);
  return decoded.packet.dhcpv6.options;
}

const raw = (options: DhcpOptions | Dhcpv6Options, code: number): Uint8Array | undefined =>
  options.other?.find((each) => each.code === code)?.data;

test("a loader of systems finds server and file in the header and among the options, asked for or not", () => {
  const said = [
    ["server-ip-address", "203.0.113.5"],
    ["tftp-server", "boot.example"],
    ["bootfile-name", "pxelinux.0"],
    ["tftp-server-address", "203.0.113.5 203.0.113.6"],
  ] as const;
  for (const asked of [undefined, [1, 3]]) {
    const options = { messageType: "discover", ...(asked === undefined ? {} : { parameterRequest: asked }) } as const;
    const told = told4(said, options);
    assert.deepEqual([told.siaddr, told.sname, told.file], ["203.0.113.5", "boot.example", "pxelinux.0"]);
    assert.deepEqual(raw(told.options, 66), utf8.encode("boot.example"));
    assert.deepEqual(raw(told.options, 67), utf8.encode("pxelinux.0"));
    assert.deepEqual(raw(told.options, 150), Uint8Array.of(203, 0, 113, 5, 203, 0, 113, 6));
  }
  const long = told4([["bootfile-name", "x".repeat(200)]]);
  assert.deepEqual([long.file, raw(long.options, 67)?.length], ["", 200]);
});

test("what the subnet says is said otherwise, or not at all", () => {
  const { options } = told4([
    ["dns-server", "192.0.2.53,2001:db8::53"],
    ["mtu", "1300"],
    ["router", ""],
    ["lease-time", "600"],
    ["domain-search", "a.example,b.example"],
    ["classless-static-route", "10.1.0.0/16,10.0.0.1,10.2.3.0/25,10.0.0.2"],
  ]);
  assert.deepEqual(options.dnsServers, ["192.0.2.53"]);
  assert.deepEqual([options.mtu, options.routers, options.domainSearch], [1300, undefined, ["a.example", "b.example"]]);
  assert.deepEqual([options.leaseTime, options.renewalTime, options.rebindingTime], [600, 300, 525]);
  assert.deepEqual(options.classlessRoutes, [
    { destination: "10.1.0.0/16", gateway: "10.0.0.1" },
    { destination: "10.2.3.0/25", gateway: "10.0.0.2" },
  ]);
  assert.deepEqual(told4([["dns-server", "2001:db8::53"]]).options.dnsServers, ["10.0.0.53"], "of the other version");
});

test("a refusal bears no options, and who has an address already is told no times", () => {
  const said = [
    ["lease-time", "600"],
    ["66", "boot"],
  ] as const;
  const nak = told4(said, { messageType: "request", serverId: "10.0.0.1", requestedAddress: "10.0.0.99" });
  assert.deepEqual([nak.options.messageType, raw(nak.options, 66), nak.sname], ["nak", undefined, ""]);
  const inform = told4(said, { messageType: "inform" }).options;
  assert.deepEqual([inform.leaseTime, raw(inform, 66)], [undefined, utf8.encode("boot")]);
});

test("DHCPv6 gives a port's own options with addresses and without", () => {
  const said = [
    ["dns-server", "2001:db8::99", 6],
    ["domain-search", "a.example", 6],
    ["bootfile-url", "tftp://[2001:db8::5]/x.efi", 6],
    ["bootfile-param", "ab,c", 6],
    ["ntp-server", "2001:db8::7", 6],
    ["preference", "9", 6],
    ["information-refresh-time", "1200", 6],
    ["bootfile-name", "four.0"],
  ] as const;
  const checked = (options: Dhcpv6Options): Dhcpv6Options => {
    assert.equal(options.serverId, dhcp6Duid);
    assert.deepEqual([options.dnsServers, options.domainSearch], [["2001:db8::99"], ["a.example"]]);
    assert.deepEqual(raw(options, 59), utf8.encode("tftp://[2001:db8::5]/x.efi"));
    assert.deepEqual(raw(options, 60), Uint8Array.of(0, 2, 97, 98, 0, 1, 99));
    assert.deepEqual(raw(options, 56)?.subarray(0, 6), Uint8Array.of(0, 1, 0, 16, 0x20, 0x01));
    assert.deepEqual([options.preference, raw(options, 67)], [9, undefined]);
    return options;
  };
  const offered = checked(told6(said, "solicit", { iaNa }));
  assert.equal(offered.iaNa?.[0]?.addresses[0]?.address, "2001:db8::11");
  assert.equal(raw(offered, 32), undefined);
  for (const type of ["request", "renew"] as const) checked(told6(said, type, { iaNa, serverId: dhcp6Duid }));
  const information = checked(told6(said, "information-request", { requested: [32] }));
  assert.deepEqual(raw(information, 32), Uint8Array.of(0, 0, 4, 176));
});

test("what does not fit the message that a client takes is left out, what it asked for last", () => {
  const texts: Said = Array.from({ length: 10 }, (_, at) => [String(224 + at), `${at}${"x".repeat(199)}`] as const);
  const options = { messageType: "discover", parameterRequest: [233] } as const;
  const small = frame4(texts, options);
  assert.ok(small.length <= 14 + 576 && small.length > 14 + 376, `${small.length}`);
  assert.deepEqual(raw(told4(texts, options).options, 233)?.[0], "9".charCodeAt(0));
  assert.equal(raw(told4(texts, options).options, 224), undefined);
  const large = frame4(texts, { ...options, maxMessageSize: 9000 });
  assert.ok(large.length <= 14 + 1434 && large.length > 14 + 1234, `${large.length}`);
  const six: Said = texts.map(([name, value]) => [name, value, 6]);
  assert.ok(frame6(six, "solicit", { iaNa }).length <= 14 + 1280);
});

test("whatever a port may have, its machine is answered", () => {
  const isTaken = (option: ExtraDhcpOption): boolean => {
    try {
      dhcpOptionOf(option);
      return true;
    } catch (error) {
      if (error instanceof InvalidValue) return false;
      throw error;
    }
  };
  const values = fc.oneof(
    fc.string({ maxLength: 255 }),
    fc.string({ unit: "grapheme", maxLength: 80 }),
    fc.nat().map(String),
    fc.constantFrom("", "::1", "192.0.2.1", "a.b,c", "0.0.0.0/0,0.0.0.0", "true", "00:ff:00", "4294967295"),
  );
  const option = fc.record({
    opt_name: fc.nat({ max: 255 }).map(String),
    opt_value: values,
    ip_version: fc.constantFrom<4 | 6>(4, 6),
  });
  fc.assert(
    fc.property(fc.array(option, { maxLength: 32 }), (options) => {
      const said: Said = options
        .filter(isTaken)
        .map(({ opt_name, opt_value, ip_version }) => [opt_name, opt_value, ip_version]);
      assert.equal(told4(said).chaddr, mac);
      assert.equal(told6(said, "solicit", { iaNa }).serverId, dhcp6Duid);
    }),
  );
});

test("what a newer server knows and this host does not is left out", () => {
  assert.equal(told4([["of-tomorrow", "1"]]).options.messageType, "offer");
});
