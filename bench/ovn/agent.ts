/** One host's engine and driver as its agent runs them (`HostAgent`), told of intent directly: intent and what is plugged in go through one queue, in their order. */
import { defaultAgentSettings, Outside } from "@selvage/agent";
import { createMetrics, realClock, silentLog } from "@selvage/base";
import { hostEngine } from "@selvage/compiler";
import { OvsDatapath, PeerWatch } from "@selvage/datapath";
import { Attachment, type Change, Host as HostResource, LearnedNeighbour, PeerDown } from "@selvage/model";
import { makeAttachment, put, remove } from "@selvage/model/testing";
import type { Row } from "@selvage/pipeline";
import { isLocal, project } from "@selvage/sync";
import { bridgeMappings, type Host } from "./hosts.ts";
import { tunnelAddress } from "./plan.ts";

/** What a host finds out itself: nobody tells it, and it is not projected. */
const facts: ReadonlySet<string> = new Set([Attachment.kind, LearnedNeighbour.kind, PeerDown.kind]);

/** Whether its host has a wire to the physical network. */
export type Stand = "alone" | "on ground";

export class Agent {
  readonly #host: Host;
  readonly #stand: Stand;
  readonly #engine: ReturnType<typeof hostEngine>;
  readonly #datapath: OvsDatapath;
  readonly #attached = new Set<string>();
  #watch: PeerWatch | undefined;
  #outside: Outside | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #revision = 0;
  #failed: unknown;
  #isAdopted = false;
  /** Changes that the switch refused a part of: after each, everything was adopted again. */
  refusals = 0;

  constructor(host: Host, stand: Stand) {
    this.#host = host;
    this.#stand = stand;
    this.#engine = hostEngine({ name: host.name });
    this.#datapath = new OvsDatapath({
      ...{ database: host.database, tunnelIp: tunnelAddress(host.number), datapathType: "netdev" },
      ...(stand === "alone" ? {} : { bridgeMappings }),
    });
  }

  async open(): Promise<void> {
    if (this.#stand === "on ground") await this.#openOutside();
    const ready = Promise.withResolvers<void>();
    await this.#datapath.open({
      attachments: (all) => {
        const now = new Set(all.map(({ port }) => port));
        const come = [...now]
          .filter((id) => !this.#attached.has(id))
          .map((id) => put(Attachment, makeAttachment({ id })));
        const gone = [...this.#attached].filter((id) => !now.has(id)).map((id) => remove(Attachment, id));
        this.#attached.clear();
        for (const id of now) this.#attached.add(id);
        this.#found([...come, ...gone]);
        this.#outside?.plugged();
      },
      punt: (punt) => {
        // Guests are told all that they need: of an agent's services, what is outside alone is asked for.
        if (punt.kind === "neighbour") this.#outside?.neighbours.serve(punt);
      },
      ready: ready.resolve,
      lost: () => undefined,
    });
    await ready.promise;
    await this.#inTurn(() => this.#adopt());
  }

  async #openOutside(): Promise<void> {
    const { name, number, database } = this.#host;
    const common = { clock: realClock, log: silentLog, random: Math.random };
    this.#watch = new PeerWatch({ ...common, database, bridge: "br-int", tunnelIp: tunnelAddress(number) });
    this.#outside = new Outside({
      ...{ ...common, hostName: name, view: this.#engine.view, settings: defaultAgentSettings },
      ...{ datapath: this.#datapath, watch: this.#watch, metrics: await createMetrics() },
      learned: (changes) => this.#found(changes),
    });
  }

  /** Takes facts; whoever asks for something next hears when they cannot be taken. */
  #found(changes: readonly Change[]): void {
    this.change(changes).catch((error: unknown) => {
      this.#failed = error;
    });
  }

  async #adopt(): Promise<void> {
    await this.#datapath.adopt(this.#engine.rows());
    this.#isAdopted = true;
  }

  async #apply(delta: Parameters<OvsDatapath["apply"]>[0]): Promise<void> {
    try {
      await this.#datapath.apply(delta);
    } catch (error) {
      // The seam's contract: what was refused in part is adopted.
      this.refusals += 1;
      process.stderr.write(`  ${this.#host.name}: ${error instanceof Error ? error.message : String(error)}\n`);
      await this.#adopt();
    }
  }

  /** Takes changes of whole objects; resolves with the number of rows that changed when they are in force. */
  change(changes: readonly Change[]): Promise<number> {
    return this.#inTurn(async () => {
      if (this.#failed !== undefined) throw this.#failed;
      this.#revision += 1;
      const told = changes.map((change): Change => {
        const { kind, object } = change;
        if (object === null || facts.has(kind)) return change;
        const distance = isLocal(kind, object, this.#host.name) ? "near" : "far";
        return { ...change, object: project(kind, object, distance) };
      });
      const delta = this.#engine.apply(told, this.#revision);
      this.#outside?.changed(delta);
      if (changes.some(({ kind }) => kind === HostResource.kind)) this.#outside?.hostsChanged();
      const come = this.#outside?.taken();
      if (this.#isAdopted) await this.#apply(delta);
      if (come !== undefined) this.#outside?.announce(come);
      return delta.added.length + delta.removed.length + delta.modified.length;
    });
  }

  /** The engine's share of a change alone, in ms, with the rows; the switch is told as well. */
  async timed(changes: readonly Change[]): Promise<{ readonly rows: number; readonly ms: number }> {
    const begin = performance.now();
    const rows = await this.change(changes);
    return { rows, ms: performance.now() - begin };
  }

  get rows(): readonly Row[] {
    return [...this.#engine.rows()];
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => undefined);
    return done;
  }

  async close(): Promise<void> {
    await this.#outside?.close();
    await this.#watch?.close();
    await this.#inTurn(() => this.#datapath.close());
  }
}
