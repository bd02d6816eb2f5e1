/** Cuts a byte stream into messages by the length in their headers (OpenFlow 1.5.1, section 7.1.1), whatever pieces it comes in. */
import { DecodeError, maxMessageLength } from "./wire.ts";

const headerLength = 8;

/** Holds at most one message. The bytes it hands out are valid only during the call: decode or copy them. */
export class Framer {
  readonly #pending = new Uint8Array(maxMessageLength);
  #have = 0;
  #broken: DecodeError | undefined;

  /**
   * Takes the next piece of the stream and calls `deliver` for each message that it completes, in order.
   * Throws DecodeError at a header whose length is shorter than the header; from then on always, as the stream has lost its step.
   */
  push(chunk: Uint8Array, deliver: (message: Uint8Array) => void): void {
    if (this.#broken !== undefined) throw this.#broken;
    let at = 0;
    while (at < chunk.length) {
      if (this.#have === 0 && chunk.length - at >= headerLength) {
        const length = this.#lengthIn(chunk, at);
        if (chunk.length - at >= length) {
          deliver(chunk.subarray(at, at + length));
          at += length;
          continue;
        }
      }
      at += this.#collect(chunk, at, deliver);
    }
  }

  /** Copies what is missing of the header, or of the message once its length is known; gives the number of bytes taken. */
  #collect(chunk: Uint8Array, at: number, deliver: (message: Uint8Array) => void): number {
    const wanted = this.#have < headerLength ? headerLength : this.#lengthIn(this.#pending, 0);
    const taken = Math.min(wanted - this.#have, chunk.length - at);
    this.#pending.set(chunk.subarray(at, at + taken), this.#have);
    this.#have += taken;
    if (this.#have >= headerLength && this.#have === this.#lengthIn(this.#pending, 0)) {
      this.#have = 0;
      deliver(this.#pending.subarray(0, this.#lengthIn(this.#pending, 0)));
    }
    return taken;
  }

  #lengthIn(bytes: Uint8Array, at: number): number {
    const length = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
    if (length >= headerLength) return length;
    this.#broken = new DecodeError(`message of ${length} bytes is shorter than its header`);
    throw this.#broken;
  }
}
