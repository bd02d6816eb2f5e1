/**
 * Tokens: signed (JWT, RFC 7519, HS256), an hour long, and true only while the user's credentials are what they were:
 * a change of password, roles or enablement, seen through the log, ends them on every server at once.
 */
import { randomUUID } from "node:crypto";
import { fail } from "@selvage/base";
import { Project, RevokedToken, type RoleName, roleNames, Secret, User, type View } from "@selvage/model";
import { jwtVerify, SignJWT } from "jose";
import type { Caller } from "../api/policy.ts";

export const tokenKeyId = "token-key";

/** What a token says. Times in seconds since the epoch. */
export interface Claims {
  readonly id: string;
  readonly userId: string;
  readonly projectId: string | undefined;
  readonly roles: readonly RoleName[];
  readonly credentialVersion: number;
  readonly methods: readonly string[];
  readonly issuedAt: number;
  readonly expiresAt: number;
}

export interface TokenOptions {
  readonly view: View;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Seconds. */
  readonly lifetime: number;
}

const cacheSize = 4096;

export class Tokens {
  readonly #view: View;
  readonly #now: () => number;
  readonly #lifetime: number;
  /** Tokens whose signature was found good; what they claim is checked anew each time. */
  readonly #verified = new Map<string, Claims>();
  /** The key by which they were found good. */
  #verifiedBy = "";

  constructor(options: TokenOptions) {
    this.#view = options.view;
    this.#now = options.now;
    this.#lifetime = options.lifetime;
  }

  /** A new token of a user. `expiresAt`: not later than this (a token got for a token lives no longer), seconds. */
  async issue(
    user: User,
    projectId: string | undefined,
    roles: readonly RoleName[],
    methods: readonly string[],
    expiresAt = Number.POSITIVE_INFINITY,
  ) {
    const issuedAt = Math.floor(this.#now() / 1000);
    const claims: Claims = {
      id: randomUUID(),
      userId: user.id,
      projectId,
      roles,
      credentialVersion: user.credential_version,
      methods,
      issuedAt,
      expiresAt: Math.min(issuedAt + this.#lifetime, expiresAt),
    };
    const token = await new SignJWT({
      ...(projectId === undefined ? {} : { prj: projectId }),
      rol: roles,
      cv: claims.credentialVersion,
      amr: methods,
    })
      .setProtectedHeader({ alg: "HS256" })
      .setJti(claims.id)
      .setSubject(user.id)
      .setIssuedAt(issuedAt)
      .setExpirationTime(claims.expiresAt)
      .sign(this.#key());
    return { token, claims };
  }

  /** What a token says, if it holds now. Gives undefined for one that is forged, expired, revoked or out of date. */
  async verify(token: string | undefined): Promise<Claims | undefined> {
    if (token === undefined || token === "") return undefined;
    this.#forgetOfAnotherKey();
    const key = this.#verifiedBy;
    const claims = this.#verified.get(token) ?? (await this.#signed(token));
    this.#forgetOfAnotherKey();
    // The key may have been replaced while the signature was looked at.
    if (claims === undefined || key !== this.#verifiedBy || !this.#holds(claims)) {
      this.#verified.delete(token);
      return undefined;
    }
    this.#remember(token, claims);
    return claims;
  }

  /** Who bears a token. Throws Unauthorized. */
  async caller(token: string | undefined): Promise<Caller> {
    const claims = await this.verify(token);
    const user = claims === undefined ? undefined : this.#view.get(User, claims.userId);
    if (claims === undefined || user === undefined) throw fail("Unauthorized");
    return { userId: user.id, userName: user.name, projectId: claims.projectId, roles: new Set(claims.roles) };
  }

  async #signed(token: string): Promise<Claims | undefined> {
    const key = this.#view.get(Secret, tokenKeyId);
    if (key === undefined) return undefined;
    try {
      const { payload } = await jwtVerify(token, keyBytes(key.value), {
        algorithms: ["HS256"],
        currentDate: new Date(this.#now()),
        requiredClaims: ["jti", "sub", "iat", "exp", "rol", "cv"],
      });
      const { prj, rol, cv, amr } = payload;
      return {
        id: String(payload.jti),
        userId: String(payload.sub),
        projectId: typeof prj === "string" ? prj : undefined,
        roles: roleNames.filter((name) => Array.isArray(rol) && rol.includes(name)),
        credentialVersion: Number(cv),
        methods: Array.isArray(amr) ? amr.map(String) : [],
        issuedAt: Number(payload.iat),
        expiresAt: Number(payload.exp),
      };
    } catch {
      // Whatever is wrong with it, it is not a token of ours: the caller answers 401 and no more.
      return undefined;
    }
  }

  /** Tokens of a key that was replaced hold no more. */
  #forgetOfAnotherKey(): void {
    const key = this.#view.get(Secret, tokenKeyId)?.value ?? "";
    if (key === this.#verifiedBy) return;
    this.#verified.clear();
    this.#verifiedBy = key;
  }

  #holds(claims: Claims): boolean {
    const user = this.#view.get(User, claims.userId);
    if (user === undefined || !user.enabled || user.credential_version !== claims.credentialVersion) return false;
    if (claims.expiresAt * 1000 <= this.#now() || this.#view.has(RevokedToken, claims.id)) return false;
    return claims.projectId === undefined || this.#view.get(Project, claims.projectId)?.enabled === true;
  }

  #remember(token: string, claims: Claims): void {
    if (this.#verified.has(token)) return;
    this.#verified.set(token, claims);
    if (this.#verified.size <= cacheSize) return;
    const [oldest] = this.#verified.keys();
    if (oldest !== undefined) this.#verified.delete(oldest);
  }

  #key(): Uint8Array {
    const secret = this.#view.get(Secret, tokenKeyId);
    if (secret === undefined) throw new Error("the store holds no token key: it was not bootstrapped");
    return keyBytes(secret.value);
  }
}

function keyBytes(value: string): Uint8Array {
  return Buffer.from(value, "base64url");
}
