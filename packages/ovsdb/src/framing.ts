/** Cuts a byte stream into JSON messages: OVSDB puts objects one after another with no framing (RFC 7047 §4), so braces, strings and escapes are counted. */

import { FramingError } from "./errors.ts";
import type { Json } from "./json.ts";
import { parseJson } from "./json.ts";

/** How many bytes one message may have unless told otherwise: 64 MiB, about 100,000 Interface rows. */
export const DEFAULT_MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

/** Takes bytes in pieces of any size, gives whole messages. After it has thrown it is spent: the stream cannot be resynchronised. */
export class MessageFramer {
  readonly #maxBytes: number;
  readonly #utf8 = new TextDecoder("utf-8", { fatal: true });
  #pieces: Uint8Array[] = [];
  #held = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;

  /** `maxBytes`: the longest message accepted, in bytes. */
  constructor(maxBytes: number = DEFAULT_MAX_MESSAGE_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of an unfinished message that are being held. */
  get pending(): number {
    return this.#held;
  }

  /** Takes the next bytes (they are kept, not copied, so the caller must not write into them again) and hands each message that they complete to `deliver`, in order. Throws FramingError. */
  push(chunk: Uint8Array, deliver: (message: Json) => void): void {
    let start = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at]!;
      if (this.#depth === 0) {
        if (isSpace(byte)) {
          start = at + 1;
          continue;
        }
        if (byte !== OPEN_BRACE) {
          throw new FramingError(
            "garbage",
            `byte 0x${byte.toString(16).padStart(2, "0")} where a message should begin`,
          );
        }
        start = at;
      }
      if (this.#held + at - start >= this.#maxBytes) {
        throw new FramingError("too-long", `a message exceeds ${this.#maxBytes} bytes`);
      }
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === BACKSLASH) this.#escaped = true;
        else if (byte === QUOTE) this.#inString = false;
      } else if (byte === QUOTE) {
        this.#inString = true;
      } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        this.#depth += 1;
      } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        this.#depth -= 1;
        if (this.#depth === 0) {
          deliver(this.#take(chunk.subarray(start, at + 1)));
          start = at + 1;
        }
      }
    }
    if (start < chunk.length) {
      this.#pieces.push(chunk.subarray(start));
      this.#held += chunk.length - start;
    }
  }

  #take(last: Uint8Array): Json {
    const bytes = this.#pieces.length === 0 ? last : Buffer.concat([...this.#pieces, last]);
    this.#pieces = [];
    this.#held = 0;
    let text: string;
    try {
      text = this.#utf8.decode(bytes);
    } catch (error) {
      throw new FramingError("bad-utf8", "a message is not UTF-8", { cause: error });
    }
    try {
      return parseJson(text);
    } catch (error) {
      throw new FramingError("bad-json", error instanceof Error ? error.message : "a message is not JSON", {
        cause: error,
      });
    }
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
