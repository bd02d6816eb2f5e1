/** A collection under one object of another, as rules like any other's: only that object's children are there, and what is made is its child. */
import type { Index, StoredObject } from "@selvage/model";
import type { ChildRules } from "../rules/all.ts";
import type { ResourceRules, Values } from "../rules/rules.ts";

/** Takes an object's id that the caller may see. */
export function under({ rules, field }: ChildRules, parentId: string): ResourceRules {
  const index = (rules.resource.index as Readonly<Record<string, Index>>)[field];
  if (index === undefined) throw new Error(`${rules.resource.kind} has no index ${field}`);
  const own = { [field]: parentId };
  return {
    ...rules,
    made: {
      all: ({ view }) => view.by(index, parentId),
      one: ({ view }, id) => {
        const object = view.get(rules.resource, id) as (StoredObject & Values) | undefined;
        return object?.[field] === parentId ? object : undefined;
      },
    },
    target: (view, object) => rules.target(view, { ...object, ...own }),
    create: (writing, values) => rules.create(writing, { ...values, ...own }),
  };
}
