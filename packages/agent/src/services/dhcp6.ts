/**
 * DHCPv6 answered on the asking host from its own view (RFC 8415, section 18.3). What a client is bound to is what intent says: no state is kept, so every
 * host answers alike, as one server. Who asks is the interface that the packet came in by, never the packet.
 */
import { dhcp6Address, dhcp6Duid, dhcp6Mode, dhcpMac } from "@selvage/compiler";
import type { Punt } from "@selvage/datapath";
import { cidrContains, cidrOf, Network, Port, parseIp, Subnet, type View } from "@selvage/model";
import {
  type DhcpChange,
  type Dhcpv6,
  Dhcpv6OptionCode,
  type Dhcpv6Options,
  Dhcpv6Status,
  type Dhcpv6StatusOption,
  decode,
  encode,
  type IaNa,
  UdpPort,
  withDhcpv6Options,
} from "@selvage/packet";
import { serviceAddresses } from "@selvage/pipeline";
import { type Answer, notice, reply, silence } from "./answer.ts";
import { type DhcpSettings, domainOf } from "./dhcp4.ts";
import { extraOptions, fitting } from "./extra-options.ts";

/** Where clients look for servers (RFC 8415, section 7.1). */
const allServers = "ff02::1:2";
/** Bytes of a DUID (RFC 8415, section 11.1). */
const longestDuid = 130;
/** Option 32: for how long what was told without an address holds (RFC 8415, section 21.23). */
const informationRefreshTime = 32;

type Message = Extract<Dhcpv6, { readonly transactionId: number }>;

/** What a port is given. */
interface Given {
  readonly port: Port;
  /** Its addresses on subnets whose addresses come by DHCPv6. */
  readonly addresses: readonly string[];
  /** Its subnets of either mode, whose name servers it is told. */
  readonly subnets: readonly Subnet[];
  /** Where its machine's name is. */
  readonly zone: string | undefined;
  /** What is the port's own of options. */
  readonly extras: readonly DhcpChange[];
}

/** Who asked, and what. */
interface Question {
  readonly message: Message;
  readonly mac: string;
  readonly address: string;
}

/** Answers one question. */
export function answerDhcp6(view: View, punt: Punt, settings: DhcpSettings): Answer {
  const port = view.get(Port, punt.attachment);
  if (port === undefined || port.key !== punt.srcPort) return silence("the interface's port is not known here");
  const decoded = decode(punt.frame, { checksums: "ignore" });
  if (!decoded.ok || decoded.packet.dhcpv6 === undefined) return silence("not a DHCPv6 question");
  const { eth, ipv6, dhcpv6 } = decoded.packet;
  if (eth.src !== port.mac_address) return notice(`asked from ${eth.src}, which is not the port's MAC address`);
  if (!("transactionId" in dhcpv6)) return silence("it comes by a relay agent");
  const wrong = faultOf(dhcpv6);
  if (wrong !== undefined) return silence(wrong);
  const given = givenTo(view, port);
  if (given === undefined) return silence("the port has no address on a subnet with DHCPv6");
  const question = { message: dhcpv6, mac: eth.src, address: ipv6.src };
  if (ipv6.dst !== allServers) return unicast(question);
  return answered(view, question, given, settings);
}

/** Why a message is discarded (RFC 8415, section 16); undefined: it is sound. */
function faultOf({ type, options }: Message): string | undefined {
  const { clientId, serverId } = options;
  if (clientId !== undefined && (clientId.length < 6 || clientId.length > 2 * longestDuid)) return "not a DUID";
  if (clientId === undefined && type !== "information-request") return "the client does not say who it is";
  switch (type) {
    case "solicit":
    case "confirm":
    case "rebind":
      return serverId === undefined ? undefined : "it is for any server, and names one";
    case "request":
    case "renew":
    case "release":
    case "decline":
      return serverId === dhcp6Duid ? undefined : "it is for another server";
    case "information-request":
      if (serverId !== undefined && serverId !== dhcp6Duid) return "it is for another server";
      return options.iaNa === undefined ? undefined : "a question for all but addresses asks for addresses";
    case "advertise":
    case "reply":
    case "reconfigure":
      return "not a client's message";
  }
}

function givenTo(view: View, port: Port): Given | undefined {
  const addresses: string[] = [];
  const subnets: Subnet[] = [];
  for (const { subnet_id, ip_address } of port.fixed_ips) {
    const subnet = view.get(Subnet, subnet_id);
    const mode = subnet === undefined ? undefined : dhcp6Mode(subnet);
    if (subnet === undefined || mode === undefined) continue;
    if (mode === "stateful") addresses.push(ip_address);
    if (!subnets.includes(subnet)) subnets.push(subnet);
  }
  const network = view.get(Network, port.network_id);
  const zone = network === undefined ? undefined : domainOf(network);
  return subnets.length === 0 ? undefined : { port, addresses, subnets, zone, extras: extraOptions(port, 6) };
}

/** To one server alone nobody may speak, for nobody was told so (RFC 8415, sections 16 and 18.4). */
function unicast(question: Question): Answer {
  switch (question.message.type) {
    case "request":
    case "renew":
    case "release":
    case "decline":
      return frame(question, "reply", { status: statusOf("useMulticast", "ask all servers") });
    default:
      return silence("a question for all servers, sent to one");
  }
}

function answered(view: View, question: Question, given: Given, settings: DhcpSettings): Answer {
  const { message } = question;
  const { iaNa = [] } = message.options;
  const more = parameters(given, message.options.requested, settings);
  // For how long what was told holds is of those who ask for no address (RFC 8415, section 21.23).
  const extras = given.extras.filter(({ code }) => code !== informationRefreshTime);
  switch (message.type) {
    case "solicit": {
      const iaNa6 = assigned(iaNa, given, settings);
      return message.options.rapidCommit === true && given.addresses.length > 0
        ? frame(question, "reply", { ...iaNa6, ...more, rapidCommit: true }, extras)
        : frame(question, "advertise", { ...iaNa6, ...more }, extras);
    }
    case "request":
      return frame(question, "reply", { ...requested(view, iaNa, given, settings), ...more }, extras);
    case "renew":
    case "rebind":
      return frame(question, "reply", { ...renewed(iaNa, given, settings), ...more }, extras);
    case "confirm":
      return confirmed(question, given);
    case "release":
    case "decline":
      return frame(question, "reply", { ...unknown(iaNa, given), status: statusOf("success", "") });
    case "information-request": {
      const refresh = message.options.requested?.includes(informationRefreshTime) === true;
      const all = refresh ? { ...more, other: [refreshTime(settings.leaseTime)] } : more;
      return frame(question, "reply", all, given.extras);
    }
    case "advertise":
    case "reply":
    case "reconfigure":
      return silence("not a client's message");
  }
}

const statusOf = (name: keyof typeof Dhcpv6Status, message: string): Dhcpv6StatusOption => ({
  code: Dhcpv6Status[name],
  message,
});

/** T1 at a half and T2 at four fifths of the time for which an address holds (RFC 8415, section 21.4). */
const timesOf = (leaseTime: number) => ({ t1: Math.floor(leaseTime / 2), t2: Math.floor((leaseTime * 4) / 5) });
const held = (address: string, leaseTime: number) => ({ address, preferred: leaseTime, valid: leaseTime });
const refused = ({ iaid }: IaNa, status: Dhcpv6StatusOption): IaNa => ({ iaid, t1: 0, t2: 0, addresses: [], status });
const some = (iaNa: readonly IaNa[]): Pick<Dhcpv6Options, "iaNa"> => (iaNa.length === 0 ? {} : { iaNa });

/** Whose association an address is: of the one that names it, else of the first. */
const sharesOf = (iaNa: readonly IaNa[], { addresses }: Given): readonly (readonly string[])[] => {
  const owner = addresses.map((address) =>
    Math.max(
      0,
      iaNa.findIndex((ia) => ia.addresses.some((each) => each.address === address)),
    ),
  );
  return iaNa.map((_, at) => addresses.filter((_address, index) => owner[index] === at));
};

/** The port's addresses, each in one association; an association for which there is none is told so. */
function assigned(iaNa: readonly IaNa[], given: Given, { leaseTime }: DhcpSettings): Pick<Dhcpv6Options, "iaNa"> {
  const shares = sharesOf(iaNa, given);
  return some(
    iaNa.map((ia, at) => {
      const share = shares[at] ?? [];
      if (share.length === 0) return refused(ia, statusOf("noAddrsAvail", "the port has no address for this"));
      return { iaid: ia.iaid, ...timesOf(leaseTime), addresses: share.map((each) => held(each, leaseTime)) };
    }),
  );
}

/** As `assigned`; what a client brought from another link it is to forget (RFC 8415, section 18.3.2). */
function requested(
  view: View,
  iaNa: readonly IaNa[],
  given: Given,
  settings: DhcpSettings,
): Pick<Dhcpv6Options, "iaNa"> {
  const prefixes = view.by(Subnet.index.network_id, given.port.network_id).map((subnet) => cidrOf(subnet.cidr));
  const isOnLink = (address: string): boolean => {
    const ip = parseIp(address);
    return ip !== undefined && prefixes.some((prefix) => cidrContains(prefix, ip));
  };
  const answers = assigned(iaNa, given, settings).iaNa ?? [];
  return some(
    answers.map((answer, at) =>
      (iaNa[at]?.addresses ?? []).every(({ address }) => isOnLink(address))
        ? answer
        : refused(answer, statusOf("notOnLink", "the address is of another link")),
    ),
  );
}

/** The port's addresses for longer, and the end of those that are not its own (RFC 8415, sections 18.3.4 and 18.3.5). */
function renewed(iaNa: readonly IaNa[], given: Given, { leaseTime }: DhcpSettings): Pick<Dhcpv6Options, "iaNa"> {
  const shares = sharesOf(iaNa, given);
  return some(
    iaNa.map((ia, at) => {
      const share = shares[at] ?? [];
      const over = ia.addresses.map(({ address }) => address).filter((address) => !share.includes(address));
      const addresses = [...share.map((each) => held(each, leaseTime)), ...over.map((each) => held(each, 0))];
      if (addresses.length === 0) return refused(ia, statusOf("noBinding", "the port has no address for this"));
      return { iaid: ia.iaid, ...timesOf(leaseTime), addresses };
    }),
  );
}

/** Whether what a client has is of this link; here also whether it is the port's own, as no other may be used (RFC 8415, section 18.3.3). */
function confirmed(question: Question, { addresses }: Given): Answer {
  const { iaNa = [] } = question.message.options;
  const asked = iaNa.flatMap((ia) => ia.addresses.map(({ address }) => address));
  if (asked.length === 0) return silence("a question about no address");
  const isOwn = asked.every((address) => addresses.includes(address));
  const status = isOwn ? statusOf("success", "") : statusOf("notOnLink", "the address is not this port's");
  return frame(question, "reply", { status });
}

/** Associations without an address of the port's; the others stay as they are, whatever the client says. */
const unknown = (iaNa: readonly IaNa[], { addresses }: Given): Pick<Dhcpv6Options, "iaNa"> =>
  some(
    iaNa
      .filter((ia) => !ia.addresses.some(({ address }) => addresses.includes(address)))
      .map((ia) => refused(ia, statusOf("noBinding", "the address is not this port's"))),
  );

function refreshTime(seconds: number): { readonly code: number; readonly data: Uint8Array } {
  const data = new Uint8Array(4);
  new DataView(data.buffer).setUint32(0, Math.max(600, seconds));
  return { code: informationRefreshTime, data };
}

/** What the client asked for; everything where it did not say. */
function parameters(
  { subnets, zone }: Given,
  asked: readonly number[] | undefined,
  settings: DhcpSettings,
): Dhcpv6Options {
  const wants = (option: number): boolean => asked === undefined || asked.includes(option);
  const named = [...new Set(subnets.flatMap((subnet) => subnet.dns_nameservers))].filter((each) => each.includes(":"));
  const dnsServers = named.length > 0 ? named : [serviceAddresses.resolver[6]];
  const domainName = settings.domainName ?? zone;
  return {
    ...(wants(Dhcpv6OptionCode.dnsServers) ? { dnsServers } : {}),
    ...(wants(Dhcpv6OptionCode.domainSearch) && domainName !== undefined ? { domainSearch: [domainName] } : {}),
  };
}

/** Bytes of a frame that every link takes whole (RFC 8200, section 5), its Ethernet header with it. */
const mostBytes = 14 + 1280;

function frame(
  { message, mac, address }: Question,
  type: "advertise" | "reply",
  options: Dhcpv6Options,
  extras: readonly DhcpChange[] = [],
): Answer {
  const { clientId, requested } = message.options;
  const plain = { ...(clientId === undefined ? {} : { clientId }), serverId: dhcp6Duid, ...options };
  const build = (some: readonly DhcpChange[]): Uint8Array =>
    encode({
      eth: { src: dhcpMac, dst: mac },
      ipv6: { src: dhcp6Address, dst: address },
      udp: { src: UdpPort.dhcpv6Server, dst: UdpPort.dhcpv6Client },
      dhcpv6: {
        type,
        transactionId: message.transactionId,
        options: withDhcpv6Options(
          plain,
          some.flatMap(({ code, data }) => (data === undefined ? [] : [{ code, data }])),
        ),
      },
    });
  return reply(fitting(extras, requested, mostBytes, build), type);
}
