/** The simulated driver as a fabric of the conformance suite. */
import type { Row } from "@selvage/pipeline";
import type { Datapath } from "../datapath.ts";
import type { SimulatedDatapath } from "../simulated/datapath.ts";
import { SimulatedFabric, type SimulatedFabricOptions } from "../simulated/fabric.ts";
import type { ForgedPacket, TestFabric, TestHost } from "./fabric.ts";
import { Journal } from "./journal.ts";
import { physicalNetwork } from "./outside-topology.ts";

class SimulatedHost implements TestHost {
  readonly address: string;
  readonly datapath: SimulatedDatapath;

  readonly #fabric: SimulatedFabric;

  constructor(address: string, datapath: SimulatedDatapath, fabric: SimulatedFabric) {
    this.address = address;
    this.datapath = datapath;
    this.#fabric = fabric;
  }

  async join(): Promise<void> {
    this.#fabric.join(this.address, physicalNetwork);
  }

  async plug(port: string): Promise<Journal<Uint8Array>> {
    const arrived = new Journal<Uint8Array>();
    this.datapath.plug(port, (frame) => arrived.add(frame));
    return arrived;
  }

  async unplug(port: string): Promise<void> {
    this.datapath.unplug(port);
  }

  async send(port: string, frame: Uint8Array): Promise<void> {
    this.datapath.receive(port, frame);
  }

  /** Driver and switch are one object here, so a new driver is the old one, closed. */
  async reopen(): Promise<Datapath> {
    await this.datapath.close();
    return this.datapath;
  }

  async stop(): Promise<void> {
    this.datapath.stop();
  }

  async start(): Promise<void> {
    this.datapath.start();
  }

  async lose(row: Row): Promise<void> {
    this.datapath.lose(row);
  }
}

const underlays = {
  4: { addresses: ["192.0.2.1", "192.0.2.2", "192.0.2.3"], stranger: "192.0.2.250" },
  6: { addresses: ["2001:db8:ffff::1", "2001:db8:ffff::2", "2001:db8:ffff::3"], stranger: "2001:db8:ffff::fa" },
} as const;

export interface SimulatedTestOptions extends SimulatedFabricOptions {
  /** Milliseconds; whatever happens here happens within one turn of the event loop. */
  readonly deadline?: number;
}

/** Three simulated hosts on an underlay of IPv4 or IPv6. */
export async function simulatedTestFabric(version: 4 | 6, options: SimulatedTestOptions = {}): Promise<TestFabric> {
  const fabric = new SimulatedFabric(options);
  const { addresses, stranger } = underlays[version];
  let forged = 0;
  return {
    hosts: addresses.map((address) => new SimulatedHost(address, fabric.addHost(address), fabric)),
    stranger,
    physical: fabric.physical(physicalNetwork),
    deadline: options.deadline ?? 400,
    inject: async ({ from, to, frame, ...header }: ForgedPacket) => {
      forged += 1;
      fabric.inject({ from, to, header, frame });
    },
    crossed: async () => fabric.crossed.length - forged,
    dispose: async () => undefined,
  };
}
