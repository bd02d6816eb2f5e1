/** One host's engine, installer and driver as its agent runs them (`HostAgent`), told of intent directly. */
import { defaultAgentSettings, Installer, Outside } from "@selvage/agent";
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

/** What holds of the moment at which a step begins. */
interface Moment {
  readonly revision: number;
  readonly come: ReturnType<Outside["taken"]> | undefined;
}

/** A change that is not in force yet. */
interface Wait {
  readonly revision: number;
  readonly done: () => void;
}

export class Agent {
  readonly #host: Host;
  readonly #stand: Stand;
  readonly #engine: ReturnType<typeof hostEngine>;
  readonly #datapath: OvsDatapath;
  readonly #installer: Installer<Moment>;
  readonly #attached = new Set<string>();
  #watch: PeerWatch | undefined;
  #outside: Outside | undefined;
  #waiting: readonly Wait[] = [];
  #revision = 0;
  #failed: unknown;
  /** Steps that the switch refused a part of: after each, everything was adopted again. */
  refusals = 0;

  constructor(host: Host, stand: Stand) {
    this.#host = host;
    this.#stand = stand;
    this.#engine = hostEngine({ name: host.name });
    this.#datapath = new OvsDatapath({
      ...{ database: host.database, tunnelIp: tunnelAddress(host.number), datapathType: "netdev" },
      ...(stand === "alone" ? {} : { bridgeMappings }),
    });
    this.#installer = new Installer({
      datapath: {
        adopt: (rows) => this.#datapath.adopt(rows),
        apply: (delta, taken) => this.#datapath.apply(delta, taken).catch((error: unknown) => this.#refused(error)),
        installed: () => this.#datapath.installed(),
      },
      rows: () => this.#engine.rows(),
      capture: () => ({ revision: this.#revision, come: this.#outside?.taken() }),
      inForce: (moment) => this.#inForce(moment),
      drift: () => undefined,
      // Its driver says when the switch is ready again.
      failed: (error) => process.stderr.write(`  ${this.#host.name}: ${String(error)}\n`),
    });
  }

  #refused(error: unknown): never {
    this.refusals += 1;
    process.stderr.write(`  ${this.#host.name}: ${error instanceof Error ? error.message : String(error)}\n`);
    throw error;
  }

  #inForce({ revision, come }: Moment): void {
    if (come !== undefined) this.#outside?.announce(come);
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((each) => each.revision > revision);
    for (const each of waiting) if (each.revision <= revision) each.done();
  }

  async open(): Promise<void> {
    if (this.#stand === "on ground") await this.#openOutside();
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
        if (punt.kind === "neighbour") this.#outside?.serve(punt);
      },
      ready: () => this.#installer.ready(),
      lost: () => this.#installer.lost(),
    });
    this.#installer.begin();
    await this.change([]);
  }

  async #openOutside(): Promise<void> {
    const { name, number, database } = this.#host;
    const common = { clock: realClock, log: silentLog, random: Math.random };
    this.#watch = new PeerWatch({ ...common, database, bridge: "br-int", tunnelIp: tunnelAddress(number) });
    this.#outside = new Outside({
      ...{ ...common, hostName: name, settings: defaultAgentSettings },
      ...{
        view: this.#engine.view,
        rows: this.#engine,
        datapath: this.#datapath,
        watch: this.#watch,
        metrics: await createMetrics(),
      },
      learned: (changes) => this.#found(changes),
    });
  }

  /** Takes facts; whoever asks for something next hears when they cannot be taken. */
  #found(changes: readonly Change[]): void {
    this.change(changes).catch((error: unknown) => {
      this.#failed = error;
    });
  }

  /** Takes changes of whole objects; resolves with the number of rows that changed when they are in force. */
  async change(changes: readonly Change[]): Promise<number> {
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
    const done = Promise.withResolvers<void>();
    this.#waiting = [...this.#waiting, { revision: this.#revision, done: done.resolve }];
    this.#installer.push(delta);
    await done.promise;
    return delta.added.length + delta.removed.length + delta.modified.length;
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

  async close(): Promise<void> {
    await this.#outside?.close();
    await this.#watch?.close();
    await this.#installer.settled();
    await this.#datapath.close();
  }
}
