/** Simulated hosts joined by an underlay in memory: every tunnelled frame is counted and handed to the host at its address. */
import { ipOf, valueOfIp } from "@selvage/model";
import { fabricIngress, type Program } from "@selvage/pipeline";
import { SimulatedDatapath } from "./datapath.ts";
import type { Trace } from "./interpreter.ts";
import type { TunnelHeader } from "./packet.ts";

/** A tunnelled frame on the underlay. */
export interface UnderlayPacket {
  readonly from: string;
  readonly to: string;
  readonly header: Omit<TunnelHeader, "source">;
  readonly frame: Uint8Array;
}

export class SimulatedFabric {
  readonly #hosts = new Map<string, SimulatedDatapath>();
  readonly #crossed: UnderlayPacket[] = [];
  readonly #program: Program | undefined;

  constructor(options: { readonly program?: Program } = {}) {
    this.#program = options.program;
  }

  /** Adds a host whose tunnels end at an address (canonical text). Throws when the address is taken. */
  addHost(address: string, watch?: (trace: Trace) => void): SimulatedDatapath {
    if (this.#hosts.has(address)) throw new Error(`a host is at ${address} already`);
    const datapath = new SimulatedDatapath({
      ...(this.#program === undefined ? {} : { program: this.#program }),
      ...(watch === undefined ? {} : { watch }),
      underlay: (to, header, frame) => this.inject({ from: address, to, header, frame }),
    });
    this.#hosts.set(address, datapath);
    return datapath;
  }

  /** A tunnelled frame from any underlay address, a stranger's too. Gives what became of it, or undefined where nobody is at `to`. */
  inject(packet: UnderlayPacket): Trace | undefined {
    this.#crossed.push(packet);
    return this.#hosts
      .get(packet.to)
      ?.receive(fabricIngress, packet.frame, { ...packet.header, source: valueOfIp(ipOf(packet.from)) });
  }

  /** Everything that crossed the underlay since the last `forget`. */
  get crossed(): readonly UnderlayPacket[] {
    return this.#crossed;
  }

  forget(): void {
    this.#crossed.length = 0;
  }
}
