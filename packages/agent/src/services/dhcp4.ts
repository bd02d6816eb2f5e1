/**
 * DHCPv4 answered on the asking host from its own view (RFC 2131 section 4.3, tables 3 to 5). A lease is what intent says: no state is
 * kept, so every host answers alike and a restart forgets nothing. Who asks is the interface that the packet came in by, never the packet.
 */
import { dhcpServer } from "@selvage/compiler";
import type { Punt } from "@selvage/datapath";
import {
  cidrOf,
  isPhysical,
  lastIpOf,
  Network,
  netmaskOf,
  nextServerCode,
  Port,
  Subnet,
  textOfIp,
  type View,
  zoneOf,
} from "@selvage/model";
import {
  type ClasslessRoute,
  type Dhcp,
  type DhcpChange,
  type DhcpOptions,
  decode,
  encode,
  readIpv4,
  UdpPort,
  withDhcpOptions,
} from "@selvage/packet";
import { serviceAddresses } from "@selvage/pipeline";
import { type Answer, notice, reply, silence } from "./answer.ts";
import { extraOptions, fitting } from "./extra-options.ts";

export interface DhcpSettings {
  /** Seconds for which a client may use its address before it asks again. */
  readonly leaseTime: number;
  /** Options 15 and, of DHCPv6, 24; absent: the zone of the port's network. */
  readonly domainName?: string;
}

/** What a port is given: its address on the first of its subnets that has DHCP. */
interface Lease {
  readonly address: string;
  readonly subnet: Subnet;
  readonly server: { readonly address: string; readonly mac: string };
  readonly mtu: number;
  /** Where its machine's name is. */
  readonly zone: string | undefined;
  /** What is the port's own of options. */
  readonly extras: readonly DhcpChange[];
}

const unset = "0.0.0.0";
const everybody = "255.255.255.255";
const broadcastMac = "ff:ff:ff:ff:ff:ff";
/** RFC 2132: the codes that a client names in its parameter request list. */
const code = {
  subnetMask: 1,
  routers: 3,
  dnsServers: 6,
  domainName: 15,
  broadcastAddress: 28,
  leaseTime: 51,
  renewalTime: 58,
  rebindingTime: 59,
  tftpServer: 66,
  bootFile: 67,
  classlessRoutes: 121,
} as const;
/** Bytes of an IPv4 datagram that every client takes (RFC 2131, section 2), and of the Ethernet header before it. */
const leastDatagram = 576;
const ethernetHeader = 14;

/** Answers one question. */
export function answerDhcp4(view: View, punt: Punt, settings: DhcpSettings): Answer {
  const port = view.get(Port, punt.attachment);
  if (port === undefined || port.key !== punt.srcPort) return silence("the interface's port is not known here");
  const decoded = decode(punt.frame, { checksums: "ignore" });
  const dhcp = decoded.ok ? decoded.packet.dhcp : undefined;
  if (dhcp === undefined || dhcp.op !== "request") return silence("not a DHCP question");
  if (dhcp.chaddr !== port.mac_address) return notice(`asked for ${dhcp.chaddr}, which is not the port's MAC address`);
  if (dhcp.giaddr !== unset) return silence("it comes by a relay agent");
  const lease = leaseOf(view, port);
  if (lease === undefined) return silence("the port has no address on a subnet with DHCP");
  const { messageType } = dhcp.options;
  if (messageType === undefined) return silence("bare BOOTP");
  switch (messageType) {
    case "discover":
      return answered("offer", lease, dhcp, settings);
    case "request":
      return request(lease, dhcp, settings);
    case "inform":
      return answered("inform", lease, dhcp, settings);
    case "decline":
      return notice(`the client declines ${dhcp.options.requestedAddress ?? unset}: it found another user of it`);
    case "release":
      return silence("a release: the address stays the port's");
    case "offer":
    case "ack":
    case "nak":
      return silence("not a client's message");
  }
}

/** DHCPREQUEST in each state of the client (RFC 2131, table 4). */
function request(lease: Lease, dhcp: Dhcp, settings: DhcpSettings): Answer {
  const { serverId, requestedAddress } = dhcp.options;
  if (serverId !== undefined) {
    // SELECTING: the client names the server whose offer it takes.
    if (serverId !== lease.server.address) return silence("the client takes another server's offer");
    return requestedAddress === lease.address ? answered("ack", lease, dhcp, settings) : refused(lease, dhcp);
  }
  if (requestedAddress !== undefined) {
    // INIT-REBOOT: is the address that it had still its own?
    if (dhcp.ciaddr !== unset) return silence("both a requested and a present address");
    return requestedAddress === lease.address ? answered("ack", lease, dhcp, settings) : refused(lease, dhcp);
  }
  if (dhcp.ciaddr === unset) return silence("a request for no address");
  // RENEWING or REBINDING.
  return dhcp.ciaddr === lease.address ? answered("ack", lease, dhcp, settings) : refused(lease, dhcp);
}

function leaseOf(view: View, port: Port): Lease | undefined {
  for (const fixed of port.fixed_ips) {
    const subnet = view.get(Subnet, fixed.subnet_id);
    const network = view.get(Network, port.network_id);
    const carried = network !== undefined && isPhysical(network) ? "physical" : "geneve";
    const server = subnet === undefined ? undefined : dhcpServer(subnet, carried);
    if (subnet === undefined || server === undefined) continue;
    const zone = network === undefined ? undefined : domainOf(network);
    const extras = extraOptions(port, 4);
    return { address: fixed.ip_address, subnet, server, mtu: network?.mtu ?? 0, zone, extras };
  }
  return undefined;
}

function answered(kind: "offer" | "ack" | "inform", lease: Lease, dhcp: Dhcp, settings: DhcpSettings): Answer {
  const yiaddr = kind === "inform" ? unset : lease.address;
  const times = kind === "inform" ? {} : timesOf(leaseTimeOf(lease) ?? settings.leaseTime);
  const options: DhcpOptions = {
    messageType: kind === "offer" ? "offer" : "ack",
    serverId: lease.server.address,
    ...times,
    ...parameters(lease, dhcp.options.parameterRequest, settings),
  };
  // RFC 2131 section 4.1: to the address that the client has, or to all where it asks so, or to the one it is given.
  const known = dhcp.ciaddr !== unset;
  const toAll = !known && (dhcp.broadcast || kind === "inform");
  return frame(lease, dhcp, {
    dst: toAll ? everybody : known ? dhcp.ciaddr : yiaddr,
    mac: toAll ? broadcastMac : dhcp.chaddr,
    ciaddr: kind === "offer" ? unset : dhcp.ciaddr,
    yiaddr,
    options,
    // Who has an address already is told no times (RFC 2131, section 4.3.5).
    extras: kind === "inform" ? lease.extras.filter(({ code }) => !timeCodes.has(code)) : lease.extras,
  });
}

const timeCodes: ReadonlySet<number> = new Set([code.leaseTime, code.renewalTime, code.rebindingTime]);

/** The port's own lease time, in seconds; undefined: it has none. */
function leaseTimeOf({ extras }: Lease): number | undefined {
  const own = extras.filter((each) => each.code === code.leaseTime);
  return withDhcpOptions({}, own).leaseTime;
}

/** DHCPNAK: to all, for the client's address is not its own (RFC 2131, section 4.3.2). */
function refused(lease: Lease, dhcp: Dhcp): Answer {
  const options: DhcpOptions = {
    messageType: "nak",
    serverId: lease.server.address,
    message: "the address is not this port's",
  };
  return frame(lease, dhcp, { dst: everybody, mac: broadcastMac, ciaddr: unset, yiaddr: unset, options, extras: [] });
}

interface Envelope {
  readonly dst: string;
  readonly mac: string;
  readonly ciaddr: string;
  readonly yiaddr: string;
  readonly options: DhcpOptions;
  readonly extras: readonly DhcpChange[];
}

function frame({ server, mtu }: Lease, dhcp: Dhcp, { dst, mac, ciaddr, yiaddr, options, extras }: Envelope): Answer {
  const { clientId, maxMessageSize = leastDatagram, parameterRequest } = dhcp.options;
  // RFC 6842: a client's identifier goes back to it.
  const plain = clientId === undefined ? options : { ...options, clientId };
  const build = (some: readonly DhcpChange[]): Uint8Array =>
    encode({
      eth: { src: server.mac, dst: mac },
      ipv4: { src: server.address, dst },
      udp: { src: UdpPort.dhcpServer, dst: UdpPort.dhcpClient },
      dhcp: {
        op: "reply",
        xid: dhcp.xid,
        broadcast: dhcp.broadcast,
        ciaddr,
        yiaddr,
        chaddr: dhcp.chaddr,
        ...headerOf(some),
        options: withDhcpOptions(
          plain,
          some.filter((each) => each.code !== nextServerCode),
        ),
      },
    });
  const datagram = Math.max(leastDatagram, Math.min(maxMessageSize, mtu));
  return reply(fitting(extras, parameterRequest, ethernetHeader + datagram, build), options.messageType ?? "reply");
}

/** What of a port's own options stands in the header, where loaders of systems look first: server and file (RFC 2131, section 2). */
function headerOf(extras: readonly DhcpChange[]): Partial<Pick<Dhcp, "siaddr" | "sname" | "file">> {
  const dataOf = (wanted: number) => extras.find(({ code: each }) => each === wanted)?.data;
  const textOf = (wanted: number, most: number): string => {
    const data = dataOf(wanted);
    return data === undefined || data.length > most ? "" : String.fromCharCode(...data);
  };
  const next = dataOf(nextServerCode);
  return {
    ...(next === undefined ? {} : { siaddr: readIpv4(next, 0) }),
    sname: textOf(code.tftpServer, 63),
    file: textOf(code.bootFile, 127),
  };
}

/** Lease, T1 at a half and T2 at seven eighths of it (RFC 2131, section 4.4.5). */
const timesOf = (leaseTime: number) => ({
  leaseTime,
  renewalTime: Math.floor(leaseTime / 2),
  rebindingTime: Math.floor((leaseTime * 7) / 8),
});

/** What the client asked for; everything where it did not say. The MTU always: a guest with a larger one loses its large packets. */
function parameters(
  { subnet, server, mtu, zone }: Lease,
  asked: readonly number[] | undefined,
  settings: DhcpSettings,
): DhcpOptions {
  const wants = (option: number): boolean => asked === undefined || asked.includes(option);
  const prefix = cidrOf(subnet.cidr);
  const named = subnet.dns_nameservers.filter((address) => !address.includes(":"));
  const dns = named.length > 0 ? named : [serviceAddresses.resolver[4]];
  const domainName = settings.domainName ?? zone;
  const routes = classlessRoutes(subnet, server);
  return {
    ...(mtu >= 68 ? { mtu } : {}),
    ...(wants(code.subnetMask) ? { subnetMask: netmaskOf(prefix) } : {}),
    ...(wants(code.routers) && subnet.gateway_ip !== null ? { routers: [subnet.gateway_ip] } : {}),
    ...(wants(code.dnsServers) ? { dnsServers: dns } : {}),
    ...(wants(code.broadcastAddress) && prefix.length < 31 ? { broadcastAddress: textOfIp(lastIpOf(prefix)) } : {}),
    ...(wants(code.domainName) && domainName !== undefined ? { domainName } : {}),
    ...(wants(code.classlessRoutes) && routes.length > 0 ? { classlessRoutes: routes } : {}),
  };
}

/** The zone of a network's names as DHCP says it, without the final dot. */
export const domainOf = (network: Network): string => zoneOf(network).replace(/\.$/, "");

/**
 * The host's services are on the link (RFC 3442: 0.0.0.0 is no router): on a subnet without a gateway, or with one that is outside and may not be there, a
 * machine would have no way to them.
 */
const serviceRoutes: readonly ClasslessRoute[] = Object.values(serviceAddresses).map((each) => ({
  destination: `${each[4]}/32`,
  gateway: "0.0.0.0",
}));

/** The subnet's routes, and the default one with them: who takes option 121 must ignore option 3 (RFC 3442). */
function classlessRoutes(subnet: Subnet, { address }: Lease["server"]): readonly ClasslessRoute[] {
  const stated = subnet.host_routes
    .filter(({ destination }) => !destination.includes(":"))
    .map(({ destination, nexthop }) => ({ destination, gateway: nexthop }));
  const routes = subnet.gateway_ip === address ? stated : [...stated, ...serviceRoutes];
  if (subnet.gateway_ip === null) return routes;
  if (routes.length === 0) return [];
  const hasDefault = routes.some(({ destination }) => destination === "0.0.0.0/0");
  if (hasDefault) return routes;
  return [...routes, { destination: "0.0.0.0/0", gateway: subnet.gateway_ip }];
}
