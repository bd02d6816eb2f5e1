/** Arbitrary DHCPv4 and DHCPv6 messages for fast-check, with any choice of options. */

import fc from "fast-check";
import {
  type Dhcp,
  type DhcpOptions,
  type Dhcpv6,
  type Dhcpv6Options,
  dhcpMessageTypes,
  dhcpv6MessageTypes,
  readIpv4,
} from "../mod.ts";
import { bits, bytes, domain, hex, ipv4, ipv6, list, mac, text } from "./values.ts";

const cidr = fc.tuple(bits(32), fc.integer({ min: 0, max: 32 })).map(([address, width]) => {
  const kept = width === 0 ? 0 : (address & (-1 << (32 - width))) >>> 0;
  return `${readIpv4(Uint8Array.of(kept >>> 24, (kept >>> 16) & 255, (kept >>> 8) & 255, kept & 255), 0)}/${width}`;
});

/** Some options are longer than 255 bytes, so that they are split and joined. */
const dhcpOptions: fc.Arbitrary<DhcpOptions> = fc
  .record(
    {
      subnetMask: ipv4,
      routers: list(ipv4),
      dnsServers: list(ipv4, 80),
      hostName: text,
      domainName: text,
      mtu: bits(16),
      broadcastAddress: ipv4,
      ntpServers: list(ipv4),
      requestedAddress: ipv4,
      leaseTime: bits(32),
      messageType: fc.constantFrom(...dhcpMessageTypes),
      serverId: ipv4,
      parameterRequest: fc.array(bits(8), { maxLength: 20 }),
      message: text,
      maxMessageSize: bits(16),
      renewalTime: bits(32),
      rebindingTime: bits(32),
      vendorClass: text,
      clientId: hex(0, 20),
      relayAgent: fc.array(fc.record({ code: bits(8), data: bytes(0, 10) }), { maxLength: 3 }),
      domainSearch: list(domain, 12),
      classlessRoutes: list(fc.record({ destination: cidr, gateway: ipv4 }), 60),
      other: fc.uniqueArray(
        fc.record({ code: fc.constantFrom(2, 43, 66, 67, 125, 224, 252, 254), data: bytes(0, 300) }),
        {
          selector: ({ code }) => code,
          minLength: 1,
          maxLength: 3,
        },
      ),
    },
    { requiredKeys: [] },
  )
  .map(({ other, ...rest }) =>
    other === undefined ? rest : { ...rest, other: other.toSorted((a, b) => a.code - b.code) },
  );

const fixedText = (max: number) =>
  fc.string({ unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: max });
export const dhcp: fc.Arbitrary<Dhcp> = fc.record({
  op: fc.constantFrom("request" as const, "reply" as const),
  htype: bits(8),
  hops: bits(8),
  xid: bits(32),
  secs: bits(16),
  broadcast: fc.boolean(),
  ciaddr: ipv4,
  yiaddr: ipv4,
  siaddr: ipv4,
  giaddr: ipv4,
  chaddr: fc.oneof(
    mac,
    bytes(0, 16).map((raw) =>
      Buffer.from(raw)
        .toString("hex")
        .replace(/..(?=.)/g, "$&:"),
    ),
  ),
  sname: fixedText(64),
  file: fixedText(128),
  options: dhcpOptions,
});

const status = fc.record({ code: bits(16), message: text });
const iaAddress = fc.record(
  { address: ipv6, preferred: bits(32), valid: bits(32), status },
  { requiredKeys: ["address", "preferred", "valid"] },
);
const iaNa = fc.record(
  { iaid: bits(32), t1: bits(32), t2: bits(32), addresses: fc.array(iaAddress, { maxLength: 3 }), status },
  { requiredKeys: ["iaid", "t1", "t2", "addresses"] },
);
const dhcpv6Options: fc.Arbitrary<Dhcpv6Options> = fc.record(
  {
    clientId: hex(3, 20),
    serverId: hex(3, 20),
    iaNa: list(iaNa, 3),
    requested: fc.array(bits(16), { maxLength: 10 }),
    preference: bits(8),
    elapsed: bits(16),
    relayMessage: bytes(0, 40),
    status,
    rapidCommit: fc.constant(true as const),
    dnsServers: list(ipv6),
    domainSearch: list(domain),
    clientFqdn: fc.record({
      flags: bits(8),
      name: fc.oneof(
        fc.constantFrom("", "."),
        domain,
        domain.map((name) => `${name}.`),
      ),
    }),
    other: list(fc.record({ code: fc.constantFrom(16, 18, 25, 31, 56, 65535), data: bytes(0, 20) }), 3),
  },
  { requiredKeys: [] },
);
export const dhcpv6: fc.Arbitrary<Dhcpv6> = fc.oneof(
  fc.record({ type: fc.constantFrom(...dhcpv6MessageTypes), transactionId: bits(24), options: dhcpv6Options }),
  fc.record({
    type: fc.constantFrom("relay-forward" as const, "relay-reply" as const),
    hopCount: bits(8),
    link: ipv6,
    peer: ipv6,
    options: dhcpv6Options,
  }),
);
