/** The face of `packet`: frames between bytes, readable trees, single header fields and log lines. */

export { ipv4Bytes, ipv6Bytes, macBytes, multicastMac, readIpv4, readIpv6, readMac, solicitedNode } from "./address.ts";
export { type Arp, ArpOp } from "./arp.ts";
export { EncodeError, type Layer, type MalformedReason } from "./bytes.ts";
export { checksum, updateChecksum } from "./checksum.ts";
export type { Dhcp, DhcpSpec } from "./dhcp.ts";
export {
  type ClasslessRoute,
  type DhcpChange,
  type DhcpMessageType,
  type DhcpOption,
  type DhcpOptions,
  dhcpMessageTypes,
  withDhcpOptions,
} from "./dhcp-options.ts";
export {
  type Dhcpv6,
  type Dhcpv6MessageType,
  Dhcpv6OptionCode,
  type Dhcpv6Options,
  type Dhcpv6RawOption,
  Dhcpv6Status,
  type Dhcpv6StatusOption,
  dhcpv6MessageTypes,
  type IaAddress,
  type IaNa,
  withDhcpv6Options,
} from "./dhcpv6.ts";
export {
  type DecodedDns,
  type Dns,
  DnsClass,
  type DnsData,
  type DnsExtension,
  type DnsQuestion,
  DnsRcode,
  type DnsRecord,
  DnsType,
  decodeDns,
  encodeDns,
} from "./dns.ts";
export { type Ethernet, type EthernetSpec, EtherType, type Vlan } from "./ethernet.ts";
export { type FieldName, type FieldValue, Fragment, Frame, fieldBits, fieldNames } from "./fields.ts";
export { type Icmp, IcmpType, UnreachableCode } from "./icmp.ts";
export { type Icmpv6, Icmpv6Type, isNeighborDiscovery, type RouterAdvertisement } from "./icmpv6.ts";
export { IpProtocol, type Ipv4, type Ipv4Spec } from "./ipv4.ts";
export type { Ipv6, Ipv6Extension, Ipv6Spec } from "./ipv6.ts";
export { type NdFault, type NdOption, NdOptionType, ndFault, type RouterPreference } from "./nd.ts";
export type { Geneve, GeneveOption, GeneveSpec, Vxlan } from "./overlay.ts";
export {
  type Decoded,
  type DecodeOptions,
  decode,
  encode,
  type Malformed,
  type Packet,
  type PacketSpec,
} from "./packet.ts";
export { summary } from "./summary.ts";
export { mssOf, mssOption, type Tcp, TcpFlag, type TcpSpec, type Udp, UdpPort } from "./transport.ts";
export { type WhoHas, whoHas } from "./who-has.ts";
