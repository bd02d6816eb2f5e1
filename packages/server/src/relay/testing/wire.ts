/** A wire between an agent and the streams of a server, in memory: it can be cut, and it can be slow. */
import type { Dial, Link, LinkEvents } from "@selvage/agent";
import type { Peer } from "../peers.ts";
import type { Channel } from "../session.ts";
import type { StreamEnd, Streams } from "../streams.ts";

export class Wire {
  readonly #streams: () => Streams;
  readonly #peer: Peer;
  /** What the server sent, in order. */
  readonly received: string[] = [];
  /** Told of each message that the server sends, when it sends it. */
  readonly watch: (text: string) => void;
  #open: Connection | undefined;
  #plugged = true;
  #slow = false;

  constructor(streams: () => Streams, peer: Peer, watch: (text: string) => void = () => undefined) {
    this.#streams = streams;
    this.#peer = peer;
    this.watch = watch;
  }

  readonly dial: Dial = (events) => {
    const connection = new Connection(events, this);
    this.#open = connection;
    queueMicrotask(() => {
      if (this.#plugged) connection.begin(this.#streams(), this.#peer);
      else connection.cut("no route");
    });
    return connection;
  };

  /** Nothing goes over it any more, until `mend`. */
  cut(): void {
    this.#plugged = false;
    this.#open?.cut("cut");
  }

  mend(): void {
    this.#plugged = true;
  }

  get slow(): boolean {
    return this.#slow;
  }

  /** While slow, the server sees what it sends pile up. */
  set slow(slow: boolean) {
    this.#slow = slow;
    if (!slow) this.#open?.drained();
  }
}

class Connection implements Link {
  readonly #events: LinkEvents;
  readonly #wire: Wire;
  #server: StreamEnd | undefined;
  #ended = false;

  constructor(events: LinkEvents, wire: Wire) {
    this.#events = events;
    this.#wire = wire;
  }

  begin(streams: Streams, peer: Peer): void {
    if (this.#ended) return;
    const wire = this.#wire;
    const fromServer: Channel = {
      send: (text) => {
        if (this.#ended) return;
        wire.received.push(text);
        wire.watch(text);
        queueMicrotask(() => {
          if (!this.#ended || text.includes('"type":"refused"')) this.#events.message(text);
        });
      },
      get backlog() {
        return wire.slow ? 1e9 : 0;
      },
      close: () => queueMicrotask(() => this.cut("closed by the server")),
    };
    this.#server = streams.open(peer, fromServer);
    this.#events.open();
  }

  send(text: string): void {
    if (this.#ended) return;
    queueMicrotask(() => {
      if (!this.#ended) this.#server?.message(text);
    });
  }

  drained(): void {
    this.#server?.drained();
  }

  close(): void {
    queueMicrotask(() => this.cut("closed by the agent"));
  }

  cut(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#server?.closed();
    this.#events.closed(new Error(reason));
  }
}
