/** What the handlers of `/v1` share: reading a body, and the check for the admin role. */
import { fail } from "@selvage/base";
import { type Caller, isAdmin } from "../api/policy.ts";
import type { Exchange } from "../http/exchange.ts";

export type Attributes = Readonly<Record<string, unknown>>;

/** Reads a JSON object. Throws FieldInvalid for anything else. */
export function readOwnBody(exchange: Exchange): Attributes {
  try {
    const parsed: unknown = JSON.parse(
      new TextDecoder("utf-8", { fatal: true }).decode(exchange.body ?? new Uint8Array()),
    );
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) return parsed as Attributes;
  } catch (error) {
    throw fail("FieldInvalid", { field: "body", reason: "it is not valid JSON" }, { cause: error });
  }
  throw fail("FieldInvalid", { field: "body", reason: "it must be a JSON object" });
}

/** The text under a name. Throws FieldInvalid. */
export function textOf(attributes: Attributes, name: string): string {
  const value = attributes[name];
  if (typeof value !== "string")
    throw fail("FieldInvalid", { field: name, reason: "it must be a text" }, { field: name });
  return value;
}

/** Throws AdminRequired unless the caller is an admin. `action` begins its sentence. */
export function requireOwnAdmin(caller: Caller, action: string): void {
  if (!isAdmin(caller, { projectId: "" })) throw fail("AdminRequired", { action });
}
