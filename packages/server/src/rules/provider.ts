/** Where networks stand on the wire: tunnelled, or on a physical network as it is or under a VLAN's tag (extension `provider`; Neutron's ML2 type drivers). */
import { fail } from "@selvage/base";
import {
  InvalidValue,
  integer,
  Network,
  type Network as NetworkObject,
  networkKeys,
  type Place,
  Segment,
  type Segment as SegmentObject,
  segmentsOf,
  vlanTags,
} from "@selvage/model";
import { pickPhysicalKey } from "../allocate.ts";
import { largestMtu, type ServerSettings } from "../settings.ts";
import type { Values, Writing } from "./rules.ts";
import { allKeys, pickNumber } from "./segment-range.ts";

/** Smallest MTU that IPv4 allows (RFC 791). */
const smallestMtu = 68;

/** How a tunnelled network crosses the underlay, with what its header is smaller than Geneve's with one option of 12 bytes (RFC 7348, RFC 8926): bytes. */
const tunnels: ReadonlyMap<string, number> = new Map([
  ["geneve", 0],
  ["vxlan", 16],
]);

/** The type of a network that nobody said another of. */
const defaultType = "geneve";

export const providerNames = [
  "provider:network_type",
  "provider:physical_network",
  "provider:segmentation_id",
] as const;

/** What a network says of itself of its first place. */
export const providerOf = ({ network_type, physical_network, segmentation_id }: Place) => ({
  "provider:network_type": network_type,
  "provider:physical_network": physical_network,
  "provider:segmentation_id": segmentation_id,
});

/** Whether a place is on a physical network. */
export const isOnWire = ({ physical_network }: Pick<Place, "physical_network">): boolean => physical_network !== null;

/** A place as a request asks for it: what it leaves to the server is undefined. */
type AskedPlace = ReturnType<typeof checkedPlace>;

const invalid = (error_message: string) => fail("InvalidInput", { error_message });

/** What a request asks for, with what it leaves to the server undefined. Throws InvalidInput for a type that there is not, and for what does not go with it. */
export function askedPlace(values: Values) {
  const [type, physical, id] = providerNames.map((name) => values[name] ?? undefined);
  if (type === undefined && physical !== undefined) throw invalid("network_type required");
  return checkedPlace(String(type ?? defaultType), physical as string | undefined, id as number | undefined);
}

/** As `askedPlace`, of its parts. */
export function checkedPlace(type: string, physical: string | undefined, id: number | undefined) {
  const asked = { type, physical, id };
  switch (type) {
    case "flat":
      if (physical === undefined) throw invalid("physical_network required for flat provider network");
      if (id !== undefined) throw invalid("segmentation_id prohibited for flat provider network");
      return asked;
    case "vlan":
      if (physical === undefined && id !== undefined)
        throw invalid("segmentation_id requires physical_network for VLAN provider network");
      if (id !== undefined) checkRange(id, vlanTags);
      return asked;
    default:
      if (!tunnels.has(type)) throw invalid(`network_type value '${type}' not supported`);
      if (physical !== undefined) throw invalid(`provider:physical_network specified for ${type} network`);
      if (id !== undefined) checkRange(id, networkKeys);
      return asked;
  }
}

function checkRange(id: number, { first, last }: { readonly first: number; readonly last: number }): void {
  if (id < first || id > last) throw invalid(`segmentation_id out of range (${first} through ${last})`);
}

const anyNumber = integer(0, 0xffffffff);

/** One of the `segments` of a request. */
function askedSegment(entry: Values): AskedPlace {
  const unknown = Object.keys(entry).filter((name) => !(providerNames as readonly string[]).includes(name));
  if (unknown.length > 0) throw invalid(`Unrecognized attribute(s) '${unknown.join(", ")}'`);
  const [type, physical, id] = providerNames.map((name) => entry[name] ?? undefined);
  if (typeof type !== "string") throw invalid("network_type required");
  if (physical !== undefined && (typeof physical !== "string" || physical.length > 64))
    throw invalid("'provider:physical_network' is not a valid string");
  try {
    return checkedPlace(type, physical, id === undefined ? undefined : anyNumber.parse(id));
  } catch (error) {
    if (error instanceof InvalidValue) throw invalid(error.reason.replace(/\.$/, ""));
    throw error;
  }
}

/**
 * The places that a request asks for, one at least. Throws SegmentsSetInConjunctionWithProviders, SegmentsContainDuplicateEntry, and InvalidInput for what does not
 * go together: a network of several segments stands on physical networks alone, for hosts join no tunnel to one.
 */
export function askedPlaces(values: Values): readonly [AskedPlace, ...AskedPlace[]] {
  const entries = (values.segments ?? []) as readonly Values[];
  if (entries.length > 0 && providerNames.some((name) => values[name] != null))
    throw fail("SegmentsSetInConjunctionWithProviders");
  const [first, ...more] = entries.map(askedSegment);
  if (first === undefined) return [askedPlace(values)];
  if (more.length === 0) return [first];
  const whole = [first, ...more].filter(({ type, id }) => type === "flat" || id !== undefined);
  if (new Set(whole.map((each) => JSON.stringify(each))).size < whole.length)
    throw fail("SegmentsContainDuplicateEntry");
  for (const { type } of [first, ...more]) if (tunnels.has(type)) throw invalid(onlyPhysical(type));
  return [first, ...more];
}

const onlyPhysical = (type: string): string =>
  `A network with several segments has flat and vlan ones alone: a ${type} segment is not joined to others`;

/** Throws InvalidInput where a network cannot have one more segment of a type. */
export function checkJoins(network: NetworkObject, type: string): void {
  const tunnelled = [network["provider:network_type"], type].find((each) => tunnels.has(each));
  if (tunnelled !== undefined) throw invalid(onlyPhysical(tunnelled));
}

/** Puts a network's segment, behind those that it has. */
export function putSegment(
  { transaction }: Pick<Writing, "transaction">,
  network_id: string,
  place: Place,
  said: Pick<SegmentObject, "name" | "description" | "revision_number">,
): SegmentObject {
  const last = transaction.view.by(Segment.index.network_id, network_id).map(({ position }) => position);
  return transaction.put(Segment, {
    id: transaction.newId(),
    network_id,
    ...place,
    ...said,
    created_at: transaction.now,
    updated_at: transaction.now,
    position: Math.max(-1, ...last) + 1,
  });
}

/** What a segment says of itself that was made with its network. */
export const unsaid = { name: null, description: null, revision_number: 0 } as const;

/** Gives a network that an earlier program made the segment that it says itself; one that has segments stays as it is. */
export function giveSegment({ transaction }: Pick<Writing, "transaction">, network: NetworkObject): void {
  if (transaction.view.exists(Segment.index.network_id, network.id)) return;
  for (const { network_type, physical_network, segmentation_id } of segmentsOf(transaction.view, network))
    putSegment({ transaction }, network.id, { network_type, physical_network, segmentation_id }, unsaid);
}

/** Has a network say of itself what its first segment is: called when one went. */
export function settleProvider({ transaction }: Pick<Writing, "transaction">, networkId: string): void {
  const network = transaction.view.get(Network, networkId);
  if (network === undefined) return;
  const [first] = segmentsOf(transaction.view, network);
  if (first === undefined) return;
  const said = providerOf(first);
  if (providerNames.every((name) => network[name] === said[name])) return;
  transaction.put(Network, { ...network, ...said });
}

/** The place that was asked for, with a free number where none was named. Throws NoNetworkAvailable, and InvalidInput where there is nothing to choose from. */
export function placeOf({ transaction }: Writing, { type, physical, id }: AskedPlace, project_id: string): Place {
  const place = (segmentation_id: number | null): Place => ({
    network_type: type,
    physical_network: physical ?? null,
    segmentation_id,
  });
  switch (type) {
    case "flat":
      return place(null);
    case "vlan": {
      if (id !== undefined) return place(id);
      if (physical === undefined) throw fail("NoNetworkAvailable");
      const tag = pickNumber(transaction, { network_type: type, physical_network: physical, project_id }, undefined);
      if (tag !== undefined) return place(tag);
      throw invalid(
        `Physical network ${physical} requires segmentation_id to be specified when creating a provider network`,
      );
    }
    default: {
      const network_type = type === "vxlan" ? "vxlan" : "geneve";
      const key = id ?? pickNumber(transaction, { network_type, physical_network: null, project_id }, allKeys);
      if (key === undefined) throw fail("NoNetworkAvailable");
      return place(key);
    }
  }
}

/** What packets on it bear as their network where that is not its number. Throws NoNetworkAvailable. */
export function pickKeyOf({ transaction }: Writing, place: Place): number | null {
  return isOnWire(place) ? pickPhysicalKey(transaction) : null;
}

/** The MTU of a network of a type: the largest that it can have where none is given. Throws InvalidInput for one that is too large or too small. */
export function mtuOf(given: unknown, type: string, settings: ServerSettings): number {
  const header = tunnels.get(type);
  const largest =
    header === undefined ? settings.physicalMtu : Math.min(settings.underlayMtu, largestMtu(settings) + header);
  if (typeof given !== "number" || given === 0) return largest;
  if (given > largest) throw invalid(`Requested MTU is too big, maximum is ${largest}`);
  if (given < smallestMtu) throw invalid(`Requested MTU is too small, minimum is ${smallestMtu}`);
  return given;
}
