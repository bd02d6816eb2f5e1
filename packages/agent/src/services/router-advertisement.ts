/** Router advertisements, and solicitations answered with them: from intent alone, so that every host says the same (RFC 4861 section 6.2; DNS RFC 8106). */
import { advertisedSubnets } from "@selvage/compiler";
import type { Punt } from "@selvage/datapath";
import { cidrOf, linkLocalOf, macOf, Network, Port, type Subnet, textOfIp, type View } from "@selvage/model";
import { decode, encode, multicastMac, type NdOption, ndFault } from "@selvage/packet";
import { serviceAddresses } from "@selvage/pipeline";
import { type Answer, reply, silence } from "./answer.ts";

/** Seconds: what routers say unless told otherwise (RFC 4861 section 6.2.1); of prefixes as `radvd` has it. */
const lifetimes = { router: 1800, valid: 86_400, preferred: 14_400, dns: 1800 } as const;
const hopLimit = 64;
const allNodes = "ff02::1";

/** What one interface of a router advertises. */
export interface Advertisement {
  readonly mac: string;
  readonly address: string;
  /** Whether it is a way out: the gateway of one of the subnets. */
  readonly isGateway: boolean;
  readonly managed: boolean;
  readonly otherConfig: boolean;
  readonly options: readonly NdOption[];
}

/** To whom an advertisement goes. */
export interface Receiver {
  readonly mac: string;
  readonly address: string;
}

/** Every machine on the link. */
export const everybody: Receiver = { mac: multicastMac(allNodes), address: allNodes };

/** What an interface advertises; undefined: nothing. */
export function advertisementOf(view: View, port: Port): Advertisement | undefined {
  const network = view.get(Network, port.network_id);
  const subnets = advertisedSubnets(view, port);
  if (network === undefined || subnets.length === 0) return undefined;
  const own = new Set(port.fixed_ips.map((fixed) => fixed.ip_address));
  const named = [...new Set(subnets.flatMap((subnet) => subnet.dns_nameservers.filter((each) => each.includes(":"))))];
  const servers = named.length > 0 ? named : [serviceAddresses.resolver[6]];
  return {
    mac: port.mac_address,
    address: textOfIp(linkLocalOf(macOf(port.mac_address))),
    isGateway: subnets.some((subnet) => subnet.gateway_ip !== null && own.has(subnet.gateway_ip)),
    managed: subnets.some((subnet) => subnet.ipv6_ra_mode === "dhcpv6-stateful"),
    otherConfig: subnets.some((subnet) => subnet.ipv6_ra_mode === "dhcpv6-stateless"),
    options: [
      { kind: "source-link-layer", mac: port.mac_address },
      ...(network.mtu === undefined ? [] : [{ kind: "mtu", mtu: network.mtu } as const]),
      ...subnets.map(prefixOf),
      { kind: "dns-servers", servers, lifetime: lifetimes.dns },
    ],
  };
}

function prefixOf(subnet: Subnet): NdOption {
  const { address, length } = cidrOf(subnet.cidr);
  return {
    kind: "prefix",
    prefix: textOfIp(address),
    length,
    onLink: true,
    autonomous: subnet.ipv6_ra_mode !== "dhcpv6-stateful",
    validLifetime: lifetimes.valid,
    preferredLifetime: lifetimes.preferred,
  };
}

/** The frame; `last`: the router goes, and is no way out any more (RFC 4861 section 6.2.5). */
export function advertisementFrame(said: Advertisement, to: Receiver, which: "usual" | "last" = "usual"): Uint8Array {
  return encode({
    eth: { src: said.mac, dst: to.mac },
    ipv6: { src: said.address, dst: to.address },
    icmpv6: {
      kind: "router-advertisement",
      hopLimit,
      managed: said.managed,
      otherConfig: said.otherConfig,
      preference: "medium",
      lifetime: which === "usual" && said.isGateway ? lifetimes.router : 0,
      reachableTime: 0,
      retransTimer: 0,
      options: said.options,
    },
  });
}

/** Answers one solicitation with what every router on the asking port's network advertises. */
export function answerSolicitation(view: View, punt: Punt): Answer {
  const asking = view.get(Port, punt.attachment);
  if (asking === undefined || asking.key !== punt.srcPort) return silence("the interface's port is not known here");
  const decoded = decode(punt.frame, { checksums: "ignore" });
  if (!decoded.ok || decoded.packet.icmpv6 === undefined) return silence("not a solicitation");
  const { eth, ipv6, icmpv6 } = decoded.packet;
  if (icmpv6.kind !== "router-solicitation") return silence("not a solicitation");
  const fault = ndFault(ipv6, icmpv6);
  if (fault !== undefined) return silence(`the solicitation is not valid: ${fault}`);
  // Who has no address yet is answered as all are.
  const to = ipv6.src === "::" ? everybody : { mac: eth.src, address: ipv6.src };
  const frames = view.by(Port.index.routedNetwork, asking.network_id).flatMap((port) => {
    const said = advertisementOf(view, port);
    return said === undefined ? [] : [advertisementFrame(said, to)];
  });
  return frames.length === 0 ? silence("no router here advertises") : reply(frames, "router-advertisement");
}
