/** Which numbers networks of a kind take, for everybody or for one project (Networking v2.0, `/v2.0/network_segment_ranges`). */
import { computed, field, reference, taggedFields } from "../fields.ts";
import { keyOf, type ObjectOf, resource } from "../resource.ts";
import { boolean, dictionary, integer, list, nullable, oneOf, text } from "../types.ts";

/** Kinds of networks that have numbers here. */
export const numberedTypes = ["vlan", "vxlan", "geneve"] as const;

/** As long as the list of what is free in a range may be. */
export const longestRange = 100_000;

const { project_id: _project, tenant_id: _tenant, ...unowned } = taggedFields();
const number = integer(1, 0xffffffff);

export const NetworkSegmentRange = resource({
  kind: "network_segment_range",
  plural: "network_segment_ranges",
  fields: {
    ...unowned,
    /** Of a range for one project; null: it is for all. */
    project_id: reference(nullable(text(255)), "project", "cascade", { create: "optional", filter: true, sort: true }),
    /** Never: what nobody made a range for is chosen from all numbers, of which no list could be told; Neutron's are as its configuration says. */
    default: computed(boolean()),
    shared: field(boolean(), { create: "optional", default: true }),
    network_type: field(oneOf(numberedTypes), { create: "required", filter: true, sort: true }),
    physical_network: field(nullable(text(64)), { create: "optional", default: null, filter: true, sort: true }),
    minimum: field(number, { create: "required", update: "allowed" }),
    maximum: field(number, { create: "required", update: "allowed" }),
    available: computed(list(number, longestRange)),
    /** Project by number. */
    used: computed(dictionary()),
  },
  indexes: {
    /** What the range is of: type|physical network. */
    of: (range) => [keyOf(range.network_type, range.physical_network ?? "")],
  },
});
export type NetworkSegmentRange = ObjectOf<typeof NetworkSegmentRange>;
