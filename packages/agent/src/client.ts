/**
 * The agent's end of the stream: says what it holds, takes differences in order, acknowledges; comes again with full jitter when the
 * stream ends, for as long as it lives. What carries the messages is handed in.
 */
import { backoffDelay, type Clock, type Log, type Timer } from "@selvage/base";
import {
  BadMessage,
  type Changes,
  type Facts,
  heldChunk,
  logVersion,
  outsideVersion,
  projectionFingerprint,
  protocolVersions,
  readFromServer,
  type Welcome,
} from "@selvage/sync";
import type { Held } from "./copy.ts";

/** One connection to a server. */
export interface Link {
  send(text: string): void;
  /** Ends it; `closed` is called once it has ended, whoever ended it. Idempotent. */
  close(): void;
}

export interface LinkEvents {
  readonly open: () => void;
  readonly message: (text: string) => void;
  /** It has ended, or never began. Called once. */
  readonly closed: (cause: Error) => void;
}

/** Begins a connection; never throws, and calls nothing before it has returned. */
export type Dial = (events: LinkEvents) => Link;

/** The server refused the host for a reason that coming again does not mend. */
export class RefusedByServer extends Error {
  readonly code: string;
  readonly retry: boolean;
  constructor(code: string, message: string, retry: boolean) {
    super(message);
    this.name = "RefusedByServer";
    this.code = code;
    this.retry = retry;
  }
}

export interface ClientOptions {
  readonly dial: Dial;
  readonly clock: Clock;
  readonly log: Log;
  readonly agent: string;
  readonly tunnelIp: string;
  /** Names of the physical networks that this host has. Absent: nothing is said of them. */
  readonly physicalNetworks?: readonly string[];
  readonly random: () => number;
  /** Upper bound of the pause before it comes again, ms (`longestPause` of the endpoint). */
  readonly longestPause: number;
  /** What is held now; empty asks for everything. */
  readonly held: () => readonly Held[];
  /** The log whose revisions `held` names; undefined: none is known. */
  readonly heldLog: () => string | undefined;
  /** Versions of the protocol to offer. Default: all that are known. */
  readonly versions?: readonly number[];
  readonly welcomed: (welcome: Welcome) => void;
  readonly changes: (message: Changes, text: string) => void;
  /** The stream has ended, for this reason. */
  readonly ended: (cause: Error) => void;
}

const shortest = 250;
/** When the server said that coming again does not help: an operator may have mended it meanwhile. */
const longestRefused = 60_000;

type State = "down" | "dialling" | "greeting" | "up";

export class Client {
  readonly #options: ClientOptions;
  #link: Link | undefined;
  #timer: Timer | undefined;
  #state: State = "down";
  #attempt = 0;
  #refusal: RefusedByServer | undefined;
  #protocol = 1;
  /** A server of version 1 takes no field that it does not know: after its refusal the next greeting is in the words of that version. */
  #words: "all" | "first" = "all";
  /** The connection that ends now is followed by another without a pause. */
  #atOnce = false;
  #closed = false;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  /** Whether the server has greeted us on the connection that is open. */
  get up(): boolean {
    return this.#state === "up";
  }

  start(): void {
    this.#dial();
  }

  /** Tells the server of a revision in force. Does nothing while there is no stream: the next one begins with what is in force. */
  acknowledge(revision: number): void {
    if (this.#state === "up") this.#link?.send(JSON.stringify({ type: "ack", revision }));
  }

  tell(facts: Omit<Facts, "type">): void {
    if (this.#state !== "up") return;
    const { nat: _nat, ...second } = facts;
    const { drift: _drift, drops: _drops, datapath_type: _type, ...first } = second;
    const known = this.#protocol < logVersion ? first : this.#protocol < outsideVersion ? second : facts;
    this.#link?.send(JSON.stringify({ type: "facts", ...known }));
  }

  /** Ends the present connection and comes again at once: for a new certificate. */
  reconnect(): void {
    this.#attempt = 0;
    this.#atOnce = this.#link !== undefined;
    if (this.#link !== undefined) this.#link.close();
    else this.#dial();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#link?.close();
  }

  #dial(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#closed || this.#link !== undefined) return;
    this.#state = "dialling";
    this.#refusal = undefined;
    this.#link = this.#options.dial({
      open: () => this.#greet(),
      message: (text) => this.#take(text),
      closed: (cause) => this.#ended(cause),
    });
  }

  #greet(): void {
    this.#state = "greeting";
    const { agent, tunnelIp, physicalNetworks } = this.#options;
    const versions = this.#options.versions ?? protocolVersions;
    const held = this.#options.held();
    const log = this.#words === "first" || !versions.includes(logVersion) ? undefined : this.#options.heldLog();
    const isFirst = this.#words === "first" || !versions.includes(outsideVersion);
    this.#link?.send(
      JSON.stringify({
        type: "hello",
        protocols: versions,
        agent,
        tunnel_ip: tunnelIp,
        ...(isFirst || physicalNetworks === undefined ? {} : { physical_networks: physicalNetworks }),
        projection: projectionFingerprint,
        ...(log === undefined ? {} : { log }),
        held: held.slice(0, heldChunk),
        more: held.length > heldChunk,
      }),
    );
    for (let at = heldChunk; at < held.length; at += heldChunk) {
      const more = at + heldChunk < held.length;
      this.#link?.send(JSON.stringify({ type: "held", held: held.slice(at, at + heldChunk), more }));
    }
  }

  #take(text: string): void {
    try {
      const message = readFromServer(text);
      switch (message.type) {
        case "welcome":
          this.#state = "up";
          this.#words = "all";
          this.#protocol = message.protocol;
          this.#options.welcomed(message);
          return;
        case "changes":
          if (this.#state !== "up") throw new BadMessage("changes before welcome");
          this.#options.changes(message, text);
          if (!message.more) this.#attempt = 0;
          return;
        case "refused":
          this.#refusal = new RefusedByServer(message.code, message.message, message.retry);
          if (this.#state === "greeting" && message.code === "ProtocolViolation") this.#words = "first";
          this.#link?.close();
      }
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error;
      this.#options.log.error("the server sent what cannot be read", { error });
      this.#link?.close();
    }
  }

  #ended(cause: Error): void {
    this.#link = undefined;
    this.#state = "down";
    const reason = this.#refusal ?? cause;
    this.#options.ended(reason);
    if (this.#closed) return;
    if (this.#atOnce) {
      this.#atOnce = false;
      this.#dial();
      return;
    }
    const helpless = reason instanceof RefusedByServer && !reason.retry;
    const cap = helpless ? longestRefused : this.#options.longestPause;
    const base = helpless ? longestRefused : shortest;
    const delay = backoffDelay({ base, cap, random: this.#options.random }, this.#attempt);
    this.#attempt += 1;
    this.#options.log[helpless ? "error" : "info"]("no stream to the server", {
      reason: reason.message,
      ...(reason instanceof RefusedByServer ? { code: reason.code } : {}),
      again_in_ms: Math.round(delay),
    });
    this.#timer = this.#options.clock.after(delay, () => this.#dial());
  }
}
