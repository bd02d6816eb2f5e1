/** The shape of one entry in the registry of errors, and the typed `%(name)s` templates that Neutron's messages use. */

/** Which envelope the error travels in: Networking v2.0, Identity v3, or our own `/v1`, command line and agent. */
export type Envelope = "neutron" | "keystone" | "selvage";

/** What can stand in a hole of a message. */
export type ErrorParam = string | number | bigint;

/** One kind of failure, as data. */
export interface ErrorEntry {
  /** HTTP status of the reply. */
  readonly status: number;
  /** Text with `%(name)s` holes, worded exactly as the real service words it. */
  readonly message: string;
  /** Kind of object that the failure is about (`network`, `port`, `request`, `config`, …). */
  readonly kind: string;
  /** What whoever meets it can do. */
  readonly hint: string;
  readonly envelope: Envelope;
  /** The type on the wire where it differs from the entry's own name: one `HTTPBadRequest` has many causes. */
  readonly wire?: string;
}

/** The names of the holes of a template, worked out by the type checker. */
export type Holes<T extends string> = T extends `${string}%(${infer Name})s${infer Rest}` ? Name | Holes<Rest> : never;

/** The parameters that a template demands: exactly its holes. */
export type ParamsOf<T extends string> = { readonly [N in Holes<T>]: ErrorParam };

/** Maker of entries of one envelope: `entry(status, kind, message, hint, wire?)`, keeping the message's literal type. */
export function entriesOf<const E extends Envelope>(envelope: E) {
  return <const M extends string>(status: number, kind: string, message: M, hint: string, wire?: string) => ({
    status,
    kind,
    message,
    hint,
    envelope,
    ...(wire === undefined ? {} : { wire }),
  });
}

/**
 * Fills a template's holes.
 * Throws a plain `Error` when a hole has no value: that is a fault of the program, never of its user.
 */
export function fillTemplate(template: string, params: Readonly<Record<string, ErrorParam>>): string {
  return template.replace(/%\(([^)]+)\)s/g, (_hole, name: string) => {
    const value = params[name];
    if (value === undefined) throw new Error(`No value for %(${name})s in "${template}"`);
    return String(value);
  });
}

/** A list as Python prints it, which is how Neutron's messages carry lists: `['network', 'port']`. */
export function pythonList(items: readonly string[]): string {
  return `[${items.map(pythonString).join(", ")}]`;
}

/** A string as Python's `repr` prints it: single quotes unless only a double-quoted form avoids escapes. */
export function pythonString(text: string): string {
  const escaped = text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r").replaceAll("\t", "\\t");
  if (escaped.includes("'") && !escaped.includes('"')) return `"${escaped}"`;
  return `'${escaped.replaceAll("'", "\\'")}'`;
}
