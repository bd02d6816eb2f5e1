/** Rows of the relay's engine: which hosts are in which scope, and which objects belong to one. */
import { createHash } from "node:crypto";
import {
  type EngineRow,
  keyOf,
  Network,
  Port,
  SecurityGroup,
  SecurityGroupRule,
  type StoredObject,
  Subnet,
} from "@selvage/model";
import { project } from "@selvage/sync";

/** An object as scopes name it. */
export type ObjectKey = string;

export const objectKey = (kind: string, id: string): ObjectKey => `${kind}|${id}`;

export function partsOf(key: ObjectKey): { readonly kind: string; readonly id: string } {
  const at = key.indexOf("|");
  return { kind: key.slice(0, at), id: key.slice(at + 1) };
}

/** What belongs, but for the outside, to one scope only, of which there are many: needs no other name than its own. A change of scope is told by the row's digest. */
const inOneScope: ReadonlySet<string> = new Set([
  Network.kind,
  Subnet.kind,
  Port.kind,
  SecurityGroup.kind,
  SecurityGroupRule.kind,
]);

/** `member`: a host is in a scope. `content`: an object belongs to one, with a digest of all that any host may see of it. */
export interface ScopeRow extends EngineRow {
  readonly what: "member" | "content";
  readonly scope: string;
  /** The member host's id, or the object's key. */
  readonly subject: string;
}

export const scopeRow = (what: ScopeRow["what"], scope: string, subject: string, body: string): ScopeRow => ({
  what,
  scope,
  subject,
  body,
  id: what === "content" && inOneScope.has(partsOf(subject).kind) ? subject : keyOf(what, scope, subject),
});

const digestOf = (kind: string, object: StoredObject): string =>
  createHash("sha1")
    .update(JSON.stringify(project(kind, object, "near")))
    .digest("base64");

/** An object that belongs to a scope. */
export const content = (scope: string, kind: string, object: StoredObject): ScopeRow =>
  scopeRow("content", scope, objectKey(kind, object.id), digestOf(kind, object));

/** One that belongs to a scope besides that which it is of. */
export function besides(scope: string, kind: string, object: StoredObject): ScopeRow {
  const row = content(scope, kind, object);
  return { ...row, id: keyOf(row.what, scope, row.subject) };
}

/** A host's own scope, which holds the host itself. */
export const ownScope = (hostId: string): string => `host:${hostId}`;
