/** Port security: a port speaks only from its own MAC and addresses (anti-spoof; Neutron's port_security_enabled). */
import { derive, Port } from "@selvage/model";
import { EthType, GuardIp, GuardMac, IpProto, type KeyOf, type Row, row } from "@selvage/pipeline";
import { addressesOf } from "../addresses.ts";
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
      row(GuardMac, { srcPort, ethSrc: port.mac_address }, "pass", {}, "mac"),
      ...guardIp4(port, addressesOf(port, 4)),
      ...guardIp6(port, addressesOf(port, 6)),
    ];
  }),
]);

/** Its addresses, its claims of them by ARP (a probe comes from 0.0.0.0, RFC 5227), and its question for a lease. */
function guardIp4(port: Port, addresses: readonly string[]): readonly Row[] {
  const srcPort = port.key;
  const arpSha = port.mac_address;
  const allow = (key: Omit<KeyOf<typeof GuardIp.columns>, "srcPort">) =>
    row(GuardIp, { srcPort, ...key }, "pass", {}, "allowed");
  return [
    allow({ ethType: EthType.ipv4, ip4Src: "0.0.0.0", ipProto: IpProto.udp, udpSrc: 68, udpDst: 67 }),
    ...(addresses.length === 0 ? [] : [allow({ ethType: EthType.arp, arpSpa: "0.0.0.0", arpSha })]),
    ...addresses.flatMap((address) => [
      allow({ ethType: EthType.ipv4, ip4Src: address }),
      allow({ ethType: EthType.arp, arpSpa: address, arpSha }),
    ]),
  ];
}

/** Its addresses and the link-local one of its MAC, claims of these only, and what comes before an address from `::` (RFC 4862). */
function guardIp6(port: Port, own: readonly string[]): readonly Row[] {
  const srcPort = port.key;
  return [
    ...fromUnspecified.map((icmp6Type) =>
      row(
        GuardIp,
        { srcPort, ethType: EthType.ipv6, ip6Src: "::", ipProto: IpProto.icmp6, icmp6Type },
        "pass",
        {},
        "allowed",
      ),
    ),
    ...own.flatMap((address) => [
      row(GuardIp, { srcPort, ethType: EthType.ipv6, ip6Src: address }, "pass", {}, "allowed"),
      // Both what it speaks for and from where: an advertisement of an own target from a foreign source is no better.
      ...own.map((ndTarget) =>
        row(
          GuardIp,
          {
            srcPort,
            ethType: EthType.ipv6,
            ip6Src: address,
            ipProto: IpProto.icmp6,
            icmp6Type: neighbourAdvertisement,
            ndTarget,
          },
          "pass",
          {},
          "own",
        ),
      ),
    ]),
  ];
}
