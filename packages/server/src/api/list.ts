/** Lists: which objects a caller sees, filters, sorting and pages, as Neutron's `api_common` and `filter-validation` have them. */
import { fail, pythonList } from "@selvage/base";
import { type AnyResource, type Index, InvalidValue, type Replica, type StoredObject } from "@selvage/model";
import type { Exchange, Reply } from "../http/exchange.ts";
import { formatQuery, type Query } from "../http/query.ts";
import type { ResourceRules, World } from "../rules/rules.ts";
import { inParts, turn } from "../turns.ts";
import { type AnyField, fieldOf, type Values } from "./body.ts";
import { type Caller, isAdmin } from "./policy.ts";
import { fieldValueOf, readable, renderer } from "./render.ts";
import { isTagged, tagFilters, tagPasses } from "./tags.ts";

/** Parameters that are not filters. */
const control = new Set(["fields", "sort_key", "sort_dir", "limit", "marker", "page_reverse"]);

interface Order {
  readonly name: string;
  readonly field: AnyField;
  readonly sign: 1 | -1;
}

interface Page {
  readonly limit: number;
  readonly marker: string | undefined;
  readonly reverse: boolean;
}

type Passes = (object: StoredObject) => boolean;

/** What a list is made from. */
export interface ListWorld extends World {
  readonly view: Replica;
}

/**
 * Answers `GET /v2.0/<collection>`: the collection and, for a page, its links. A long list is rendered in turns: its objects are those of the moment
 * at which it was asked for, fields that are computed may be newer. Throws the 400 of a wrong parameter.
 */
export function listReply(
  rules: ResourceRules,
  exchange: Exchange,
  caller: Caller,
  world: ListWorld,
): Reply | Promise<Reply> {
  const { query } = exchange;
  const passes = filtersOf(rules, query, caller, world);
  const compare = comparison(rules, orderOf(rules, query, caller), world, caller);
  const page = pageOf(query);
  const objects = [...candidates(rules, query, caller, world)].filter((object) => passes.every((each) => each(object)));
  const shown = cut(rules, objects, page, compare);
  const { plural } = rules.resource;
  const links = page.limit === 0 ? {} : { [`${plural}_links`]: linksOf(exchange, shown, page) };
  const render = renderer(rules, caller, world, query.all("fields"));
  const rendered = (part: readonly StoredObject[]): readonly Values[] => part.map((object) => render(object));
  if (shown.length <= wholeAtOnce) return { status: 200, body: { [plural]: rendered(shown), ...links } };
  return inTurns(plural, shown, rendered, links);
}

/** Objects of a list that is rendered at once. */
const wholeAtOnce = 2_000;

async function inTurns(
  plural: string,
  shown: readonly StoredObject[],
  rendered: (part: readonly StoredObject[]) => readonly Values[],
  links: Values,
): Promise<Reply> {
  const pieces: Buffer[] = [];
  for (const part of inParts(shown)) {
    const before = pieces.length === 0 ? `{${JSON.stringify(plural)}:[` : ",";
    // The part's own brackets are left out.
    pieces.push(Buffer.from(before + JSON.stringify(rendered(part)).slice(1, -1)));
    await turn();
  }
  const ends = Object.entries(links).map(([name, value]) => `,${JSON.stringify(name)}:${JSON.stringify(value)}`);
  pieces.push(Buffer.from(`]${ends.join("")}}`));
  return { status: 200, body: Buffer.concat(pieces), headers: { "content-type": "application/json" } };
}

/** The objects that the caller may see, narrowed by an index where a filter names its key. Nothing else guards a list. */
function* candidates(rules: ResourceRules, query: Query, caller: Caller, world: ListWorld): Iterable<StoredObject> {
  const visible = (object: StoredObject): boolean =>
    rules.policy.get(caller, rules.target(world.view, object as StoredObject & Values));
  const seen = new Set<string>();
  for (const object of reachable(rules, query, caller, world)) {
    if (seen.has(object.id) || !visible(object)) continue;
    seen.add(object.id);
    yield object;
  }
}

function* reachable(rules: ResourceRules, query: Query, caller: Caller, world: ListWorld): Iterable<StoredObject> {
  const { resource } = rules;
  const { view } = world;
  if (rules.made !== undefined) {
    yield* rules.made.all(world, caller, query);
    return;
  }
  const ids = query.all("id");
  if (ids.length > 0) {
    for (const id of ids) {
      const object: StoredObject | undefined = view.get(resource, id);
      if (object !== undefined) yield object;
    }
    return;
  }
  const indexes = resource.index as Readonly<Record<string, Index>>;
  for (const name of query.names) {
    // An index of a field's own name is that of a reference: its keys are the field's values.
    const index = name === "project_id" || name === "tenant_id" ? undefined : indexes[name];
    if (index === undefined || fieldOf(resource, name)?.filter !== true || index.unique) continue;
    for (const value of query.all(name)) yield* view.by(index, value);
    return;
  }
  if (isAdmin(caller, { projectId: "" })) {
    yield* view.objects(resource);
    return;
  }
  const own = indexes.project_id;
  if (own !== undefined && caller.projectId !== undefined) yield* view.by(own, caller.projectId);
  yield* rules.alsoVisible?.(view, caller) ?? [];
}

/** A field that lists may be asked for: one that the caller is shown, or one that is made for the asking and shown nowhere. */
function askedOf(resource: AnyResource, name: string, caller: Caller): AnyField | undefined {
  const fields = resource.fields as Readonly<Record<string, AnyField>>;
  const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (field?.filter !== true) return undefined;
  const isMade = field.mode === "computed" && field.readers === "hidden";
  return isMade || (field.readers !== "hidden" && readable(field, caller)) ? field : undefined;
}

function filtersOf(rules: ResourceRules, query: Query, caller: Caller, world: World): readonly Passes[] {
  const tagged = isTagged(rules);
  const names = query.names.filter((name) => !control.has(name) && !(tagged && tagFilters.has(name)));
  const unknown = names.filter((name) => askedOf(rules.resource, name, caller) === undefined);
  if (unknown.length > 0) throw fail("FilterInvalid", { attributes: pythonList(unknown) });
  const own = names.flatMap((name) => {
    const field = askedOf(rules.resource, name, caller);
    if (field === undefined) return [];
    const special = rules.filters?.[name];
    if (special !== undefined) return [special(query.all(name), world)];
    const wanted = new Set(query.all(name).map((text) => wantedText(field, text)));
    return [(object: StoredObject) => wanted.has(textOf(fieldValueOf(rules, object, name, field, world, caller)))];
  });
  return [...own, ...tagPasses(rules, query)];
}

/** A filter's text in the form in which values are compared. Booleans and numbers that are none are refused, as Neutron converts them. */
function wantedText(field: AnyField, text: string): string {
  try {
    return textOf((field.type.parseQuery ?? field.type.parse)(text));
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error;
    const strict = field.type.name === "boolean" || field.type.name === "integer";
    if (strict) throw fail("InvalidInput", { error_message: error.reason.replace(/\.$/, "") });
    // Text that no value can have: nothing matches, and that is an answer.
    return text;
  }
}

function textOf(value: unknown): string {
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}

function orderOf(rules: ResourceRules, query: Query, caller: Caller): readonly Order[] {
  const keys = query.all("sort_key");
  const directions = query.all("sort_dir");
  if (keys.length !== directions.length) throw fail("SortKeysUneven");
  const unknown = keys.filter((name) => {
    const field = fieldOf(rules.resource, name);
    return field === undefined || !field.sort || !readable(field, caller);
  });
  if (unknown.length > 0) throw fail("SortKeyInvalid", { attributes: pythonList(unknown) });
  const wrong = directions.filter((direction) => direction !== "asc" && direction !== "desc");
  if (wrong.length > 0) throw fail("SortDirInvalid", { values: pythonList(wrong) });
  return keys.flatMap((name, index) => {
    const field = fieldOf(rules.resource, name);
    return field === undefined ? [] : [{ name, field, sign: directions[index] === "desc" ? -1 : 1 } as const];
  });
}

/** Each order in turn, and the id at last: pages need a total order. */
function comparison(rules: ResourceRules, orders: readonly Order[], world: World, caller: Caller): Compare {
  return (a, b) => {
    for (const { name, field, sign } of orders) {
      const difference = compareValues(
        fieldValueOf(rules, a, name, field, world, caller),
        fieldValueOf(rules, b, name, field, world, caller),
      );
      if (difference !== 0) return sign * difference;
    }
    return compareValues(a.id, b.id);
  };
}

/** Null first, then by value; text by code unit, so that the order is the same everywhere. */
function compareValues(a: unknown, b: unknown): number {
  if (a === null || b === null) return (a === null ? 0 : 1) - (b === null ? 0 : 1);
  if (typeof a === "string" && typeof b === "string") return a < b ? -1 : a > b ? 1 : 0;
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "boolean" && typeof b === "boolean") return Number(a) - Number(b);
  const [left, right] = [textOf(a), textOf(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function pageOf(query: Query): Page {
  const text = query.last("limit");
  const limit = text === undefined ? 0 : /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(limit)) {
    throw fail("BadRequest", { resource: "limit", msg: `Limit must be an integer 0 or greater and not '${text}'` });
  }
  const reverse = ["true", "1", "yes", "on"].includes((query.last("page_reverse") ?? "").toLowerCase());
  return { limit, marker: query.last("marker"), reverse };
}

type Compare = (a: StoredObject, b: StoredObject) => number;

/** The page's objects, in order. Throws the resource's 404 for a marker that is not in the list. */
function cut(
  rules: ResourceRules,
  objects: readonly StoredObject[],
  { limit, marker, reverse }: Page,
  compare: Compare,
): readonly StoredObject[] {
  if (limit === 0) return objects.toSorted(compare);
  const onwards: Compare = reverse ? (a, b) => compare(b, a) : compare;
  const page = first(limit, behind(rules, objects, marker, onwards), onwards);
  return reverse ? page.toReversed() : page;
}

/** The objects behind the marker's; all of them without one. */
function behind(
  rules: ResourceRules,
  objects: readonly StoredObject[],
  marker: string | undefined,
  compare: Compare,
): readonly StoredObject[] {
  if (marker === undefined || marker === "") return objects;
  const marked = objects.find((object) => object.id === marker);
  if (marked === undefined) throw rules.notFound(marker);
  return objects.filter((object) => compare(object, marked) > 0);
}

/** The first `count` of a total order: what lies behind them is compared with the last of them and no more, so that a page of many costs little. */
function first(count: number, objects: readonly StoredObject[], compare: Compare): readonly StoredObject[] {
  let kept: StoredObject[] = [];
  let last: StoredObject | undefined;
  for (const object of objects) {
    if (last !== undefined && compare(object, last) > 0) continue;
    kept.push(object);
    if (kept.length < 2 * count) continue;
    kept = kept.sort(compare).slice(0, count);
    last = kept.at(-1);
  }
  return kept.sort(compare).slice(0, count);
}

/** The page's neighbours: the one ahead only behind a full page, the one behind always (a quirk that clients know). */
function linksOf(
  exchange: Exchange,
  shown: readonly StoredObject[],
  page: Page,
): readonly { readonly rel: string; readonly href: string }[] {
  const kept = exchange.query.pairs.filter(([name]) => name !== "marker" && name !== "page_reverse");
  const link = (rel: "next" | "previous", marker: string | undefined) => {
    const pairs: (readonly [string, string])[] = [...kept];
    if (marker !== undefined) pairs.push(["marker", marker]);
    if (rel === "previous") pairs.push(["page_reverse", "True"]);
    return { rel, href: `${exchange.baseUrl}${exchange.path}?${formatQuery(pairs)}` };
  };
  const full = shown.length === page.limit;
  const next = link("next", shown.at(-1)?.id);
  const previous = link("previous", shown[0]?.id);
  return page.reverse ? [next, ...(full ? [previous] : [])] : [...(full ? [next] : []), previous];
}
