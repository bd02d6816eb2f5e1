/** Physical networks and where networks stand on them: the segments of each, their tags, on which of them each host is, and who is met there. */
import { type LearnedNeighbour, type Network, physicalKeys, type Segment, type Subnet } from "@selvage/model";
import { makeLearnedNeighbour, makeSegment, makeSubnet, testId } from "@selvage/model/testing";
import { physicalName } from "@selvage/pipeline";
import fc from "fast-check";
import { usually } from "./draw.ts";
import { addressIn, prefixOf } from "./routing.ts";
import type { Speaker } from "./topology.ts";

/** The physical networks, to each of which every host's switch has an interface; the first is that on which most stand. */
export const wireNames = ["public", "second"] as const;
export type WireName = (typeof wireNames)[number];

/** A physical network by the name with which its packets come in; undefined for any other ingress. */
export const wireOfIngress = (ingress: string): WireName | undefined =>
  wireNames.find((name) => physicalName(name) === ingress);

/** The networks that stand on wires: that by which routers go out, and one of machines. */
export const wiredNetworks = ["external", "standing"] as const;
export type WiredNetwork = (typeof wiredNetworks)[number];

/** Of one segment that says itself nothing or is told; of two that the physical networks join, or that routers outside do. */
type Segments = "unsaid" | "one" | "joined" | "routed";

export interface WiresPlan {
  /** The tag of the external network on the first wire; 0: it is flat. The other tags follow from it. */
  readonly vlan: 0 | 1 | 42 | 4094;
  /** Place of the host without a wire; 3: all have one. */
  readonly unwired: number;
  /** Place of the network of machines that stands on wires; 3: none does. */
  readonly standing: number;
  readonly segments: Readonly<Record<WiredNetwork, Segments>>;
  /** Whether the external network's segment on the second wire is its first; where it is tagged, the machines' begin with that on the other wire. */
  readonly isTurned: boolean;
  /** What each host is on, where a network has several segments. */
  readonly wires: readonly (WireName | "both")[];
  /** Places of hosts that have met nobody. */
  readonly strange: readonly number[];
}

export const wirePlans = {
  vlan: fc.constantFrom<WiresPlan["vlan"][]>(0, 0, 1, 42, 4094),
  unwired: usually(3, 0, 1),
  standing: fc.constantFrom(3, 3, 0, 1, 1, 2),
  segments: fc.record({
    external: fc.constantFrom<Segments[]>("unsaid", "unsaid", "unsaid", "one", "joined", "routed"),
    standing: fc.constantFrom<Segments[]>("unsaid", "unsaid", "unsaid", "one", "joined", "routed"),
  }),
  isTurned: usually(false, true),
  wires: fc.array(fc.constantFrom<WiresPlan["wires"][number][]>("public", "public", "second", "second", "both"), {
    minLength: 3,
    maxLength: 3,
  }),
  strange: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.array(fc.nat(2)) }),
} as const;

/** A segment's place: a tag on a wire; 0: none. */
export interface Place {
  readonly wire: WireName;
  readonly vlan: number;
}

const isSeveral = (segments: Segments): boolean => segments === "joined" || segments === "routed";

/** The tag of the external network on the second wire, and that of the machines' own beside one of the external network's. */
const otherTag = { 0: 42, 1: 4094, 42: 0, 4094: 1 } as const;
const tagBeside = { 0: 7, 1: 0, 42: 4094, 4094: 0 } as const;

/** Where a network stands, in the order of its segments. */
export function placesOf({ vlan, segments, isTurned }: WiresPlan, network: WiredNetwork): readonly Place[] {
  const tags = [vlan, otherTag[vlan]].map((tag) => (network === "external" ? tag : tagBeside[tag]));
  const [first, second] = wireNames.map((wire, place): Place => ({ wire, vlan: tags[place] ?? 0 }));
  if (first === undefined || second === undefined || !isSeveral(segments[network])) return first ? [first] : [];
  const isSecond = network === "standing" && vlan !== 0 ? !isTurned : isTurned;
  return isSecond ? [second, first] : [first, second];
}

/** The wires on which networks stand: the second where one has several segments. */
export const usedWires = ({ segments }: WiresPlan): readonly WireName[] =>
  wiredNetworks.some((network) => isSeveral(segments[network])) ? wireNames : ["public"];

/** The wires of a host, by its place. */
export function wiresOf(plan: WiresPlan | null, host: number): readonly WireName[] {
  if (plan === null || plan.unwired === host) return [];
  const wires = plan.wires[host] ?? "both";
  const used = usedWires(plan);
  return wires === "both" || used.length === 1 ? used : [wires];
}

/** On which of a network's segments a host stands, the first of several; undefined: on none. */
function segmentAt(plan: WiresPlan, network: WiredNetwork, host: number): number | undefined {
  const wires = wiresOf(plan, host);
  const found = placesOf(plan, network).findIndex(({ wire }) => wires.includes(wire));
  return found === -1 ? undefined : found;
}

/** Where a network is for a host; for one that stands nowhere, where it is first. */
export const placeOf = (plan: WiresPlan, network: WiredNetwork, host: number): Place =>
  placesOf(plan, network)[segmentAt(plan, network, host) ?? 0] ?? { wire: "public", vlan: 0 };

const segmentId = (network: WiredNetwork, segment: number): string => testId(`${network} segment`, segment + 1);
const provided = ({ vlan }: Place) => ({ type: vlan === 0 ? "flat" : "vlan", tag: vlan === 0 ? null : vlan }) as const;

/** A network as it is on wires, not in tunnels. */
export function onWires(of: Network, plan: WiresPlan, network: WiredNetwork): Network {
  const [place] = placesOf(plan, network);
  if (place === undefined) return of;
  const { type, tag } = provided(place);
  return {
    ...of,
    "provider:network_type": type,
    "provider:physical_network": place.wire,
    "provider:segmentation_id": tag,
    key: network === "external" ? physicalKeys.first : physicalKeys.last,
  };
}

export function segmentsOf(plan: WiresPlan, network: WiredNetwork, network_id: string): readonly Segment[] {
  if (plan.segments[network] === "unsaid") return [];
  return placesOf(plan, network).map((place, position) => {
    const { type, tag } = provided(place);
    return makeSegment({
      ...{ id: segmentId(network, position), network_id, physical_network: place.wire },
      ...{ network_type: type, segmentation_id: tag, position },
    });
  });
}

/** By how much the third number of a prefix is more on a network's second segment. */
const further = 8;

/** The subnets of a network by segment: where routers outside join them, each of them is of the first, and another like it of the second. */
export function bySegment(subnets: readonly Subnet[], plan: WiresPlan, network: WiredNetwork): readonly Subnet[] {
  if (plan.segments[network] !== "routed") return subnets;
  return subnets.flatMap((subnet, place) => [
    { ...subnet, segment_id: segmentId(network, 0) },
    makeSubnet({
      ...subnet,
      id: testId(`${network} subnet there`, place + 1),
      segment_id: segmentId(network, 1),
      ...movedOn(subnet),
    }),
  ]);
}

function movedOn({ cidr, gateway_ip }: Subnet): Pick<Subnet, "cidr" | "gateway_ip"> {
  const moved = nextPrefix(cidr);
  return { cidr: moved, gateway_ip: gateway_ip === null ? null : addressIn(moved, 1) };
}

/** The prefix that a network has on its second segment for one of its first. */
const nextPrefix = (cidr: string): string =>
  cidr.replace(/^(2001:db8:|\d+\.\d+\.)([0-9a-f]*)/, (_, before: string, third: string) =>
    before.includes(":")
      ? `${before}${(Number.parseInt(third || "0", 16) + further).toString(16)}${third === "" ? ":" : ""}`
      : `${before}${Number(third) + further}`,
  );

/** Whether a subnet is of one of a network's segments, or of none. */
export const isOfSegment = (
  { segment_id }: Subnet,
  { segments }: WiresPlan,
  network: WiredNetwork,
  segment: number,
): boolean => segments[network] !== "routed" || segment_id === segmentId(network, segment);

/** Whether a port on a host may have addresses of a subnet: one of no segment, or of that on which the host stands. */
export const isServedOn = (subnet: Subnet, plan: WiresPlan, network: WiredNetwork, host: number): boolean =>
  isOfSegment(subnet, plan, network, segmentAt(plan, network, host) ?? 0);

/** Who is on a wire and is nobody's machine. */
export interface Outsider extends Speaker {
  readonly network: WiredNetwork;
  /** On which segment; null: the physical networks bring it to all. */
  readonly segment: number | null;
  /** Whether it is far away, and the MAC is that of who leads there. */
  readonly isFar: boolean;
}

const speaker = (number: number, ip4: string, ip6: string): Speaker => ({
  ...{ mac: `02:00:00:00:ee:0${number}`, ip4, ip6 },
  linkLocal: `fe80::ff:fe00:ee0${number}`,
});

/** The outside's own router, by which everything far is reached; somebody beside it; and somebody far. */
export const upstream: Speaker = speaker(1, "203.0.113.1", "2001:db8:ff::1");
export const beside: Speaker = speaker(2, "203.0.113.2", "2001:db8:ff::2");
export const distant: Speaker = { ...upstream, ip4: "192.0.2.77", ip6: "2001:db8:fa::77" };
const externalPrefixes = { 4: "203.0.113.0/24", 6: "2001:db8:ff::/64" } as const;

/** Everybody who is on a wire: routers outside, somebody beside each, and somebody far behind it. `number` is that of the machines' network there, null where none is. */
export function outsidersOf(plan: WiresPlan, number: number | null): readonly Outsider[] {
  const within = number === null ? undefined : { 4: prefixOf(4, number), 6: prefixOf(6, number) };
  return wiredNetworks.flatMap((network) => {
    const prefixes = network === "external" ? externalPrefixes : within;
    if (prefixes === undefined) return [];
    const isRouted = plan.segments[network] === "routed";
    return (isRouted ? [0, 1] : [0]).flatMap((place): readonly Outsider[] => {
      const [v4, v6] = ([4, 6] as const).map((version) =>
        place === 0 ? prefixes[version] : nextPrefix(prefixes[version]),
      );
      const base = 2 * place + (network === "external" ? 1 : 5);
      const as = (which: number, last: number): Speaker =>
        speaker(base + which, addressIn(v4 ?? "", last), addressIn(v6 ?? "", last));
      const on = { network, segment: isRouted ? place : null };
      const router: Outsider = { ...as(0, 1), ...on, isFar: false };
      const far: Outsider = { ...router, ip4: distant.ip4, ip6: distant.ip6, isFar: true };
      const other: Outsider = { ...as(1, network === "external" ? 2 : 180), ...on, isFar: false };
      // Where tenants' routers stand the gateway is one of them.
      return network === "external" || isRouted ? [router, other, far] : [other];
    });
  });
}

/** Those of a network who are where a host is. */
export const metBy = (
  all: readonly Outsider[],
  plan: WiresPlan,
  network: WiredNetwork,
  host: number,
): readonly Outsider[] => {
  const segment = segmentAt(plan, network, host) ?? 0;
  return all.filter((each) => each.network === network && (each.segment === null || each.segment === segment));
};

/** Whom a host knows of them. */
export function neighboursOf(
  all: readonly Outsider[],
  plan: WiresPlan,
  host: number,
  ids: Readonly<Record<WiredNetwork, string | null>>,
): readonly LearnedNeighbour[] {
  if (plan.strange.includes(host)) return [];
  return wiredNetworks.flatMap((network) => {
    const network_id = ids[network];
    if (network_id === null) return [];
    const near = metBy(all, plan, network, host).filter(({ isFar }) => !isFar);
    return near.flatMap(({ mac, ip4, ip6 }) =>
      [ip4, ip6].map((address) => makeLearnedNeighbour({ network_id, address, mac })),
    );
  });
}

/** Places that whoever runs the physical networks has joined: what is sent at one is heard at the other. */
export const joinedPlaces = (plan: WiresPlan): readonly (readonly Place[])[] =>
  wiredNetworks.flatMap((network) => (plan.segments[network] === "joined" ? [placesOf(plan, network)] : []));
