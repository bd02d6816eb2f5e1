/** A controller's side of one OpenFlow 1.5 connection: requests, batches with barriers, bundles, news (OpenFlow 1.5.1, sections 6.3, 7.3.8 and 7.3.9). */
import { BundleFlag, type BundleStep } from "./bundle.ts";
import type { ErrorMessage } from "./error-message.ts";
import {
  BatchError,
  BundleError,
  type CloseCause,
  ConnectionClosedError,
  OpenFlowError,
  VersionError,
} from "./errors.ts";
import { anyPort, type Flow, type FlowFilter, type FlowRemoved, flowFilter } from "./flow.ts";
import { Framer } from "./framing.ts";
import { type GroupDescription, GroupId } from "./group.ts";
import { type Batch, Ledger } from "./ledger.ts";
import { decodeMessage, type Envelope, encodeMessage, type Message } from "./message.ts";
import { type MeterConfig, MeterId } from "./meter.ts";
import type { Answer, Question } from "./multipart.ts";
import { Outbox } from "./outbox.ts";
import type { PacketIn } from "./packet.ts";
import type { PortDescription, PortStatus } from "./port.ts";
import type { Transport } from "./transport.ts";
import { DecodeError, openFlowVersion, type Writer } from "./wire.ts";

/** How to watch for a peer that went silent. */
export interface KeepAlive {
  /** Milliseconds without a byte after which an echo is asked for. */
  readonly idle: number;
  /** Milliseconds without a byte after which the connection is given up. */
  readonly silence: number;
}

export interface ConnectionOptions {
  /** Default 5 s and 15 s; null for none. */
  readonly keepAlive?: KeepAlive | null;
}

/** What comes unasked. */
export interface Events {
  packetIn: PacketIn;
  portStatus: PortStatus;
  flowRemoved: FlowRemoved;
  /** An error that belongs to no request and no batch, as for a `post`. */
  error: ErrorMessage;
}

/** Who waits for the reply to a request. */
interface Waiter {
  readonly request: Message;
  /** Takes a reply; true when it was the last. */
  readonly reply: (message: Message) => boolean;
  readonly fail: (error: Error) => void;
}

const defaultKeepAlive: KeepAlive = { idle: 5_000, silence: 15_000 };

/** One connection, from greeting to end. It does not reconnect: that is its owner's, who hears of the end by `closed`. */
export class Connection {
  /** Settles, without rejecting, when the connection is gone. */
  readonly closed: Promise<CloseCause>;
  readonly #transport: Transport;
  readonly #outbox: Outbox;
  readonly #framer = new Framer();
  readonly #ledger = new Ledger();
  readonly #waiters = new Map<number, Waiter>();
  readonly #listeners: { readonly [K in keyof Events]: Set<(event: Events[K]) => void> } = {
    packetIn: new Set(),
    portStatus: new Set(),
    flowRemoved: new Set(),
    error: new Set(),
  };
  readonly #settleClosed: (cause: CloseCause) => void;
  /** Batches sent since the last barrier. */
  #unconfirmed: Batch[] = [];
  #greeting: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;
  #cause: CloseCause | undefined;
  #lastHeard = performance.now();
  #watch: NodeJS.Timeout | undefined;
  #nextBundle = 1;

  private constructor(transport: Transport) {
    this.#transport = transport;
    this.#outbox = new Outbox(transport, () => this.#check());
    const closed = Promise.withResolvers<CloseCause>();
    this.closed = closed.promise;
    this.#settleClosed = closed.resolve;
  }

  /**
   * Greets the switch over a fresh transport and agrees on OpenFlow 1.5.
   * Throws VersionError when the switch does not speak it, ConnectionClosedError when it hangs up.
   */
  static async open(transport: Transport, options: ConnectionOptions = {}): Promise<Connection> {
    const connection = new Connection(transport);
    const greeted = Promise.withResolvers<void>();
    connection.#greeting = greeted;
    transport.start({
      data: (bytes) => connection.#receive(bytes),
      drain: () => connection.#outbox.drain(),
      closed: (error) => connection.#end(error === undefined ? { kind: "peer" } : { kind: "transport", error }),
    });
    connection.#writeNow({ kind: "hello", versions: [openFlowVersion] });
    const keepAlive = options.keepAlive === undefined ? defaultKeepAlive : options.keepAlive;
    if (keepAlive !== null) connection.#watchOver(keepAlive);
    await greeted.promise;
    return connection;
  }

  /** Calls `listener` for each event of a kind, in order, until the function given back is called. A listener must not take long. */
  on<K extends keyof Events>(kind: K, listener: (event: Events[K]) => void): () => void {
    this.#listeners[kind].add(listener);
    return () => this.#listeners[kind].delete(listener);
  }

  /**
   * Sends one message that is answered by one message.
   * Throws OpenFlowError when the switch refuses it, EncodeError when it cannot be written, ConnectionClosedError.
   */
  request(message: Message): Promise<Message> {
    return new Promise((resolve, reject) => {
      const reply = (message: Message): boolean => {
        resolve(message);
        return true;
      };
      this.#ask({ request: message, fail: reject, reply });
    });
  }

  /** Sends one message that has no answer. A refusal goes to the listeners of `error`. Throws EncodeError, ConnectionClosedError. */
  async post(message: Message): Promise<void> {
    const xid = this.#ledger.allocate();
    await this.#outbox.enqueue(1, (w) => encodeMessage(w, message, xid));
  }

  /**
   * Sends messages that have no answers. Resolves when the transport took them all; a `barrier` says whether the switch did.
   * Throws EncodeError (what stood more than 64 KiB before the faulty message may have gone out), ConnectionClosedError.
   */
  async send(messages: readonly Message[]): Promise<void> {
    if (messages.length === 0) return;
    this.#check();
    const batch = this.#ledger.record(messages);
    this.#unconfirmed.push(batch);
    await this.#writeBatch(batch, (w, message, xid) => encodeMessage(w, message, xid));
  }

  /** Waits until the switch has done all that was sent. Throws BatchError with the messages that it refused since the last barrier. */
  async barrier(): Promise<void> {
    const batches = this.#unconfirmed;
    this.#unconfirmed = [];
    try {
      await this.request({ kind: "barrierRequest" });
    } finally {
      for (const batch of batches) this.#ledger.forget(batch);
    }
    const failures = batches.flatMap((batch) => batch.failures);
    if (failures.length > 0) throw new BatchError(failures);
  }

  /**
   * Puts all messages in force together, or none: flow-mods, group-mods and packet-outs (Open vSwitch takes no meters here).
   * `flags` are `BundleFlag` bits, atomic and ordered by default. Throws BundleError with the messages that the switch refused.
   */
  async bundle(messages: readonly Message[], flags: number = BundleFlag.atomic | BundleFlag.ordered): Promise<void> {
    const bundle = this.#nextBundle;
    this.#nextBundle = bundle === 0xffff_ffff ? 1 : bundle + 1;
    const step = (name: BundleStep) => this.request({ kind: "bundleControl", bundle, step: name, flags });
    await step("openRequest");
    const batch = this.#ledger.record(messages);
    try {
      await this.#writeBatch(batch, (w, message, xid) =>
        encodeMessage(w, { kind: "bundleAdd", bundle, flags, message }, xid),
      );
      await this.request({ kind: "barrierRequest" });
    } catch (error) {
      this.#ledger.forget(batch);
      // The switch must not keep a half-filled bundle; if the connection is gone, so is the bundle.
      if (this.#cause === undefined) await step("discardRequest");
      throw error;
    }
    try {
      if (batch.failures.length > 0) {
        await step("discardRequest");
        throw new BundleError(batch.failures);
      }
      await step("commitRequest");
    } catch (error) {
      throw error instanceof OpenFlowError ? new BundleError(batch.failures, error) : error;
    } finally {
      this.#ledger.forget(batch);
    }
  }

  /** The answer to a question part by part, as it arrives. Throws OpenFlowError, ConnectionClosedError. */
  async *ask(question: Question): AsyncGenerator<Answer> {
    const parts: Answer[] = [];
    let done = false;
    let failure: Error | undefined;
    let wake = Promise.withResolvers<void>();
    const fail = (error: Error) => {
      failure = error;
      wake.resolve();
    };
    const reply = (message: Message): boolean => {
      if (message.kind !== "multipartReply") return true;
      parts.push(message.answer);
      done = !message.more;
      wake.resolve();
      return done;
    };
    const request: Message = { kind: "multipartRequest", question };
    this.#ask({ request, reply, fail });
    for (;;) {
      const part = parts.shift();
      if (part !== undefined) yield part;
      else if (failure !== undefined) throw failure;
      else if (done) return;
      else {
        await wake.promise;
        wake = Promise.withResolvers<void>();
      }
    }
  }

  /** Flows one by one, as they arrive; all of them without a filter. */
  async *flowStats(filter: Partial<FlowFilter> = {}): AsyncGenerator<Flow> {
    for await (const part of this.ask({ of: "flows", filter: flowFilter(filter) })) {
      if (part.of === "flows") yield* part.flows;
    }
  }

  /** All flows that pass the filter. */
  async flows(filter: Partial<FlowFilter> = {}): Promise<readonly Flow[]> {
    return this.#collect({ of: "flows", filter: flowFilter(filter) }, (part) =>
      part.of === "flows" ? part.flows : [],
    );
  }

  /** All groups, or one. */
  async groups(group: number = GroupId.all): Promise<readonly GroupDescription[]> {
    return this.#collect({ of: "groups", group }, (part) => (part.of === "groups" ? part.groups : []));
  }

  /** All meters, or one. */
  async meters(meter: number = MeterId.all): Promise<readonly MeterConfig[]> {
    return this.#collect({ of: "meters", meter }, (part) => (part.of === "meters" ? part.meters : []));
  }

  /** All ports, or one. */
  async ports(port: number = anyPort): Promise<readonly PortDescription[]> {
    return this.#collect({ of: "ports", port }, (part) => (part.of === "ports" ? part.ports : []));
  }

  /** Ends the connection; what waits for a reply fails with ConnectionClosedError. Idempotent. */
  close(): void {
    this.#end({ kind: "requested" });
  }

  async #collect<T>(question: Question, entries: (part: Answer) => readonly T[]): Promise<readonly T[]> {
    const all: T[] = [];
    for await (const part of this.ask(question)) for (const entry of entries(part)) all.push(entry);
    return all;
  }

  /** Registers who waits for the reply, and queues the request behind what was sent before. */
  #ask(waiter: Waiter): void {
    if (this.#cause !== undefined) {
      waiter.fail(new ConnectionClosedError(this.#cause));
      return;
    }
    const xid = this.#ledger.allocate();
    this.#waiters.set(xid, waiter);
    this.#outbox
      .enqueue(1, (w) => encodeMessage(w, waiter.request, xid))
      .catch((error: Error) => {
        if (this.#waiters.delete(xid)) waiter.fail(error);
      });
  }

  #writeBatch(batch: Batch, encode: (w: Writer, message: Message, xid: number) => void): Promise<void> {
    const { messages, firstXid } = batch;
    return this.#outbox.enqueue(messages.length, (w, index) => {
      const message = messages[index];
      if (message !== undefined) encode(w, message, firstXid + index);
    });
  }

  #writeNow(message: Message, xid = this.#ledger.allocate()): void {
    this.#outbox.writeNow(message, xid);
  }

  #check(): void {
    if (this.#cause !== undefined) throw new ConnectionClosedError(this.#cause);
  }

  #receive(bytes: Uint8Array): void {
    this.#lastHeard = performance.now();
    try {
      this.#framer.push(bytes, (message) => {
        if (this.#cause === undefined) this.#dispatch(decodeMessage(message));
      });
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.#end({ kind: "protocol", error });
    }
  }

  #dispatch({ xid, message }: Envelope): void {
    switch (message.kind) {
      case "hello":
        this.#greet(message.versions);
        break;
      case "echoRequest":
        this.#writeNow({ kind: "echoReply", data: message.data }, xid);
        break;
      case "error":
        this.#blame(xid, message);
        break;
      case "packetIn":
        this.#tell("packetIn", message);
        break;
      case "portStatus":
        this.#tell("portStatus", message);
        break;
      case "flowRemoved":
        this.#tell("flowRemoved", message);
        break;
      default: {
        const waiter = this.#waiters.get(xid);
        if (waiter?.reply(message) === true) this.#waiters.delete(xid);
      }
    }
  }

  #greet(versions: readonly number[]): void {
    const greeting = this.#greeting;
    this.#greeting = undefined;
    if (greeting === undefined || versions.includes(openFlowVersion)) {
      greeting?.resolve();
      return;
    }
    const error = new VersionError(versions);
    this.#writeNow({ kind: "error", type: 0, code: 0, experimenter: 0, data: new TextEncoder().encode(error.message) });
    greeting.reject(error);
    this.#end({ kind: "protocol", error });
  }

  #blame(xid: number, error: ErrorMessage): void {
    const waiter = this.#waiters.get(xid);
    if (waiter !== undefined) {
      this.#waiters.delete(xid);
      waiter.fail(new OpenFlowError(error, waiter.request));
    } else if (this.#greeting !== undefined) {
      this.#greeting.reject(new OpenFlowError(error, { kind: "hello", versions: [openFlowVersion] }));
      this.#greeting = undefined;
      this.close();
    } else if (!this.#ledger.blame(xid, error)) {
      this.#tell("error", error);
    }
  }

  #tell<K extends keyof Events>(kind: K, event: Events[K]): void {
    for (const listener of this.#listeners[kind]) {
      try {
        listener(event);
      } catch (error) {
        // A listener's fault must not cost the stream its step: it surfaces as an uncaught error of its own.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  /** Only an echo that was asked for and not answered is silence: a process that stood still itself reads what waits for it first. */
  #watchOver({ idle, silence }: KeepAlive): void {
    const quiet = (): number => performance.now() - this.#lastHeard;
    let askedAt = Number.NEGATIVE_INFINITY;
    this.#watch = setInterval(() => {
      if (quiet() >= silence && askedAt >= this.#lastHeard) {
        // Immediates come after whatever can be read.
        setImmediate(() => {
          if (quiet() >= silence) this.#end({ kind: "silence", milliseconds: Math.round(quiet()) });
        });
      } else if (quiet() >= idle) {
        askedAt = performance.now();
        this.#writeNow({ kind: "echoRequest", data: new Uint8Array(0) });
      }
    }, idle);
    this.#watch.unref();
  }

  #end(cause: CloseCause): void {
    if (this.#cause !== undefined) return;
    this.#cause = cause;
    clearInterval(this.#watch);
    this.#transport.close();
    const error = new ConnectionClosedError(cause);
    this.#greeting?.reject(error);
    this.#greeting = undefined;
    const waiters = [...this.#waiters.values()];
    this.#waiters.clear();
    for (const waiter of waiters) waiter.fail(error);
    this.#outbox.drain();
    this.#settleClosed(cause);
  }
}
