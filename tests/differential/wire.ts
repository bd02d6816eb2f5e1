/** The physical networks that hosts have wires to: bridges that know where everybody is, joined in some places; and the ports that connections leave with by them. */
import { hostCount, type Topology } from "./topology.ts";
import type { Place, WireName } from "./wires.ts";

const macOf = (frame: Uint8Array): string => Buffer.from(frame.subarray(0, 6)).toString("hex");
const plain = (mac: string): string => mac.replaceAll(":", "");

/** A frame as a host hears it. */
export interface Heard {
  readonly host: number;
  readonly wire: WireName;
  readonly frame: Uint8Array;
}

export class Wire {
  /** Places of hosts by the MAC that each speaks with. */
  readonly #hosts: ReadonlyMap<string, number>;
  readonly #outsiders: ReadonlySet<string>;
  readonly #joined: readonly (readonly Place[])[];

  constructor({ outside }: Topology) {
    this.#hosts = new Map(outside?.macs.map((mac, place) => [plain(mac), place]));
    this.#outsiders = new Set(outside?.outsiders.map(({ mac }) => plain(mac)));
    this.#joined = outside?.joined ?? [];
  }

  /** Where a frame of a host's comes to: to one, to none that is ours, or to all but who sent it. */
  heard(from: number, wire: WireName, frame: Uint8Array): readonly Heard[] {
    const to = macOf(frame);
    if (this.#outsiders.has(to)) return [];
    const host = this.#hosts.get(to);
    const all = host === undefined ? Array.from({ length: hostCount }, (_, place) => place) : [host];
    const tag = tagOf(frame);
    const others = this.#joined
      .filter((places) => places.some((each) => each.wire === wire && each.vlan === tag))
      .flatMap((places) => places.filter((each) => each.wire !== wire));
    const copies = [{ wire, frame }, ...others.map((each) => ({ wire: each.wire, frame: retagged(frame, each.vlan) }))];
    return copies.flatMap((copy) => all.filter((place) => place !== from).map((place) => ({ host: place, ...copy })));
  }
}

const vlanType = 0x8100;
const typeOf = (frame: Uint8Array): number => ((frame[12] ?? 0) << 8) | (frame[13] ?? 0);
/** The VLAN of a frame; 0: none. */
const tagOf = (frame: Uint8Array): number =>
  typeOf(frame) === vlanType ? (((frame[14] ?? 0) & 15) << 8) | (frame[15] ?? 0) : 0;

/** A frame with a tag in the place of its own, or of none; 0: untagged. */
function retagged(frame: Uint8Array, vlan: number): Uint8Array {
  const rest = frame.subarray(typeOf(frame) === vlanType ? 16 : 12);
  const header = vlan === 0 ? [] : [vlanType >> 8, vlanType & 255, vlan >> 8, vlan & 255];
  return Buffer.concat([frame.subarray(0, 12), Uint8Array.from(header), rest]);
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
