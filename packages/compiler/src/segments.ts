/** Where networks stand on wires: on which segment a host is, and which hosts are where an address is (routed provider networks). */
import {
  Attachment,
  cidrContains,
  cidrOf,
  Host,
  ipOf,
  isRouted,
  keyOf,
  Network,
  type Query,
  type QueryingView,
  query,
  type Standing,
  Subnet,
  segmentsOf,
} from "@selvage/model";
import { physicalName } from "@selvage/pipeline";
import { hostsWith } from "./physical.ts";

/** A segment of a network to which this host's switch has an interface. */
export interface Wire {
  readonly segmentId: string;
  readonly physical: string;
  /** The tag; null: untagged. */
  readonly vlan: number | null;
}

const sameWire = (one: Wire | undefined, other: Wire | undefined): boolean =>
  one?.segmentId === other?.segmentId && one?.physical === other?.physical && one?.vlan === other?.vlan;

/** The segment on which this host stands, of several the first; undefined: it has no wire to any. */
export const wireHere: Query<Wire | undefined> = {
  name: "wire here",
  run: (view, id) => {
    const network = view.get(Network, id);
    if (network === undefined) return undefined;
    for (const { id: segmentId, physical_network: physical, segmentation_id: vlan } of segmentsOf(view, network))
      if (physical !== null && view.has(Attachment, physicalName(physical))) return { segmentId, physical, vlan };
    return undefined;
  },
  equal: sameWire,
};

/** Whether this host's switch has an interface to a physical network that a network stands on. */
export const hasWire = (view: QueryingView, networkId: string): boolean => view.ask(wireHere, networkId) !== undefined;

/** Whether a network's subnets are by segment. */
const routed = query("routed", (view, id) => isRouted(view, id));

/** The segment that an address of a network (`network|address`) is of; null: of none. */
const segmentOfAddress = query("segment of address", (view, key): string | null => {
  const [networkId = "", address = ""] = key.split("|");
  const ip = ipOf(address);
  const holding = view.by(Subnet.index.network_id, networkId).filter(({ cidr }) => cidrContains(cidrOf(cidr), ip));
  // One at most, but for moments between two changes: then the same everywhere.
  return holding.map(({ segment_id }) => segment_id).sort()[0] ?? null;
});

/** Whether what is of a segment (null: of none) is where this host stands on a network, if it stands there at all. */
export function isOfHere(view: QueryingView, networkId: string, segmentId: string | null | undefined): boolean {
  const wire = view.ask(wireHere, networkId);
  return segmentId == null || wire === undefined || wire.segmentId === segmentId;
}

/** Whether this host may answer for an address of a network: it has the wire, and of a network with subnets by segment that of the address. */
export const maySpeak = (view: QueryingView, networkId: string, address: string): boolean =>
  hasWire(view, networkId) && isOfHere(view, networkId, view.ask(segmentOfAddress, keyOf(networkId, address)));

/** Which of a network's segments a host is on, as it says which physical networks it has. */
const standingOf = (segments: readonly Standing[], { physical_networks }: Host): Standing | undefined =>
  segments.find(({ physical_network }) => physical_network !== null && physical_networks.includes(physical_network));

/** The hosts that may answer for an address of a network and are not known to be away. */
export function speakersFor(view: QueryingView, networkId: string, address: string): readonly Host[] {
  const network = view.get(Network, networkId);
  if (network === undefined) return [];
  const segments = segmentsOf(view, network);
  const own = view.ask(segmentOfAddress, keyOf(networkId, address));
  const hosts = new Map<string, Host>();
  for (const { physical_network: physical } of segments)
    for (const host of physical === null ? [] : hostsWith(view, physical))
      if (own === null || standingOf(segments, host)?.id === own) hosts.set(host.id, host);
  return [...hosts.values()];
}

/** Whether machines of a network on another host are reached from here without a router: not on another segment, where subnets are by segment. */
export function isBeside(view: QueryingView, networkId: string, hostName: string): boolean {
  const wire = view.ask(wireHere, networkId);
  if (wire === undefined || !view.ask(routed, networkId)) return true;
  const network = view.get(Network, networkId);
  const [host] = view.by(Host.index.name, hostName);
  if (network === undefined || host === undefined) return false;
  return standingOf(segmentsOf(view, network), host)?.id === wire.segmentId;
}
