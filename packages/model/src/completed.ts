/** Objects that were stored before a field of theirs was declared: they are read with the field's default, so that an upgrade rewrites nothing. */
import type { AnyResource, Field, FieldMode, StoredObject } from "./resource.ts";
import { resources } from "./resources/all.ts";

type Defaults = readonly (readonly [name: string, value: unknown])[];

const defaultsOf = ({ fields }: AnyResource): Defaults =>
  Object.entries(fields as Readonly<Record<string, Field<unknown, FieldMode>>>)
    .map(([name, field]) => [name, field.mode === "stored" ? (field.earlier ?? field.default) : undefined] as const)
    .filter(([, value]) => value !== undefined);

const declared: ReadonlyMap<string, Defaults> = new Map(
  resources.map((resource) => [resource.kind, defaultsOf(resource)]),
);

/** Takes an object as the store has it, gives it with every stored field that has a default, or a value for such objects; the same object where nothing is missing. */
export function completed(kind: string, object: StoredObject): StoredObject {
  const missing = (declared.get(kind) ?? []).filter(([name]) => !(name in object));
  return missing.length === 0 ? object : { ...object, ...Object.fromEntries(missing) };
}
