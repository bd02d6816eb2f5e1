/** Which interface of the switch belongs to which port of intent, at one moment. */
import { fabricIngress, vxlanIngress } from "@selvage/pipeline";

/** An interface that names a port and works. */
export interface PluggedPort {
  /** Id of the port, from `external_ids:iface-id`. */
  readonly port: string;
  /** The interface's own name. */
  readonly name: string;
  /** Its number in the switch. */
  readonly ofport: number;
}

/** A snapshot: numbers by name and back. */
export class Ports {
  static readonly none = new Ports([], undefined);
  readonly plugged: readonly PluggedPort[];
  /** The number of the interface of Geneve tunnels, where there is one. */
  readonly tunnel: number | undefined;
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #names: ReadonlyMap<number, string>;

  /** Takes one interface a port, and the numbers of the tunnels' interfaces. */
  constructor(plugged: readonly PluggedPort[], tunnel: number | undefined, vxlan?: number) {
    this.plugged = plugged;
    this.tunnel = tunnel;
    const pairs = plugged.map(({ port, ofport }) => [port, ofport] as const);
    const all = [
      ...pairs,
      ...(tunnel === undefined ? [] : [[fabricIngress, tunnel] as const]),
      ...(vxlan === undefined ? [] : [[vxlanIngress, vxlan] as const]),
    ];
    this.#numbers = new Map(all);
    this.#names = new Map(all.map(([name, number]) => [number, name]));
  }

  /** The number of a port's interface, or of the tunnels' for `fabric` and `fabric-vxlan`. */
  numberOf(name: string): number | undefined {
    return this.#numbers.get(name);
  }

  nameOf(number: number): string | undefined {
    return this.#names.get(number);
  }

  /** Names whose number here is another than there, or that only one of the two has. */
  differencesFrom(other: Ports): ReadonlySet<string> {
    const names = new Set([...this.#numbers.keys(), ...other.#numbers.keys()]);
    return new Set([...names].filter((name) => this.numberOf(name) !== other.numberOf(name)));
  }
}
