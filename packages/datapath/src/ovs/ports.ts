/** Which interface of the switch, and which zone of connection tracking, belongs to which port of intent, at one moment. */
import { fabricIngress, physicalNetworkOf, vxlanIngress } from "@selvage/pipeline";

/** An interface that names a port and works. */
export interface PluggedPort {
  /** Id of the port, from `external_ids:iface-id`. */
  readonly port: string;
  /** The interface's own name. */
  readonly name: string;
  /** Its number in the switch. */
  readonly ofport: number;
}

/** An interface that has meters of its own: a machine's, or one to a physical network or of the tunnels, of which all senders are one. */
export interface MeteredPort {
  readonly ofport: number;
  readonly of: "machine" | "wire" | "fabric";
}

/** A snapshot: numbers by name and back. */
export class Ports {
  static readonly none = new Ports([], undefined);
  readonly plugged: readonly PluggedPort[];
  /** The number of the interface of Geneve tunnels, where there is one. */
  readonly tunnel: number | undefined;
  readonly vxlan: number | undefined;
  /** Interfaces that are no port's, by the name that rows have for them: the host's services, physical networks. */
  readonly ways: ReadonlyMap<string, number>;
  /** Zones by the port that has one. */
  readonly zones: ReadonlyMap<string, number>;
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #names: ReadonlyMap<number, string>;

  /** Takes one interface a port, the numbers of the tunnels' interfaces, zones by the port, and other interfaces by their names in rows. */
  constructor(
    plugged: readonly PluggedPort[],
    tunnel: number | undefined,
    vxlan?: number,
    zones: ReadonlyMap<string, number> = new Map(),
    ways: ReadonlyMap<string, number> = new Map(),
  ) {
    this.plugged = plugged;
    this.tunnel = tunnel;
    this.vxlan = vxlan;
    this.zones = zones;
    this.ways = ways;
    const pairs = plugged.map(({ port, ofport }) => [port, ofport] as const);
    const all = [
      ...pairs,
      ...(tunnel === undefined ? [] : [[fabricIngress, tunnel] as const]),
      ...(vxlan === undefined ? [] : [[vxlanIngress, vxlan] as const]),
      ...ways,
    ];
    this.#numbers = new Map(all);
    this.#names = new Map(all.map(([name, number]) => [number, name]));
  }

  /** The number of a port's interface, of the tunnels' for `fabric` and `fabric-vxlan`, or of another that rows name. */
  numberOf(name: string): number | undefined {
    return this.#numbers.get(name);
  }

  /** As `numberOf`. Throws where there is none. */
  mustHave(name: string): number {
    const number = this.numberOf(name);
    if (number === undefined) throw new Error(`port ${name} has no interface here`);
    return number;
  }

  /** The interfaces that have meters of their own: those first that are there before machines come, so that a switch that is filled again is filled alike. */
  get metered(): readonly MeteredPort[] {
    return [
      ...[this.tunnel, this.vxlan].flatMap((ofport) =>
        ofport === undefined ? [] : [{ ofport, of: "fabric" } as const],
      ),
      ...[...this.ways].flatMap(([name, ofport]) =>
        physicalNetworkOf(name) === undefined ? [] : [{ ofport, of: "wire" } as const],
      ),
      ...this.plugged.map(({ ofport }) => ({ ofport, of: "machine" }) as const),
    ];
  }

  nameOf(number: number): string | undefined {
    return this.#names.get(number);
  }

  /** The same interfaces, with these zones. */
  withZones(zones: ReadonlyMap<string, number>): Ports {
    return zones === this.zones ? this : new Ports(this.plugged, this.tunnel, this.vxlan, zones, this.ways);
  }

  /** Names of interfaces whose number here is another than there, or that only one of the two has. */
  differencesFrom(other: Ports): ReadonlySet<string> {
    return differences(this.#numbers, other.#numbers);
  }

  /** Ports whose zone here is another than there, or that only one of the two has. */
  zoneDifferencesFrom(other: Ports): ReadonlySet<string> {
    return this.zones === other.zones ? new Set() : differences(this.zones, other.zones);
  }
}

function differences(one: ReadonlyMap<string, number>, other: ReadonlyMap<string, number>): ReadonlySet<string> {
  const names = new Set([...one.keys(), ...other.keys()]);
  return new Set([...names].filter((name) => one.get(name) !== other.get(name)));
}
