/** JSON-RPC 1.0 between OVSDB peers: requests and their answers, notifications, `echo` in both directions (RFC 7047 §4). */

import type { CloseCause } from "./errors.ts";
import { ConnectionClosedError, OvsdbError, ProtocolError } from "./errors.ts";
import { DEFAULT_MAX_MESSAGE_BYTES, MessageFramer } from "./framing.ts";
import type { Json, JsonObject } from "./json.ts";
import { isArray, isObject, stringifyJson } from "./json.ts";
import type { Transport } from "./transport.ts";

/** Runs `task` once after `ms` milliseconds; the function given back cancels it. */
export type After = (ms: number, task: () => void) => () => void;

/** How a connection behaves. */
export type ConnectionOptions = {
  /** The longest message accepted, in bytes; 64 MiB by default. */
  readonly maxMessageBytes?: number;
  /** After so many quiet milliseconds an echo is sent, after as many more without a byte the connection closes. 0: never. 5,000 by default, as ovsdb-server's own. */
  readonly probeMs?: number;
  /** The timer, for tests. */
  readonly after?: After;
};

/** Receives a notification's parameters. */
export type NotificationHandler = (params: readonly Json[]) => void;

type Pending = {
  readonly method: string;
  readonly resolve: (result: Json) => void;
  readonly reject: (error: Error) => void;
};

const timer: After = (ms, task) => {
  const handle = setTimeout(task, ms);
  handle.unref();
  return () => clearTimeout(handle);
};

/**
 * One connection over one transport; it never reconnects. A handler that throws ends the connection with its error as the cause: a
 * consumer that missed a notification would otherwise go on with a wrong picture.
 */
export class Connection {
  /** Settles, with the cause, when the connection is over; never rejects. */
  readonly closed: Promise<CloseCause>;
  readonly #transport: Transport;
  readonly #framer: MessageFramer;
  readonly #after: After;
  readonly #probeMs: number;
  readonly #pending = new Map<number, Pending>();
  readonly #handlers = new Map<string, Set<NotificationHandler>>();
  readonly #ending = new Set<(cause: CloseCause) => void>();
  readonly #resolveClosed: (cause: CloseCause) => void;
  #cause: CloseCause | null = null;
  #nextId = 0;
  #heard = false;
  #probing = false;
  #cancelProbe: () => void = () => undefined;

  /** Takes a connected transport and starts it. */
  constructor(transport: Transport, options: ConnectionOptions = {}) {
    const { promise, resolve } = Promise.withResolvers<CloseCause>();
    this.closed = promise;
    this.#resolveClosed = resolve;
    this.#transport = transport;
    this.#framer = new MessageFramer(options.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES);
    this.#after = options.after ?? timer;
    this.#probeMs = options.probeMs ?? 5_000;
    transport.start({
      bytes: (chunk) => this.#receive(chunk),
      ended: (error) => this.#end(error === null ? { kind: "remote" } : { kind: "failed", error }),
    });
    this.#scheduleProbe();
  }

  /** Why the connection is over, `null` while it is not. */
  get cause(): CloseCause | null {
    return this.#cause;
  }

  /** Requests sent and not answered. */
  get outstanding(): number {
    return this.#pending.size;
  }

  /**
   * Sends a request and gives its result. Requests may be outstanding in any number; the server answers transactions in order. Rejects
   * with OvsdbError, ConnectionClosedError, or the signal's reason: a transaction is then asked to be cancelled (RFC 7047 §4.1.4), and
   * whether it took effect is unknown.
   */
  request(method: string, params: readonly Json[], options: { readonly signal?: AbortSignal } = {}): Promise<Json> {
    const { signal } = options;
    if (this.#cause !== null) return Promise.reject(new ConnectionClosedError(this.#cause));
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    this.#nextId += 1;
    const id = this.#nextId;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        // The entry stays: an answer to this id is still due, and is then nobody's.
        reject(signal?.reason);
        if (method === "transact") this.notify("cancel", [id]);
      };
      const settled = (): void => signal?.removeEventListener("abort", onAbort);
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#pending.set(id, {
        method,
        resolve: (result) => {
          settled();
          resolve(result);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      });
      this.#send({ method, params, id });
    });
  }

  /** Sends a notification, to which there is no answer. After the end it does nothing. */
  notify(method: string, params: readonly Json[]): void {
    this.#send({ method, params, id: null });
  }

  /** Calls `handler` with each notification of that method, in the order of arrival and before any later answer settles. Gives the function that stops it. */
  onNotification(method: string, handler: NotificationHandler): () => void {
    const handlers = this.#handlers.get(method) ?? new Set();
    this.#handlers.set(method, handlers.add(handler));
    return () => {
      handlers.delete(handler);
    };
  }

  /** Calls `handler` at the end, at once and before `closed` settles. Gives the function that stops it. */
  onEnd(handler: (cause: CloseCause) => void): () => void {
    this.#ending.add(handler);
    return () => {
      this.#ending.delete(handler);
    };
  }

  /** Ends the connection; what is outstanding is rejected. Idempotent. */
  close(): void {
    this.#end({ kind: "local" });
  }

  #send(message: JsonObject): void {
    if (this.#cause === null) this.#transport.write(stringifyJson(message));
  }

  #receive(chunk: Uint8Array): void {
    if (this.#cause !== null) return;
    this.#heard = true;
    try {
      this.#framer.push(chunk, (message) => {
        if (this.#cause === null) this.#dispatch(message);
      });
    } catch (error) {
      this.#end({ kind: "failed", error: error instanceof Error ? error : new ProtocolError(String(error)) });
    }
  }

  #dispatch(message: Json): void {
    if (!isObject(message)) throw new ProtocolError("a message is not an object");
    const { method, params, id } = message;
    if (method === undefined) {
      this.#answered(message);
      return;
    }
    if (typeof method !== "string" || !isArray(params)) throw new ProtocolError("a request without method or params");
    if (id !== undefined && id !== null) {
      // An echo is the one request that a server makes (RFC 7047 §4.1.11).
      this.#send(
        method === "echo" ? { id, result: params, error: null } : { id, result: null, error: "unknown method" },
      );
      return;
    }
    for (const handler of this.#handlers.get(method) ?? []) handler(params);
  }

  #answered(message: JsonObject): void {
    const { id, result, error } = message;
    const pending = typeof id === "number" ? this.#pending.get(id) : undefined;
    if (typeof id !== "number" || pending === undefined) {
      throw new ProtocolError(`an answer to nothing that was asked (id ${stringifyJson(id ?? null)})`);
    }
    const refused = error !== undefined && error !== null;
    const fault = refused ? parseFault(error) : null;
    if (!refused && result === undefined) {
      throw new ProtocolError(`an answer to ${pending.method} with neither result nor error`);
    }
    // Only an answer that could be read is one: until here the end of the connection is what the caller is told.
    this.#pending.delete(id);
    if (fault !== null) pending.reject(new OvsdbError({ method: pending.method, ...fault }));
    else pending.resolve(result ?? null);
  }

  #end(cause: CloseCause): void {
    if (this.#cause !== null) return;
    this.#cause = cause;
    this.#cancelProbe();
    this.#transport.close();
    for (const pending of this.#pending.values()) pending.reject(new ConnectionClosedError(cause));
    this.#pending.clear();
    for (const handler of this.#ending) handler(cause);
    this.#ending.clear();
    this.#handlers.clear();
    this.#resolveClosed(cause);
  }

  #scheduleProbe(): void {
    if (this.#probeMs === 0 || this.#cause !== null) return;
    this.#cancelProbe = this.#after(this.#probeMs, () => this.#probe());
  }

  #probe(): void {
    if (this.#heard) {
      this.#heard = false;
      this.#probing = false;
    } else if (this.#probing) {
      // Who stood still himself reads what waits for him first: immediates come after whatever can be read.
      setImmediate(() => {
        if (this.#heard) this.#probe();
        else this.#end({ kind: "silent", silentMs: 2 * this.#probeMs });
      });
      return;
    } else {
      this.#probing = true;
      // Whatever the answer, its bytes are the sign of life; a rejection is the end, which `closed` reports.
      this.request("echo", []).then(
        () => undefined,
        () => undefined,
      );
    }
    this.#scheduleProbe();
  }
}

/** Reads an `<error>`: an object with `error` and `details`, or, for unknown methods, bare text. Throws ProtocolError. */
export function parseFault(json: Json): { readonly error: string; readonly details: string | null } {
  if (typeof json === "string") return { error: json, details: null };
  if (isObject(json) && typeof json.error === "string") {
    const details = json.details;
    return { error: json.error, details: typeof details === "string" ? details : null };
  }
  throw new ProtocolError(`an error in no known form: ${stringifyJson(json)}`);
}
