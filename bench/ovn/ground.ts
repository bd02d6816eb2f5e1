/**
 * What several hosts stand on: an underlay and a physical network, each a bridge of the kernel's, and a machine on the latter that neither system manages, which is
 * the way out (ranges of RFC 5737). A host's cables can be cut and joined again, both at once.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { until } from "../bench.ts";
import { hostName } from "./plan.ts";
import { Namespace } from "./processes.ts";

/** Interfaces of a host: to the other hosts, and to the physical network. */
export const [uplink, wire] = ["uplink", "public"];

/** The machine outside. */
export const outsideAddress = "203.0.113.1";
const outsidePrefix = 24;
/** Addresses behind it, all of the same machine: who shares an address has as many connections to each as there are ports. Numbers from 0 to 253. */
export const farAddress = (number: number): string => `198.51.100.${1 + number}`;
const farRange = "198.51.100.0/24";

const cableOf = (which: string, host: number): string => `${which}-${host}`;

export class Ground {
  /** The machine outside is this namespace itself. */
  readonly namespace: Namespace;
  readonly #directory: string;

  private constructor(namespace: Namespace, directory: string) {
    this.namespace = namespace;
    this.#directory = directory;
  }

  static async make(directory: string): Promise<Ground> {
    await mkdir(directory, { recursive: true });
    const ground = new Ground(await Namespace.make(), directory);
    try {
      await ground.namespace.script(
        "sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 net.ipv4.ip_forward=0",
        "sysctl -q -w net.ipv4.conf.all.arp_accept=1 net.ipv4.tcp_tw_reuse=1 net.ipv4.ip_local_port_range='10000 60999'",
        ...[uplink, wire].flatMap((each) => [
          `ip link add ${each} type bridge stp_state 0 mcast_snooping 0`,
          `ip link set ${each} up`,
          `ethtool -K ${each} tx off > /dev/null`,
        ]),
        `ip address add ${outsideAddress}/${outsidePrefix} dev ${wire}`,
        // A range that is local as a whole.
        `ip route add local ${farRange} dev lo`,
      );
      return ground;
    } catch (error) {
      await ground.end();
      throw error;
    }
  }

  /** Gives a host's namespace both of its cables. */
  async cable(number: number, host: Namespace): Promise<void> {
    await this.namespace.script(
      ...[uplink, wire].flatMap((each) => [
        `ip link add ${cableOf(each, number)} type veth peer name ${each} netns ${host.pid}`,
        `ip link set ${cableOf(each, number)} master ${each} up`,
        `ethtool -K ${cableOf(each, number)} tx off > /dev/null`,
      ]),
    );
    await host.script(
      ...[uplink, wire].flatMap((each) => [`ip link set ${each} up`, `ethtool -K ${each} tx off > /dev/null`]),
    );
  }

  /** Cuts both cables of a host, as when its machine is lost. */
  cut(number: number): Promise<void> {
    return this.#cables(number, "down");
  }

  join(number: number): Promise<void> {
    return this.#cables(number, "up");
  }

  async #cables(number: number, state: "up" | "down"): Promise<void> {
    // One process for both: between them is less than a millisecond.
    const file = join(this.#directory, `cables-${hostName(number)}`);
    await writeFile(file, [uplink, wire].map((each) => `link set ${cableOf(each, number)} ${state}\n`).join(""));
    await this.namespace.exec("ip", "-batch", file);
  }

  /** The host that the machine outside takes an address to be on, by the MAC that it knows and the cable by which that was seen last; undefined while it knows none. */
  async holderOf(address: string): Promise<number | undefined> {
    const known = await this.namespace.exec("ip", "neighbour", "show", address, "dev", wire);
    const mac = /lladdr (\S+)/.exec(known)?.[1];
    if (mac === undefined) return undefined;
    const seen = await this.namespace.exec("bridge", "fdb", "show", "br", wire);
    const cable = new RegExp(`^${mac} dev ${wire}-(\\d+)\\b`, "m").exec(seen)?.[1];
    return cable === undefined ? undefined : Number(cable);
  }

  /** Has the machine outside ask anew who has an address; gives the host that answers. */
  async ask(address: string, limitMs: number): Promise<number> {
    return until(`who has ${address}`, limitMs, async () => {
      const words = ["ping", "-n", "-c", "1", "-W", "1", address];
      await this.namespace.exec(...words).catch(() => undefined);
      return this.holderOf(address);
    });
  }

  end(): Promise<void> {
    return this.namespace.end();
  }
}
