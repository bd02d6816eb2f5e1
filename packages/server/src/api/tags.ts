/** Tags (`standard-attr-tag`): `/v2.0/{collection}/{id}/tags` of every resource that has the attribute, and the four filters of lists. */
import { fail } from "@selvage/base";
import { InvalidValue, type StoredObject, tags as tagsField } from "@selvage/model";
import type { Query } from "../http/query.ts";
import { networkingRules } from "../rules/all.ts";
import { pathOf, type ResourceRules, type World, type Writing } from "../rules/rules.ts";
import { type Asked, seen, worldIn, worldOf, writeOwn } from "./asked.ts";
import { fieldOf, parseJson, type Values } from "./body.ts";
import type { FreeRoute } from "./free.ts";

type Tagged = StoredObject & { readonly tags: readonly string[] } & Values;

/** Whether the resource's objects bear tags: it is declared with them. */
export function isTagged(rules: ResourceRules): boolean {
  return fieldOf(rules.resource, "tags")?.type === tagsField.type;
}

/** The kinds whose objects bear tags. */
export const taggedKinds: readonly string[] = networkingRules.filter(isTagged).map(({ resource }) => resource.kind);

/** The routes of every tagged resource. */
export const tagRoutes: readonly FreeRoute[] = networkingRules
  .filter(isTagged)
  .flatMap((rules): readonly FreeRoute[] => {
    const all = `/v2.0/${pathOf(rules)}/{id}/tags`;
    const route = (method: string, path: string, answer: FreeRoute["answer"]): FreeRoute => ({
      method,
      path,
      access: "policy",
      answer,
    });
    return [
      route("GET", all, (asked, id = "") => ({
        status: 200,
        body: { tags: taggedIn(asked, rules, id, worldOf(asked.api)).tags },
      })),
      route("PUT", all, (asked, id = "") => {
        const given = tagsOf(parseJson(asked.exchange.body));
        return writeOwn(asked, 200, (writing) => {
          const object = writable(asked, rules, id, writing, "update");
          put(writing, rules, object, given);
          return { tags: given };
        });
      }),
      route("DELETE", all, (asked, id = "") =>
        writeOwn(asked, 204, (writing) => put(writing, rules, writable(asked, rules, id, writing, "delete"), [])),
      ),
      route("GET", `${all}/{tag}`, (asked, id = "", tag = "") => {
        requireTag(taggedIn(asked, rules, id, worldOf(asked.api)), tag);
        return { status: 204 };
      }),
      route("PUT", `${all}/{tag}`, (asked, id = "", tag = "") => {
        const [wanted = tag] = parsed([tag]);
        return writeOwn(asked, 201, (writing) => {
          const object = writable(asked, rules, id, writing, "update");
          if (!object.tags.includes(wanted)) put(writing, rules, object, parsed([...object.tags, wanted]));
        });
      }),
      route("DELETE", `${all}/{tag}`, (asked, id = "", tag = "") =>
        writeOwn(asked, 204, (writing) => {
          const object = writable(asked, rules, id, writing, "delete");
          requireTag(object, tag);
          put(
            writing,
            rules,
            object,
            object.tags.filter((each) => each !== tag),
          );
        }),
      ),
    ];
  });

type Matches = (tags: ReadonlySet<string>, wanted: readonly string[]) => boolean;

/** The filters of a list by tags: values are separated by commas. */
export const tagFilters: ReadonlyMap<string, Matches> = new Map<string, Matches>([
  ["tags", (tags, wanted) => wanted.every((tag) => tags.has(tag))],
  ["tags-any", (tags, wanted) => wanted.some((tag) => tags.has(tag))],
  ["not-tags", (tags, wanted) => !wanted.every((tag) => tags.has(tag))],
  ["not-tags-any", (tags, wanted) => !wanted.some((tag) => tags.has(tag))],
]);

/** What an object must pass for the query's filters by tags; none where the resource has no tags. */
export function tagPasses(rules: ResourceRules, query: Query): readonly ((object: StoredObject) => boolean)[] {
  if (!isTagged(rules)) return [];
  return [...tagFilters].flatMap(([name, matches]) => {
    const values = query.all(name);
    if (values.length === 0) return [];
    const wanted = [...new Set(values.flatMap((value) => value.split(",")))];
    return [(object: StoredObject) => matches(new Set((object as Tagged).tags), wanted)];
  });
}

/** The tagged object if the caller may see it. Throws TagResourceNotFound, whatever the resource's own 404 is. */
function taggedIn(asked: Asked, rules: ResourceRules, id: string, world: World): Tagged {
  const object = seen(rules, id, asked.caller, world);
  if (object === undefined) throw fail("TagResourceNotFound", { resource: rules.resource.plural, resource_id: id });
  // Only tagged resources have these routes.
  return object as Tagged;
}

/** The same in a transaction, where the caller may change it. Throws the 403 of who may only see it. */
function writable(
  asked: Asked,
  rules: ResourceRules,
  id: string,
  writing: Writing,
  action: "update" | "delete",
): Tagged {
  const object = taggedIn(asked, rules, id, worldIn(asked, writing));
  if (!rules.policy.update(asked.caller, rules.target(writing.transaction.view, object))) {
    throw fail("PolicyNotAuthorized", { rule: `rule:${action}_${rules.resource.plural}_tags` });
  }
  return object;
}

function requireTag({ tags }: Tagged, tag: string): void {
  if (!tags.includes(tag)) throw fail("TagNotFound", { tag });
}

function put(
  { transaction }: Writing,
  { resource }: ResourceRules,
  object: Tagged,
  tags: readonly string[],
): undefined {
  transaction.put(resource, { ...object, tags: [...tags].sort() });
}

/** The tags of a PUT's body. Throws the 400 of what they are not. */
function tagsOf(body: Values): readonly string[] {
  if (!("tags" in body) || Object.keys(body).length !== 1) {
    throw fail("InvalidInput", { error_message: "Invalid tags body" });
  }
  return parsed(body.tags ?? "None");
}

function parsed(tags: unknown): readonly string[] {
  try {
    return tagsField.type.parse(tags);
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error;
    throw fail("InvalidInput", { error_message: error.reason.replace(/\.$/, "") });
  }
}
