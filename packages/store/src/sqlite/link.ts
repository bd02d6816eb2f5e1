/** The store's end of its worker thread: numbers what it asks, matches the answers, and turns a worker's death into StoreFailure. */
import type { Worker } from "node:worker_threads";
import type { Revision } from "@selvage/model";
import { StoreFailure } from "../store.ts";
import { type Answer, type Answers, type Ask, type Failure, isWrite, type Message, type Request } from "./protocol.ts";

interface Pending {
  readonly ask: Ask;
  readonly answered: (answer: Answer) => void;
  readonly failed: (error: StoreFailure) => void;
}

interface Life {
  readonly worker: Worker;
  readonly pending: Map<number, Pending>;
  /** Gives the log's id. */
  readonly opened: Promise<string>;
}

export interface LinkEvents {
  readonly head: (head: Revision) => void;
  readonly lost: (error: StoreFailure) => void;
}

const failureFrom = ({ message, outcome }: Failure): StoreFailure => new StoreFailure(message, outcome);

const closed = (): StoreFailure => new StoreFailure("the store is closed", "failed");

export class Link {
  readonly #spawn: () => Worker;
  readonly #events: LinkEvents;
  #life: Life | undefined;
  #closed: Promise<void> | undefined;
  #number = 0;

  /** `spawn` starts a worker; it is called again by the first ask after a worker's death. */
  constructor(spawn: () => Worker, events: LinkEvents) {
    this.#spawn = spawn;
    this.#events = events;
  }

  /** Resolves with the log's id when the worker has its file open; throws StoreFailure when it refuses. */
  open(): Promise<string> {
    return this.#living().opened;
  }

  /** The answer to one ask. Asks are taken in the order of the calls. */
  ask<A extends Ask>(ask: A): Promise<Answers[A["op"]]> {
    if (this.#closed !== undefined) return Promise.reject(closed());
    return this.#post(this.#living(), ask);
  }

  #post<A extends Ask>(life: Life, ask: A): Promise<Answers[A["op"]]> {
    this.#number += 1;
    const number = this.#number;
    return new Promise((resolve, reject) => {
      // The worker answers an ask of one `op` with that op's answer: Service in worker.ts.
      const answered = (answer: Answer): void => resolve(answer as Answers[A["op"]]);
      life.pending.set(number, { ask, answered, failed: reject });
      life.worker.postMessage({ number, ask } satisfies Request);
    });
  }

  #living(): Life {
    this.#life ??= this.#begin();
    return this.#life;
  }

  #begin(): Life {
    const worker = this.#spawn();
    const pending = new Map<number, Pending>();
    let settle:
      | { readonly opened: (logId: string) => void; readonly failed: (error: StoreFailure) => void }
      | undefined;
    const opened = new Promise<string>((resolve, reject) => {
      settle = { opened: resolve, failed: reject };
    });
    opened.catch(() => undefined); // told to whoever asked to open, and to each ask
    const life: Life = { worker, pending, opened };
    let cause: unknown;
    const end = (failure: StoreFailure): void => {
      if (this.#life === life) this.#life = undefined;
      settle?.failed(failure);
      for (const { ask, failed } of pending.values()) {
        // A write that was sent may have been made durable just before the death.
        failed(new StoreFailure(failure.message, isWrite(ask) ? failure.outcome : "failed", { cause }));
      }
      pending.clear();
      this.#events.lost(this.#closed === undefined ? failure : closed());
    };
    worker.on("message", (message: Message) => {
      switch (message.kind) {
        case "opened":
          settle?.opened(message.logId);
          break;
        case "refused":
          end(failureFrom(message.failure));
          break;
        case "answer":
          pending.get(message.number)?.answered(message.answer);
          pending.delete(message.number);
          break;
        case "failure":
          pending.get(message.number)?.failed(failureFrom(message.failure));
          pending.delete(message.number);
          break;
        case "head":
          this.#events.head(message.head);
          break;
      }
    });
    worker.on("error", (error) => {
      cause = error;
    });
    worker.on("exit", () => {
      const detail = cause instanceof Error ? `: ${cause.message}` : "";
      end(new StoreFailure(`the store's worker thread has ended${detail}`, "unknown", { cause }));
    });
    return life;
  }

  /** Lets the worker finish what was asked, and ends it. */
  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    const life = this.#life;
    if (life === undefined) return;
    const exited = new Promise<void>((resolve) => life.worker.once("exit", () => resolve()));
    await this.#post(life, { op: "close" });
    await exited;
  }
}
