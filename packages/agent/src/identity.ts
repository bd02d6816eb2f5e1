/** Who this host is: what joining left in the data directory, in one file (0600) that is replaced whole. */
import { join } from "node:path";
import type { HostName } from "@selvage/sync";
import { readIfThere, writeWhole } from "./files.ts";

/** A certificate and its key, PEM. The key was made here and never leaves. */
export interface HostCredentials {
  readonly certificate: string;
  readonly key: string;
}

export interface Identity {
  /** Where the server is: `https://host:port` or `unix:/path`. */
  readonly server: string;
  /** The authority that vouches for servers, PEM. */
  readonly ca: string;
  readonly host: HostName;
  readonly present: HostCredentials;
  /** Renewed, and not yet known to be taken by a server. */
  readonly next?: HostCredentials;
}

const format = 1;

/** The agent has not joined, or its identity cannot be read. */
export class NotJoined extends Error {
  constructor(reason: string) {
    super(`${reason}: join the host with a token`);
    this.name = "NotJoined";
  }
}

export const identityPath = (dataDir: string): string => join(dataDir, "identity.json");

/** Reads the identity. Throws NotJoined. */
export async function readIdentity(dataDir: string): Promise<Identity> {
  const path = identityPath(dataDir);
  const text = await readIfThere(path);
  if (text === undefined) throw new NotJoined(`this host has no identity in ${dataDir}`);
  try {
    // Written whole by `writeIdentity` alone; of another format it is refused.
    const kept = JSON.parse(text) as Identity & { readonly format: number };
    if (kept.format === format) return kept;
    throw new NotJoined(`${path} is of format ${kept.format}, not ${format}`);
  } catch (error) {
    if (error instanceof NotJoined) throw error;
    throw new NotJoined(`${path} cannot be read (${error instanceof Error ? error.message : String(error)})`);
  }
}

export async function writeIdentity(dataDir: string, identity: Identity): Promise<void> {
  await writeWhole(identityPath(dataDir), `${JSON.stringify({ format, ...identity }, null, 1)}\n`);
}

/** The identity as one process has it: what it changes is written before it is used. */
export class IdentityKeeper {
  readonly #dataDir: string;
  #identity: Identity;
  readonly #trouble: (error: unknown) => void;
  #work: Promise<void> = Promise.resolve();

  /** `trouble` is told when the file could not be written. */
  constructor(dataDir: string, identity: Identity, trouble: (error: unknown) => void) {
    this.#dataDir = dataDir;
    this.#identity = identity;
    this.#trouble = trouble;
  }

  get identity(): Identity {
    return this.#identity;
  }

  /** What the next connection shows: the renewed certificate where there is one. */
  get credentials(): HostCredentials {
    return this.#identity.next ?? this.#identity.present;
  }

  /** A server has taken these credentials: a renewed certificate takes the present one's place. */
  taken(credentials: HostCredentials): void {
    const { next, ...rest } = this.#identity;
    if (next === undefined || next.certificate !== credentials.certificate) return;
    this.#change({ ...rest, present: next }).catch(this.#trouble);
  }

  /** A server does not know these credentials. Gives whether there are others now: a renewed certificate gives way to the present one. */
  refused(credentials: HostCredentials): boolean {
    const { next, ...rest } = this.#identity;
    if (next === undefined || next.certificate !== credentials.certificate) return false;
    this.#change(rest).catch(this.#trouble);
    return true;
  }

  /** Keeps a renewed certificate, to be shown from now on. Throws the system's errors: then it is not shown. */
  async renewed(next: HostCredentials): Promise<void> {
    const before = this.#identity;
    try {
      await this.#change({ ...before, next });
    } catch (error) {
      this.#identity = before;
      throw error;
    }
  }

  /** Resolves when all that was changed so far is written or has failed. */
  settled(): Promise<void> {
    return this.#work;
  }

  #change(identity: Identity): Promise<void> {
    this.#identity = identity;
    const written = this.#work.then(() => writeIdentity(this.#dataDir, identity));
    this.#work = Promise.allSettled([written]).then(() => undefined);
    return written;
  }
}
