/** Typed configuration: defaults, then a YAML file, then the environment, then flags; every mistake is told with its place. */
import { readFile } from "node:fs/promises";
import type { Static, TObject } from "typebox";
import type { Document, LineCounter, ParsedNode } from "yaml";
import {
  isRecord,
  isSection,
  type Leaf,
  leavesOf,
  nearest,
  nodeOf,
  readText,
  type SchemaNode,
  setAt,
} from "./config-leaves.ts";
import { fail } from "./errors.ts";

/** Where the value of a setting came from. */
export type Origin =
  | { readonly from: "default" }
  | { readonly from: "file"; readonly file: string; readonly line: number; readonly column: number }
  | { readonly from: "environment"; readonly name: string }
  | { readonly from: "flag"; readonly name: string };

/** One mistake: the setting's dotted path, where it stands, and what is wrong. */
export interface ConfigIssue {
  readonly field: string;
  readonly origin: Origin;
  readonly message: string;
}

/** Where settings are read from; what is absent is not read. */
export interface ConfigSources {
  /** A YAML file; `text` stands for its contents where the caller has them. */
  readonly file?: { readonly path: string; readonly text?: string };
  /** The environment; names begin with `envPrefix`, `SELVAGE_` unless told. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly envPrefix?: string;
  /** Flags by name without hyphens in front; a text is read as the setting's type, anything else is taken as it is. */
  readonly flags?: Readonly<Record<string, unknown>>;
}

/** A configuration that is valid. */
export interface Config<T> {
  readonly value: T;
  /** Where each setting came from, by dotted path; a setting that has no value is absent. */
  readonly origins: ReadonlyMap<string, Origin>;
  /** Variables with the prefix that are no settings, with the nearest name. They do not stop the program: others may own them. */
  readonly warnings: readonly string[];
}

/**
 * Reads a configuration. Takes a TypeBox object schema, whose properties may be nested objects (sections).
 * Gives the value, frozen at no level. Throws ConfigUnreadable where the file cannot be read, ConfigInvalid with every
 * mistake at once (one a line: place, setting, what is wrong; the list of {@link ConfigIssue} is the error's `cause`).
 */
export async function loadConfig<S extends TObject>(schema: S, sources: ConfigSources): Promise<Config<Static<S>>> {
  const root = nodeOf(schema);
  const prefix = sources.envPrefix ?? "SELVAGE_";
  const leaves = leavesOf(root, prefix);
  const issues: ConfigIssue[] = [];
  const origins = new Map<string, Origin>();
  const file = sources.file === undefined ? undefined : await readYaml(sources.file, issues);
  const value: Record<string, unknown> = file?.value ?? {};

  reportUnknown(root, value, [], (path, known) => {
    const field = path.join(".");
    const elsewhere = leaves.filter((leaf) => leaf.path.length > 1 && !known.includes(leaf.path.at(-1) ?? ""));
    issues.push({ field, origin: placeOf(file, path), message: unknownText(path.at(-1) ?? "", known, elsewhere) });
  });
  for (const { path } of leaves)
    if (valueAt(value, path) !== undefined) origins.set(path.join("."), placeOf(file, path));

  const apply = (leaf: Leaf, given: unknown, origin: Origin): void => {
    const field = leaf.path.join(".");
    const read = typeof given === "string" ? readText(given, leaf.schema) : given;
    origins.set(field, origin);
    if (read === undefined)
      issues.push({ field, origin, message: `"${given}" does not stand for ${kindOf(leaf.schema)}` });
    else setAt(value, leaf.path, read);
  };
  for (const leaf of leaves) {
    const text = sources.env?.[leaf.env];
    if (text !== undefined) apply(leaf, text, { from: "environment", name: leaf.env });
  }
  for (const [name, given] of Object.entries(sources.flags ?? {})) {
    if (given === undefined) continue;
    const leaf = leaves.find(({ flag }) => flag === name);
    const origin: Origin = { from: "flag", name: `--${name}` };
    if (leaf !== undefined) apply(leaf, given, origin);
    else
      issues.push({
        field: name,
        origin,
        message: unknownText(
          name,
          leaves.map(({ flag }) => flag),
        ),
      });
  }

  fillDefaults(root, value);
  for (const { path } of leaves) {
    const field = path.join(".");
    if (!origins.has(field) && valueAt(value, path) !== undefined) origins.set(field, { from: "default" });
  }
  for (const { path, message } of await validate(schema, value)) {
    const field = path.join(".");
    const told = issues.some((issue) => issue.field === field);
    if (!told) issues.push({ field, origin: nearestOrigin(origins, path) ?? placeOf(file, path), message });
  }
  if (issues.length > 0) {
    const lines = issues.map((issue) => `  ${placeText(issue.origin)}: ${issue.field}: ${issue.message}`);
    throw fail("ConfigInvalid", { issues: lines.join("\n") }, { cause: issues });
  }
  const names = leaves.map(({ env }) => env);
  const warnings = Object.keys(sources.env ?? {})
    .filter((name) => name.startsWith(prefix) && !names.includes(name))
    .map((name) => unknownVariable(name, prefix, leaves));
  // The value has just been validated against the schema that the type is made from.
  return { value: value as Static<S>, origins, warnings };
}

/** An origin as a person reads it: `selvage.yaml:3:5`, `SELVAGE_PORT`, `--port`, `default`. */
export function placeText(origin: Origin): string {
  switch (origin.from) {
    case "default":
      return "default";
    case "file":
      return `${origin.file}:${origin.line}:${origin.column}`;
    case "environment":
    case "flag":
      return origin.name;
  }
}

interface YamlFile {
  readonly path: string;
  readonly document: Document.Parsed<ParsedNode>;
  readonly lines: LineCounter;
  readonly value: Record<string, unknown>;
  readonly keyStart: (path: readonly string[]) => number | undefined;
}

async function readYaml(file: NonNullable<ConfigSources["file"]>, issues: ConfigIssue[]): Promise<YamlFile> {
  const text = file.text ?? (await readText8(file.path));
  const yaml = await import("yaml");
  const lines = new yaml.LineCounter();
  const document = yaml.parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: "error" });
  const place = (offset: number): Origin => {
    const { line, col } = lines.linePos(offset);
    return { from: "file", file: file.path, line, column: col };
  };
  for (const error of [...document.errors, ...document.warnings])
    issues.push({ field: "(file)", origin: place(error.pos[0]), message: error.message });
  let parsed: unknown = {};
  try {
    if (document.errors.length === 0) parsed = document.toJS() ?? {};
  } catch (cause) {
    // An alias without its anchor, or too many of them, shows only when the values are made.
    issues.push({ field: "(file)", origin: place(0), message: cause instanceof Error ? cause.message : String(cause) });
  }
  const value = isRecord(parsed) ? parsed : undefined;
  if (value === undefined)
    issues.push({ field: "(file)", origin: place(0), message: "it is not a mapping of settings" });
  const keyStart = (path: readonly string[]): number | undefined => {
    let node: unknown = document.contents;
    let start: number | undefined;
    for (const name of path) {
      if (yaml.isAlias(node)) node = node.resolve(document);
      if (yaml.isSeq(node)) {
        const item: unknown = node.items[Number(name)];
        start = yaml.isNode(item) ? item.range?.[0] : start;
        node = item;
        continue;
      }
      const pair = yaml.isMap(node)
        ? node.items.find(({ key }) => yaml.isScalar(key) && String(key.value) === name)
        : undefined;
      if (pair === undefined) return start;
      start = yaml.isNode(pair.key) ? pair.key.range?.[0] : start;
      node = pair.value;
    }
    return start;
  };
  return { path: file.path, document, lines, value: value ?? {}, keyStart };
}

async function readText8(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw fail("ConfigUnreadable", { file: path, reason }, { cause });
  }
}

/** Where a path stands in the file: the nearest key above it that is there, else the file's start; without a file, the defaults. */
function placeOf(file: YamlFile | undefined, path: readonly string[]): Origin {
  if (file === undefined) return { from: "default" };
  const { line, col } = file.lines.linePos(file.keyStart(path) ?? 0);
  return { from: "file", file: file.path, line: Math.max(line, 1), column: Math.max(col, 1) };
}

/** The origin of a setting, or of the setting that a deeper path is part of. */
function nearestOrigin(origins: ReadonlyMap<string, Origin>, path: readonly string[]): Origin | undefined {
  const exact = origins.get(path.join("."));
  if (exact !== undefined && exact.from !== "file") return exact;
  for (let length = path.length - 1; length > 0; length--) {
    const above = origins.get(path.slice(0, length).join("."));
    if (above !== undefined && above.from !== "file") return above;
  }
  return undefined;
}

function valueAt(root: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, name) => (isRecord(at) ? at[name] : undefined), root);
}

/** Tells of each key that no section declares, with the names that it does declare. */
function reportUnknown(
  schema: SchemaNode,
  value: unknown,
  path: readonly string[],
  tell: (path: readonly string[], known: readonly string[]) => void,
): void {
  if (Array.isArray(value) && schema.items !== undefined) {
    for (const [at, item] of value.entries()) reportUnknown(schema.items, item, [...path, String(at)], tell);
  }
  if (!isSection(schema) || !isRecord(value)) return;
  const properties = schema.properties ?? {};
  const isOpen = schema.patternProperties !== undefined || (schema.additionalProperties ?? false) !== false;
  for (const [name, item] of Object.entries(value)) {
    const child = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (child !== undefined) reportUnknown(child, item, [...path, name], tell);
    else if (!isOpen) tell([...path, name], Object.keys(properties));
  }
}

/** `elsewhere` are settings of other sections: one that bears the very name is told where no name beside it is near. */
function unknownText(name: string, known: readonly string[], elsewhere: readonly Leaf[] = []): string {
  const near = nearest(name, known) ?? elsewhere.find(({ path }) => path.at(-1) === name)?.path.join(".");
  return `it is not a setting${near === undefined ? "" : `; did you mean ${near}?`}`;
}

/** Compares without the prefix, which would make any two short names look alike. */
function unknownVariable(name: string, prefix: string, leaves: readonly Leaf[]): string {
  const short = leaves.map(({ env }) => env.slice(prefix.length));
  const near = nearest(name.slice(prefix.length), short);
  return `${name} is not a setting${near === undefined ? "" : `; did you mean ${prefix}${near}?`}`;
}

/** Gives every absent setting its default, and makes the required sections that are absent. */
function fillDefaults(schema: SchemaNode, value: Record<string, unknown>): void {
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    if (value[name] === undefined && child.default !== undefined) value[name] = structuredClone(child.default);
    const wanted = isSection(child) && (schema.required?.includes(name) ?? false);
    if (wanted && (value[name] ?? undefined) === undefined) value[name] = {};
    const section = value[name];
    if (isSection(child) && isRecord(section)) fillDefaults(child, section);
  }
}

async function validate(
  schema: TObject,
  value: unknown,
): Promise<readonly { readonly path: readonly string[]; readonly message: string }[]> {
  const { Ajv } = await import("ajv");
  const check = new Ajv({ allErrors: true, strict: false, validateFormats: false, verbose: true }).compile(schema);
  if (check(value)) return [];
  return (check.errors ?? [])
    .filter(({ keyword }) => keyword !== "additionalProperties" && keyword !== "if")
    .map(({ instancePath, keyword, params, message, data }) => {
      const path = instancePath
        .split("/")
        .slice(1)
        .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
      if (keyword === "required") return { path: [...path, String(params.missingProperty)], message: "it is required" };
      const shown = typeof data === "string" || typeof data === "number" ? `; it is ${JSON.stringify(data)}` : "";
      return { path, message: `${message ?? "it is not valid"}${shown}` };
    });
}

function kindOf(schema: SchemaNode): string {
  if (schema.type === undefined) return "a value of this setting";
  return /^[aeiou]/.test(schema.type) ? `an ${schema.type}` : `a ${schema.type}`;
}
