/** One host with a real switch: its driver and engine, its wires, and an exact way to know that all that was fed to it has been dealt with. */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { ReasonCode } from "@selvage/base";
import { derivationsFor } from "@selvage/compiler";
import {
  type AttachedInterface,
  type DatapathEvents,
  OvsDatapath,
  type OvsDatapathOptions,
  type Punt,
} from "@selvage/datapath";
import { integrationBridge, Journal, OvsHost, uplinkBridge } from "@selvage/datapath/testing";
import { Attachment, type Change, Engine, HeldAddress, LearnedNeighbour, PeerDown } from "@selvage/model";
import { put, remove } from "@selvage/model/testing";
import { act, Connection, connectSocket, flowMod, MeterId, meterMod, PacketInFormat } from "@selvage/openflow";
import { physicalName, type Row, serviceIngress } from "@selvage/pipeline";
import { hostName, pluggedOn, serviceWire, type Topology, wireCount } from "./topology.ts";
import { Unixctl } from "./unixctl.ts";
import { type ChosenPorts, readConnections } from "./wire.ts";
import { type WireName, wireNames, wireOfIngress } from "./wires.ts";

const deadline = 10_000;
const anyPort = 0xffffffff;
const portStatistics = 4;
const protocols = "OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15";
/** A table of that bridge that no packet comes to. */
const idleTable = 200;
const vxlanInterface = "selvage-vxlan";
/** The first port that the uplink's bridge got, and those which lead to physical networks. */
const firstPort = 1;
const bridgeOf = (wire: WireName): string => `br-${wire}`;
/** The interface of the machines' bridge that leads to a physical network. */
export const patchOf = (wire: WireName): string => `patch-${integrationBridge}-${wire}`;
/** To all ports but that by which a frame came. */
const toTheOthers = act.output(0xfffffffc);

export interface RealHostEvents {
  readonly delivered: (name: string, frame: Uint8Array) => void;
  readonly punted: (punt: Punt) => void;
  /** A frame of the host on the underlay. */
  readonly underlay: (frame: Uint8Array) => void;
  /** A frame of the host on the wire of a physical network. */
  readonly emitted: (wire: WireName, frame: Uint8Array) => void;
}

interface Counters {
  readonly received: number;
  readonly sent: number;
}

type DriverOptions = Pick<OvsDatapathOptions, "program" | "renderer">;

/** Frames that went into the switch by a wire, or came out of it. */
class Tally {
  fed = 0;
  got = 0;
}

/** A bridge to a physical network, and the interface by which this process is on it. */
interface Way {
  readonly bridge: Connection;
  readonly name: string;
  readonly tally: Tally;
}

export class RealHost {
  readonly place: number;
  readonly host: OvsHost;
  readonly #events: RealHostEvents;
  /** By the number of the wire, which is also the port's in the switch. */
  readonly #tallies = new Map<number, Tally>();
  readonly #uplink: Tally;
  readonly #ways = new Map<WireName, Way>();
  /** Those by which anything can come or go in a topology. */
  #used: readonly Way[] = [];
  readonly #attached = new Journal<readonly AttachedInterface[]>();
  readonly #life = new Journal<"ready">();
  /** Wakes whoever waits for frames or punts. */
  #stirred = Promise.withResolvers<void>();
  #control!: Unixctl;
  #inside!: Connection;
  #outside!: Connection;
  #datapath!: OvsDatapath;
  #engine!: Engine<Row>;
  /** What went wrong where nobody waits. */
  #failure: Error | undefined;
  #revision = 0;
  #puntsSent = 0;
  #puntsHeard = 0;
  #adopted = false;
  #counted: ReadonlyMap<ReasonCode, number> = new Map();

  private constructor(place: number, host: OvsHost, events: RealHostEvents, uplink: Tally) {
    this.place = place;
    this.host = host;
    this.#events = events;
    this.#uplink = uplink;
  }

  /** Starts a host: database, switch, wires that name no port, driver. */
  static async start(place: number, address: string, mac: string, events: RealHostEvents): Promise<RealHost> {
    let made: RealHost | undefined;
    const uplink = new Tally();
    // A host's kernel speaks (RFC 4861, RFC 3810) before the host is all there.
    const underlay = (frame: Uint8Array): void => {
      uplink.got += 1;
      if (made !== undefined) made.#leaves(frame);
    };
    const host = await OvsHost.start({ address, mac, underlay });
    made = new RealHost(place, host, events, uplink);
    try {
      await made.#begin();
      return made;
    } catch (error) {
      await made.dispose();
      throw error;
    }
  }

  get address(): string {
    return this.host.plan.address;
  }

  get rows(): Iterable<Row> {
    return this.#engine.rows();
  }

  async #begin(): Promise<void> {
    await this.host.vsctl(
      ...["--may-exist", "add-br", integrationBridge],
      // As the driver wants it: a switch closes its connections when its protocols are changed.
      ...["--", "set", "bridge", integrationBridge, "datapath_type=netdev", "fail_mode=secure"],
      ...[`protocols=${protocols}`, "other_config:disable-in-band=true"],
    );
    for (let wire = 1; wire <= serviceWire; wire += 1) {
      const names = wire === serviceWire ? serviceIngress : `""`;
      const name = await this.host.plugWire(names, (frame) => this.#comesOut(wire, name, frame));
      this.#tallies.set(wire, new Tally());
    }
    // The driver makes one when a network needs it, and takes one that is there: so a forged packet always has an interface to come by.
    await this.host.vsctl(
      ...["add-port", integrationBridge, vxlanInterface, "--", "set", "interface", vxlanInterface, "type=vxlan"],
      ...["options:key=flow", "options:remote_ip=flow", `options:local_ip="${this.address}"`],
      `options:csum=${this.address.includes(":")}`,
    );
    for (const wire of wireNames) this.#ways.set(wire, await this.#lay(wire));
    await this.drive({});
    await this.#attached.first(
      (all) => wireNames.every((wire) => all.some(({ port }) => port === physicalName(wire))),
      `${hostName(this.place)} has its wires`,
      deadline,
    );
    this.#control = await Unixctl.connect(join(this.host.directory, "switch.ctl"));
    this.#inside = await this.#watch(integrationBridge);
    this.#outside = await this.#watch(uplinkBridge);
    this.#inside.on("packetIn", () => {
      this.#puntsSent += 1;
      this.#stir();
    });
    const numbers = await this.#inside.ports();
    assert.deepEqual(
      numbers.flatMap(({ name, port }) => (name.startsWith("wire") ? [`${name} is ${port}`] : [])).sort(),
      [...this.#tallies.keys()].map((wire) => `wire${wire} is ${wire}`),
    );
  }

  /** Makes the bridge to a physical network. */
  async #lay(wire: WireName): Promise<Way> {
    const tally = new Tally();
    const name = await this.host.plugPhysical(bridgeOf(wire), (frame) => {
      tally.got += 1;
      this.#events.emitted(wire, frame);
      this.#stir();
    });
    await this.host.vsctl("set", "bridge", bridgeOf(wire), "fail_mode=secure");
    const bridge = await this.#watch(bridgeOf(wire));
    await bridge.send([flowMod({ instructions: [{ kind: "apply", actions: [toTheOthers] }] })]);
    await bridge.barrier();
    return { bridge, name, tally };
  }

  async #watch(bridge: string): Promise<Connection> {
    const connection = await Connection.open(
      await connectSocket({ path: join(this.host.directory, `${bridge}.mgmt`) }),
    );
    if (bridge === integrationBridge) {
      // What the driver has set for all who are connected stays as it is.
      const set = await connection.request({ kind: "getConfigRequest" });
      assert.equal(set.kind, "getConfigReply");
      await connection.post({ kind: "setConfig", flags: set.flags, missSendLength: 0xffff });
      await connection.post({ kind: "setPacketInFormat", format: PacketInFormat.nxt2 });
    }
    await connection.barrier();
    return connection;
  }

  /** Puts another driver in the place of the one before. What the switch holds is for the next topology to put right. */
  async drive(options: DriverOptions): Promise<void> {
    await this.#datapath?.close();
    const { database, plan } = this.host;
    const events: DatapathEvents = {
      attachments: (all) => this.#attached.add(all),
      punt: (punt) => {
        this.#puntsHeard += 1;
        this.#events.punted(punt);
        this.#stir();
      },
      ready: () => this.#life.add("ready"),
      lost: (cause) => this.#fail(cause),
    };
    this.#datapath = new OvsDatapath({
      ...{ database, tunnelIp: plan.address, datapathType: "netdev" },
      ...{ bridgeMappings: wireNames.map((wire) => `${wire}:${bridgeOf(wire)}`).join(), ...options },
    });
    this.#engine = new Engine<Row>({ derivations: derivationsFor({ name: hostName(this.place) }) });
    this.#adopted = false;
    const from = this.#life.all.length;
    await this.#datapath.open(events);
    await this.#life.first(() => true, `the driver of ${hostName(this.place)} is ready`, deadline, from);
    this.#puntsHeard = this.#puntsSent;
  }

  /** Has the switch hold a topology: interfaces named, the driver told of them, the compiler's rows in force. The same one `later` has its connections still. */
  async install(topology: Topology, change: "adopt" | "apply" | "later"): Promise<void> {
    await this.#plug(topology);
    this.#used = (topology.outside?.wires ?? []).flatMap((wire) => this.#ways.get(wire) ?? []);
    this.#revision += 1;
    const revision = this.#revision;
    const objects = topology.objects.map(({ kind, object }) => ({ kind, id: object.id, object, revision }));
    const deltas = [this.#engine.load(objects, revision), this.#engine.apply(this.#learn(topology), revision)];
    const [failed] = this.#engine.quarantined.values();
    if (failed !== undefined) throw failed.error;
    if (change !== "adopt" && this.#adopted) for (const delta of deltas) await this.#datapath.apply(delta);
    else await this.#datapath.adopt(this.#engine.rows());
    this.#adopted = true;
    // Connections of another topology's machines would be those of this one's.
    if (change !== "later") await this.#control.ask("dpctl/flush-conntrack");
    await this.#unlimit();
    this.#counted = await this.#count();
  }

  /** What this host alone knows becomes what the topology says. */
  #learn(topology: Topology): readonly Change[] {
    const { wires, neighbours, held, lost } = topology.facts[this.place] ?? assert.fail("facts of no host");
    const { view } = this.#engine;
    const ids = [...pluggedOn(topology, this.place).map(({ port }) => port), ...wires.map(physicalName)];
    return [
      ...[...view.objects(Attachment)].filter(({ id }) => !ids.includes(id)).map(({ id }) => remove(Attachment, id)),
      ...ids.filter((id) => !view.has(Attachment, id)).map((id) => put(Attachment, { id })),
      ...[...view.objects(LearnedNeighbour)].map(({ id }) => remove(LearnedNeighbour, id)),
      ...neighbours.map((each) => put(LearnedNeighbour, each)),
      ...[...view.objects(HeldAddress)].map(({ id }) => remove(HeldAddress, id)),
      ...held.map((each) => put(HeldAddress, each)),
      ...[...view.objects(PeerDown)].map(({ id }) => remove(PeerDown, id)),
      ...lost.map((id) => put(PeerDown, { id })),
    ];
  }

  /** Has the wires name their ports, in one transaction, and waits until the driver has taken notice. */
  async #plug(topology: Topology): Promise<void> {
    const names = new Map(
      topology.interfaces.flatMap(({ host, wire, names: port }) =>
        host === this.place && port !== null ? [[wire, port]] : [],
      ),
    );
    const wires = Array.from({ length: wireCount }, (_, at) => at + 1);
    const commands = wires.map((wire) => {
      const port = names.get(wire);
      const name = `wire${wire}`;
      return port === undefined
        ? ["--", "clear", "interface", name, "external_ids"]
        : ["--", "set", "interface", name, `external_ids={iface-id="${port}"}`];
    });
    await this.host.vsctl(...commands.flat().slice(1));
    const wanted = new Map(pluggedOn(topology, this.place).map(({ port, name }) => [port, name]));
    const asWanted = (all: readonly AttachedInterface[]): boolean => {
      const plugged = all.filter(({ port }) => wireOfIngress(port) === undefined && port !== serviceIngress);
      return plugged.length === wanted.size && plugged.every(({ port, name }) => wanted.get(port) === name);
    };
    const last = this.#attached.last;
    if (last !== undefined && asWanted(last)) return;
    await this.#attached.first(
      asWanted,
      `${hostName(this.place)} has its interfaces`,
      deadline,
      this.#attached.all.length,
    );
  }

  /** Punts are limited by the second, which is no matter of the program's: here every one is wanted. */
  async #unlimit(): Promise<void> {
    const meters = await this.#inside.meters(MeterId.all);
    await this.#inside.send(
      meters.map(({ meter, flags }) =>
        meterMod({ command: "modify", meter, flags, bands: [{ kind: "drop", rate: 1_000_000, burst: 1_000_000 }] }),
      ),
    );
    await this.#inside.barrier();
  }

  /** Packets dropped since the topology was installed, by reason. */
  async drops(): Promise<ReadonlyMap<ReasonCode, number>> {
    const now = await this.#count();
    return new Map([...now].map(([reason, count]) => [reason, count - (this.#counted.get(reason) ?? 0)]));
  }

  /**
   * The driver waits until the switch has looked through its cache, as it does every half second, and after each change of any bridge. A look that was
   * under way when the driver asked may have passed by what came last: so it asks twice.
   */
  async #count(): Promise<ReadonlyMap<ReasonCode, number>> {
    const change = flowMod({ table: idleTable, priority: 0, match: [] });
    const pulse = setInterval(() => this.#outside.post(change).catch((error: Error) => this.#fail(error)), 10);
    try {
      await this.#datapath.drops();
      return await this.#datapath.drops();
    } finally {
      clearInterval(pulse);
    }
  }

  send(wire: number, frame: Uint8Array): void {
    this.#tallyOf(wire).fed += 1;
    this.host.send(`wire${wire}`, frame);
  }

  /** A frame from the underlay. */
  receive(frame: Uint8Array): void {
    this.#uplink.fed += 1;
    this.host.receive(frame);
  }

  /** A frame from a physical network. */
  come(wire: WireName, frame: Uint8Array): void {
    const { tally, name } = this.#ways.get(wire) ?? assert.fail(`no wire ${wire}`);
    tally.fed += 1;
    this.host.send(name, frame);
  }

  /** The ports with which connections have left that it translates. */
  async chosenPorts(): Promise<ChosenPorts> {
    return readConnections(await this.#control.ask("dpctl/dump-conntrack"));
  }

  /** What the switch says of a packet: it comes by a wire, or out of the tunnels with what is told of its header. */
  trace(from: string, frame: Uint8Array): Promise<string> {
    return this.#control.ask("ofproto/trace", integrationBridge, from, Buffer.from(frame).toString("hex"));
  }

  /**
   * Resolves when every frame that was fed in has been dealt with, and all that came of it is here: the switch counts a frame when it takes it and has
   * sent what comes of it before it answers us, so that its counters say how much must arrive.
   */
  async settled(): Promise<void> {
    let counted = await this.#counters();
    while (counted.some(([tally, { received }]) => received < tally.fed)) counted = await this.#counters();
    // Asked once more: one bridge may have told what it sent before the other told what came in.
    counted = await this.#counters();
    await this.#until(
      () => this.#puntsHeard >= this.#puntsSent && counted.every(([tally, { sent }]) => tally.got >= sent),
      () =>
        `punts ${this.#puntsHeard} of ${this.#puntsSent}, frames by port ${counted.map(([tally, { sent }]) => `${tally.got} of ${sent}`).join(", ")}`,
    );
  }

  async #counters(): Promise<readonly (readonly [Tally, Counters])[]> {
    const ways = this.#used;
    const [inside, outside, ...wires] = await Promise.all(
      [this.#inside, this.#outside, ...ways.map(({ bridge }) => bridge)].map((each) => counters(each)),
    );
    const none: Counters = { received: 0, sent: 0 };
    return [
      [this.#uplink, outside?.get(firstPort) ?? none] as const,
      ...ways.map(({ tally }, at) => [tally, wires[at]?.get(firstPort) ?? none] as const),
      ...[...this.#tallies].map(([number, tally]) => [tally, inside?.get(number) ?? none] as const),
    ];
  }

  async #until(isHere: () => boolean, facts: () => string): Promise<void> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new Error(`${hostName(this.place)}: what was sent does not arrive: ${facts()}`)),
      deadline,
    );
    try {
      while (!isHere() && this.#failure === undefined) await Promise.race([this.#stirred.promise, late.promise]);
    } finally {
      clearTimeout(timer);
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  #tallyOf(wire: number): Tally {
    const tally = this.#tallies.get(wire);
    if (tally === undefined) throw new RangeError(`no wire ${wire}`);
    return tally;
  }

  #comesOut(wire: number, name: string, frame: Uint8Array): void {
    this.#tallyOf(wire).got += 1;
    this.#events.delivered(name, frame);
    this.#stir();
  }

  #leaves(frame: Uint8Array): void {
    this.#events.underlay(frame);
    this.#stir();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#stir();
  }

  #stir(): void {
    const { resolve } = this.#stirred;
    this.#stirred = Promise.withResolvers();
    resolve();
  }

  async dispose(): Promise<void> {
    await this.#datapath?.close();
    this.#inside?.close();
    this.#outside?.close();
    for (const { bridge } of this.#ways.values()) bridge.close();
    this.#control?.close();
    await this.host.dispose();
  }
}

/** Frames that each port of a bridge has taken and sent, by the port's number (OpenFlow 1.5.1, section 7.3.5.7). */
async function counters(connection: Connection): Promise<ReadonlyMap<number, Counters>> {
  const body = new Uint8Array(8);
  new DataView(body.buffer).setUint32(0, anyPort);
  const found = new Map<number, Counters>();
  for await (const answer of connection.ask({ of: "raw", type: portStatistics, body })) {
    if (answer.of !== "raw") continue;
    const view = new DataView(answer.body.buffer, answer.body.byteOffset, answer.body.length);
    for (let at = 0; at < view.byteLength; at += view.getUint16(at)) {
      found.set(view.getUint32(at + 4), {
        received: Number(view.getBigUint64(at + 16)),
        sent: Number(view.getBigUint64(at + 24)),
      });
    }
  }
  return found;
}
