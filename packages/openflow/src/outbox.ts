/** The way out of a connection: one writer at a time, in order, no faster than the transport takes it. */
import { encodeMessage, type Message } from "./message.ts";
import type { Transport } from "./transport.ts";
import { Writer } from "./wire.ts";

/** Bytes to gather before a write: large enough to be cheap, small enough to keep memory low under backpressure. */
const writeChunk = 64 * 1024;

export class Outbox {
  readonly #transport: Transport;
  /** Throws once the connection is gone. */
  readonly #check: () => void;
  /** The end of the queue. */
  #queue: Promise<void> = Promise.resolve();
  #drained: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;

  constructor(transport: Transport, check: () => void) {
    this.#transport = transport;
    this.#check = check;
  }

  /**
   * Writes `count` messages when it is their turn, pausing whenever the transport is full; `encode` appends the message of an index.
   * Resolves when the transport took them; throws what `encode` or `check` throws, and leaves the queue usable.
   */
  enqueue(count: number, encode: (w: Writer, index: number) => void): Promise<void> {
    const turn = this.#queue.then(async () => {
      const w = new Writer(Math.min(count * 512, writeChunk + 4096));
      for (let index = 0; index < count; index += 1) {
        encode(w, index);
        if (w.length < writeChunk && index + 1 < count) continue;
        this.#check();
        const roomLeft = this.#transport.write(w.take());
        w.clear();
        if (!roomLeft) await this.#full();
      }
    });
    // The queue goes on after a failure; who asked for this write hears of it by `turn`.
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  /** Past the queue: greetings and echo replies wait for nobody. */
  writeNow(message: Message, xid: number): void {
    const w = new Writer(64);
    encodeMessage(w, message, xid);
    this.#transport.write(w.take());
  }

  /** The transport is empty again, or gone: whoever waits looks anew. */
  drain(): void {
    this.#drained?.resolve();
    this.#drained = undefined;
  }

  #full(): Promise<void> {
    this.#drained ??= Promise.withResolvers<void>();
    return this.#drained.promise;
  }
}
