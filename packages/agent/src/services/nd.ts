/**
 * Neighbour solicitations answered on the asking host for every IPv6 address that intent knows on the network, link-local ones of its MAC
 * addresses too, and for those of the host's own services (RFC 4861 section 7.2.4, RFC 4862 section 5.4.3).
 */
import type { Punt } from "@selvage/datapath";
import { ipOf, keyOf, macOfEui64, Port, Subnet, textOfMac, type View } from "@selvage/model";
import { decode, encode, multicastMac, ndFault } from "@selvage/packet";
import { serviceAddresses, serviceMac } from "@selvage/pipeline";
import { type Answer, reply, silence } from "./answer.ts";
import { onWire, wireOf } from "./wire.ts";

const allNodes = "ff02::1";

/** Where the host's own services are, on every network. */
const services: ReadonlySet<string> = new Set(Object.values(serviceAddresses).map((each) => each[6]));

/** A solicitation that is one, or why not. */
function solicitationOf(frame: Uint8Array) {
  const decoded = decode(frame, { checksums: "ignore" });
  if (!decoded.ok || decoded.packet.icmpv6?.kind !== "neighbor-solicitation") return "not a solicitation";
  const { eth, ipv6, icmpv6 } = decoded.packet;
  if (ipv6 === undefined) return "not a solicitation";
  const fault = ndFault(ipv6, icmpv6);
  if (fault !== undefined) return `the solicitation is not valid: ${fault}`;
  return { asker: eth.src, source: ipv6.src, target: icmpv6.target };
}
type Solicitation = Exclude<ReturnType<typeof solicitationOf>, string>;

/** What a MAC answers to it: the asker, or all where it tests for duplicates. */
function advertisementOf({ asker, source, target }: Solicitation, mac: string, router: boolean): Uint8Array {
  const probing = source === "::";
  return encode({
    eth: { src: mac, dst: probing ? multicastMac(allNodes) : asker },
    ipv6: { src: target, dst: probing ? allNodes : source },
    icmpv6: {
      kind: "neighbor-advertisement",
      router,
      solicited: !probing,
      override: true,
      target,
      options: [{ kind: "target-link-layer", mac }],
    },
  });
}

/** Answers one solicitation. */
export function answerNd(view: View, punt: Punt): Answer {
  const asking = view.get(Port, punt.attachment);
  if (asking === undefined || asking.key !== punt.srcPort) return silence("the interface's port is not known here");
  const asked = solicitationOf(punt.frame);
  if (typeof asked === "string") return silence(asked);
  const service = services.has(asked.target) ? { id: "", mac_address: serviceMac, router_id: null } : undefined;
  const target = service ?? portOf(view, asking.network_id, asked.target);
  if (target === undefined) return silence("nobody here has the address");
  // What a port says of its own address is a test for duplicates: there is none.
  if (target.id === asking.id) return silence("the address is the asking port's own");
  return reply(advertisementOf(asked, target.mac_address, target.router_id !== null), "advertisement");
}

/** Answers a solicitation from a physical network: only what this host owns there comes here, and it answers with its own MAC. */
export function answerOnWire(view: View, punt: Punt, hostName: string): Answer {
  const wire = wireOf(view, punt.net, hostName);
  if (wire === undefined) return silence("the network stands on no wire that is known here");
  const asked = solicitationOf(punt.frame);
  if (typeof asked === "string") return silence(asked);
  return reply(onWire(wire, advertisementOf(asked, wire.mac, true)), "advertisement");
}

/** Whose address of a network it is: a fixed one, or the link-local one that a port's MAC address gives. */
function portOf(view: View, networkId: string, address: string): Port | undefined {
  for (const subnet of view.by(Subnet.index.network_id, networkId)) {
    const [port] = view.by(Port.index.address, keyOf(subnet.id, address));
    if (port !== undefined) return port;
  }
  if (!address.startsWith("fe80::")) return undefined;
  const ip = ipOf(address);
  const mac = typeof ip === "bigint" ? macOfEui64(ip) : undefined;
  return mac === undefined ? undefined : view.by(Port.index.networkMac, keyOf(networkId, textOfMac(mac)))[0];
}
