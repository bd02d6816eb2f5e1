/** Port security: a port speaks only from its own MAC and addresses, and for its address pairs (anti-spoof; Neutron's port_security_enabled, allowed_address_pairs). */
import { derive, Port } from "@selvage/model";
import { EthType, GuardIp, GuardMac, IpProto, type KeyOf, type Row, row } from "@selvage/pipeline";
import { type Claim, claimsOf, pairMacsOf, widest } from "../addresses.ts";
import { app } from "../app.ts";
import { isHere } from "../intent.ts";

const neighbourAdvertisement = 136;

/** What a machine may say before it has an address: listener reports (RFC 3590, section 4; RFC 9777, section 5.2.14), router and neighbour solicitations (RFC 4861, sections 4.1 and 4.3). */
const fromUnspecified = [131, 132, 133, 135, 143] as const;

export const guard = app("guard", [GuardMac, GuardIp], (here) => [
  derive("port", Port, (port, view) => {
    if (!isHere(view, port, here.name)) return [];
    const srcPort = port.key;
    if (!port.port_security_enabled) return [row(GuardMac, { srcPort }, "unguarded", {}, "any")];
    return [
      ...[port.mac_address, ...pairMacsOf(port)].map((ethSrc) => row(GuardMac, { srcPort, ethSrc }, "pass", {}, "mac")),
      ...guardIp4(srcPort, claimsOf(port, 4)),
      ...guardIp6(srcPort, claimsOf(port, 6)),
    ];
  }),
]);

const prefixesOf = (claims: readonly Claim[]): readonly string[] => widest(claims.map(({ prefix }) => prefix));

/**
 * Its addresses, from whichever of its MACs (what VRRP announces comes from its virtual MAC and its own address, RFC 9568, section 7.2); its claims of them by
 * ARP, each with its own MAC (a probe comes from 0.0.0.0, RFC 5227); and its question for a lease.
 */
function guardIp4(srcPort: number, claims: readonly Claim[]): readonly Row[] {
  const allow = (key: Omit<KeyOf<typeof GuardIp.columns>, "srcPort">) =>
    row(GuardIp, { srcPort, ...key }, "pass", {}, "allowed");
  const arp = (arpSha: string, prefixes: readonly string[]) =>
    ["0.0.0.0/32", ...prefixes].map((arpSpa) => allow({ ethType: EthType.arp, arpSpa, arpSha }));
  return [
    allow({ ethType: EthType.ipv4, ip4Src: "0.0.0.0/32", ipProto: IpProto.udp, udpSrc: 68, udpDst: 67 }),
    ...prefixesOf(claims).map((ip4Src) => allow({ ethType: EthType.ipv4, ip4Src })),
    ...[...new Set(claims.map(({ mac }) => mac))].flatMap((mac) =>
      arp(mac, prefixesOf(claims.filter((each) => each.mac === mac))),
    ),
  ];
}

/** Its addresses, claims of these only, and what comes before an address from `::` (RFC 4862). */
function guardIp6(srcPort: number, claims: readonly Claim[]): readonly Row[] {
  const ethType = EthType.ipv6;
  const own = prefixesOf(claims);
  const before = fromUnspecified.map((icmp6Type) => ({ ip6Src: "::/128", ipProto: IpProto.icmp6, icmp6Type }));
  const from = own.map((ip6Src) => ({ ip6Src }));
  // Both what it speaks for and from where: an advertisement of an own target from a foreign source is no better.
  const advertised = own.flatMap((ip6Src) =>
    own.map((ndTarget) => ({ ip6Src, ipProto: IpProto.icmp6, icmp6Type: neighbourAdvertisement, ndTarget })),
  );
  return [
    ...[...before, ...from].map((key) => row(GuardIp, { srcPort, ethType, ...key }, "pass", {}, "allowed")),
    ...advertised.map((key) => row(GuardIp, { srcPort, ethType, ...key }, "pass", {}, "own")),
  ];
}
