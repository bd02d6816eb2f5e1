/** What becomes of a packet: what came out of which interface, was punted and tunnelled; and on its way there, which rows it met and why it was dropped. */
import type { Punt } from "@selvage/datapath";
import { Fragment, Frame } from "@selvage/packet";
import type { Encapsulation } from "@selvage/pipeline";
import { hostName } from "./topology.ts";
import type { WireName } from "./wires.ts";

/**
 * A frame in hexadecimal digits, without what stands in a later fragment where a first one has its checksum: with an address Open vSwitch 3.1 corrects those
 * two bytes of payload, too (lib/packets.c, `packet_set_ipv4_addr`).
 */
function hex(bytes: Uint8Array): string {
  const frame = new Frame(bytes);
  const upper = Buffer.from(bytes);
  const at = { 6: 16, 17: 6 }[frame.get("ip_proto") ?? 0];
  const isLater = frame.has("ip_dst") && frame.get("ip_frag") === Fragment.later;
  if (at === undefined || !isLater) return upper.toString("hex");
  const begin = frame.networkOffset + ((bytes[frame.networkOffset] ?? 0) & 15) * 4 + at;
  return upper.fill(0, Math.min(begin, upper.length), Math.min(begin + 2, upper.length)).toString("hex");
}

/** A tunnelled frame as it crossed the underlay; addresses in canonical text. VXLAN has no room for the keys of ports and the sender's set: they are 0. */
export interface Crossing {
  readonly by: Encapsulation;
  readonly from: string;
  readonly to: string;
  readonly key: number;
  readonly srcPort: number;
  readonly dstPort: number;
  readonly srcSet: number;
  readonly frame: Uint8Array;
}

/** A frame that a host put on the wire of a physical network. */
export interface Emission {
  readonly host: number;
  readonly wire: WireName;
  readonly frame: Uint8Array;
}

/** Everything that became of one packet on all hosts. */
export class Ending {
  readonly emissions: Emission[] = [];
  readonly #ends: string[] = [];
  readonly #way: string[] = [];

  delivered(host: number, port: string, frame: Uint8Array): void {
    this.#ends.push(`${hostName(host)} delivers to ${port}: ${hex(frame)}`);
  }

  punted(host: number, { kind, attachment, net, srcPort, frame }: Punt): void {
    this.#ends.push(`${hostName(host)} punts ${kind} of ${attachment}, network ${net}, port ${srcPort}: ${hex(frame)}`);
  }

  crossed({ by, from, to, key, srcPort, dstPort, srcSet, frame }: Crossing): void {
    const header = `key ${key}, port ${srcPort} of set ${srcSet} to ${dstPort}`;
    this.#ends.push(`${by} ${from} to ${to}, ${header}: ${hex(frame)}`);
  }

  emitted(host: number, wire: WireName, frame: Uint8Array): void {
    this.emissions.push({ host, wire, frame });
    this.#ends.push(`${hostName(host)} puts on the wire ${wire}: ${hex(frame)}`);
  }

  dropped(host: number, reason: string): void {
    this.#way.push(`${hostName(host)} drops: ${reason}`);
  }

  /** A table that was looked up, and what matched: a row's or a miss's id, or nothing. */
  met(host: number, table: string, row: string): void {
    this.#way.push(`${hostName(host)} ${table}: ${row}`);
  }

  /** What there is to see of it outside of the switches. */
  get ends(): readonly string[] {
    return [...this.#ends].sort();
  }

  /** What the switches say of it. */
  get way(): readonly string[] {
    return [...this.#way].sort();
  }
}

/** What stands in one list and not, or less often, in the other: `-` for the first's, `+` for the second's. */
export function difference(first: readonly string[], second: readonly string[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const fact of first) counts.set(fact, (counts.get(fact) ?? 0) + 1);
  for (const fact of second) counts.set(fact, (counts.get(fact) ?? 0) - 1);
  return [...counts].flatMap(([fact, count]) =>
    Array.from({ length: Math.abs(count) }, () => `${count > 0 ? "-" : "+"} ${fact}`),
  );
}
