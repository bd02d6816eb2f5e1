/**
 * The cached snapshot: the stream of `changes` messages as it came, one a line, each with its checksum. So a difference costs one appended
 * line, a restart replays what was in force when the agent ended, however it ended, and the same code reads cache and stream.
 */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { type Log, silentLog } from "@selvage/base";
import { BadMessage, type Changes, projectionFingerprint, readFromServer } from "@selvage/sync";
import { readIfThere, replaceFile } from "./files.ts";

const format = 1;

/** What was found: nothing, whole differences in order, or why it is of no use. */
export type Cached =
  | { readonly found: "nothing" }
  | {
      readonly found: "differences";
      readonly messages: readonly { readonly message: Changes; readonly text: string }[];
      /** The log that they are of; undefined: it was not known. */
      readonly log: string | undefined;
    }
  | { readonly found: "damage"; readonly reason: string };

interface Header {
  readonly format: number;
  readonly host: string;
  readonly projection: string;
  readonly log?: string;
}

const sumOf = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 16);
const lineOf = (text: string): string => `${sumOf(text)} ${text}\n`;

/**
 * Reads a host's cache. A last line that is cut off was being written when the agent ended: what stands before it counts. Any other
 * fault makes the whole of it damage. Throws the system's errors other than that the file is not there.
 */
export async function readCache(path: string, hostId: string): Promise<Cached> {
  const whole = await readIfThere(path);
  if (whole === undefined) return { found: "nothing" };
  const lines = whole.split("\n");
  // Behind the last newline stands nothing, or a line that was not finished.
  lines.pop();
  const texts: string[] = [];
  for (const [at, line] of lines.entries()) {
    const text = line.slice(17);
    if (line[16] !== " " || sumOf(text) !== line.slice(0, 16)) {
      return { found: "damage", reason: `line ${at + 1} does not fit its checksum` };
    }
    texts.push(text);
  }
  const [head, ...rest] = texts;
  if (head === undefined) return { found: "damage", reason: "it has no header" };
  // Written by this program, as its checksum shows.
  const header = JSON.parse(head) as Header;
  if (header.format !== format) return { found: "damage", reason: `its format is ${header.format}, not ${format}` };
  if (header.host !== hostId) return { found: "damage", reason: `it is of another host, ${header.host}` };
  if (header.projection !== projectionFingerprint)
    return { found: "damage", reason: "it was cut by another projection" };
  try {
    const messages = rest.map((text) => ({ message: readFromServer(text), text }));
    const changes = messages.flatMap(({ message, text }) => (message.type === "changes" ? [{ message, text }] : []));
    return changes.length === 0 ? { found: "nothing" } : { found: "differences", messages: changes, log: header.log };
  } catch (error) {
    if (error instanceof BadMessage) return { found: "damage", reason: error.message };
    throw error;
  }
}

export interface CacheOptions {
  readonly path: string;
  readonly hostId: string;
  /** The copy as it is at the moment of the call. */
  readonly texts: () => Iterable<string>;
  /** The log that the copy is of at the moment of the call; `rewrite` when it becomes another. */
  readonly logId?: () => string | undefined;
  readonly log?: Log;
  /** Appended characters after which the file is written anew, at least; more when the copy itself is larger. */
  readonly rewriteAfter?: number;
}

/** Writes the cache, in order, beside everything else; a failure is logged and costs a restart the cache, never the host. */
export class CacheWriter {
  readonly #options: CacheOptions;
  readonly #log: Log;
  #file: FileHandle | undefined;
  #work: Promise<void> = Promise.resolve();
  #appended = 0;
  #written = 0;

  constructor(options: CacheOptions) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
  }

  /** Records a difference that the copy has just taken. */
  append(texts: readonly string[]): void {
    const lines = texts.map(lineOf).join("");
    const limit = Math.max(this.#options.rewriteAfter ?? 1024 * 1024, 2 * this.#written);
    this.#appended += lines.length;
    if (this.#appended > limit) {
      this.rewrite();
      return;
    }
    this.#then(async () => {
      // Without a file the copy as it is now holds this difference too.
      if (this.#file === undefined) await this.#replace(this.#options.texts(), this.#options.logId?.());
      else await this.#file.appendFile(lines);
    });
  }

  /** Writes the copy as it is now in place of what is there. */
  rewrite(): void {
    const texts = this.#options.texts();
    const log = this.#options.logId?.();
    this.#appended = 0;
    this.#then(() => this.#replace(texts, log));
  }

  /** Resolves when everything asked for so far is written or has failed. */
  settled(): Promise<void> {
    return this.#work;
  }

  async close(): Promise<void> {
    await this.#work;
    await this.#file?.close();
    this.#file = undefined;
  }

  async #replace(texts: Iterable<string>, log: string | undefined): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
    const header: Header = {
      format,
      host: this.#options.hostId,
      projection: projectionFingerprint,
      ...(log === undefined ? {} : { log }),
    };
    let size = 0;
    const lines = function* (): Iterable<string> {
      yield lineOf(JSON.stringify(header));
      for (const text of texts) {
        const line = lineOf(text);
        size += line.length;
        yield line;
      }
    };
    this.#file = await replaceFile(this.#options.path, lines());
    this.#written = size;
  }

  #then(work: () => Promise<void>): void {
    this.#work = this.#work.then(work).catch(async (error: unknown) => {
      this.#log.warn("the cached snapshot could not be written", { path: this.#options.path, error });
      const file = this.#file;
      this.#file = undefined;
      await file
        ?.close()
        .catch((closing: unknown) => this.#log.warn("its file could not be closed", { error: closing }));
    });
  }
}
