/** First start: the admin project and user, the token key and the certificate authority, made once for all servers of a store. */
import { randomBytes } from "node:crypto";
import { open, readFile, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { type Authority, createAuthority, fingerprintOf, secretToken } from "@selvage/base";
import { Assignment, assignmentId, Project, Secret, User, type View } from "@selvage/model";
import type { Author } from "@selvage/store";
import { secondsText } from "../transaction.ts";
import type { Writer } from "../writer.ts";
import type { Passwords } from "./password.ts";
import { tokenKeyId } from "./tokens.ts";

export const authorityId = "authority";
const passwordFile = "admin-password";
const author: Author = { kind: "system", id: "bootstrap", request_id: "bootstrap" };

/** A random id in Keystone's form: 32 hex digits. */
export function identityId(): string {
  return randomBytes(16).toString("hex");
}

/**
 * Makes what is missing and leaves what is there. The admin's password is random and stands in DIR/admin-password (0600)
 * before the user exists, so that no crash leaves an admin whose password nobody knows. Idempotent.
 */
export async function bootstrap(
  writer: Writer,
  passwords: Passwords,
  dataDir: string,
  now: () => number,
): Promise<void> {
  const view: View = writer.replica;
  const bootstrapped =
    view.exists(User.index.name, "admin") && view.has(Secret, tokenKeyId) && view.has(Secret, authorityId);
  if (bootstrapped) return;
  const password = await adminPassword(dataDir);
  const hash = await passwords.hash(password);
  const authority = await createAuthority();
  const tokenKey = randomBytes(32).toString("base64url");
  await writer.transact(author, (transaction) => {
    const { view } = transaction;
    const created_at = secondsText(now());
    const secret = (id: string, value: string): void => {
      if (!view.has(Secret, id)) transaction.put(Secret, { id, value, created_at });
    };
    secret(tokenKeyId, tokenKey);
    secret(authorityId, JSON.stringify(authority));
    if (view.exists(User.index.name, "admin")) return;
    const project =
      view.by(Project.index.name, "admin")[0] ??
      transaction.put(Project, {
        id: identityId(),
        name: "admin",
        description: "Bootstrap project for initializing the cloud.",
        enabled: true,
        created_at,
      });
    const user = transaction.put(User, {
      id: identityId(),
      name: "admin",
      enabled: true,
      password_hash: hash,
      credential_version: 1,
      created_at,
    });
    transaction.put(Assignment, {
      id: assignmentId(project.id, user.id),
      project_id: project.id,
      user_id: user.id,
      roles: ["admin"],
    });
  });
}

/** The deployment's certificate authority. Throws when the store was not bootstrapped. */
export function authorityOf(view: View): Authority {
  const secret = view.get(Secret, authorityId);
  if (secret === undefined) throw new Error("the store holds no certificate authority: it was not bootstrapped");
  // Written by `bootstrap` alone.
  return JSON.parse(secret.value) as Authority;
}

/** SHA-256 of the authority's certificate, hex: what a joining host compares. */
export function authorityFingerprint(view: View): string {
  return fingerprintOf(authorityOf(view).certificatePem);
}

async function adminPassword(dataDir: string): Promise<string> {
  const path = join(dataDir, passwordFile);
  try {
    const known = (await readFile(path, "utf8")).trim();
    if (known !== "") return known;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
  const password = secretToken(18);
  const unfinished = `${path}.new`;
  await unlink(unfinished).catch((error: unknown) => {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  });
  const file = await open(unfinished, "wx", 0o600);
  try {
    await file.writeFile(`${password}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(unfinished, path);
  return password;
}
