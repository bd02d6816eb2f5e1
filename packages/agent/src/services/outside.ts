/** What an agent does for the networks outside: asks for neighbours, watches the hosts beside it, and says which addresses came to this one. */
import type { Clock, Log, Metrics } from "@selvage/base";
import type { Datapath, PeerWatch } from "@selvage/datapath";
import type { Change, Delta, View } from "@selvage/model";
import type { Row } from "@selvage/pipeline";
import { Announcer, type Owned } from "./announcer.ts";
import { Neighbours } from "./neighbours.ts";
import { Peers } from "./peers.ts";

export interface OutsideOptions {
  readonly view: View;
  readonly hostName: string;
  readonly datapath: Pick<Datapath, "send">;
  readonly watch: Pick<PeerWatch, "watch"> | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Facts that are others now. */
  readonly learned: (changes: readonly Change[]) => void;
}

export class Outside {
  readonly neighbours: Neighbours;
  readonly #announcer: Announcer;
  readonly #peers: Peers;
  /** Addresses that came to this host and are not in force yet. */
  #come: readonly Owned[] = [];

  constructor(options: OutsideOptions) {
    this.#announcer = new Announcer(options);
    this.neighbours = new Neighbours({
      ...options,
      owns: (net, address) => this.#announcer.owns(net, address),
    });
    this.#peers = new Peers(options);
    options.metrics.gauge({
      name: "peers_away",
      help: "Hosts on the same physical networks that the switch does not reach",
      read: () => this.#peers.away,
    });
  }

  /** Other rows are wanted than before. */
  changed(delta: Pick<Delta<Row>, "added" | "removed" | "modified">): void {
    this.#come = [...this.#come, ...this.#announcer.changed(delta)];
    this.neighbours.changed(delta);
    this.#peers.changed();
  }

  /** The wires are others. */
  plugged(): void {
    this.neighbours.again();
  }

  /** What came to this host since it was asked last, to be announced when its rows are in force. */
  taken(): readonly Owned[] {
    const come = this.#come;
    this.#come = [];
    return come;
  }

  announce(come: readonly Owned[]): void {
    this.#announcer.announce(come);
  }

  /** Ends it; the switch answers on. Idempotent. */
  close(): void {
    this.#announcer.close();
    this.neighbours.close();
  }
}
