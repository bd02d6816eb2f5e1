/** Names of IP protocols as security group rules take them, and their numbers (IANA's "Assigned Internet Protocol Numbers"; neutron-lib `IP_PROTOCOL_MAP`). */

export const protocolNumbers: Readonly<Record<string, number>> = Object.freeze({
  ah: 51,
  dccp: 33,
  egp: 8,
  esp: 50,
  gre: 47,
  hopopt: 0,
  icmp: 1,
  igmp: 2,
  ip: 0,
  ipip: 4,
  "ipv6-encap": 41,
  "ipv6-frag": 44,
  "ipv6-icmp": 58,
  icmpv6: 58,
  "ipv6-nonxt": 59,
  "ipv6-opts": 60,
  "ipv6-route": 43,
  ospf: 89,
  pgm: 113,
  rsvp: 46,
  sctp: 132,
  tcp: 6,
  udp: 17,
  udplite: 136,
  vrrp: 112,
});

/** The number of a protocol that is said by its name or number; undefined for what is none. */
export function protocolNumber(text: string): number | undefined {
  if (/^\d{1,3}$/.test(text)) return Number(text) <= 255 ? Number(text) : undefined;
  const name = text.toLowerCase();
  return Object.hasOwn(protocolNumbers, name) ? protocolNumbers[name] : undefined;
}

/** What a rule's protocol means: a number, `any`, or undefined for what is none. ICMP in a rule for IPv6 is ICMPv6, as Neutron reads it. */
export function protocolOf(rule: {
  readonly protocol: string | null;
  readonly ethertype: string;
}): number | "any" | undefined {
  const { protocol, ethertype } = rule;
  if (protocol === null || protocol === "any" || protocol === "") return "any";
  const number = protocolNumber(protocol);
  return ethertype === "IPv6" && number === protocolNumbers.icmp ? protocolNumbers.icmpv6 : number;
}
