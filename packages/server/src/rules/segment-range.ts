/**
 * Ranges of numbers for networks: a project's own are taken first, then those for all; numbers of another project's are never taken unless an admin names them
 * (extension `network-segment-range`; Neutron's `network_segment_range`).
 */
import { fail } from "@selvage/base";
import {
  keyOf,
  longestRange,
  Network,
  NetworkSegmentRange,
  networkKeys,
  placeKey,
  type NetworkSegmentRange as RangeObject,
  Segment,
  type View,
  vlanTags,
} from "@selvage/model";
import type { Choosing, Span } from "../allocate.ts";
import { pick } from "../allocate.ts";
import { isAdmin } from "../api/policy.ts";
import { ownerOf, type ResourceRules, taggedOf } from "./rules.ts";

const bad = (msg: string) => fail("BadRequest", { resource: "network_segment_range", msg });

export const segmentRangeRules: ResourceRules<typeof NetworkSegmentRange> = {
  resource: NetworkSegmentRange,
  notFound: (range_id) => fail("NetworkSegmentRangeNotFound", { range_id }),
  policy: { get: isAdmin, create: isAdmin, update: isAdmin, delete: isAdmin, attributes: {} },
  target: (_view, object) => ({ projectId: String(object.project_id ?? "") }),
  computed: {
    default: () => false,
    available: (range, { view }) =>
      numbersOf(range).filter((number) => !view.exists(Segment.index.place, keyAt(range, number))),
    used: (range, { view }) => Object.fromEntries(usesOf(view, range)),
  },
  create: (writing, values) => {
    const shared = values.shared === true;
    const network_type = values.network_type as RangeObject["network_type"];
    const named = String(values.physical_network ?? "");
    const physical_network = named === "" ? null : named;
    if (network_type === "vlan" && physical_network === null) throw bad("physical_network required for vlan ranges");
    if (network_type !== "vlan" && physical_network !== null)
      throw bad(`physical_network prohibited for ${network_type} ranges`);
    const { project_id: _none, ...standard } = taggedOf(writing, values, 0);
    const range: RangeObject = {
      ...standard,
      project_id: shared ? null : ownerOf(writing, values),
      shared,
      network_type,
      physical_network,
      minimum: Number(values.minimum),
      maximum: Number(values.maximum),
    };
    check(writing.transaction.view, range);
    return writing.transaction.put(NetworkSegmentRange, range);
  },
  update: (writing, before, values) => {
    const after: RangeObject = { ...before, ...(values as Partial<RangeObject>) };
    check(writing.transaction.view, after);
    const lost = usesOf(writing.transaction.view, before).some(([number]) => !holds(after, Number(number)));
    if (lost) throw fail("NetworkSegmentRangeReferencedByProject", { range_id: before.id });
    return writing.transaction.put(NetworkSegmentRange, after);
  },
  remove: ({ transaction }, range, precondition) => {
    if (usesOf(transaction.view, range).length > 0)
      throw fail("NetworkSegmentRangeReferencedByProject", { range_id: range.id });
    precondition();
    transaction.remove(NetworkSegmentRange, range.id);
  },
};

const numbersOf = ({ minimum, maximum }: RangeObject): readonly number[] =>
  Array.from({ length: maximum - minimum + 1 }, (_, at) => minimum + at);

const holds = ({ minimum, maximum }: RangeObject, number: number): boolean => number >= minimum && number <= maximum;

/** Under which a network stands that has a number of the range. */
const keyAt = (
  { network_type, physical_network }: Pick<RangeObject, "network_type" | "physical_network">,
  id: number,
) => placeKey({ network_type, physical_network, segmentation_id: id });

/** Numbers of the range that networks have, with the project of each. Costs what the range holds. */
function usesOf(view: View, range: RangeObject): readonly (readonly [number: string, project: string])[] {
  return numbersOf(range).flatMap((number) =>
    view
      .by(Segment.index.place, keyAt(range, number))
      .flatMap(({ network_id }) => view.get(Network, network_id) ?? [])
      .map(({ project_id }) => [String(number), project_id] as const),
  );
}

/** Throws what stands against a range: its ends, its length, another range. */
function check(view: View, range: RangeObject): void {
  const { minimum, maximum, network_type, physical_network } = range;
  const limits = network_type === "vlan" ? vlanTags : networkKeys;
  if (minimum > maximum) throw bad(`minimum ${minimum} is above maximum ${maximum}`);
  if (minimum < limits.first || maximum > limits.last)
    throw bad(`${network_type} numbers are ${limits.first} through ${limits.last}`);
  if (maximum - minimum >= longestRange) throw bad(`a range has ${longestRange} numbers at most`);
  const clash = view
    .by(NetworkSegmentRange.index.of, keyOf(network_type, physical_network ?? ""))
    .filter((other) => other.id !== range.id && other.minimum <= maximum && minimum <= other.maximum);
  if (clash.length > 0) throw fail("NetworkSegmentRangeOverlaps", { range_id: clash.map(({ id }) => id).join(", ") });
}

/** What a number is for. */
interface Numbered {
  readonly network_type: RangeObject["network_type"];
  readonly physical_network: string | null;
  readonly project_id: string;
}

const spanOf = ({ minimum, maximum }: RangeObject): Span => ({ first: BigInt(minimum), last: BigInt(maximum) });

/**
 * A free number for a project's network: of its own ranges, else of those for all, else, where there are none of either and `all` is given, of all that are no
 * other project's. Undefined when there is none.
 */
export function pickNumber(choosing: Choosing, wanted: Numbered, all: Span | undefined): number | undefined {
  const { view, hints, random } = choosing;
  const ranges = view.by(NetworkSegmentRange.index.of, keyOf(wanted.network_type, wanted.physical_network ?? ""));
  const own = ranges.filter((range) => !range.shared && range.project_id === wanted.project_id);
  const shared = ranges.filter((range) => range.shared);
  const rest = all === undefined || shared.length > 0 ? shared.map(spanOf) : without(all, ranges.map(spanOf));
  for (const spans of [own.map(spanOf), rest]) {
    const free = pick(spans, random, (n) => hints.exists(Segment.index.place, keyAt(wanted, Number(n))));
    if (free === undefined) continue;
    view.exists(Segment.index.place, keyAt(wanted, Number(free)));
    return Number(free);
  }
  return undefined;
}

/** A span less others, in order. */
function without(all: Span, taken: readonly Span[]): readonly Span[] {
  const left: Span[] = [];
  let first = all.first;
  for (const span of [...taken].sort((one, other) => (one.first < other.first ? -1 : 1))) {
    if (span.first > first) left.push({ first, last: span.first - 1n });
    if (span.last >= first) first = span.last + 1n;
  }
  if (first <= all.last) left.push({ first, last: all.last });
  return left;
}

/** The whole of the numbers that tunnelled networks have. */
export const allKeys: Span = { first: BigInt(networkKeys.first), last: BigInt(networkKeys.last) };
