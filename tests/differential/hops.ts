/**
 * Which of several next hops of equal cost a packet took on the real switches: by which hash a switch chooses is its own affair, so that the simulated ones
 * are told what was seen, and only what a next hop makes of it is compared.
 */
import { type Network, networkKeyOf } from "@selvage/model";
import type { Row } from "@selvage/pipeline";
import type { Ending } from "./ending.ts";
import type { Topology } from "./topology.ts";

/** Bytes of a frame that no router changes: behind the hop limit and the checksum of an IP header without options. */
const unchanged = (hex: string): string => hex.slice(hex.slice(24, 28) === "0800" ? 52 : 44);

export class Hops {
  /** MACs by network's key and address, of whoever is known there. */
  readonly #macs = new Map<string, string>();
  #frames: readonly string[] = [];
  /** Frames that were refused for want of a neighbour, or for whom one is asked, as they were to be sent. */
  #refused: readonly string[] = [];
  #guessed = false;
  #sender: string | undefined;

  /** Of machines that may get nothing: MACs. */
  readonly #silent: ReadonlySet<string>;

  constructor({ ports, routed, objects, interfaces, facts }: Topology) {
    const silent = ports.filter(
      ({ id, admin_state_up, security_group_set }) =>
        !admin_state_up || security_group_set !== 0 || !interfaces.some((each) => each.isBound && each.names === id),
    );
    this.#silent = new Set(silent.map(({ mac_address }) => mac_address.replaceAll(":", "")));
    const keys = new Map(
      objects.flatMap(({ kind, object }) => {
        return kind === "network" ? [[object.id, networkKeyOf(object as Network)]] : [];
      }),
    );
    for (const port of [...ports, ...routed]) {
      if (port["binding:host_id"] === "" && port.router_id === null) continue;
      for (const { ip_address } of port.fixed_ips)
        this.#macs.set(`${keys.get(port.network_id)} ${ip_address}`, port.mac_address.replaceAll(":", ""));
    }
    for (const { network_id, address, mac } of facts.flatMap(({ neighbours }) => neighbours))
      this.#macs.set(`${keys.get(network_id)} ${address}`, mac.replaceAll(":", ""));
  }

  /** Begins with another packet, by its sender's MAC, if it has one, and by what became of it there. */
  go(sender: string | undefined, { ends }: Ending): void {
    this.#sender = sender?.replaceAll(":", "");
    this.#frames = ends.map((end) => end.slice(end.lastIndexOf(" ") + 1));
    this.#refused = this.#frames.filter((_, place) => /punts (host-unreachable|neighbour) /.test(ends[place] ?? ""));
    this.#guessed = false;
  }

  /** The next hop whose MAC the packet bore there, and the router's on its network; where none is seen, one that is not known if the packet was refused for that, else the sender, to whom nothing returns, one that may get nothing, or any that is known. */
  choose(members: readonly Row[], frame: Uint8Array): Row | undefined {
    const rest = unchanged(Buffer.from(frame).toString("hex"));
    const own = (row: Row): string => String(row.args.mac).replaceAll(":", "");
    const macs = new Map(members.map((row) => [row, this.#macs.get(`${row.args.net} ${row.args.nh}`)]));
    const seen = members.find((row) =>
      this.#frames.some((each) => each.startsWith(`${macs.get(row)}${own(row)}`) && unchanged(each) === rest),
    );
    if (seen !== undefined) return seen;
    const refused = members.find(
      (row) => macs.get(row) === undefined && this.#refused.some((each) => each.slice(12, 24) === own(row)),
    );
    if (refused !== undefined) return refused;
    const fitting = members.filter((row) => macs.get(row) !== undefined);
    this.#guessed = fitting.length !== 1;
    return (
      fitting.find((row) => macs.get(row) === this.#sender) ??
      fitting.find((row) => this.#silent.has(macs.get(row) ?? "")) ??
      fitting[0]
    );
  }

  /** Whether the packet took a next hop of which there was no sign. */
  get isGuess(): boolean {
    return this.#guessed;
  }
}
