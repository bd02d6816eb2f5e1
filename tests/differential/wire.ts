/** The physical network that hosts have a wire to: a bridge that knows where everybody is, and the ports that connections leave with by it. */

import { outsiders } from "./outside.ts";
import { hostCount, type Topology } from "./topology.ts";

const macOf = (frame: Uint8Array): string => Buffer.from(frame.subarray(0, 6)).toString("hex");
const plain = (mac: string): string => mac.replaceAll(":", "");

export class Wire {
  /** Places of hosts by the MAC that each speaks with. */
  readonly #hosts: ReadonlyMap<string, number>;
  readonly #outsiders = new Set(outsiders.map(({ mac }) => plain(mac)));

  constructor({ outside }: Topology) {
    this.#hosts = new Map(outside?.macs.map((mac, place) => [plain(mac), place]));
  }

  /** Places of the hosts that a frame comes to: of one, of none that is ours, or of all but who sent it. */
  receivers(from: number, frame: Uint8Array): readonly number[] {
    const to = macOf(frame);
    if (this.#outsiders.has(to)) return [];
    const host = this.#hosts.get(to);
    const all = host === undefined ? Array.from({ length: hostCount }, (_, place) => place) : [host];
    return all.filter((place) => place !== from);
  }
}

/** One side of a connection, its address in hexadecimal digits. */
interface Side {
  readonly address: string;
  readonly port: number;
}

/** Ports by the name of a connection. */
export type ChosenPorts = ReadonlyMap<string, number>;

/** The name of a connection as it was opened, which leaves by an address. */
export const connectionName = (protocol: number, from: Side, to: Side, address: string): string =>
  `${protocol} ${from.address}.${from.port} ${to.address}.${to.port} ${address}`;

export const hexOf = (address: string): string =>
  address
    .split(".")
    .map((each) => Number(each).toString(16).padStart(2, "0"))
    .join("");

const entry =
  /^(tcp|udp),orig=\(src=([\d.]+),dst=([\d.]+),sport=(\d+),dport=(\d+)\),reply=\(src=[\d.]+,dst=([\d.]+),sport=\d+,dport=(\d+)\)/;
const protocols = { tcp: 6, udp: 17 } as const;

/** Reads what a switch tells of its connections (ovs-dpctl(8), "dump-conntrack"): those that leave with another address than they have. */
export function readConnections(text: string): ChosenPorts {
  const ports = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [, protocol, src = "", dst = "", sport, dport, outer = "", port] = entry.exec(line) ?? [];
    if ((protocol !== "tcp" && protocol !== "udp") || outer === src) continue;
    const from = { address: hexOf(src), port: Number(sport) };
    const to = { address: hexOf(dst), port: Number(dport) };
    ports.set(connectionName(protocols[protocol], from, to, hexOf(outer)), Number(port));
  }
  return ports;
}
