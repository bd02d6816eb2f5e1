/** Which message a transaction id stood for, so that a late error can name its message (OpenFlow 1.5.1, section 7.5.4: an error repeats the xid). */

import type { ErrorMessage } from "./error-message.ts";
import { OpenFlowError } from "./errors.ts";
import type { Message } from "./message.ts";

/** Messages with consecutive transaction ids, and the errors that came for them. */
export class Batch {
  readonly firstXid: number;
  readonly messages: readonly Message[];
  readonly failures: OpenFlowError[] = [];

  constructor(firstXid: number, messages: readonly Message[]) {
    this.firstXid = firstXid;
    this.messages = messages;
  }
}

/** Gives out transaction ids and keeps the batches whose fate is not yet known. 0 is never given: switches use it for news. */
export class Ledger {
  readonly #batches = new Set<Batch>();
  #next = 1;

  /** `count` consecutive ids; gives the first. They start again at 1 before they would exceed 32 bits. */
  allocate(count = 1): number {
    if (this.#next + count > 0xffff_ffff) this.#next = 1;
    const first = this.#next;
    this.#next += count;
    return first;
  }

  /** Remembers messages under fresh ids until `forget`. */
  record(messages: readonly Message[]): Batch {
    const batch = new Batch(this.allocate(messages.length), messages);
    this.#batches.add(batch);
    return batch;
  }

  forget(batch: Batch): void {
    this.#batches.delete(batch);
  }

  /** Notes an error with the batch it belongs to; false if it belongs to none. */
  blame(xid: number, error: ErrorMessage): boolean {
    for (const batch of this.#batches) {
      const message = batch.messages[xid - batch.firstXid];
      if (message === undefined) continue;
      batch.failures.push(new OpenFlowError(error, message));
      return true;
    }
    return false;
  }
}
