/** JSON as OVSDB carries it (RFC 7047 §3.1): integers are 64 bits wide, so those beyond 2^53 are read and written as bigint. */

/** A JSON value; a `bigint` is an integer that a double cannot hold exactly. */
export type Json = null | boolean | number | bigint | string | readonly Json[] | JsonObject;
/** A JSON object. */
export type JsonObject = { readonly [key: string]: Json };

/** Whether the value is an object and not an array or null. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether the value is an array. `Array.isArray` alone does not narrow a readonly array. */
export function isArray(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

// Sixteen digits in a row is the shortest integer that may lie beyond 2^53: only such text pays for the slower reading.
const LONG_INTEGER = /\d{16}/;
const INTEGER = /^-?\d+$/;

/** Parses JSON text; an integer literal beyond ±(2^53 - 1) becomes a bigint. Throws SyntaxError. */
export function parseJson(text: string): Json {
  if (!LONG_INTEGER.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_key: string, value: unknown, ...rest: readonly unknown[]) => {
    if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
    const source = sourceOf(rest[0]);
    return source !== null && INTEGER.test(source) ? BigInt(source) : value;
  });
}

/** Writes JSON text; a bigint is written as an integer literal. */
export function stringifyJson(value: Json): string {
  return JSON.stringify(value, (_key: string, item: unknown) =>
    typeof item === "bigint" ? rawJson(item.toString()) : item,
  );
}

/** The reviver's third argument is `{ source }` for primitives (ECMAScript proposal json-parse-with-source). */
function sourceOf(context: unknown): string | null {
  if (typeof context !== "object" || context === null || !("source" in context)) return null;
  return typeof context.source === "string" ? context.source : null;
}

function rawJson(text: string): unknown {
  // The compiler's library does not know JSON.rawJSON yet (same proposal); the runtime has it.
  return (JSON as typeof JSON & { rawJSON(text: string): unknown }).rawJSON(text);
}
