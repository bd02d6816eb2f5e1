/** The simulated switches of a topology: what becomes of a packet, and everywhere that it entered one of them. */
import type { ReasonCode } from "@selvage/base";
import { type Punt, SimulatedDatapath, type Trace } from "@selvage/datapath";
import { ingressOf, type Row, selvageProgram } from "@selvage/pipeline";
import { type Crossing, Ending } from "./ending.ts";
import { pluggedOn, type Topology } from "./topology.ts";

/** A packet coming into one switch: by an interface, or out of a tunnel. */
export interface Entry {
  readonly host: number;
  readonly ingress: string;
  readonly frame: Uint8Array;
  readonly tunnel: Crossing | null;
  readonly trace: Trace;
}

export interface SimulatedEnd {
  readonly ending: Ending;
  readonly entries: readonly Entry[];
}

const members: ReadonlySet<string> = new Set(
  selvageProgram.tables.filter(({ role }) => role === "members").map(({ name }) => name),
);

export class SimulatedSide {
  readonly #addresses: readonly string[];
  readonly #switches: readonly SimulatedDatapath[];
  #ending = new Ending();
  #entries: Entry[] = [];

  private constructor(addresses: readonly string[]) {
    this.#addresses = addresses;
    this.#switches = addresses.map(
      (from) =>
        new SimulatedDatapath({
          underlay: (to, header, frame) => this.#cross({ by: "geneve", from, to, ...header, frame }),
        }),
    );
  }

  /** Switches with the topology's machines plugged and each host's rows in force. */
  static async make(
    addresses: readonly string[],
    topology: Topology,
    rows: readonly (readonly Row[])[],
  ): Promise<SimulatedSide> {
    const side = new SimulatedSide(addresses);
    for (const [host, datapath] of side.#switches.entries()) {
      await datapath.open({
        attachments: () => undefined,
        punt: (punt: Punt) => side.#ending.punted(host, punt),
        ready: () => undefined,
        lost: () => undefined,
      });
      for (const { port, name } of pluggedOn(topology, host))
        datapath.plug(port, (frame) => side.#ending.delivered(host, name, frame));
      await datapath.adopt(rows[host] ?? []);
    }
    return side;
  }

  /** A frame from an interface of a host. */
  send(host: number, ingress: string, frame: Uint8Array): SimulatedEnd {
    return this.#follow(() => this.#enter(host, ingress, frame, null));
  }

  /** A packet on the underlay, from whomever; it is not told as one that crossed. */
  inject(crossing: Crossing): SimulatedEnd {
    return this.#follow(() => this.#arrive(crossing));
  }

  /** Packets dropped since the switches were made, by reason, of each host. */
  drops(): Promise<readonly ReadonlyMap<ReasonCode, number>[]> {
    return Promise.all(this.#switches.map((each) => each.drops()));
  }

  #follow(act: () => void): SimulatedEnd {
    this.#ending = new Ending();
    this.#entries = [];
    act();
    return { ending: this.#ending, entries: this.#entries };
  }

  #cross(crossing: Crossing): void {
    this.#ending.crossed(crossing);
    this.#arrive(crossing);
  }

  #arrive(crossing: Crossing): void {
    const host = this.#addresses.indexOf(crossing.to);
    if (host >= 0) this.#enter(host, ingressOf[crossing.by], crossing.frame, crossing);
  }

  #enter(host: number, ingress: string, frame: Uint8Array, tunnel: Crossing | null): void {
    const datapath = this.#switches[host] as SimulatedDatapath;
    const trace =
      tunnel === null
        ? datapath.receive(ingress, frame)
        : datapath.receive(ingress, frame, { ...tunnel, source: tunnel.from });
    for (const { table, row } of trace.visits)
      if (!members.has(table)) this.#ending.met(host, table, row?.id ?? "miss");
    for (const outcome of trace.outcomes) if (outcome.kind === "drop") this.#ending.dropped(host, outcome.reason);
    this.#entries.push({ host, ingress, frame, tunnel, trace });
  }
}
