/** What an agent does for the networks outside, and to find who has an address: asks for neighbours, watches the hosts beside it, says which addresses came to this one, and announces what leads to it. */
import type { Clock, Log, Metrics } from "@selvage/base";
import type { Datapath, PeerWatch, Punt } from "@selvage/datapath";
import { type Change, type Delta, type Engine, physicalKeys } from "@selvage/model";
import type { Row } from "@selvage/pipeline";
import { type SpeakerStatus, Speakers, type SpeakersOptions } from "../bgp/speakers.ts";
import { Announcer, type Owned } from "./announcer.ts";
import type { Answer } from "./answer.ts";
import { type Correction, Corrections } from "./corrections.ts";
import { Holders } from "./holders.ts";
import type { KeptNeighbours } from "./kept-neighbours.ts";
import { Neighbours } from "./neighbours.ts";
import type { KnownRows } from "./outside-errors.ts";
import { Peers } from "./peers.ts";

export interface OutsideOptions {
  readonly view: Engine<Row>["view"];
  readonly rows: KnownRows;
  readonly hostName: string;
  readonly settings: SpeakersOptions["settings"];
  readonly random: () => number;
  readonly datapath: Pick<Datapath, "send" | "resume">;
  /** How it sees which other hosts can be reached; absent: none is ever away. */
  readonly watch?: Pick<PeerWatch, "watch">;
  /** Where what answered outside outlives the agent; absent: it does not. */
  readonly kept?: Pick<KeptNeighbours, "before" | "write" | "settled">;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Facts that are others now. */
  readonly learned: (changes: readonly Change[]) => void;
}

/** What came to this host between two looks: told outside, and to machines, once it is in force. */
export interface Come {
  readonly owned: readonly Owned[];
  readonly corrected: readonly Correction[];
  readonly mark: number;
}

export class Outside {
  readonly #neighbours: Neighbours;
  readonly #holders: Holders;
  readonly #announcer: Announcer;
  readonly #corrections: Corrections;
  readonly #kept: OutsideOptions["kept"];
  readonly #peers: Peers;
  readonly #speakers: Speakers;
  /** Addresses that came to this host and are not in force yet. */
  #come: Owned[] = [];
  #corrected: Correction[] = [];

  constructor(options: OutsideOptions) {
    this.#kept = options.kept;
    this.#announcer = new Announcer(options);
    this.#corrections = new Corrections(options);
    this.#neighbours = new Neighbours({
      ...options,
      owns: (net, address) => this.#announcer.owns(net, address),
    });
    this.#holders = new Holders(options);
    // Who was away may have spoken for what is here, as this host may have been away for it: whoever is outside is told again.
    this.#peers = new Peers({ ...options, returned: () => this.#come.push(...this.#announcer.agreed) });
    this.#speakers = new Speakers(options);
    options.metrics.gauge({
      name: "peers_away",
      help: "Hosts on the same physical networks that the switch does not reach",
      read: () => this.#peers.away,
    });
  }

  /** Takes what an agent before this one knew. */
  restore(): void {
    this.#neighbours.restore();
  }

  /** Other rows are wanted than before. */
  changed(delta: Pick<Delta<Row>, "added" | "removed" | "modified">): void {
    for (const owned of this.#announcer.changed(delta)) this.#come.push(owned);
    for (const correction of this.#corrections.changed(delta)) this.#corrected.push(correction);
    this.#neighbours.changed(delta);
    this.#holders.changed(delta);
    this.#speakers.changed(delta);
  }

  /** Who has an address, as a packet asks or says: on a physical network, or on one of machines. */
  serve(punt: Punt): Answer {
    return (punt.net < physicalKeys.first ? this.#holders : this.#neighbours).serve(punt);
  }

  /** Hosts have come, gone or changed. */
  hostsChanged(): void {
    this.#peers.changed();
  }

  /** How its BGP speakers stand. */
  get speakers(): readonly SpeakerStatus[] {
    return this.#speakers.status;
  }

  /** The wires are others. */
  plugged(): void {
    this.#neighbours.again();
  }

  /** What came to this host since it was asked last, to be announced when its rows are in force. */
  taken(): Come {
    const [owned, corrected] = [this.#come, this.#corrected];
    this.#come = [];
    this.#corrected = [];
    return { owned, corrected, mark: this.#speakers.mark() };
  }

  announce({ owned, corrected, mark }: Come): void {
    this.#announcer.announce(owned);
    this.#corrections.say(corrected);
    this.#speakers.inForce(mark);
  }

  /** The switch is away: nothing leads here until it is back. */
  lost(): void {
    this.#speakers.lost();
  }

  /** Ends it; the switch answers on, and nothing is announced any more. Idempotent. */
  async close(): Promise<void> {
    this.#announcer.close();
    this.#neighbours.close();
    this.#holders.close();
    await Promise.all([this.#speakers.close(), this.#kept?.settled()]);
  }
}
