/** Simulated hosts joined by an underlay in memory: every tunnelled frame is counted and handed to the host at its address. */
import { ipOf, textOfIp } from "@selvage/model";
import { ingressOf, type Program, physicalName } from "@selvage/pipeline";
import { SimulatedDatapath, type SimulatedDatapathOptions } from "./datapath.ts";
import type { Trace } from "./interpreter.ts";
import type { TunnelHeader } from "./packet.ts";
import { PhysicalNetwork } from "./physical.ts";

/** A tunnelled frame on the underlay. */
export interface UnderlayPacket {
  readonly from: string;
  readonly to: string;
  readonly header: Omit<TunnelHeader, "source">;
  readonly frame: Uint8Array;
}

export interface SimulatedFabricOptions {
  readonly program?: Program;
  /** Makes the switch of each host: a test may want one that is wrong in some way. */
  readonly make?: (options: SimulatedDatapathOptions) => SimulatedDatapath;
  /** The clock of all hosts, in milliseconds; unless told it stands still. */
  readonly now?: () => number;
  /** Connections that a zone of any host keeps at most. */
  readonly connections?: number;
}

export class SimulatedFabric {
  readonly #hosts = new Map<string, SimulatedDatapath>();
  readonly #crossed: UnderlayPacket[] = [];
  readonly #physical = new Map<string, PhysicalNetwork>();
  readonly #options: SimulatedFabricOptions;

  constructor(options: SimulatedFabricOptions = {}) {
    this.#options = options;
  }

  /** Adds a host whose tunnels end at an address (canonical text). Throws when the address is taken. */
  addHost(address: string, watch?: (trace: Trace) => void): SimulatedDatapath {
    if (this.#hosts.has(address)) throw new Error(`a host is at ${address} already`);
    const { program, now, connections, make = (options) => new SimulatedDatapath(options) } = this.#options;
    const datapath = make({
      ...(program === undefined ? {} : { program }),
      ...(watch === undefined ? {} : { watch }),
      ...(now === undefined ? {} : { now }),
      ...(connections === undefined ? {} : { connections }),
      underlay: (to, header, frame) => this.inject({ from: address, to, header, frame }),
    });
    this.#hosts.set(address, datapath);
    return datapath;
  }

  /** A tunnelled frame from any underlay address, a stranger's too. Gives what became of it, or undefined where nobody is at `to`. */
  inject(packet: UnderlayPacket): Trace | undefined {
    this.#crossed.push(packet);
    return this.#hosts.get(packet.to)?.receive(ingressOf[packet.header.by ?? "geneve"], packet.frame, {
      ...packet.header,
      source: textOfIp(ipOf(packet.from)),
    });
  }

  /** A physical network, which is there when it is first asked for; machines outside are plugged into it by `plug`. */
  physical(name: string): PhysicalNetwork {
    const network = this.#physical.get(name) ?? new PhysicalNetwork(name);
    this.#physical.set(name, network);
    return network;
  }

  /** Joins the host at an address to a physical network: its interface is `physical:NAME`. Throws where nobody is there, or it is joined already. */
  join(address: string, name: string): void {
    const host = this.#hosts.get(address);
    if (host === undefined) throw new Error(`no host is at ${address}`);
    const port = physicalName(name);
    const send = this.physical(name).plug(address, (frame) => host.receive(port, frame));
    host.plug(port, send);
  }

  /** Takes a host's interface to a physical network away. */
  leave(address: string, name: string): void {
    this.#hosts.get(address)?.unplug(physicalName(name));
    this.physical(name).unplug(address);
  }

  /** Everything that crossed the underlay since the last `forget`. */
  get crossed(): readonly UnderlayPacket[] {
    return this.#crossed;
  }

  forget(): void {
    this.#crossed.length = 0;
  }
}
