/** Lists: which objects a caller sees, filters, sorting and pages, as Neutron's `api_common` and `filter-validation` have them. */
import { fail, pythonList } from "@selvage/base";
import { type Index, InvalidValue, type Replica, type StoredObject } from "@selvage/model";
import type { Exchange } from "../http/exchange.ts";
import { formatQuery, type Query } from "../http/query.ts";
import type { ResourceRules, World } from "../rules/rules.ts";
import { type AnyField, fieldOf, type Values } from "./body.ts";
import { type Caller, isAdmin } from "./policy.ts";
import { fieldValueOf, readable, render } from "./render.ts";
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

/** Answers `GET /v2.0/<collection>`: the body with the collection and, for a page, its links. Throws the 400 of a wrong parameter. */
export function listBody(rules: ResourceRules, exchange: Exchange, caller: Caller, world: ListWorld): Values {
  const { query } = exchange;
  const passes = filtersOf(rules, query, caller, world);
  const order = orderOf(rules, query, caller);
  const page = pageOf(query);
  const objects = [...candidates(rules, query, caller, world)].filter((object) => passes.every((each) => each(object)));
  objects.sort(comparison(rules, order, world, caller));
  const { plural } = rules.resource;
  const shown = cut(rules, objects, page);
  const rendered = shown.map((object) => render(rules, object, caller, world, query.all("fields")));
  if (page.limit === 0) return { [plural]: rendered };
  return { [plural]: rendered, [`${plural}_links`]: linksOf(exchange, shown, page) };
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

function filtersOf(rules: ResourceRules, query: Query, caller: Caller, world: World): readonly Passes[] {
  const tagged = isTagged(rules);
  const names = query.names.filter((name) => !control.has(name) && !(tagged && tagFilters.has(name)));
  const unknown = names.filter((name) => {
    const field = fieldOf(rules.resource, name);
    return field === undefined || !field.filter || !readable(field, caller);
  });
  if (unknown.length > 0) throw fail("FilterInvalid", { attributes: pythonList(unknown) });
  const own = names.flatMap((name) => {
    const field = fieldOf(rules.resource, name);
    if (field === undefined) return [];
    const special = rules.filters?.[name];
    if (special !== undefined) return [special(query.all(name))];
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
function comparison(
  rules: ResourceRules,
  orders: readonly Order[],
  world: World,
  caller: Caller,
): (a: StoredObject, b: StoredObject) => number {
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

/** The page's objects. Throws the resource's 404 for a marker that is not in the list. */
function cut(rules: ResourceRules, objects: readonly StoredObject[], page: Page): readonly StoredObject[] {
  const { limit, marker, reverse } = page;
  let start = 0;
  let end = objects.length;
  if (marker !== undefined && marker !== "" && limit > 0) {
    const at = objects.findIndex((object) => object.id === marker);
    if (at < 0) throw rules.notFound(marker);
    if (reverse) end = at;
    else start = at + 1;
  }
  if (limit === 0) return objects;
  return reverse
    ? objects.slice(Math.max(start, end - limit), end)
    : objects.slice(start, Math.min(end, start + limit));
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
