/** The simulated switches of a topology: what becomes of a packet, and everywhere that it entered one of them. */
import type { ReasonCode } from "@selvage/base";
import { type Punt, SimulatedDatapath, type Trace } from "@selvage/datapath";
import { ingressOf, physicalName, type Row, serviceIngress } from "@selvage/pipeline";
import { type Crossing, Ending } from "./ending.ts";
import { Hops } from "./hops.ts";
import { pluggedOn, serviceWire, type Topology } from "./topology.ts";
import { tellWay } from "./way.ts";
import { type ChosenPorts, connectionName, Wire } from "./wire.ts";
import { type WireName, wireNames } from "./wires.ts";

/** A packet coming into one switch: by an interface, by the wire of a physical network, or out of a tunnel. */
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
  /** Whether it may have taken another next hop than here, with no trace of it but a drop. */
  readonly isGuess: boolean;
}

/** Milliseconds: frames of any kind come within every rate, as on the real switches, whose meters are opened wide. */
const betweenFrames = 17;

export class SimulatedSide {
  readonly #addresses: readonly string[];
  readonly #switches: readonly SimulatedDatapath[];
  readonly #hops: Hops;
  /** By port. */
  readonly #macs: ReadonlyMap<string, string>;
  #sent = 0;
  #counted: readonly ReadonlyMap<ReasonCode, number>[] = [];
  #ending = new Ending();
  #entries: Entry[] = [];
  #wire: Wire;
  /** Of each host. */
  #ports: readonly ChosenPorts[] = [];
  /** Hosts with names of connections that have been translated there, some perhaps no more. */
  readonly #translated = new Set<string>();

  private constructor(addresses: readonly string[], topology: Topology) {
    this.#addresses = addresses;
    this.#hops = new Hops(topology);
    this.#wire = new Wire(topology);
    this.#macs = new Map(topology.ports.map(({ id, mac_address }) => [id, mac_address]));
    this.#switches = addresses.map(
      (from, host) =>
        new SimulatedDatapath({
          now: () => this.#sent * betweenFrames,
          choose: (members, frame) => this.#hops.choose(members, frame),
          choosePort: ({ protocol, from, to }, address) =>
            this.#choosePort(host, connectionName(protocol, from, to, address)),
          underlay: (to, header, frame) => this.#cross({ by: "geneve", from, to, srcSet: 0, ...header, frame }),
        }),
    );
  }

  /** Switches with the topology's machines plugged and each host's rows in force. */
  static async make(
    addresses: readonly string[],
    topology: Topology,
    rows: readonly (readonly Row[])[],
  ): Promise<SimulatedSide> {
    const side = new SimulatedSide(addresses, topology);
    for (const [host, datapath] of side.#switches.entries()) {
      await datapath.open({
        attachments: () => undefined,
        punt: (punt: Punt) => side.#ending.punted(host, punt),
        ready: () => undefined,
        lost: () => undefined,
      });
      for (const { port, name } of pluggedOn(topology, host))
        datapath.plug(port, (frame) => side.#ending.delivered(host, name, frame));
      datapath.plug(serviceIngress, (frame) => side.#ending.delivered(host, `wire${serviceWire}`, frame));
      for (const wire of wireNames) datapath.plug(physicalName(wire), (frame) => side.#emit(host, wire, frame));
    }
    await side.adopt(rows);
    return side;
  }

  /** Puts each host's rows in force; what is remembered of connections stays, and drops are counted anew. */
  async adopt(rows: readonly (readonly Row[])[]): Promise<void> {
    for (const [host, datapath] of this.#switches.entries()) await datapath.adopt(rows[host] ?? []);
    this.#counted = await Promise.all(this.#switches.map((each) => each.drops()));
  }

  /** A frame from an interface of a host. Where it takes one of several next hops, it is the one by which `there` tells that it went. */
  send(host: number, ingress: string, frame: Uint8Array, there: Ending): SimulatedEnd {
    return this.#follow(ingress, there, () => this.#enter(host, ingress, frame, null));
  }

  /** A packet on the underlay, from whomever; it is not told as one that crossed. */
  inject(crossing: Crossing, there: Ending): SimulatedEnd {
    return this.#follow("", there, () => this.#arrive(crossing));
  }

  /** Takes note of the ports with which connections leave on the real switches: which of its block each takes is a switch's own affair. */
  know(ports: readonly ChosenPorts[]): void {
    this.#ports = ports;
    for (const [host, names] of ports.entries())
      for (const name of names.keys()) this.#translated.add(`${host} ${name}`);
  }

  /**
   * The port with which a connection has left there. One that begins anew may find none though the last has left it, for Open vSwitch 3.1 keeps an answer's
   * tuple longer than the connection (lib/conntrack.c, `conn_force_expire`).
   */
  #choosePort(host: number, name: string): number | null | undefined {
    return this.#ports[host]?.get(name) ?? (this.#translated.has(`${host} ${name}`) ? null : undefined);
  }

  /** Packets dropped since rows were last put in force, by reason, of each host. */
  async drops(): Promise<readonly ReadonlyMap<ReasonCode, number>[]> {
    const now = await Promise.all(this.#switches.map((each) => each.drops()));
    return now.map(
      (counts, host) =>
        new Map([...counts].map(([reason, count]) => [reason, count - (this.#counted[host]?.get(reason) ?? 0)])),
    );
  }

  #follow(ingress: string, there: Ending, act: () => void): SimulatedEnd {
    this.#ending = new Ending();
    this.#entries = [];
    this.#sent += 1;
    this.#hops.go(this.#macs.get(ingress), there);
    act();
    return { ending: this.#ending, entries: this.#entries, isGuess: this.#hops.isGuess };
  }

  /** Tells what a host puts on the wire, and carries it to who is there. */
  #emit(host: number, wire: WireName, frame: Uint8Array): void {
    this.#ending.emitted(host, wire, frame);
    for (const heard of this.#wire.heard(host, wire, frame))
      this.#enter(heard.host, physicalName(heard.wire), heard.frame, null);
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
    tellWay(trace, host, this.#ending);
    this.#entries.push({ host, ingress, frame, tunnel, trace });
  }
}
