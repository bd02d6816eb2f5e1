/** Where a network stands on the wire: each has one segment or more (Networking v2.0, `/v2.0/segments`; extensions `segment`, `multi-provider`). */
import { field, input, reference, standardFields } from "../fields.ts";
import { keyOf, type ObjectOf, resource } from "../resource.ts";
import { integer, nullable, text, uuid } from "../types.ts";
import type { View } from "../view.ts";
import { Network } from "./network.ts";
import { Subnet } from "./subnet.ts";

/** A place on the wire. */
export interface Place {
  readonly network_type: string;
  readonly physical_network: string | null;
  readonly segmentation_id: number | null;
}

const { id, revision_number, created_at, updated_at } = standardFields();

export const Segment = resource({
  kind: "segment",
  plural: "segments",
  fields: {
    id,
    network_id: reference(uuid(), "network", "cascade", {
      create: "required",
      filter: true,
      sort: true,
      projected: "all",
    }),
    name: field(nullable(text(255)), {
      create: "optional",
      update: "allowed",
      default: null,
      filter: true,
      sort: true,
    }),
    /** Null of one that was made with its network. */
    description: field(nullable(text(255)), { create: "optional", update: "allowed", default: "", filter: true }),
    /** The name under which hosts know the wire; null: it is tunnelled. */
    physical_network: field(nullable(text(64)), {
      create: "optional",
      default: null,
      filter: true,
      sort: true,
      projected: "all",
    }),
    network_type: field(text(32), { create: "required", filter: true, sort: true, projected: "all" }),
    /** The tunnel key on the wire, or the VLAN's tag; null: untagged. Absent in POST: a free one. */
    segmentation_id: field(nullable(integer(0, 0xffffffff)), { create: "optional", sort: true, projected: "all" }),
    revision_number,
    created_at,
    updated_at,
    tenant_id: input(text(255)),
    /** Its place among its network's, from 0: a host that has several stands on the first. */
    position: field(integer(0, Number.MAX_SAFE_INTEGER), { readers: "hidden", projected: "all" }),
  },
  indexes: {
    /** Segments on a physical network. */
    physical: ({ physical_network }) => (physical_network === null ? [] : [physical_network]),
  },
  unique: { place: (segment) => [placeKey(segment)] },
});
export type Segment = ObjectOf<typeof Segment>;

/** Under which a place stands: a tunnel key, or a physical network with a VLAN's tag or none. */
export function placeKey({ network_type, physical_network, segmentation_id }: Place): string {
  return physical_network === null
    ? String(segmentation_id)
    : keyOf(network_type, physical_network, String(segmentation_id ?? ""));
}

/** A segment as whoever sends by it needs it. */
export interface Standing extends Place {
  readonly id: string;
}

/**
 * The segments of a network, in order. Hosts are told those of physical networks alone: a network of which a view knows none has the one that it says itself.
 */
export function segmentsOf(view: Pick<View, "by">, network: Network): readonly Standing[] {
  const found = view.by(Segment.index.network_id, network.id);
  if (found.length > 0) return found.length === 1 ? found : found.toSorted(inOrder);
  return [
    {
      id: network.id,
      network_type: network["provider:network_type"],
      physical_network: network["provider:physical_network"],
      segmentation_id: network["provider:segmentation_id"],
    },
  ];
}

const inOrder = (one: Segment, other: Segment): number => one.position - other.position || (one.id < other.id ? -1 : 1);

/** The networks that stand on a physical one, by any of their segments. */
export function networksOn(view: Pick<View, "by" | "get">, physical: string): readonly Network[] {
  const found = new Map(view.by(Network.index.physical, physical).map((network) => [network.id, network]));
  for (const { network_id } of view.by(Segment.index.physical, physical)) {
    const network = view.get(Network, network_id);
    if (network !== undefined) found.set(network.id, network);
  }
  return [...found.values()];
}

/** Whether a network's subnets are each of one segment (of a server from before segments a subnet says nothing): its segments are joined by routers outside, not by the physical network (routed provider network). */
export const isRouted = (view: Pick<View, "by">, networkId: string): boolean =>
  view.by(Subnet.index.network_id, networkId).some(({ segment_id }) => segment_id != null);
