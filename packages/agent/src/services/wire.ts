/** Frames that the agent itself puts on a physical network: from the host's own MAC, with the tag of the network that they are of (IEEE 802.1Q). */
import { hostMac } from "@selvage/compiler";
import type { Datapath } from "@selvage/datapath";
import { Host, Network, type Standing, segmentsOf, type View } from "@selvage/model";
import { encode, Frame, multicastMac, whoHas } from "@selvage/packet";
import { physicalName } from "@selvage/pipeline";

const broadcast = "ff:ff:ff:ff:ff:ff";
const nobody = "00:00:00:00:00:00";
const allNodes = "ff02::1";

/** A network that stands on a physical one, as frames of it need it. */
export interface Wire {
  readonly networkId: string;
  /** The interface that leads there. */
  readonly name: string;
  readonly vlan: number | null;
  /** The MAC that this host speaks with there. */
  readonly mac: string;
}

/** The wire of a network that packets bear as this key; undefined: it stands on none, or is not known here. */
export function wireOf(view: View, net: number, hostName: string): Wire | undefined {
  const [host] = view.by(Host.index.name, hostName);
  const [network] = view.by(Network.index.key, String(net));
  if (host === undefined || network === undefined) return undefined;
  const has = ({ physical_network: name }: Standing): boolean => name !== null && host.physical_networks.includes(name);
  const segment = segmentsOf(view, network).find(has);
  if (segment?.physical_network == null) return undefined;
  const name = physicalName(segment.physical_network);
  return { networkId: network.id, name, vlan: segment.segmentation_id, mac: hostMac(host.key) };
}

/** A frame as it goes on the wire. */
export function onWire({ vlan }: Pick<Wire, "vlan">, frame: Uint8Array): Uint8Array {
  if (vlan === null) return frame;
  const tagged = new Frame(frame);
  tagged.pushVlan(vlan);
  return tagged.toBytes();
}

/** Sends a frame by the interface to the physical network. */
export const sendOn = (datapath: Pick<Datapath, "send">, wire: Wire, frame: Uint8Array): Promise<void> =>
  datapath.send(wire.name, onWire(wire, frame));

/** Who has an address: an ARP probe, which says nothing of who asks (RFC 5227 section 1.1), or a solicitation from the link-local address of the MAC (RFC 4861 section 7.2.2). */
export const questionFrame = (mac: string, linkLocal: string, address: string): Uint8Array =>
  encode(whoHas({ eth: { src: mac }, source: address.includes(":") ? linkLocal : "0.0.0.0", target: address }));

/** That an address is here now: gratuitous ARP (RFC 5944 section 4.6), or an advertisement that nobody asked for (RFC 4861 section 7.2.6). */
export function announcementFrame(mac: string, address: string, of: "router" | "host" = "router"): Uint8Array {
  if (!address.includes(":"))
    return encode({
      eth: { src: mac, dst: broadcast },
      arp: { op: 1, sha: mac, spa: address, tha: nobody, tpa: address },
    });
  return encode({
    eth: { src: mac, dst: multicastMac(allNodes) },
    ipv6: { src: address, dst: allNodes, hopLimit: 255 },
    icmpv6: {
      kind: "neighbor-advertisement",
      router: of === "router",
      solicited: false,
      override: true,
      target: address,
      options: [{ kind: "target-link-layer", mac }],
    },
  });
}
