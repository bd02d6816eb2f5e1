/** A stored object as the wire shows it: what the caller may read, aliases and computed fields added, in declared order. */
import type { StoredObject } from "@selvage/model";
import type { ResourceRules, World } from "../rules/rules.ts";
import { type AnyField, fieldsOf, type Values } from "./body.ts";
import { type Caller, isAdmin } from "./policy.ts";

/** The value of one field, wherever it comes from. */
export function fieldValueOf(
  rules: ResourceRules,
  object: StoredObject,
  name: string,
  field: AnyField,
  world: World,
  caller: Caller,
): unknown {
  switch (field.mode) {
    case "stored": {
      const shown = rules.shown?.[name];
      return shown === undefined ? (object as StoredObject & Values)[name] : shown(object, world);
    }
    case "alias":
      return (object as StoredObject & Values)[field.aliasOf ?? name];
    case "computed":
      return rules.computed[name]?.(object, world, caller);
    case "input":
      return undefined;
  }
}

/** Whether a caller may read a field at all. */
export function readable(field: AnyField, caller: Caller): boolean {
  switch (field.readers) {
    case "all":
      return true;
    case "admin":
      return isAdmin(caller, { projectId: "" });
    case "hidden":
      return false;
  }
}

/** The wire's object; `fields` names what is wanted of it (none: everything; unknown names are passed over). */
export function render(
  rules: ResourceRules,
  object: StoredObject,
  caller: Caller,
  world: World,
  fields: readonly string[] = [],
): Values {
  return renderer(rules, caller, world, fields)(object);
}

/** As `render`, for many objects: what the caller may read of them is looked up once. */
export function renderer(
  rules: ResourceRules,
  caller: Caller,
  world: World,
  fields: readonly string[] = [],
): (object: StoredObject) => Values {
  const wanted = fields.length === 0 ? undefined : new Set(fields);
  const shown = fieldsOf(rules.resource).filter(
    ([name, field]) => field.mode !== "input" && readable(field, caller) && wanted?.has(name) !== false,
  );
  return (object) => {
    const rendered: Record<string, unknown> = {};
    for (const [name, field] of shown) rendered[name] = fieldValueOf(rules, object, name, field, world, caller);
    return rendered;
  };
}
