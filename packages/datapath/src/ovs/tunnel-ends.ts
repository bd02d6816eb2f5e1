/**
 * Where the tunnels of this host lead. The switch's own tunnelling looks for the neighbour on the underlay (ARP, RFC 826; ND, RFC 4861) only when
 * a packet needs it, and loses that packet; so each new end, and from time to time every end, gets a packet of ours first.
 */
import { type Message, Port, packetOut } from "@selvage/openflow";
import type { Row } from "@selvage/pipeline";
import { probeActions } from "./actions.ts";
import type { Ports } from "./ports.ts";
import type { Renderer } from "./render.ts";

/** Milliseconds between two packets to an end: the switch forgets a neighbour that it has not used for 15 minutes (ovs-vswitchd(8), `tnl/neigh/aging`). */
export const probePeriod = 5 * 60_000;

/** No addresses, and an EtherType for local experiments (IEEE 802, clause 9.2.4); the length is Ethernet's least. */
const probe = Uint8Array.from({ length: 60 }, (_, at) => (at === 12 ? 0x88 : at === 13 ? 0xb5 : 0));

export class TunnelEnds {
  readonly #renderer: Renderer;
  /** Each end by the rows that lead there. */
  readonly #ends = new Map<string, Set<string>>();
  readonly #byRow = new Map<string, readonly string[]>();

  constructor(renderer: Renderer) {
    this.#renderer = renderer;
  }

  get all(): readonly string[] {
    return [...this.#ends.keys()];
  }

  /** Ids of the rows that lead somewhere. */
  get rows(): readonly string[] {
    return [...this.#byRow.keys()];
  }

  /** Takes rows away and puts others (one with a known id replaces it). Gives the ends, as canonical texts, to which no row led before. */
  change(gone: Iterable<Pick<Row, "id">>, put: Iterable<Row>): readonly string[] {
    const fresh: string[] = [];
    const before = new Set(this.#ends.keys());
    for (const { id } of gone) this.#forget(id);
    for (const row of put) {
      this.#forget(row.id);
      const ends = this.#renderer.tunnelEndsOf(row);
      if (ends.length === 0) continue;
      this.#byRow.set(row.id, ends);
      for (const end of ends) {
        const rows = this.#ends.get(end) ?? new Set<string>();
        if (rows.size === 0 && !before.has(end)) fresh.push(end);
        this.#ends.set(end, rows.add(row.id));
      }
    }
    return fresh;
  }

  #forget(id: string): void {
    for (const end of this.#byRow.get(id) ?? []) {
      const rows = this.#ends.get(end);
      rows?.delete(id);
      if (rows?.size === 0) this.#ends.delete(end);
    }
    this.#byRow.delete(id);
  }
}

/** One packet to each of the ends; none on a host that has no interface of tunnels. */
export function probesTo(ends: readonly string[], ports: Ports): readonly Message[] {
  const { tunnel } = ports;
  if (tunnel === undefined) return [];
  const from = [{ field: "in_port", value: Port.controller } as const];
  return ends.map((end) => packetOut(probe, probeActions(end, tunnel), from));
}
