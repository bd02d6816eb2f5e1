/** The settings that a schema declares, how each is named in the environment and as a flag, and how their texts are read. */
import type { TSchema } from "typebox";

/** The parts of a JSON Schema that the reader of configuration looks at. */
export interface SchemaNode {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly additionalProperties?: unknown;
  readonly patternProperties?: unknown;
}

/** One setting. */
export interface Leaf {
  readonly path: readonly string[];
  readonly schema: SchemaNode;
  /** `SELVAGE_SERVER_LISTEN` */
  readonly env: string;
  /** `server-listen`, without the hyphens in front. */
  readonly flag: string;
}

/** TypeBox makes plain JSON Schema: this is that same object under the type that says what is read from it. */
export function nodeOf(schema: TSchema): SchemaNode {
  return schema as SchemaNode;
}

/** Whether a schema is an object with declared properties, and so a section rather than a setting. */
export function isSection(schema: SchemaNode): boolean {
  return schema.type === "object" && schema.properties !== undefined;
}

/** All settings of a schema. Throws an Error when two would bear one name: that is a fault of the program. */
export function leavesOf(schema: SchemaNode, prefix: string): readonly Leaf[] {
  const leaves = [...walk(schema, [], prefix)];
  const seen = new Set<string>();
  for (const { env, path } of leaves) {
    if (seen.has(env)) throw new Error(`Two settings are named ${env}; one is ${path.join(".")}`);
    seen.add(env);
  }
  return leaves;
}

function* walk(schema: SchemaNode, path: readonly string[], prefix: string): Generator<Leaf> {
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    const here = [...path, name];
    if (isSection(child)) yield* walk(child, here, prefix);
    else {
      const words = here.map((part) =>
        part
          .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
          .replaceAll("-", "_")
          .toLowerCase(),
      );
      const env = prefix + words.join("_").toUpperCase();
      yield { path: here, schema: child, env, flag: words.join("-").replaceAll("_", "-") };
    }
  }
}

/** What a text stands for under a schema; undefined where it cannot stand for anything there. */
export function readText(text: string, schema: SchemaNode): unknown {
  const trimmed = text.trim();
  switch (schema.type) {
    case "string":
      return text;
    case "boolean":
      return booleans.get(trimmed.toLowerCase());
    case "integer":
    case "number":
      return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(trimmed) ? Number(trimmed) : undefined;
    case "array":
      return readList(trimmed, schema.items ?? { type: "string" });
    default:
      return readAny(text, schema);
  }
}

const booleans: ReadonlyMap<string, boolean> = new Map([
  ...["true", "yes", "on", "1"].map((word) => [word, true] as const),
  ...["false", "no", "off", "0"].map((word) => [word, false] as const),
]);

function readList(text: string, items: SchemaNode): unknown {
  const values = text === "" ? [] : text.split(",").map((item) => readText(item.trim(), items));
  return values.includes(undefined) ? undefined : values;
}

/** A union takes the first branch that the text fits (a literal only its own text); anything else is JSON. */
function readAny(text: string, schema: SchemaNode): unknown {
  if (schema.anyOf !== undefined) {
    const read = schema.anyOf.map((branch) => readBranch(text, branch));
    return read.find((value) => value !== undefined) ?? text;
  }
  try {
    return JSON.parse(text);
  } catch {
    // A text that is not JSON cannot stand for an object or null; the caller reports it under the setting's name.
    return undefined;
  }
}

function readBranch(text: string, branch: SchemaNode): unknown {
  if (branch.const !== undefined) return String(branch.const) === text.trim() ? branch.const : undefined;
  return branch.type === "null" ? undefined : readText(text, branch);
}

/** Puts a value at a path of nested plain objects, making those that are missing. */
export function setAt(root: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let at = root;
  for (const name of path.slice(0, -1)) {
    const next = at[name];
    if (isRecord(next)) at = next;
    else {
      const made: Record<string, unknown> = {};
      at[name] = made;
      at = made;
    }
  }
  at[path.at(-1) ?? ""] = value;
}

/** Whether a value is an object that is neither null nor a list. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The name most like a misspelt one (case, hyphens and underscores aside), or undefined where none is near. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[-_]/g, "");
  const ranked = names
    .map((candidate) => ({ candidate, distance: editDistance(plain(name), plain(candidate)) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= Math.max(1, Math.floor(name.length / 3)) ? best.candidate : undefined;
}

/** Damerau's distance (optimal string alignment): what was left out, put in, exchanged, and two neighbours in the wrong order count 1 each. */
function editDistance(a: string, b: string): number {
  let before: readonly number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (const [i, char] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      const isTurned = i > 0 && j > 0 && char === b[j - 1] && a[i - 1] === other;
      const turned = isTurned ? (before[j - 1] ?? 0) + 1 : Number.POSITIVE_INFINITY;
      const exchanged = (row[j] ?? 0) + (char === other ? 0 : 1);
      next.push(Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, exchanged, turned));
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
