/**
 * What the hosts say of themselves, in this server's memory: which of their ports are up, which revision is in force,
 * and whether they are heard from. Never written to the log: facts come and go with the host's stream (architecture, "State").
 */
import type { Revision } from "@selvage/model";
import type { Drift, DropCount, Facts } from "@selvage/sync";

export type HostDatapath = "ovs" | "simulated" | "none";

/** What a host tells; what is left out stays as it was. */
export interface HostReport {
  /** Ids of the ports whose interfaces are there and whose rows are installed. */
  readonly portsUp?: readonly string[];
  /** Ids named by interfaces on the host's switch that no port bound to it has. */
  readonly unbound?: readonly string[];
  /** The revision that the host's switch has in full. */
  readonly inForce?: Revision;
  /** What forwards there; `none` while its switch is away. */
  readonly datapath?: HostDatapath;
  /** What the host wants an operator to know: quarantined objects, a switch that is away. */
  readonly problems?: readonly string[];
  /** What its audits found on the switch that nobody asked for, and mended; the newest last. */
  readonly drift?: readonly Drift[];
  /** Packets that its switch dropped since it started, by reason, most first. */
  readonly drops?: readonly DropCount[];
  /** The type of its bridge's datapath, where it said it. */
  readonly datapathType?: Facts["datapath_type"];
}

/** What is kept of a host that has said anything. */
interface Kept {
  /** Milliseconds since the epoch of the last report; 0 when there was none. */
  readonly heardAt: number;
  readonly connected: boolean;
  readonly inForce: Revision | undefined;
  readonly portsUp: ReadonlySet<string>;
  readonly unbound: readonly string[];
  /** Undefined until the host has said it. */
  readonly datapath: HostDatapath | undefined;
  readonly problems: readonly string[];
  readonly drift: readonly Drift[];
  readonly drops: readonly DropCount[];
  readonly datapathType: Facts["datapath_type"];
}

export interface HostState extends Omit<Kept, "connected"> {
  readonly hostId: string;
  readonly alive: boolean;
}

/** Told which host's state differs now. */
export type HostStateListener = (hostId: string) => void;

export interface HostStates {
  /** Takes a report: it also shows that the host is alive. */
  report(hostId: string, report: HostReport): void;
  /** The host's stream has ended: it is not alive until it reports again. What it said last is kept. */
  gone(hostId: string): void;
  /** Forgets a host that was removed. */
  forget(hostId: string): void;
  alive(hostId: string): boolean;
  inForce(hostId: string): Revision | undefined;
  portUp(hostId: string, portId: string): boolean;
  /** Everything known of a host; for one never heard of: not alive, nothing up. */
  of(hostId: string): HostState;
  /** Calls `listener` after each change. Gives the way to stop. */
  onChange(listener: HostStateListener): () => void;
}

const nothing: Kept = {
  heardAt: 0,
  connected: false,
  inForce: undefined,
  portsUp: new Set(),
  unbound: [],
  datapath: undefined,
  problems: [],
  drift: [],
  drops: [],
  datapathType: undefined,
};

/** Host states in memory. A host is alive while its stream is open and it was heard from less than `lease` ms ago. */
export class MemoryHostStates implements HostStates {
  readonly #now: () => number;
  readonly #lease: number;
  readonly #hosts = new Map<string, Kept>();
  readonly #listeners = new Set<HostStateListener>();

  constructor(options: { readonly now?: () => number; readonly lease?: number } = {}) {
    this.#now = options.now ?? Date.now;
    this.#lease = options.lease ?? 30_000;
  }

  report(hostId: string, report: HostReport): void {
    const before = this.#hosts.get(hostId) ?? nothing;
    this.#hosts.set(hostId, {
      heardAt: this.#now(),
      connected: true,
      inForce: report.inForce ?? before.inForce,
      portsUp: report.portsUp === undefined ? before.portsUp : new Set(report.portsUp),
      unbound: report.unbound ?? before.unbound,
      datapath: report.datapath ?? before.datapath,
      problems: report.problems ?? before.problems,
      drift: report.drift ?? before.drift,
      drops: report.drops ?? before.drops,
      datapathType: report.datapathType ?? before.datapathType,
    });
    this.#tell(hostId);
  }

  gone(hostId: string): void {
    const before = this.#hosts.get(hostId);
    if (before === undefined) return;
    this.#hosts.set(hostId, { ...before, connected: false });
    this.#tell(hostId);
  }

  forget(hostId: string): void {
    if (this.#hosts.delete(hostId)) this.#tell(hostId);
  }

  alive(hostId: string): boolean {
    const kept = this.#hosts.get(hostId);
    return kept?.connected === true && this.#now() - kept.heardAt < this.#lease;
  }

  inForce(hostId: string): Revision | undefined {
    return this.#hosts.get(hostId)?.inForce;
  }

  portUp(hostId: string, portId: string): boolean {
    return this.#hosts.get(hostId)?.portsUp.has(portId) ?? false;
  }

  of(hostId: string): HostState {
    const { connected: _, ...kept } = this.#hosts.get(hostId) ?? nothing;
    return { hostId, alive: this.alive(hostId), ...kept };
  }

  onChange(listener: HostStateListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(hostId: string): void {
    for (const listener of this.#listeners) listener(hostId);
  }
}
