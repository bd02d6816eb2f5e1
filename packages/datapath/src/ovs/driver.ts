/** The Open vSwitch driver of the Datapath seam: keeps a session with the switch, and what is installed equal to what was asked. */
import { setImmediate } from "node:timers/promises";
import { backoffDelay, type Clock, type Log, type ReasonCode, realClock, silentLog, type Timer } from "@selvage/base";
import type { Delta } from "@selvage/model";
import { act, type FlowRemoved, Port, packetOut } from "@selvage/openflow";
import { fabricIngress, type Program, type Row, selvageProgram, vxlanIngress } from "@selvage/pipeline";
import type { Adoption, Datapath, DatapathEvents, InstalledRow, Resumption } from "../datapath.ts";
import { resumeActions } from "./actions.ts";
import { planAdoption } from "./adoption.ts";
import { pluggedIn } from "./bridge.ts";
import { provenanceOf } from "./cookie.ts";
import { count, dropsOf } from "./drops.ts";
import { NotReady, RefusedRows, refusalsIn } from "./errors.ts";
import type { Installation } from "./installation.ts";
import type { OvsDatapathOptions } from "./options.ts";
import { bridgeMappings } from "./physical.ts";
import { PhysicalKeeper } from "./physical-keeper.ts";
import { flowModOf, type Plan } from "./plan.ts";
import { Ports } from "./ports.ts";
import { pulseFlow, puntOf } from "./punts.ts";
import { readInstalled } from "./read-back.ts";
import { Renderer } from "./render.ts";
import { batch, openSession, type Session, type SessionPlan } from "./session.ts";
import { shared } from "./share.ts";
import { probePeriod, probesTo, TunnelEnds } from "./tunnel-ends.ts";
import { makeWays } from "./ways.ts";
import { ZoneKeeper, zonesNamed } from "./zone-keeper.ts";

const tunnelInterface = "selvage-geneve";
/** Milliseconds that looking through a small cache takes; after so many the switch is made to look again. */
const patience = 3;
/** Rows in one step of a large addition: so many flows as a socket takes at once. */
const step = 1_000;
const backoff = { base: 100, cap: 5_000 };

export class OvsDatapath implements Datapath {
  readonly driver = "ovs";
  readonly program: Program;
  readonly #plan: SessionPlan;
  readonly #renderer: Renderer;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #random: () => number;
  readonly #closing = new AbortController();
  /** Packets that flows counted which are gone. */
  readonly #gone = new Map<ReasonCode, number>();
  #events: DatapathEvents | undefined;
  #following: Promise<void> = Promise.resolve();
  #session: Session | undefined;
  readonly #ends: TunnelEnds;
  #ports = Ports.none;
  readonly #zones: ZoneKeeper;
  /** Each step asks for a look through the cache that begins after the switch took it; steps that wait together share one. */
  readonly #cacheFollows = shared(() => this.#look());
  #retry: Timer | undefined;
  #faults = "";
  #problems = "";
  readonly #physical: PhysicalKeeper;
  /** What is in the switch; undefined until adopted, and after a refusal. */
  #installation: Installation | undefined;
  /** One change after the other: the end of the queue. */
  #work: Promise<unknown> = Promise.resolve();

  /** Throws TypeError when the program does not fit this switch, and on bridge mappings that are none. */
  constructor(options: OvsDatapathOptions = {}) {
    this.#renderer = options.renderer ?? new Renderer(options.program ?? selvageProgram);
    this.program = this.#renderer.program;
    this.#ends = new TunnelEnds(this.#renderer);
    this.#clock = options.clock ?? realClock;
    this.#log = options.log ?? silentLog;
    this.#physical = new PhysicalKeeper(this.#log);
    this.#random = options.random ?? Math.random;
    this.#zones = new ZoneKeeper({
      bridge: options.bridge ?? "br-int",
      clock: this.#clock,
      log: this.#log,
      ...(options.zones && { plan: options.zones }),
    });
    this.#plan = {
      database: options.database ?? "unix:/var/run/openvswitch/db.sock",
      bridge: options.bridge ?? "br-int",
      openflow: options.openflow ?? null,
      datapathType: options.datapathType ?? "",
      tunnel: options.tunnelIp === undefined ? null : { name: tunnelInterface, localIp: options.tunnelIp },
      physical: bridgeMappings(options.bridgeMappings ?? ""),
    };
  }

  async open(events: DatapathEvents): Promise<void> {
    this.#closing.signal.throwIfAborted();
    this.#events = events;
    const probing = this.#clock.every(probePeriod, () => this.#probe(this.#ends.all));
    this.#closing.signal.addEventListener("abort", () => probing.cancel(), { once: true });
    const tried = Promise.withResolvers<void>();
    this.#following = this.#follow(tried.resolve);
    await tried.promise;
  }

  async adopt(rows: Iterable<Row>): Promise<Adoption> {
    const wanted = new Map<string, Row>();
    for (const row of rows) wanted.set(row.id, row);
    const { session, adoption } = await this.#inTurn(async () => {
      const session = this.#live();
      await this.#makeWays(session, wanted.values());
      await this.#zones.adopt(session, new Set(zonesNamed(this.#renderer, wanted.values())));
      this.#takeZones();
      return { session, adoption: await this.#adopt(session, wanted) };
    });
    this.#ends.change(
      this.#ends.rows.filter((id) => !wanted.has(id)).map((id) => ({ id })),
      wanted.values(),
    );
    this.#probe(this.#ends.all);
    await this.#inForce(session);
    await this.#releaseZones();
    return adoption;
  }

  async apply(delta: Pick<Delta<Row>, "added" | "removed" | "modified">, taken?: () => void): Promise<void> {
    const session = await this.#inTurn(async () => {
      const session = this.#live();
      const put = [...delta.added, ...delta.modified.map(({ after }) => after)];
      if (await this.#makeWays(session, delta.added)) await this.#moveTo(session, this.#ports);
      if (await this.#zones.need(session, zonesNamed(this.#renderer, put))) await this.#moveToZones(session);
      this.#takeZones();
      const installation = this.#installation;
      if (installation === undefined)
        throw new NotReady("nothing was adopted since the switch came, or since it refused something");
      if (put.length > step && put.every(({ id }) => !installation.rows.has(id)) && delta.removed.length === 0)
        await this.#add(session, installation, put);
      else await this.#execute(session, installation.change(delta.removed, put));
      this.#probe(this.#ends.change(delta.removed, put));
      return session;
    });
    taken?.();
    await this.#inForce(session);
    await this.#releaseZones();
  }

  async send(port: string, frame: Uint8Array): Promise<void> {
    const from = [{ field: "in_port", value: Port.controller } as const];
    await this.#live().connection.post(packetOut(frame, [act.output(this.#ports.mustHave(port))], from));
  }

  async resume(table: string, at: Resumption, frame: Uint8Array): Promise<void> {
    // From another port, a packet of ours would be lost behind connection tracking (ofproto-dpif-xlate.c, `xlate_lookup_ofproto_`).
    const from = [{ field: "in_port", value: Port.controller } as const];
    await this.#live().connection.post(packetOut(frame, resumeActions(this.program, table, at), from));
  }

  installed(): Promise<readonly InstalledRow[]> {
    return this.#inTurn(async () => {
      const rows = this.#installation?.rows.values() ?? this.program.constants;
      return readInstalled(this.#renderer, rows, this.#live().connection);
    });
  }

  async tracked(): ReturnType<ZoneKeeper["connections"]> {
    return this.#zones.connections(this.#live());
  }

  async drops(): Promise<ReadonlyMap<ReasonCode, number>> {
    const { connection, control } = this.#live();
    await control?.revalidated().catch((error: Error) => this.#cannotTell(error));
    return dropsOf(connection, this.#gone);
  }

  async close(): Promise<void> {
    this.#events = undefined;
    this.#closing.abort(new NotReady("the driver is closed"));
    this.#retry?.cancel();
    this.#session?.close();
    await this.#following;
    await this.#work;
  }

  /** Connects, and connects again for as long as the driver is open. */
  async #follow(tried: () => void): Promise<void> {
    const { signal } = this.#closing;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        const session = await this.#connect();
        attempt = 0;
        tried();
        const cause = await session.ended;
        this.#session = undefined;
        this.#installation = undefined;
        if (!signal.aborted) {
          this.#log.warn("the switch is lost", { error: cause });
          this.#events?.lost(cause);
        }
      } catch (error) {
        if (signal.aborted) break;
        this.#log.warn("the switch cannot be reached", { error, attempt });
        tried();
      }
      await this.#pause(attempt);
    }
    tried();
  }

  async #pause(attempt: number): Promise<void> {
    const { signal } = this.#closing;
    // Only the end of the driver interrupts the wait, and then there is nothing left to wait for.
    await this.#clock
      .sleep(backoffDelay({ ...backoff, random: this.#random }, attempt), signal)
      .catch(() => signal.aborted);
  }

  async #connect(): Promise<Session> {
    const session = await openSession(
      this.#plan,
      {
        packetIn: (packet) => {
          const punt = puntOf(packet, this.#ports);
          if (punt === undefined) this.#log.debug("a packet that no flow of ours punted", { table: packet.table });
          else this.#events?.punt(punt);
        },
        flowRemoved: (flow) => this.#keepCount(flow),
        configuration: () => this.#lookAtPorts(),
        refused: (code) => this.#log.warn("the switch refused a packet", { code }),
      },
      this.#closing.signal,
    );
    // Who closed the driver meanwhile waits for the end of whatever session there was, and this one would have none.
    if (this.#closing.signal.aborted) session.close();
    this.#closing.signal.throwIfAborted();
    this.#session = session;
    this.#installation = undefined;
    this.#ports = this.#plugged(session);
    this.#tellAttachments();
    this.#tellFaults();
    this.#physical.connect(session);
    this.#events?.ready();
    return session;
  }

  /** Takes notice of interfaces that came or went: who waits is told, and rows follow their interfaces. */
  #lookAtPorts(): void {
    const session = this.#session;
    if (session === undefined) return;
    const before = this.#ports;
    const ports = this.#plugged(session);
    this.#tellFaults();
    this.#physical.connect(session);
    const changed = ports.differencesFrom(before);
    if (changed.size === 0) return;
    this.#ports = ports;
    this.#inTurn(() => this.#moveTo(session, ports)).catch((error: Error) => this.#failedToMove(session, error));
    if ([...changed].some((name) => name !== fabricIngress && name !== vxlanIngress)) this.#tellAttachments();
  }

  /** Has the bridge's own interfaces made that rows name; gives whether that was so. */
  async #makeWays(session: Session, rows: Iterable<Row>): Promise<boolean> {
    const isTried = await makeWays({
      session,
      ports: this.#ports,
      tunnels: this.#plan.tunnel !== null,
      named: () => new Set([...rows].flatMap((row) => this.#renderer.interfacesOf(row))),
      clock: this.#clock,
      log: this.#log,
      closing: this.#closing.signal,
    });
    if (isTried) this.#ports = this.#plugged(session);
    return isTried;
  }

  /** The interfaces as they are; what is wrong with others is logged once. */
  #plugged({ replica }: Session): Ports {
    const plugged = pluggedIn(replica, this.#plan);
    const { ports, problems } = plugged;
    this.#physical.note(plugged);
    const told = problems.join("; ");
    if (told !== this.#problems && told !== "") this.#log.warn("interfaces that are not used", { problems });
    this.#problems = told;
    return ports.withZones(this.#zones.numbers);
  }

  /** Takes zones as they are now; who has none is told, and looked at again when one may be free. */
  #takeZones(): void {
    this.#ports = this.#ports.withZones(this.#zones.numbers);
    this.#tellFaults();
  }

  #tellFaults(): void {
    const { waiting, wait } = this.#zones;
    const faults = new Map([...[...waiting].map((port) => [port, "ct-zone-full"] as const), ...this.#physical.faults]);
    const told = [...faults.keys()].sort().join();
    if (told !== this.#faults) this.#events?.faults?.(faults);
    this.#faults = told;
    this.#retry?.cancel();
    this.#retry = undefined;
    if (wait === undefined || this.#closing.signal.aborted) return;
    this.#retry = this.#clock.after(wait, () => {
      const session = this.#session;
      if (session === undefined) return;
      this.#inTurn(async () => {
        const { waiting: ports } = this.#zones;
        if (await this.#zones.need(session, ports)) await this.#moveToZones(session);
        this.#takeZones();
      }).catch((error: Error) => this.#failedToMove(session, error));
    });
  }

  /** Who had none and has one now is told when its rows are in force. */
  async #moveToZones(session: Session): Promise<void> {
    this.#ports = this.#ports.withZones(this.#zones.numbers);
    await this.#moveTo(session, this.#ports);
    this.#tellFaults();
  }

  /** Gives zones back that no row names any more, when no packet can be on its way to the flows that named them. */
  async #releaseZones(): Promise<void> {
    const used = this.#installation?.zones;
    const session = this.#session;
    if (used === undefined || session === undefined || this.#zones.surplus(used).length === 0) return;
    await this.#inTurn(async () => {
      const now = this.#installation?.zones;
      if (now === undefined || session !== this.#session) return;
      await this.#zones.release(session, this.#zones.surplus(now));
      await this.#moveToZones(session);
    });
  }

  #tellAttachments(): void {
    const machines = this.#ports.plugged.map(({ port, name }) => ({ port, name }));
    this.#events?.attachments([...machines, ...this.#physical.attached]);
  }

  async #moveTo(session: Session, ports: Ports): Promise<void> {
    if (session !== this.#session || this.#installation === undefined) return;
    const { tunnel } = this.#installation.ports;
    await this.#execute(session, this.#installation.moveTo(ports.withZones(this.#zones.numbers)));
    if (ports.tunnel !== tunnel) this.#probe(this.#ends.all);
  }

  /** Makes the switch find the ways to other hosts before anybody's packet needs them. What comes of it is the switch's affair. */
  #probe(ends: readonly string[]): void {
    const { connection } = this.#session ?? {};
    for (const message of probesTo(ends, this.#ports)) {
      connection?.post(message).catch((error: Error) => this.#log.debug("a way was not looked for", { error }));
    }
  }

  /** What the switch holds is not known any more: the owner adopts, as when the switch returns. */
  #failedToMove(session: Session, error: Error): void {
    if (session !== this.#session) return;
    this.#log.error("rows could not follow their interfaces", { error });
    this.#installation = undefined;
    this.#events?.ready();
  }

  async #adopt(session: Session, rows: ReadonlyMap<string, Row>): Promise<Adoption> {
    const { connection } = session;
    const groups = await connection.groups();
    const meters = await connection.meters();
    const survey = { flows: connection.flowStats(), groups, meters };
    this.#installation = undefined;
    const { plan, adoption, installation } = await planAdoption(this.#renderer, rows, this.#ports, survey);
    await this.#execute(session, plan);
    if (session !== this.#session) throw new NotReady("the switch went away");
    this.#installation = installation;
    return adoption;
  }

  /** Puts many rows of which none is there: while the switch takes one step of them, the next is rendered. */
  async #add(session: Session, installation: Installation, rows: readonly Row[]): Promise<void> {
    let running = Promise.resolve();
    try {
      for (let at = 0; at < rows.length; at += step) {
        const plan = installation.change([], rows.slice(at, at + step));
        await running;
        running = this.#execute(session, plan);
        // A failure is heard with the next step, or at the end.
        running.catch(() => undefined);
        // So that it is on its way to the switch before the next is rendered.
        await setImmediate();
      }
    } finally {
      await running;
    }
  }

  /** Sends a plan and waits until it is in force. Throws RefusedRows, after which the owner must adopt. */
  async #execute(session: Session, plan: Plan): Promise<void> {
    if (plan.isEmpty) return;
    const { connection } = session;
    try {
      await batch(connection, plan.metersFirst);
      if (plan.mustBeAtomic) await connection.bundle(plan.messages);
      else await batch(connection, plan.messages);
      await batch(connection, plan.metersLast);
    } catch (error) {
      this.#installation = undefined;
      if (!(error instanceof Error)) throw error;
      const rows = refusalsIn(error).flatMap(({ request }) => plan.rowOf(request) ?? []);
      throw new RefusedRows(rows, error);
    }
  }

  /** Waits until packets meet what a switch has taken. Rejects when it went away before that. */
  async #inForce(session: Session): Promise<void> {
    await this.#cacheFollows();
    if (session !== this.#session) throw new NotReady("the switch went away before packets met what it had taken");
  }

  /**
   * Waits until what the switch has cached follows its tables. It looks through its cache soon after each change, and every half second: if it had
   * done so before we asked, writing a flow again makes it look once more, and again until it has. Rejects when the switch goes away.
   */
  async #look(): Promise<void> {
    const { control, connection } = this.#live();
    if (control === undefined) return;
    const timer = this.#clock.every(patience, () => {
      connection.send([flowModOf(pulseFlow)]).catch((error: Error) => this.#cannotTell(error));
    });
    try {
      await control.inForce();
    } catch (error) {
      this.#cannotTell(error);
      // One that only cannot tell answers this.
      await connection.barrier();
    } finally {
      timer.cancel();
    }
  }

  #cannotTell(error: unknown): void {
    if (!this.#closing.signal.aborted) this.#log.debug("the switch does not tell when its cache follows", { error });
  }

  #keepCount({ cookie, statistics }: FlowRemoved): void {
    const reason = provenanceOf(cookie)?.reason ?? null;
    if (reason !== null) count(this.#gone, reason, Number(statistics.packets ?? 0n));
  }

  #live(): Session {
    if (this.#session === undefined) throw new NotReady("the switch is away");
    return this.#session;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#work.then(work);
    // The queue goes on after a failure; who asked for this work hears of it by `turn`.
    this.#work = turn.catch(() => undefined);
    return turn;
  }
}
