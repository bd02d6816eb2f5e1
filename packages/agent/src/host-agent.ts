/**
 * One host's agent: its view from cache and stream, the rows that the apps derive from it, its switch kept equal to them, its guests'
 * questions answered. It keeps no truth of its own: intent comes down, and only facts go up (architecture, "One picture").
 */
import { type Clock, type Counter, type Histogram, type Log, type Metrics, secondsBuckets } from "@selvage/base";
import { hostEngine } from "@selvage/compiler";
import type { AttachedInterface, Datapath, SwitchDifference } from "@selvage/datapath";
import { Attachment, type Change, type Delta, type Engine, Host, NatLease, type Revision } from "@selvage/model";
import type { Row } from "@selvage/pipeline";
import type { Changes, Drift, DropCount, Facts, HostName, Welcome } from "@selvage/sync";
import { measureAgent } from "./agent-metrics.ts";
import { CacheWriter, readCache } from "./cache.ts";
import { Client, type Dial } from "./client.ts";
import { ConnectionWatch } from "./connection-watch.ts";
import { Copy, type Difference } from "./copy.ts";
import { DropWatch } from "./drop-watch.ts";
import {
  type DatapathType,
  type Faults,
  factsOf,
  faultTexts,
  keptDrift,
  type Plugged,
  plugged,
  withMore,
} from "./facts.ts";
import { Installer } from "./installer.ts";
import { NatUse } from "./nat-use.ts";
import { Advertiser } from "./services/advertiser.ts";
import { Desk } from "./services/desk.ts";
import { type Come, Outside, type OutsideOptions } from "./services/outside.ts";
import type { AgentSettings } from "./settings.ts";

export interface HostAgentOptions {
  readonly host: Pick<HostName, "id" | "name">;
  readonly tunnelIp: string;
  /** Names of the physical networks that this host has; absent: none is said. */
  readonly physicalNetworks?: readonly string[];
  readonly datapath: Datapath;
  /** What it sees other hosts by, and where it keeps who answered outside. */
  readonly outside?: Pick<OutsideOptions, "watch" | "kept">;
  readonly datapathType?: DatapathType;
  readonly dial: Dial;
  /** The file of the cached snapshot. */
  readonly cachePath: string;
  readonly settings: AgentSettings;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly random?: () => number;
  /** Upper bound of the pause before the stream is opened again, ms; absent: that of a server elsewhere. */
  readonly longestPause?: number;
  /** Versions of the protocol to offer; absent: all that are known. */
  readonly versions?: readonly number[];
  /** The server has taken the certificate that this stream was opened with. */
  readonly welcomed?: (welcome: Welcome) => void;
}

/** How the agent stands, for people and probes. */
export interface AgentStatus {
  readonly host: string;
  readonly connected: boolean;
  readonly switch: "here" | "away";
  /** Of the view; null: there is none yet. */
  readonly revision: Revision | null;
  /** In force on the switch; null: nothing yet. */
  readonly inForce: Revision | null;
  readonly rows: number;
  readonly portsUp: readonly string[];
  readonly unbound: readonly string[];
  readonly quarantined: Facts["quarantined"];
  /** What audits found on the switch that nobody asked for, and mended; the newest last. */
  readonly drift: readonly Drift[];
  /** Packets that the switch dropped since it started, by reason, most first. */
  readonly drops: readonly DropCount[];
  /** How it stands with those whom it announces routes to. */
  readonly bgp?: Outside["speakers"];
}

/** What holds of the moment at which a step begins, to be told when its rows are in force. */
interface Moment {
  readonly revision: Revision | undefined;
  /** The stream that brought the view to its revision; a revision means something on its own stream alone. */
  readonly stream: number;
  readonly plugged: Plugged;
  /** Addresses of physical networks that this host owns from now on. */
  readonly come: Come;
  readonly at: number;
}

const agentName = "selvage";
/** Differences that one line of the log holds. */
const loggedDifferences = 10;

export class HostAgent {
  readonly #options: HostAgentOptions;
  readonly #engine: Engine<Row>;
  readonly #copy = new Copy();
  readonly #natUse = new NatUse();
  readonly #cache: CacheWriter;
  readonly #client: Client;
  readonly #installer: Installer<Moment>;
  readonly #desk: Desk;
  readonly #advertiser: Advertiser;
  readonly #outside: Outside;
  readonly #drift: Counter;
  readonly #drops: DropWatch;
  readonly #connections: ConnectionWatch;
  readonly #installTime: Histogram;
  readonly #watchers = new Set<() => void>();
  readonly #timers: { cancel(): void }[] = [];
  #attached: ReadonlySet<string> = new Set();
  #switch: "here" | "away" = "away";
  #told: Moment | undefined;
  /** Streams opened so far, and the one that the view's last difference came by. */
  #streams = 0;
  #broughtBy = 0;
  /** The log that the present stream is of. */
  #log: string | undefined;
  /** What is plugged in has been told: before, local rows would be taken away for want of it. */
  #looked = false;
  #lastFacts = "";
  #found: readonly Drift[] = [];
  #faults: Faults = new Map();

  private constructor(options: HostAgentOptions) {
    const { host, datapath, dial, clock, log, metrics, settings, tunnelIp } = options;
    this.#options = options;
    this.#engine = hostEngine({ name: host.name });
    this.#cache = new CacheWriter({
      path: options.cachePath,
      hostId: host.id,
      texts: () => this.#copy.texts(),
      logId: () => this.#copy.log,
      log,
    });
    this.#client = new Client({
      dial,
      clock,
      log: log.child("sync"),
      agent: agentName,
      tunnelIp,
      ...(options.physicalNetworks === undefined ? {} : { physicalNetworks: options.physicalNetworks }),
      random: options.random ?? Math.random,
      longestPause: options.longestPause ?? 10_000,
      held: () => this.#copy.held(),
      heldLog: () => this.#copy.log,
      ...(options.versions === undefined ? {} : { versions: options.versions }),
      welcomed: (welcome) => this.#welcomed(welcome),
      changes: (message, text) => this.#received(message, text),
      ended: () => {
        this.#copy.dropParts();
        this.#changed();
      },
    });
    this.#installer = new Installer({
      datapath,
      rows: () => this.#engine.rows(),
      capture: () => ({
        revision: this.#copy.revision,
        stream: this.#broughtBy,
        plugged: plugged(this.#engine.view, host.name),
        come: this.#outside.taken(),
        at: clock.monotonic(),
      }),
      inForce: (moment) => this.#inForce(moment),
      drift: (rows, differences) => this.#drifted(rows, differences),
      failed: (error) => {
        log.error("the switch could not be made to hold what is wanted", { error });
        this.#tell();
      },
    });
    const { dhcpLeaseTime, dhcpDomain } = settings;
    const known = { view: this.#engine.view, rows: this.#engine };
    const served = { ...known, datapath, clock, log: log.child("services"), metrics };
    this.#outside = new Outside({
      ...served,
      ...{ hostName: host.name, ...options.outside },
      settings,
      random: options.random ?? Math.random,
      learned: (changes) => this.#pushed(this.#engine.apply(changes, this.#engine.revision)),
    });
    this.#desk = new Desk({
      ...served,
      ...{ hostName: host.name, neighbours: this.#outside },
      dhcp: { leaseTime: dhcpLeaseTime, ...(dhcpDomain === "" ? {} : { domainName: dhcpDomain }) },
    });
    this.#advertiser = new Advertiser({ ...served, hostName: host.name, random: options.random ?? Math.random });
    this.#drift = metrics.counter({
      name: "drift_rows_total",
      help: "Rows that an audit found missing, wrong or strange",
    });
    const isHere = (): boolean => this.#switch === "here";
    const seen = { datapath, clock, log, metrics, isHere, changed: () => this.#tell() };
    this.#drops = new DropWatch(seen);
    this.#connections = new ConnectionWatch(seen);
    this.#installTime = metrics.histogram({
      name: "install_seconds",
      help: "Time from a change of the wanted rows to their being in force",
      buckets: secondsBuckets,
    });
    measureAgent(metrics, {
      engine: this.#engine,
      objects: () => this.#copy.size,
      revision: () => this.#copy.revision ?? 0,
      inForce: () => this.#told?.revision ?? 0,
      connected: () => this.#client.up,
      switchHere: isHere,
      quarantined: () => this.#derived().quarantined.length,
      faulty: () => this.#faults.size,
    });
  }

  /** Starts an agent and resolves when its cache is read and its switch was tried; the server is not waited for. */
  static async start(options: HostAgentOptions): Promise<HostAgent> {
    const agent = new HostAgent(options);
    agent.#outside.restore();
    await agent.#restore();
    await options.datapath.open({
      attachments: (all) => agent.#attachments(all),
      punt: (punt) => {
        if (agent.#copy.revision !== undefined) void agent.#desk.serve(punt);
      },
      ready: () => {
        agent.#switch = "here";
        agent.#installer.ready();
        agent.#changed();
      },
      faults: (all) => agent.#faulted(all),
      lost: (cause) => {
        agent.#switch = "away";
        options.log.warn("the switch is away", { error: cause });
        agent.#installer.lost();
        agent.#outside.lost();
        agent.#tell();
      },
    });
    agent.#client.start();
    agent.#drops.start();
    agent.#connections.start();
    agent.#timers.push(options.clock.every(options.settings.auditInterval, () => agent.#installer.audit()));
    return agent;
  }

  /** The view, read without being remembered. */
  get view(): Engine<Row>["view"] {
    return this.#engine.view;
  }

  /** The engine's rows, and what a full recompute would yield: for tests and for audits. */
  get engine(): Pick<Engine<Row>, "rows" | "audit" | "origins" | "counters"> {
    return this.#engine;
  }

  get status(): AgentStatus {
    const { datapath: _driver, ports_up, unbound, quarantined, drift = [], drops = [] } = this.#facts();
    return {
      host: this.#options.host.name,
      connected: this.#client.up,
      switch: this.#switch,
      revision: this.#copy.revision ?? null,
      inForce: this.#told?.revision ?? null,
      rows: this.#engine.sizes.rows,
      portsUp: ports_up,
      unbound,
      ...{ quarantined, drift, drops, bgp: this.#outside.speakers },
    };
  }

  /** Whether the switch holds all that is wanted now. */
  get inStep(): boolean {
    return this.#installer.inStep;
  }

  /** Calls `listener` after each change of the status. Gives the way to stop. */
  onChange(listener: () => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  /** Opens the stream anew: for another certificate. */
  reconnect(): void {
    this.#client.reconnect();
  }

  /** Compares the switch with what is wanted now, and repairs it. */
  audit(): void {
    this.#installer.audit();
  }

  /** Counts now what the switch has dropped. */
  countDrops(): Promise<void> {
    return this.#drops.look();
  }

  /** Ends the agent; the switch forwards on. Idempotent. */
  async close(): Promise<void> {
    for (const timer of this.#timers) timer.cancel();
    this.#advertiser.close();
    const left = this.#outside.close();
    this.#client.close();
    await Promise.all([left, this.#drops.close(), this.#connections.close()]);
    await this.#installer.settled();
    await this.#options.datapath.close();
    await this.#cache.close();
  }

  async #restore(): Promise<void> {
    const { cachePath, host, log } = this.#options;
    const cached = await readCache(cachePath, host.id);
    switch (cached.found) {
      case "nothing":
        return;
      case "damage":
        log.warn("the cached snapshot is of no use and is asked for anew", { reason: cached.reason });
        return;
      case "differences":
        for (const { message, text } of cached.messages) {
          const difference = this.#copy.take(message, text, cached.log);
          if (difference !== undefined) this.#apply(difference);
        }
        this.#copy.dropParts();
        // Begins the file anew: what was cut off at its end is not written behind.
        this.#cache.rewrite();
    }
  }

  #welcomed(welcome: Welcome): void {
    const { host, log } = this.#options;
    if (welcome.host.id !== host.id || welcome.host.name !== host.name) {
      log.error("the server takes this host for another", { host: host.name, server_says: welcome.host.name });
    }
    this.#streams += 1;
    this.#log = welcome.log;
    this.#options.welcomed?.(welcome);
    this.#lastFacts = "";
    this.#tell();
  }

  #received(message: Changes, text: string): void {
    const before = this.#copy.log;
    const difference = this.#copy.take(message, text, this.#log);
    if (difference === undefined) return;
    this.#broughtBy = this.#streams;
    if (this.#copy.log === before) this.#cache.append(difference.texts);
    else this.#cache.rewrite();
    this.#apply(difference);
  }

  #apply(difference: Difference): void {
    const { revision, reset, changes } = difference;
    // An older revision is that of a store which was brought back: the whole counts as it is.
    const whole = reset || revision < this.#engine.revision;
    this.#pushed(whole ? this.#engine.load(this.#copy.objects(), revision) : this.#engine.apply(changes, revision));
    if (whole || changes.some(({ kind }) => kind === Host.kind)) this.#outside.hostsChanged();
    this.#begin();
  }

  /** Without a view, or without knowing what is plugged in, the switch's flows are left alone. */
  #begin(): void {
    if (this.#looked && this.#copy.revision !== undefined) this.#installer.begin();
  }

  #attachments(all: readonly AttachedInterface[]): void {
    const before = this.#attached;
    const now = new Set(all.map(({ port }) => port));
    this.#attached = now;
    const changes: Change[] = [];
    for (const id of before) if (!now.has(id)) changes.push({ kind: Attachment.kind, id, object: null });
    for (const id of now) if (!before.has(id)) changes.push({ kind: Attachment.kind, id, object: { id } });
    this.#desk.keepOnly(now);
    this.#pushed(this.#engine.apply(changes, this.#engine.revision));
    this.#looked = true;
    this.#outside.plugged();
    this.#begin();
  }

  #pushed(delta: Delta<Row>): void {
    for (const { id, contributions } of delta.conflicts) {
      const of = contributions.map(({ origin }) => origin.key);
      this.#options.log.warn("objects contradict each other", { row: id, of });
    }
    // Before its rows can be in force.
    this.#outside.changed(delta);
    this.#installer.push(delta);
    this.#advertiser.changed();
    this.#changed();
  }

  #inForce(moment: Moment): void {
    this.#told = moment;
    this.#outside.announce(moment.come);
    this.#installTime.observe((this.#options.clock.monotonic() - moment.at) / 1000);
    if (moment.revision !== undefined && moment.stream === this.#streams) this.#client.acknowledge(moment.revision);
    this.#tell();
  }

  /** The switch was not as it had been left, and is again: told to the log, the metrics and, with the facts, to the server. */
  #drifted(rows: number, differences: readonly SwitchDifference[]): void {
    const { clock, log } = this.#options;
    this.#drift.inc(rows);
    log.warn("the switch did not hold what was installed; it does again", {
      rows,
      differences: differences.slice(0, loggedDifferences),
    });
    this.#found = keptDrift(this.#found, new Date(clock.now()).toISOString(), differences);
    this.#tell();
  }

  /** Ports here have what they need no more, or again: told to the log, the metrics and, with the facts, to the server. */
  #faulted(all: Faults): void {
    const { log } = this.#options;
    for (const [port, fault] of all) {
      if (this.#faults.get(port) !== fault) log.warn("a port stays down", { port, reason: faultTexts[fault] });
    }
    for (const port of this.#faults.keys()) if (!all.has(port)) log.info("a port waits no longer", { port });
    this.#faults = new Map(all);
    this.#tell();
  }

  #derived(full?: ReadonlySet<string>): Omit<Facts, "type"> {
    const driver = this.#switch === "here" ? this.#options.datapath.driver : "none";
    const state = this.#told?.plugged ?? { portsUp: [], unbound: [], unwired: [] };
    return factsOf(driver, state, this.#engine, this.#installer.refused, this.#faults, full);
  }

  #facts(): Omit<Facts, "type"> {
    const { clock, datapathType, host } = this.#options;
    const facts = this.#derived(this.#connections.full);
    const inForce = this.#installer.inStep ? clock.monotonic() : undefined;
    const nat = this.#natUse.of(this.view.objects(NatLease), host.id, this.#connections, inForce);
    return withMore(facts, { drift: this.#found, drops: this.#drops.counts, datapathType, nat: [...nat] });
  }

  /** Tells the server the facts, when they are others than it was told. */
  #tell(): void {
    const facts = this.#facts();
    const text = JSON.stringify(facts);
    if (this.#client.up && text !== this.#lastFacts) {
      this.#lastFacts = text;
      this.#client.tell(facts);
    }
    this.#changed();
  }

  #changed(): void {
    for (const watcher of this.#watchers) watcher();
  }
}
