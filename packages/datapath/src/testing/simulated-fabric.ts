/** The simulated driver as a fabric of the conformance suite. */
import type { Row } from "@selvage/pipeline";
import type { Datapath } from "../datapath.ts";
import type { SimulatedDatapath } from "../simulated/datapath.ts";
import { SimulatedFabric } from "../simulated/fabric.ts";
import type { ForgedPacket, TestFabric, TestHost } from "./fabric.ts";
import { Journal } from "./journal.ts";

/** How a driver under test is made of the right one: the same, or a broken one around it. */
export type Wrap = (right: SimulatedDatapath) => Datapath;

class SimulatedHost implements TestHost {
  readonly address: string;
  readonly #switch: SimulatedDatapath;
  readonly #wrap: Wrap;
  #datapath: Datapath;

  constructor(address: string, right: SimulatedDatapath, wrap: Wrap) {
    this.address = address;
    this.#switch = right;
    this.#wrap = wrap;
    this.#datapath = wrap(right);
  }

  get datapath(): Datapath {
    return this.#datapath;
  }

  async plug(port: string): Promise<Journal<Uint8Array>> {
    const arrived = new Journal<Uint8Array>();
    this.#switch.plug(port, (frame) => arrived.add(frame));
    return arrived;
  }

  async unplug(port: string): Promise<void> {
    this.#switch.unplug(port);
  }

  async send(port: string, frame: Uint8Array): Promise<void> {
    this.#switch.receive(port, frame);
  }

  async reopen(): Promise<Datapath> {
    await this.#datapath.close();
    this.#datapath = this.#wrap(this.#switch);
    return this.#datapath;
  }

  async stop(): Promise<void> {
    this.#switch.stop();
  }

  async start(): Promise<void> {
    this.#switch.start();
  }

  async lose(row: Row): Promise<void> {
    this.#switch.lose(row);
  }
}

const underlays = {
  4: { addresses: ["192.0.2.1", "192.0.2.2", "192.0.2.3"], stranger: "192.0.2.250" },
  6: { addresses: ["2001:db8:ffff::1", "2001:db8:ffff::2", "2001:db8:ffff::3"], stranger: "2001:db8:ffff::fa" },
} as const;

/** Three simulated hosts on an underlay of IPv4 or IPv6. */
export async function simulatedTestFabric(version: 4 | 6, wrap: Wrap = (right) => right): Promise<TestFabric> {
  const fabric = new SimulatedFabric();
  const { addresses, stranger } = underlays[version];
  let forged = 0;
  return {
    hosts: addresses.map((address) => new SimulatedHost(address, fabric.addHost(address), wrap)),
    stranger,
    deadline: 400,
    inject: async ({ from, to, frame, ...header }: ForgedPacket) => {
      forged += 1;
      fabric.inject({ from, to, header, frame });
    },
    crossed: async () => fabric.crossed.length - forged,
    dispose: async () => undefined,
  };
}
