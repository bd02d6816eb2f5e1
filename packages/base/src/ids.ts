/** Identifiers and secrets: UUID version 4 (RFC 9562), request ids as OpenStack writes them, tokens, unbiased randomness. */
import { createHash, randomBytes, randomInt, randomUUID, timingSafeEqual } from "node:crypto";

/** A random UUID in lower case. */
export function uuid(): string {
  return randomUUID();
}

/** Whether a text is a UUID with hyphens, of any version, in either case. */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}

/** `req-<uuid>`: what `X-Openstack-Request-Id` carries. */
export function requestId(): string {
  return `req-${randomUUID()}`;
}

/** A secret of `bytes` random bytes (32 unless told) as base64url. Throws RangeError below 16: such a secret can be guessed. */
export function secretToken(bytes = 32): string {
  if (!Number.isInteger(bytes) || bytes < 16) throw new RangeError(`A secret has at least 16 bytes, not ${bytes}`);
  return randomBytes(bytes).toString("base64url");
}

/** The hash under which a secret is stored: SHA-256 in hex. Only for secrets of {@link secretToken}, never for passwords. */
export function hashOfSecret(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

/** Whether two secrets are equal, in a time that tells nothing about where they differ. */
export function sameSecret(a: string, b: string): boolean {
  return timingSafeEqual(createHash("sha256").update(a).digest(), createHash("sha256").update(b).digest());
}

/** A uniform whole number of 0 to `limit` - 1, from the system's random source. Throws RangeError unless `limit` is 1 to 2^48-1. */
export function randomBelow(limit: number): number {
  return randomInt(limit);
}

/** A uniform whole number of 0n to `limit` - 1n, of any size. Throws RangeError unless `limit` is above 0. */
export function randomBigintBelow(limit: bigint): bigint {
  if (limit <= 0n) throw new RangeError(`There is no whole number below ${limit}`);
  const bits = (limit - 1n).toString(2).length;
  for (;;) {
    const drawn = BigInt.asUintN(bits, BigInt(`0x${randomBytes(Math.ceil(bits / 8)).toString("hex")}`));
    if (drawn < limit) return drawn;
  }
}
