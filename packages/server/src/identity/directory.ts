/** Who there is: the one domain, the three roles, and what a user may do in a project, read from intent (Identity v3). */
import { createHash } from "node:crypto";
import { Assignment, assignmentId, type RoleName, roleNames, type View } from "@selvage/model";

export const domain = { id: "default", name: "Default" } as const;

export interface Role {
  readonly id: string;
  readonly name: RoleName;
}

/** Ids are made from the names: the same on every server, in Keystone's form of 32 hex digits. */
export const roles: readonly Role[] = roleNames.map((name) => ({
  id: createHash("sha256").update(`role:${name}`).digest("hex").slice(0, 32),
  name,
}));

export function roleById(id: string): Role | undefined {
  return roles.find((role) => role.id === id);
}

/** admin implies member, member implies reader: what `given` amounts to, in the order admin, member, reader. */
export function impliedRoles(given: readonly RoleName[]): readonly RoleName[] {
  const highest = Math.min(...given.map((name) => roleNames.indexOf(name)));
  return roleNames.filter((_name, index) => index >= highest);
}

/** What a user may do in a project, implied roles included; empty: nothing. */
export function rolesIn(view: View, userId: string, projectId: string): readonly RoleName[] {
  return impliedRoles(view.get(Assignment, assignmentId(projectId, userId))?.roles ?? []);
}

/** Whether a domain is named in one of the ways that clients do: by id, by name, or not at all. */
export function isDefaultDomain(named: unknown): boolean {
  if (named === undefined) return true;
  if (typeof named !== "object" || named === null) return false;
  const { id, name } = named as { readonly id?: unknown; readonly name?: unknown };
  return id === domain.id || (typeof name === "string" && name.toLowerCase() === domain.name.toLowerCase());
}
