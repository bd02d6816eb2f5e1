/** The simulated driver of the Datapath seam: one host's executor, joined to others by a SimulatedFabric. */
import { type ReasonCode, reasonByCode } from "@selvage/base";
import type { Delta } from "@selvage/model";
import { agentIngress, connectionsOfPort, type Program, type Row, rowText, selvageProgram } from "@selvage/pipeline";
import {
  type Adoption,
  type AttachedInterface,
  type Datapath,
  type DatapathEvents,
  type InstalledRow,
  mostDifferences,
  type PortConnections,
  type Resumption,
} from "../datapath.ts";
import { isTranslating } from "../zone-kinds.ts";
import { Interpreter, type InterpreterOptions, type Trace } from "./interpreter.ts";
import type { TunnelHeader } from "./packet.ts";

/** What the fabric does with a tunnelled frame. */
export type Underlay = (to: string, header: Omit<TunnelHeader, "source">, frame: Uint8Array) => void;

export interface SimulatedDatapathOptions extends InterpreterOptions {
  readonly program?: Program;
  readonly underlay?: Underlay;
  /** Called with the trace of every packet. */
  readonly watch?: (trace: Trace) => void;
}

export class SimulatedDatapath implements Datapath {
  readonly driver = "simulated";
  readonly program: Program;
  readonly #options: SimulatedDatapathOptions;
  readonly #interfaces = new Map<string, (frame: Uint8Array) => void>();
  readonly #drops = new Map<ReasonCode, number>();
  readonly #hits = new Map<string, number>();
  readonly #rows = new Map<string, Row>();
  #interpreter: Interpreter;
  #events: DatapathEvents | undefined;
  #up = true;

  constructor(options: SimulatedDatapathOptions = {}) {
    this.#options = options;
    this.program = options.program ?? selvageProgram;
    this.#interpreter = new Interpreter(this.program, options);
  }

  async open(events: DatapathEvents): Promise<void> {
    this.#events = events;
    events.attachments(this.#attached());
    if (this.#up) events.ready();
  }

  async adopt(rows: Iterable<Row>): Promise<Adoption> {
    this.#mustBeUp();
    const wanted = new Map<string, Row>();
    for (const row of rows) wanted.set(row.id, row);
    const removed = [...this.#rows.values()].filter((row) => !wanted.has(row.id));
    const added = [...wanted.values()].filter((row) => !this.#rows.has(row.id));
    const modified = [...wanted.values()].flatMap((after) => {
      const before = this.#rows.get(after.id);
      return before === undefined || before.body === after.body ? [] : [{ before, after }];
    });
    await this.apply({ added, removed, modified });
    const differences = [
      ...added.map((row) => ({ what: "missing", row: row.id, wanted: rowText(row), found: null }) as const),
      ...modified.map(({ before, after }) => {
        return { what: "changed", row: after.id, wanted: rowText(after), found: rowText(before) } as const;
      }),
      ...removed.map((row) => ({ what: "foreign", row: null, wanted: null, found: rowText(row) }) as const),
    ].slice(0, mostDifferences);
    return {
      added: added.length,
      changed: modified.length,
      removed: removed.length,
      kept: wanted.size - added.length - modified.length,
      ...(differences.length === 0 ? {} : { differences }),
    };
  }

  async apply(delta: Pick<Delta<Row>, "added" | "removed" | "modified">, taken?: () => void): Promise<void> {
    this.#mustBeUp();
    const puts = [...delta.added, ...delta.modified.map(({ after }) => after)];
    // Refused as a whole before anything changes, as a switch refuses a bundle.
    for (const row of puts) this.#interpreter.check(row);
    for (const row of [...delta.removed, ...delta.modified.map(({ before }) => before)]) {
      this.#interpreter.remove(row);
      this.#rows.delete(row.id);
    }
    for (const row of puts) {
      this.#interpreter.put(row);
      this.#rows.set(row.id, row);
    }
    taken?.();
    this.settle();
  }

  /** Forgets what belongs to rows that are there no more: called when a difference is in force. */
  protected settle(): void {
    this.#interpreter.flushUnnamed();
  }

  async send(port: string, frame: Uint8Array): Promise<void> {
    const receive = this.#interfaces.get(port);
    if (receive === undefined) throw new Error(`port ${port} has no interface here`);
    receive(frame);
  }

  async resume(table: string, at: Resumption, frame: Uint8Array): Promise<void> {
    this.#become(agentIngress, this.#interpreter.resume(table, at, agentIngress, frame));
  }

  async installed(): Promise<readonly InstalledRow[]> {
    return [...this.#interpreter.rows()].map((row) => ({
      row,
      text: rowText(row),
      packets: this.#hits.get(row.id) ?? 0,
    }));
  }

  async tracked(): Promise<ReadonlyMap<string, PortConnections>> {
    const most = this.#options.connections ?? connectionsOfPort;
    const ports = this.#interpreter.zones.filter((zone) => !isTranslating(zone));
    return new Map(ports.map((port) => [port, { count: this.#interpreter.connections(port), most }]));
  }

  async drops(): Promise<ReadonlyMap<ReasonCode, number>> {
    return new Map(this.#drops);
  }

  async close(): Promise<void> {
    this.#events = undefined;
  }

  /** Plugs an interface that names a port; `receive` gets the frames that come out of it. */
  plug(port: string, receive: (frame: Uint8Array) => void): void {
    this.#interfaces.set(port, receive);
    this.#events?.attachments(this.#attached());
  }

  unplug(port: string): void {
    if (this.#interfaces.delete(port)) this.#events?.attachments(this.#attached());
  }

  /** Takes a row away behind the owner's back: what another hand at a real switch does. */
  lose(row: Row): void {
    this.#interpreter.remove(row);
    this.#rows.delete(row.id);
  }

  /** A frame from a port's interface, or out of a tunnel. Gives what became of it. */
  receive(ingress: string, frame: Uint8Array, tunnel?: TunnelHeader): Trace {
    return this.#become(ingress, this.#interpreter.execute(ingress, frame, tunnel));
  }

  #become(ingress: string, trace: Trace): Trace {
    for (const { row } of trace.visits)
      if (row !== undefined) this.#hits.set(row.id, (this.#hits.get(row.id) ?? 0) + 1);
    this.#options.watch?.(trace);
    for (const outcome of trace.outcomes) {
      switch (outcome.kind) {
        case "output":
          this.deliver(outcome.port, outcome.frame);
          break;
        case "tunnel":
          this.#options.underlay?.(
            outcome.to,
            {
              key: outcome.key,
              srcPort: outcome.srcPort,
              dstPort: outcome.dstPort,
              srcSet: outcome.srcSet,
              ...(outcome.by === "geneve" ? {} : { by: outcome.by }),
            },
            outcome.frame,
          );
          break;
        case "punt":
          this.#events?.punt({
            kind: outcome.punt,
            attachment: ingress,
            net: outcome.net,
            srcPort: outcome.srcPort,
            vrf: outcome.vrf,
            frame: outcome.frame,
            ...(outcome.waits === undefined ? {} : { waits: outcome.waits }),
          });
          break;
        case "drop":
          this.#drops.set(reasonByCode(outcome.reason).code, (this.#drops.get(outcome.reason) ?? 0) + 1);
          break;
        case "suppressed":
        case "held":
          break;
      }
    }
    return trace;
  }

  /** Puts a frame out of a port's interface, if there is one. */
  protected deliver(port: string, frame: Uint8Array): void {
    this.#interfaces.get(port)?.(frame);
  }

  /** How many connections a zone keeps. */
  connections(zone: string): number {
    return this.#interpreter.connections(zone);
  }

  /** Ids of the ports whose interfaces are here. */
  get ports(): readonly string[] {
    return [...this.#interfaces.keys()].sort();
  }

  /** Sets the packet counters of all rows to 0. */
  forgetCounts(): void {
    this.#hits.clear();
  }

  get up(): boolean {
    return this.#up;
  }

  /** The switch goes away with all that was installed, and comes back empty: what a restart of the real one is. */
  stop(): void {
    this.#up = false;
    this.#interpreter = new Interpreter(this.program, this.#options);
    this.#rows.clear();
    this.#hits.clear();
    this.#drops.clear();
    this.#events?.lost(new Error("the simulated switch was stopped"));
  }

  start(): void {
    this.#up = true;
    this.#events?.attachments(this.#attached());
    this.#events?.ready();
  }

  #attached(): readonly AttachedInterface[] {
    return this.ports.map((port) => ({ port, name: `sim-${port.slice(0, 8)}` }));
  }

  #mustBeUp(): void {
    if (!this.#up) throw new Error("the simulated switch is stopped");
  }
}
