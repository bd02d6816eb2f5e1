/**
 * The Datapath seam: an executor of the pipeline program on one host. Rows in, punted packets out. A row names objects; numbers that
 * only this switch knows (interface numbers, groups, meters, zones) are the driver's, kept on the host and readable back from it.
 */
import type { ReasonCode } from "@selvage/base";
import type { Delta } from "@selvage/model";
import type { Program, PuntKind, Row } from "@selvage/pipeline";

/** What the program knew of a packet that a router was about to send on, beside its network and the router: what it needs to go on as if it had not stopped. */
export interface Underway {
  readonly srcPort: number;
  readonly srcSet: number;
  readonly scope: number;
  readonly hop: number;
}

/** The fields that hold it. */
export const underwayFields = ["srcPort", "srcSet", "scope", "hop"] as const satisfies readonly (keyof Underway)[];

/** A packet that the program handed to the agent, with what the program knew of it. Nothing is inferred from the packet. */
export interface Punt {
  readonly kind: PuntKind;
  /** Id of the port whose interface it came in by; `physical:NAME` for a physical network; `agent` for what was resumed. */
  readonly attachment: string;
  /** Keys, as the program's fields held them. */
  readonly net: number;
  /** The router that had it; 0: none. */
  readonly vrf: number;
  readonly srcPort: number;
  readonly frame: Uint8Array;
  /** Of what waits for a neighbour: its address, and what the packet goes on with once that is known. */
  readonly waits?: { readonly nextHop: string; readonly underway: Underway };
}

/** Where a packet goes on: the keys of its network and of the router that has it. */
export interface Resumption {
  readonly net: number;
  /** 0: none. */
  readonly vrf: number;
  /** Of what a router was about to send on: the next hop's MAC, and what was known of the packet. */
  readonly sentOn?: { readonly nhMac: string; readonly underway: Underway };
}

/** An interface of this switch that names a port by `external_ids:iface-id`, or that leads to a physical network: its port is `physical:NAME`. */
export interface AttachedInterface {
  readonly port: string;
  /** The interface's own name on the host, for people. */
  readonly name: string;
}

export interface DatapathEvents {
  /** All interfaces that name a port or lead to a physical network, whenever that set changes (and once after `open`). */
  readonly attachments: (all: readonly AttachedInterface[]) => void;
  readonly punt: (punt: Punt) => void;
  /** The switch is there and answers: the owner must `adopt`. Called after `open` and whenever the switch returns. */
  readonly ready: () => void;
  /**
   * Ports that cannot have what their rows ask, by id, each with a code of why, and physical networks that are mapped and not there, as `physical:NAME`;
   * whenever that changes.
   */
  readonly faults?: (all: ReadonlyMap<string, "ct-zone-full" | "physical-missing">) => void;
  /** The switch is gone; `apply` and `adopt` fail until `ready`. */
  readonly lost: (cause: Error) => void;
}

/** What `adopt` found: rows (by id) that were missing, wrong, or not wanted. */
export interface Adoption {
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
  readonly kept: number;
  /** What differed, at most `mostDifferences` of it; absent where nothing did, or where the driver cannot tell. */
  readonly differences?: readonly SwitchDifference[];
}

/** Differences that one adoption tells of. */
export const mostDifferences = 100;

/** One thing that the switch held otherwise than it is wanted. */
export interface SwitchDifference {
  readonly what: "missing" | "changed" | "foreign";
  /** Id of the row; null for the program's own (what a miss does, how packets reach the agent) and for what is nobody's. */
  readonly row: string | null;
  /** As it should be, in the switch's words; null for what should not be. */
  readonly wanted: string | null;
  /** As it was found; null for what was not there. */
  readonly found: string | null;
}

/** One row as the switch holds it now; `null` row: something installed in our tables that no row explains. */
export interface InstalledRow {
  readonly row: Row | null;
  /** The switch's own words. */
  readonly text: string;
  readonly packets: number;
}

/** Connections of one port, and how many it may have at most. */
export interface PortConnections {
  readonly count: number;
  readonly most: number;
}

export interface Datapath {
  readonly driver: "ovs" | "simulated";
  readonly program: Program;
  /** Starts; `events` are called from then on. Resolves when the first connection has been tried. */
  open(events: DatapathEvents): Promise<void>;
  /** Makes the switch hold exactly `rows` and the program's constants, changing only what differs. Idempotent. */
  adopt(rows: Iterable<Row>): Promise<Adoption>;
  /**
   * Applies a difference; resolves when it is in force, which is when packets meet it, and rejects when any part was refused or the switch went before that, in
   * which case the owner adopts. `taken` is called, at most once, when the switch has taken it and packets may still meet what was before; differences are taken
   * in the order in which they are asked for, and who waits for `taken` alone before the next still hears of each when it is in force.
   */
  apply(delta: Pick<Delta<Row>, "added" | "removed" | "modified">, taken?: () => void): Promise<void>;
  /** Sends a frame out of a port's interface, or, as `physical:NAME`, to a physical network with the tag that it bears. Throws when there is none here. */
  send(port: string, frame: Uint8Array): Promise<void>;
  /** A frame goes on in a table of the program, with an ingress that is no port's. Throws TypeError when there is no such table. */
  resume(table: string, at: Resumption, frame: Uint8Array): Promise<void>;
  installed(): Promise<readonly InstalledRow[]>;
  /** Connections that are tracked now, by the port whose they are; of ports of which the switch cannot tell, none. */
  tracked(): Promise<ReadonlyMap<string, PortConnections>>;
  /** Packets dropped since the switch started, by reason. */
  drops(): Promise<ReadonlyMap<ReasonCode, number>>;
  close(): Promise<void>;
}
