/** The worker thread that owns the SQLite file: collects the writes that wait, commits them together, answers reads between commits. */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { Revision } from "@selvage/model";
import { StoreFailure } from "../store.ts";
import { Doorbell } from "./doorbell.ts";
import { Engine } from "./engine.ts";
import { failureOf } from "./failures.ts";
import {
  type Answer,
  isWrite,
  type Message,
  type Read,
  type Request,
  type SqliteOptions,
  type Write,
} from "./protocol.ts";

/** A write that waits; `deadline` on the clock of performance.now(). */
interface Waiting {
  readonly number: number;
  readonly write: Write;
  readonly deadline: number;
}

/** Bounds a transaction, so that readers' answers and other processes get their turn. */
const groupWrites = 1_000;
/** Milliseconds between tries for a lock that another process holds. */
const lockRetry = 1;
/** Milliseconds between looks at the head when nobody rang. */
const poll = 250;

class Service {
  readonly #port: MessagePort;
  readonly #engine: Engine;
  readonly #lockWait: number;
  readonly #doorbell: Doorbell;
  #waiting: Waiting[] = [];
  #scheduled = false;
  #sweeping = true;
  #closing: number | undefined;
  #head: Revision;

  constructor(port: MessagePort, options: SqliteOptions) {
    this.#port = port;
    this.#engine = new Engine(options);
    this.#lockWait = options.lockWait ?? 5_000;
    this.#head = this.#engine.bounds().head;
    this.#doorbell = new Doorbell(options.path, poll, () => this.#look());
    this.#send({ kind: "opened", logId: this.#engine.logId });
    this.#send({ kind: "head", head: this.#head });
    port.on("message", (request: Request) => this.#take(request));
    this.#schedule(0);
  }

  #send(message: Message): void {
    this.#port.postMessage(message);
  }

  #fail(number: number, { outcome, message }: StoreFailure): void {
    this.#send({ kind: "failure", number, failure: { outcome, message } });
  }

  #take({ number, ask }: Request): void {
    if (isWrite(ask)) {
      this.#waiting.push({ number, write: ask, deadline: performance.now() + this.#lockWait });
      this.#schedule(0);
      return;
    }
    if (ask.op === "close") {
      this.#closing = number;
      this.#schedule(0);
      return;
    }
    try {
      this.#send({ kind: "answer", number, answer: this.#read(ask) });
    } catch (error) {
      this.#fail(number, failureOf(error, "work"));
    }
  }

  #read(ask: Read): Answer {
    switch (ask.op) {
      case "bounds":
        return this.#engine.bounds();
      case "page":
        return this.#engine.page(ask.after);
      case "find":
        return this.#engine.find(ask.id);
      case "list":
        return this.#engine.list(ask.host, ask.now);
      case "snapshot":
        return this.#engine.beginSnapshot();
      case "snapshotNext":
        return this.#engine.nextOfSnapshot(ask.cursor);
    }
  }

  /** Everything that arrives until then goes into the next transaction. */
  #schedule(delay: number): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const run = (): void => {
      this.#scheduled = false;
      this.#turn();
    };
    if (delay === 0) setImmediate(run);
    else setTimeout(run, delay);
  }

  #turn(): void {
    if (this.#waiting.length > 0) {
      this.#commit();
    } else if (this.#closing !== undefined) {
      this.#close(this.#closing);
    } else if (this.#sweeping) {
      this.#sweeping = this.#engine.sweep();
      if (this.#sweeping) this.#schedule(0);
    }
  }

  #commit(): void {
    const group = this.#waiting.slice(0, groupWrites);
    const committed = this.#engine.commit(group.map(({ write }) => write));
    if (committed.kind === "locked") {
      this.#giveUpOnLate();
      this.#schedule(lockRetry);
      return;
    }
    this.#waiting = this.#waiting.slice(group.length);
    committed.settled.forEach((settled, at) => {
      const number = group[at]!.number;
      if (settled.kind === "failure") this.#fail(number, settled.failure);
      else this.#send({ kind: "answer", number, answer: settled.answer });
    });
    if (group.some(({ write }) => write.op === "compact")) this.#sweeping = true;
    if (this.#look()) this.#doorbell.ring();
    this.#schedule(0);
  }

  #giveUpOnLate(): void {
    const now = performance.now();
    const late = this.#waiting.filter(({ deadline }) => deadline <= now);
    this.#waiting = this.#waiting.filter(({ deadline }) => deadline > now);
    const failure = new StoreFailure(
      `the store's file has been locked by another process for ${this.#lockWait} ms`,
      "failed",
    );
    for (const { number } of late) this.#fail(number, failure);
  }

  /** Tells the store of a head that it has not heard of. Gives whether there was news. */
  #look(): boolean {
    try {
      const { head } = this.#engine.bounds();
      if (head === this.#head) return false;
      this.#head = head;
      this.#send({ kind: "head", head });
      return true;
    } catch (error) {
      // A doorbell is no place to fail: who wakes and reads is told what is wrong.
      if (error instanceof Error) return false;
      throw error;
    }
  }

  #close(number: number): void {
    this.#doorbell.close();
    try {
      this.#engine.close();
      this.#send({ kind: "answer", number, answer: null });
    } catch (error) {
      this.#fail(number, failureOf(error, "work"));
    }
    this.#port.close();
  }
}

if (parentPort === null) throw new Error("this file is run as a worker thread, by the store");
try {
  // Given by the store in this same package, as its type says.
  new Service(parentPort, workerData as SqliteOptions);
} catch (error) {
  const { outcome, message } = failureOf(error, "work");
  parentPort.postMessage({ kind: "refused", failure: { outcome, message } } satisfies Message);
}
