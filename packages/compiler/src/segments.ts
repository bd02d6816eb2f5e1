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
  Router,
  type Standing,
  Subnet,
  segmentsOf,
  type View,
} from "@selvage/model";
import { physicalName } from "@selvage/pipeline";
import { isBehind } from "./outside.ts";
import { elected, hostsWith, preferred } from "./physical.ts";

/** A segment of a network to which this host's switch has an interface. */
export interface Wire {
  readonly segmentId: string;
  readonly physical: string;
  /** The tag; null: untagged. */
  readonly vlan: number | null;
}

const sameWire = (one: Wire | undefined, other: Wire | undefined): boolean =>
  one?.segmentId === other?.segmentId && one?.physical === other?.physical && one?.vlan === other?.vlan;

/** The segment of a network on which this host stands, of several the first; undefined: it has no wire to any. */
export function wireOn(view: View, network: Network): Wire | undefined {
  for (const { id: segmentId, physical_network: physical, segmentation_id: vlan } of segmentsOf(view, network))
    if (physical !== null && view.has(Attachment, physicalName(physical))) return { segmentId, physical, vlan };
  return undefined;
}

/** As `wireOn`, by the network's id. */
export const wireHere: Query<Wire | undefined> = {
  name: "wire here",
  run: (view, id) => {
    const network = view.get(Network, id);
    return network === undefined ? undefined : wireOn(view, network);
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

/** A host as far as who speaks for what depends on it. */
type Speaker = Pick<Host, "id" | "name" | "availability_zone">;

const speakerFields = ["id", "name", "availability_zone"] as const;

/** The hosts that may answer on a network for addresses of a segment (`network|segment`; empty: of none), and are not known to be away. */
const speakers = query(
  "speakers",
  (view, key): readonly Speaker[] => {
    const [networkId = "", segmentId = ""] = key.split("|");
    const network = view.get(Network, networkId);
    if (network === undefined) return [];
    const segments = segmentsOf(view, network);
    const hosts = new Map<string, Speaker>();
    for (const { physical_network: physical } of segments)
      for (const host of physical === null ? [] : hostsWith(view, physical))
        if (segmentId === "" || standingOf(segments, host)?.id === segmentId) hosts.set(host.id, host);
    return [...hosts.values()];
  },
  (one, other) =>
    one.length === other.length &&
    one.every((host, at) => speakerFields.every((name) => host[name] === other[at]?.[name])),
);

/** The zones that a router is to be in; none: it may be in all. */
const hintedZones = query(
  "hinted zones",
  // A server from before they were told tells none.
  (view, routerId): readonly string[] => view.get(Router, routerId)?.availability_zone_hints ?? [],
  (one, other) => one.length === other.length && one.every((zone, at) => zone === other[at]),
);

/** An address of a router's, and whether of the hosts that may speak for it those alone do that have machines behind it. */
type Subject = readonly [networkId: string, address: string, routerId: string, among?: "behind"];

/** The one of them that answers for an address of a router's (`network|address|router`, `|behind`): of its zones, or of all where none is there. */
const speaker = query("speaker", (view, key): string | undefined => {
  const [networkId = "", address = "", routerId = "", among = ""] = key.split("|");
  const segmentId = view.ask(segmentOfAddress, keyOf(networkId, address)) ?? "";
  const all = view.ask(speakers, keyOf(networkId, segmentId));
  const able = among === "behind" ? all.filter(({ name }) => isBehind(view, routerId, name)) : all;
  return elected(address, preferred(able, view.ask(hintedZones, routerId)))?.name;
});

/** Whether, of the hosts that may answer for a router's address, a host is the one that does. Wakes who asks only when another does. */
export const isSpeaker = (view: QueryingView, hostName: string, ...subject: Subject): boolean =>
  view.ask(speaker, subject.join("|")) === hostName;

const beside = query("beside", (view, pair): boolean => {
  const at = pair.indexOf("|");
  const networkId = pair.slice(0, at);
  const wire = view.ask(wireHere, networkId);
  if (wire === undefined || !view.ask(routed, networkId)) return true;
  const network = view.get(Network, networkId);
  const [host] = view.by(Host.index.name, pair.slice(at + 1));
  if (network === undefined || host === undefined) return false;
  return standingOf(segmentsOf(view, network), host)?.id === wire.segmentId;
});

/** Whether machines of a network on another host are reached from here without a router: not on another segment, where subnets are by segment. */
export const isBeside = (view: QueryingView, networkId: string, hostName: string): boolean =>
  view.ask(beside, keyOf(networkId, hostName));
