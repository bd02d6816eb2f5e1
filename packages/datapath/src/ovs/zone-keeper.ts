/**
 * Keeps zones of connection tracking for the ports that rows name: a zone is written down at the bridge before any flow has it, so that the next driver gives
 * its port the same one and forgets what nobody needs; it is limited in its connections, and forgotten before it is another's (ovs-vswitchd.conf.db(5),
 * `external_ids`; ovs-dpctl(8), `ct-set-limits`).
 */
import type { Clock, Log } from "@selvage/base";
import type { Message } from "@selvage/openflow";
import { OPEN_VSWITCH } from "@selvage/ovsdb";
import { heldFragments, type Row } from "@selvage/pipeline";
import type { PortConnections } from "../datapath.ts";
import { isTranslating, mostConnections } from "../zone-kinds.ts";
import { recordZones, zonesIn } from "./bridge.ts";
import type { Renderer } from "./render.ts";
import type { Session } from "./session.ts";
import { configureTimeouts } from "./zone-timeouts.ts";
import { usualZones, type ZonePlan, Zones } from "./zones.ts";

/** Zones in one command. */
const chunk = 500;

export interface ZoneKeeperOptions {
  readonly bridge: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly plan?: ZonePlan;
}

/** Who has the zones that rows name; of rows that cannot be rendered, which is said elsewhere, none. */
export function zonesNamed(renderer: Renderer, rows: Iterable<Row>): readonly string[] {
  const names: string[] = [];
  for (const row of rows) if (renderer.knows(row)) names.push(...renderer.zonesOf(row));
  return names;
}

export class ZoneKeeper {
  readonly #options: ZoneKeeperOptions;
  readonly #zones: Zones;
  /** What is written down at the bridge, and whether that is all. */
  #recorded = new Map<string, number>();
  #isRecorded = false;
  #numbers: ReadonlyMap<string, number> = new Map();
  #waiting: ReadonlySet<string> = new Set();

  constructor(options: ZoneKeeperOptions) {
    this.#options = options;
    this.#zones = new Zones(options.plan ?? usualZones);
  }

  /** Zones that can be used, by the port; another map whenever they change. */
  get numbers(): ReadonlyMap<string, number> {
    return this.#numbers;
  }

  /** Ports for which no zone is free. */
  get waiting(): ReadonlySet<string> {
    return this.#waiting;
  }

  /** Milliseconds until a zone may be free for those who wait; undefined where nobody waits, or none comes. */
  get wait(): number | undefined {
    const { rested } = this.#zones;
    return this.#waiting.size === 0 || rested === undefined ? undefined : Math.max(0, rested - this.#now());
  }

  /** Begins with a switch: zones are those of the bridge's record, for all ports that rows name. Rejects when the database does. */
  async adopt(session: Session, ports: ReadonlySet<string>): Promise<void> {
    this.#recorded = zonesIn(session.replica, this.#options.bridge);
    this.#isRecorded = false;
    for (const [port, zone] of this.#recorded) this.#zones.claim(port, zone);
    // A new switch has no limits.
    await this.#limit(session, [...this.#zones.held.values()]);
    // Of the kernel's fragments the kernel has its own measure (`net.ipv4.ipfrag_high_thresh`).
    if (session.datapath.startsWith("netdev@"))
      await this.#command(session, "dpctl/ipf-set-max-nfrags", [String(heldFragments)]);
    await this.need(session, ports);
  }

  /** Has a zone ready for each of the ports, as far as there are any; gives whether any came. Rejects when the database does. */
  async need(session: Session, ports: Iterable<string>): Promise<boolean> {
    const all = [...ports];
    const without = all.filter((port) => !this.#zones.held.has(port));
    if (without.length === 0 && this.#isRecorded) return false;
    const waiting = without.filter((port) => this.#zones.of(port, this.#now()) === undefined);
    this.#tellWaiting([...this.#waiting].filter((port) => !this.#zones.held.has(port)).concat(waiting));
    const fresh = without.flatMap((port) => this.#zones.held.get(port) ?? []);
    await Promise.all([this.#record(session), this.#limit(session, fresh), this.#flush(session, fresh)]);
    const isChanged = [...this.#zones.held].some(([port, zone]) => this.#numbers.get(port) !== zone);
    if (isChanged) this.#numbers = new Map(this.#zones.held);
    return isChanged;
  }

  /** Ports that have a zone, or wait for one, and are none of these. */
  surplus(used: { has(port: string): boolean }): readonly string[] {
    return [...this.#zones.held.keys(), ...this.#waiting].filter((port) => !used.has(port));
  }

  /** Takes zones back, of which no packet can be on its way to the flows any more: their connections are forgotten first. Rejects when the database does. */
  async release(session: Session, ports: readonly string[]): Promise<void> {
    const zones = ports.flatMap((port) => this.#zones.held.get(port) ?? []);
    await this.#flush(session, zones);
    for (const port of ports) this.#zones.free(port, this.#now());
    this.#tellWaiting([...this.#waiting].filter((port) => !ports.includes(port)));
    this.#numbers = new Map(this.#zones.held);
    await this.#record(session);
    for (let at = 0; at < zones.length; at += chunk)
      await this.#command(session, "dpctl/ct-del-limits", [`zone=${zones.slice(at, at + chunk).join(",")}`]);
  }

  /** Connections of the ports that have a zone; none where the switch cannot tell. */
  async connections(session: Session): Promise<ReadonlyMap<string, PortConnections>> {
    const told = await session.control?.command("dpctl/ct-get-limits", [session.datapath]);
    const zones = new Map(
      [...(told ?? "").matchAll(/zone=(\d+),limit=(\d+),count=(\d+)/g)].map(
        ([, zone, most, count]) => [Number(zone), { count: Number(count), most: Number(most) }] as const,
      ),
    );
    const ports = [...this.#zones.held].map(([port, zone]) => [port, zones.get(zone)] as const);
    return new Map(ports.flatMap(([port, found]) => (found === undefined ? [] : [[port, found] as const])));
  }

  #tellWaiting(ports: readonly string[]): void {
    const fresh = ports.filter((port) => !this.#waiting.has(port));
    if (fresh.length > 0) this.#options.log.error("no zone of connection tracking is left for ports", { ports: fresh });
    this.#waiting = new Set(ports);
  }

  async #record(session: Session): Promise<void> {
    this.#isRecorded = false;
    const { replica, datapath } = session;
    const translated = [...this.#zones.held].flatMap(([owner, zone]) => (isTranslating(owner) ? [zone] : []));
    const [kind = ""] = datapath.split("@");
    const operations = [
      ...recordZones(replica, this.#options.bridge, this.#recorded, this.#zones.held),
      ...configureTimeouts(replica, kind, new Set(translated)),
    ];
    if (operations.length > 0) {
      await session.client.transact(OPEN_VSWITCH, operations, {});
      this.#recorded = new Map(this.#zones.held);
    }
    this.#isRecorded = true;
  }

  async #flush({ connection }: Session, zones: readonly number[]): Promise<void> {
    if (zones.length === 0) return;
    await connection.send(zones.map((zone): Message => ({ kind: "ctFlushZone", zone })));
    await connection.barrier();
  }

  async #limit(session: Session, zones: readonly number[]): Promise<void> {
    if (zones.length === 0) return;
    const owners = new Map([...this.#zones.held].map(([owner, zone]) => [zone, owner]));
    for (let at = 0; at < zones.length; at += chunk) {
      const limits = zones
        .slice(at, at + chunk)
        .map((zone) => `zone=${zone},limit=${mostConnections(owners.get(zone) ?? "", this.#zones.limit)}`);
      await this.#command(session, "dpctl/ct-set-limits", limits);
    }
  }

  /** A zone without a limit is a zone all the same, and a pool of fragments of the switch's own size a pool. */
  async #command({ control, datapath }: Session, name: string, args: readonly string[]): Promise<void> {
    if (control === undefined) return;
    await control
      .command(name, [datapath, ...args])
      .catch((error: Error) =>
        this.#options.log.warn("what ports share is not limited as it should be", { error, command: name }),
      );
  }

  #now(): number {
    return this.#options.clock.monotonic();
  }
}
