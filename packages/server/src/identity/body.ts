/** Reading Identity v3 bodies: objects in objects, with Keystone's wording for what is wrong. */
import { fail } from "@selvage/base";
import { domain } from "./directory.ts";

export type Attributes = Readonly<Record<string, unknown>>;

/** Reads JSON. Throws the 400 that Keystone gives for anything but an object. */
export function readObject(body: Uint8Array | undefined): Attributes {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body ?? new Uint8Array()));
  } catch {
    throw fail("IdentityBadRequest", {
      message:
        "Expecting to find valid JSON in request body. The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.",
    });
  }
  if (!isAttributes(parsed)) throw missing("a JSON object", "request body");
  return parsed;
}

/** The object under a name. Throws the 400 when it is not there. */
export function objectIn(attributes: Attributes, name: string, where = "request body"): Attributes {
  const value = attributes[name];
  if (!isAttributes(value)) throw missing(name, where);
  return value;
}

/** The text under a name, if it is there. Throws the 400 when it is something else, empty, or longer than `max`. */
export function textIn(attributes: Attributes, name: string, max = 255): string | undefined {
  const value = attributes[name];
  if (value === undefined) return undefined;
  if (typeof value !== "string" || value.length > max || (value === "" && name !== "description")) {
    throw invalid(name, `a text of at most ${max} characters`);
  }
  return value;
}

/** As `textIn`, and it must be there. */
export function requiredText(attributes: Attributes, name: string, max = 255): string {
  const value = textIn(attributes, name, max);
  if (value === undefined) throw missing(name, "request body");
  return value;
}

/** Looks at `domain_id`, which may be left out or null. Throws what Keystone does for a domain that is not there: only the default one is. */
export function domainIn(attributes: Attributes): void {
  if (attributes.domain_id === null) return;
  const id = textIn(attributes, "domain_id", 64);
  if (id !== undefined && id !== domain.id) throw fail("IdentityNotFound", { kind: "domain", id });
}

export function booleanIn(attributes: Attributes, name: string): boolean | undefined {
  const value = attributes[name];
  if (value !== undefined && typeof value !== "boolean") throw invalid(name, "a boolean");
  return value;
}

export function isAttributes(value: unknown): value is Attributes {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function missing(name: string, where: string) {
  return fail("IdentityBadRequest", {
    message: `Expecting to find ${name} in ${where}. The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.`,
  });
}

function invalid(name: string, wanted: string) {
  return fail("IdentityBadRequest", { message: `Invalid input for field '${name}': it must be ${wanted}.` });
}
