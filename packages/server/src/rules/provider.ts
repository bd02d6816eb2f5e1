/** Where networks stand on the wire: tunnelled, or on a physical network as it is or under a VLAN's tag (extension `provider`; Neutron's ML2 type drivers). */
import { fail } from "@selvage/base";
import { isPhysical, networkKeys, vlanTags } from "@selvage/model";
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

/** Where a network is to stand. */
export interface Place {
  readonly "provider:network_type": string;
  readonly "provider:physical_network": string | null;
  readonly "provider:segmentation_id": number | null;
}

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

/** The place that was asked for, with a free number where none was named. Throws NoNetworkAvailable, and InvalidInput where there is nothing to choose from. */
export function placeOf(
  { transaction }: Writing,
  { type, physical, id }: ReturnType<typeof askedPlace>,
  project_id: string,
): Place {
  const place = (segmentation_id: number | null): Place => ({
    "provider:network_type": type,
    "provider:physical_network": physical ?? null,
    "provider:segmentation_id": segmentation_id,
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
  return isPhysical(place) ? pickPhysicalKey(transaction) : null;
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
