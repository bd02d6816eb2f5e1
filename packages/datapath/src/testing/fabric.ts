/** What a conformance run needs of a driver: hosts with a switch each, machines that can be plugged, and an underlay between them. */

import type { Encapsulation, Row } from "@selvage/pipeline";
import type { AttachedInterface, Datapath, DatapathEvents, Punt } from "../datapath.ts";
import type { PhysicalNetwork } from "../simulated/physical.ts";
import { Journal } from "./journal.ts";

/** A frame in a tunnel, as it lies on the underlay. Keys are those of the header and the option. */
export interface ForgedPacket {
  /** Underlay address that it claims to come from, and the one it goes to: canonical text. */
  readonly from: string;
  readonly to: string;
  readonly key: number;
  readonly srcPort: number;
  readonly dstPort: number;
  /** The sender's set of security groups; 0 unless told. */
  readonly srcSet?: number;
  /** Geneve unless told; VXLAN bears no ports and no set. */
  readonly by?: Encapsulation;
  readonly frame: Uint8Array;
}

/** One host: a switch, the driver under test, and machines. */
export interface TestHost {
  /** Where its tunnels end: canonical text. */
  readonly address: string;
  /** The driver; not yet open. After `reopen` another one. */
  readonly datapath: Datapath;
  /** Adds an interface that names the port; gives all frames that the switch puts out of it, from now on. */
  plug(port: string): Promise<Journal<Uint8Array>>;
  /** Takes the interface away; its frames are no longer written down. */
  unplug(port: string): Promise<void>;
  /** A frame from the port's machine into the switch. */
  send(port: string, frame: Uint8Array): Promise<void>;
  /** Gives the host an interface to the fabric's physical network `public`. */
  join(): Promise<void>;
  /** Closes the driver and makes a new one, not yet open, on the same switch: what a restart of the agent is. */
  reopen(): Promise<Datapath>;
  /** Stops the switch; what was installed is lost. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** Takes a row out of the switch behind the driver's back. */
  lose(row: Row): Promise<void>;
}

export interface TestFabric {
  /** Three hosts at least. */
  readonly hosts: readonly TestHost[];
  /** An underlay address, of the hosts' family, at which nobody is. */
  readonly stranger: string;
  /** Milliseconds after which what has not happened will not happen. */
  readonly deadline: number;
  /** Puts a packet on the underlay, from whomever. Resolves when it is sent. */
  inject(packet: ForgedPacket): Promise<void>;
  /** The physical network to which hosts are joined, and machines outside. */
  readonly physical: PhysicalNetwork;
  /** How many tunnelled packets the hosts have put on the underlay so far; forged ones do not count. */
  crossed(): Promise<number>;
  dispose(): Promise<void>;
}

export type MakeFabric = () => Promise<TestFabric>;

/** Everything that a driver told its owner. */
export class Recorder implements DatapathEvents {
  readonly attached = new Journal<readonly AttachedInterface[]>();
  readonly punts = new Journal<Punt>();
  readonly life = new Journal<"ready" | "lost">();
  /** Bound: the driver takes them as functions. */
  readonly attachments = (all: readonly AttachedInterface[]): void => this.attached.add(all);
  readonly punt = (punt: Punt): void => this.punts.add(punt);
  readonly ready = (): void => this.life.add("ready");
  readonly lost = (): void => this.life.add("lost");
}
