/** What must never reach a log: values under the names of secrets, and private keys wherever they stand. */

const secretName = /(?:passw(?:or)?d|secret|token|authorization|cookie|private_?key|key_?pem)$/i;
const privateKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----/;
const deepest = 8;

/** What stands in a secret's place. */
export const redacted = "[secret]";

/**
 * A copy of a value with secrets replaced: by the name of their field (in any case, at any depth), or by being a PEM
 * private key. Bigints become text, what lies deeper than eight levels (or in a circle) is cut off.
 */
export function redact(value: unknown): unknown {
  return copy(value, 0);
}

function copy(value: unknown, depth: number): unknown {
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "string") return privateKey.test(value) ? redacted : value;
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  if (depth >= deepest) return "[deep]";
  if (value instanceof Error) return copyError(value, depth);
  if (value instanceof Map) return copy(Object.fromEntries(value), depth);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value) || value instanceof Set) return [...value].map((item) => copy(item, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, field(name, item, depth)]));
}

function field(name: string, value: unknown, depth: number): unknown {
  const isSecret = secretName.test(name) && value !== undefined && value !== null && value !== "";
  return isSecret ? redacted : copy(value, depth + 1);
}

function copyError(error: Error, depth: number): Readonly<Record<string, unknown>> {
  const own = Object.entries(error).map(([name, item]) => [name, field(name, item, depth)]);
  return {
    ...Object.fromEntries(own),
    name: error.name,
    message: copy(error.message, depth),
    stack: copy(error.stack, depth),
    ...(error.cause === undefined ? {} : { cause: copy(error.cause, depth + 1) }),
  };
}
