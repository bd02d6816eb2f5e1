/** Projects, users and who may do what where (Identity v3). One domain, `default`. */
import { field, reference } from "../fields.ts";
import { keyOf, type ObjectOf, resource } from "../resource.ts";
import { boolean, integer, list, oneOf, text, timestamp } from "../types.ts";

/** Roles imply each other: admin > member > reader. */
export const roleNames = ["admin", "member", "reader"] as const;
export type RoleName = (typeof roleNames)[number];

/** Keystone ids: 32 hex digits, no dashes. */
export const Project = resource({
  kind: "project",
  plural: "projects",
  fields: {
    id: field(text(64)),
    name: field(text(64), { create: "required", update: "allowed", filter: true }),
    description: field(text(255), { create: "optional", update: "allowed", default: "" }),
    enabled: field(boolean(), { create: "optional", update: "allowed", default: true, filter: true }),
    created_at: field(timestamp()),
  },
  unique: { name: (project) => [project.name] },
});
export type Project = ObjectOf<typeof Project>;

export const User = resource({
  kind: "user",
  plural: "users",
  fields: {
    id: field(text(64)),
    name: field(text(255), { create: "required", update: "allowed", filter: true }),
    enabled: field(boolean(), { create: "optional", update: "allowed", default: true, filter: true }),
    /** Argon2id, in PHC string format. */
    password_hash: field(text(512), { readers: "hidden" }),
    /** Grows with every change of password or roles: a token that bears an older one is refused. */
    credential_version: field(integer(0, Number.MAX_SAFE_INTEGER), { readers: "hidden" }),
    created_at: field(timestamp()),
  },
  unique: { name: (user) => [user.name] },
});
export type User = ObjectOf<typeof User>;

/** The roles of one user in one project; its id is `project|user`. */
export const Assignment = resource({
  kind: "assignment",
  plural: "assignments",
  fields: {
    id: field(text(130)),
    project_id: reference(text(64), "project", "cascade"),
    user_id: reference(text(64), "user", "cascade"),
    roles: field(list(oneOf(roleNames))),
  },
});
export type Assignment = ObjectOf<typeof Assignment>;

export const assignmentId = (projectId: string, userId: string): string => keyOf(projectId, userId);

/** A token that its bearer gave back before its end. Its id is the token's own (`jti`); forgotten once it would have expired. */
export const RevokedToken = resource({
  kind: "revoked_token",
  plural: "revoked_tokens",
  fields: {
    id: field(text(64)),
    expires_at: field(timestamp()),
  },
  /** Under the day (`YYYY-MM-DD`) of its end, so that old ones are found without a scan. */
  indexes: { day: (token) => [token.expires_at.slice(0, 10)] },
});
export type RevokedToken = ObjectOf<typeof RevokedToken>;

/** What the servers of one deployment share and nobody else may read: the token key, the certificate authority. */
export const Secret = resource({
  kind: "secret",
  plural: "secrets",
  fields: {
    id: field(text(64)),
    value: field(text(65_536), { readers: "hidden" }),
    created_at: field(timestamp()),
  },
});
export type Secret = ObjectOf<typeof Secret>;
