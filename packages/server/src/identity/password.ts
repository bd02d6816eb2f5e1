/** Password hashes: Argon2id (RFC 9106) in PHC string format, a bounded number at work at a time. */
import { argon2, randomBytes, timingSafeEqual } from "node:crypto";
import { fail } from "@selvage/base";
import type { ServerSettings } from "../settings.ts";

interface Parameters {
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
}

const saltBytes = 16;
const tagBytes = 32;
const retryAfter = 1;

export class Passwords {
  readonly #parameters: Parameters;
  readonly #workers: number;
  readonly #queueLimit: number;
  readonly #waiting: (() => void)[] = [];
  #working = 0;
  /** A hash that no password has: checking it takes as long as checking a real one. */
  readonly #nobody: string;

  constructor(
    settings: Pick<ServerSettings, "passwordMemory" | "passwordPasses" | "passwordWorkers" | "passwordQueue">,
  ) {
    this.#parameters = { memory: settings.passwordMemory, passes: settings.passwordPasses, parallelism: 1 };
    this.#workers = settings.passwordWorkers;
    this.#queueLimit = settings.passwordQueue;
    this.#nobody = format(this.#parameters, randomBytes(saltBytes), randomBytes(tagBytes));
  }

  /** Hashes a password. Throws StoreBusy-like 503 when too many wait already. */
  async hash(password: string): Promise<string> {
    const salt = randomBytes(saltBytes);
    return format(this.#parameters, salt, await this.#work(password, salt, this.#parameters));
  }

  /** Whether the password is the hash's. `hash` undefined (no such user): false, after the same time. */
  async verify(password: string, hash: string | undefined): Promise<boolean> {
    const { parameters, salt, tag } = parse(hash ?? this.#nobody);
    const found = await this.#work(password, salt, parameters);
    return timingSafeEqual(found, tag) && hash !== undefined;
  }

  async #work(password: string, salt: Uint8Array, parameters: Parameters): Promise<Uint8Array> {
    if (this.#working >= this.#workers) {
      if (this.#waiting.length >= this.#queueLimit) throw fail("IdentityBusy", {}, { retryAfter });
      // Whoever ends hands its place on, so the count stays.
      await new Promise<void>((next) => this.#waiting.push(next));
    } else {
      this.#working += 1;
    }
    try {
      return await argon2id(password, salt, parameters);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#working -= 1;
      else next();
    }
  }
}

function argon2id(password: string, salt: Uint8Array, parameters: Parameters): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    argon2("argon2id", { message: password, nonce: salt, tagLength: tagBytes, ...parameters }, (error, tag) => {
      if (error === null) resolve(tag);
      else reject(error);
    });
  });
}

function format({ memory, passes, parallelism }: Parameters, salt: Uint8Array, tag: Uint8Array): string {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64").replace(/=+$/, "");
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${text(salt)}$${text(tag)}`;
}

function parse(hash: string): { readonly parameters: Parameters; readonly salt: Uint8Array; readonly tag: Uint8Array } {
  const match = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([\w+/]+)\$([\w+/]+)$/.exec(hash);
  if (match === null) throw new Error("a stored password hash is not in the Argon2id PHC format");
  const [, memory, passes, parallelism, salt = "", tag = ""] = match;
  return {
    parameters: { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) },
    salt: Buffer.from(salt, "base64"),
    tag: Buffer.from(tag, "base64"),
  };
}
