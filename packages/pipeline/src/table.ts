/**
 * What a table is: typed columns, a closed set of actions made of a few primitive steps, and what a miss means. Data only:
 * every datapath, the docs, the trace and the tests read the same declaration (after P4; faucet's table contracts).
 */
import type { ReasonCode } from "@selvage/base";
import type { Encapsulation, Field, ValueKind } from "./fields.ts";
import type { LimitKind } from "./limits.ts";

/** How a column matches. `exact`: always given; `optional`: exact or left out; `prefix`: longest prefix; `masked`: value and mask. */
export type MatchKind = "exact" | "optional" | "prefix" | "masked";

export interface Column<F extends Field = Field, M extends MatchKind = MatchKind> {
  readonly field: F;
  readonly match: M;
}

export const exact = <F extends Field>(field: F): Column<F, "exact"> => ({ field, match: "exact" });
export const optional = <F extends Field>(field: F): Column<F, "optional"> => ({ field, match: "optional" });
/** Text `address/length` in a row; may be left out, which is length 0. */
export const prefix = <F extends Field>(field: F): Column<F, "prefix"> => ({ field, match: "prefix" });
/** Text `value/mask` in a row, both in the field's own form; may be left out. */
export const masked = <F extends Field>(field: F): Column<F, "masked"> => ({ field, match: "masked" });

/** Where a step takes a value from. A narrower value fills the low bits, the rest is zero; of a wider field the low bits are taken. */
export type Operand =
  | { readonly from: "param"; readonly name: string }
  | { readonly from: "field"; readonly field: Field }
  | { readonly from: "value"; readonly value: number | string };

/** What a punted packet is for: the agent's service that answers it. */
export type PuntKind =
  | "dhcp4"
  | "dhcp6"
  | "nd"
  | "rs"
  | "neighbour"
  | "icmp-inner"
  | "translated"
  | "expired-outside"
  | RouterError;

/** What a router says of a packet that it does not send on (RFC 792, 1812, 4443); the agent makes the ICMP error, from the router's address. */
export type RouterError = "ttl-expired" | "no-route" | "host-unreachable" | "port-unreachable" | "mtu-exceeded";

/** The primitives. An action is a list of them; `goto`, `back`, `select`, `track`, `translate`, `translateSource`, `drop`, `absorb`, `output`, `reply`, `tunnel` and `punt` end it. */
export type Step =
  | { readonly do: "set"; readonly field: Field; readonly to: Operand }
  /**
   * Sets a field of one bit: 1 when the frame, header and tag included, has more bytes than the limit, else 0. What an executor does after it may be
   * worked out for both values at once, so that a row which drops by the field counts nothing by itself: the drop counts, not the row.
   */
  | { readonly do: "measure"; readonly field: Field; readonly limit: Operand }
  | { readonly do: "goto"; readonly table: string }
  /**
   * Goes to a table that the packet may have been in already: only from an exact table of constant rows that counts the rounds in its key and ends them.
   */
  | { readonly do: "back"; readonly table: string }
  /**
   * Asks connection tracking in the zone that the field holds, and goes on in the table with the fields of home `connection` known. Fragments are put
   * together for it (RFC 791): they go on when all are there, and those after the first bear no ports, but the connection's.
   */
  | { readonly do: "track"; readonly zone: Field; readonly table: string }
  /** Keeps the packet's connection in that zone, with values in its fields (`ctRule` …), or changes these on one that is kept already; and goes on. */
  | { readonly do: "commit"; readonly zone: Field; readonly keep: readonly Kept[] }
  /**
   * Asks connection tracking in a zone that translates: a packet of a known connection leaves with its addresses and ports as the connection has them in this
   * direction, the packet that an ICMP error quotes as well. Fragments as by `track`.
   */
  | { readonly do: "translate"; readonly zone: Field; readonly table: string }
  /**
   * Keeps a new connection in that zone and translates its source to the address, and its port to one from `first` to `last` that makes the connection unlike any
   * other; without ports only the address. Where there is none, or no room, the packet goes on as it was: the table asks `ctSourced`.
   */
  | {
      readonly do: "translateSource";
      readonly zone: Field;
      readonly address: Operand;
      readonly ports: { readonly first: Operand; readonly last: Operand } | null;
      readonly table: string;
    }
  /** Puts a tag with this VLAN before what has none (IEEE 802.1Q), priority 0. */
  | { readonly do: "pushTag"; readonly vlan: Operand }
  /** Takes the tag away. */
  | { readonly do: "popTag" }
  /** Runs the action of one row of a `members` table under the current key, the same for all packets of one flow (both addresses, protocol, ports). */
  | { readonly do: "select"; readonly table: string }
  /** One less of `ttl`; never done where it is 0 or 1. */
  | { readonly do: "decrementTtl" }
  /** Drops what the interface that it came in by sends of a kind above its rate, for the kind's reason (`limits`); the packet goes on otherwise. */
  | { readonly do: "limit"; readonly kind: LimitKind }
  /** A copy to the agent, as limited as a punt; the packet goes on. */
  | { readonly do: "report"; readonly kind: PuntKind }
  /** Runs a `subroutine` table, whose actions only set fields, and goes on with the next step. */
  | { readonly do: "call"; readonly table: string }
  /** Runs the action of every row of a `members` table under the current key, each on a copy of the packet, and goes on. */
  | { readonly do: "replicate"; readonly table: string }
  /** To the interface of the port named by the operand; a copy that would return where it came in is suppressed. */
  | { readonly do: "output"; readonly to: Operand }
  /** Back to where it came in. */
  | { readonly do: "reply" }
  /** To another host, at the underlay address in the operand: key from `net`; by Geneve an option from `srcPort` and `dstPort`, by VXLAN nothing else. */
  | { readonly do: "tunnel"; readonly by: Encapsulation; readonly to: Operand }
  | { readonly do: "punt"; readonly kind: PuntKind }
  | { readonly do: "drop"; readonly reason: ReasonCode }
  /** Ends here and is no drop: a packet that the hosts send each other for their switches' sake, and that bears nothing of a tenant. */
  | { readonly do: "absorb" };

/** A value that a connection keeps, in a field of home `connection`. */
export interface Kept {
  readonly field: Field;
  readonly to: Operand;
}

export const set = (field: Field, to: Operand): Step => ({ do: "set", field, to });
export const measure = (field: Field, limit: Operand): Step => ({ do: "measure", field, limit });
export const goto = (table: string): Step => ({ do: "goto", table });
export const back = (table: string): Step => ({ do: "back", table });
export const track = (zone: Field, table: string): Step => ({ do: "track", zone, table });
export const commit = (zone: Field, keep: readonly Kept[]): Step => ({ do: "commit", zone, keep });
export const translate = (zone: Field, table: string): Step => ({ do: "translate", zone, table });
export const translateSource = (
  zone: Field,
  address: Operand,
  ports: { readonly first: Operand; readonly last: Operand } | null,
  table: string,
): Step => ({ do: "translateSource", zone, address, ports, table });
export const pushTag = (vlan: Operand): Step => ({ do: "pushTag", vlan });
export const popTag = (): Step => ({ do: "popTag" });
export const select = (table: string): Step => ({ do: "select", table });
export const decrementTtl = (): Step => ({ do: "decrementTtl" });
export const limit = (kind: LimitKind): Step => ({ do: "limit", kind });
export const report = (kind: PuntKind): Step => ({ do: "report", kind });
export const call = (table: string): Step => ({ do: "call", table });
export const replicate = (table: string): Step => ({ do: "replicate", table });
export const output = (to: Operand): Step => ({ do: "output", to });
export const reply = (): Step => ({ do: "reply" });
export const tunnel = (by: Encapsulation, to: Operand): Step => ({ do: "tunnel", by, to });
export const punt = (kind: PuntKind): Step => ({ do: "punt", kind });
export const drop = (reason: ReasonCode): Step => ({ do: "drop", reason });
export const absorb = (): Step => ({ do: "absorb" });
export const param = (name: string): Operand => ({ from: "param", name });
export const contentsOf = (field: Field): Operand => ({ from: "field", field });
export const constant = (value: number | string): Operand => ({ from: "value", value });

/** Where a step takes its values from. */
export function operandsOf(step: Step): readonly Operand[] {
  switch (step.do) {
    case "set":
    case "output":
    case "tunnel":
      return [step.to];
    case "measure":
      return [step.limit];
    case "commit":
      return step.keep.map(({ to }) => to);
    case "translateSource":
      return [step.address, ...(step.ports === null ? [] : [step.ports.first, step.ports.last])];
    case "pushTag":
      return [step.vlan];
    default:
      return [];
  }
}

export interface Action<P extends Readonly<Record<string, ValueKind>> = Readonly<Record<string, ValueKind>>> {
  readonly params: P;
  readonly steps: readonly Step[];
}

/** An action without parameters, or with the named ones. */
export function action(steps: readonly Step[]): Action<Record<never, never>>;
export function action<const P extends Readonly<Record<string, ValueKind>>>(
  params: P,
  steps: readonly Step[],
): Action<P>;
export function action(first: readonly Step[] | Readonly<Record<string, ValueKind>>, second?: readonly Step[]): Action {
  return second === undefined
    ? { params: {}, steps: first as readonly Step[] }
    : { params: first as Readonly<Record<string, ValueKind>>, steps: second };
}

/**
 * How rows that could match one packet are ordered. `exact`: every column exact, none can overlap. `longest`: the longest prefix wins.
 * `ranked`: each row bears one of the table's ranks, the higher number wins, and two rows of one rank must not overlap.
 * `clauses`: rows speak of rules. The first column names the rule and matches nothing of the packet; the ranks are the parts of a rule, numbered from 1,
 * and `verdict`, numbered 0. A row of a part is a clause: an action with no steps and the argument `of`, the number of parts that its rule has; clauses of
 * one rule in one part are alternatives, and may overlap. The verdict's row has no other column and the action that is run. A packet meets a rule when it
 * meets a clause in each of the parts 1 to `of`; when it meets several rules, it is not said which verdict is run.
 */
export type Scheme = "exact" | "longest" | "ranked" | "clauses";

/**
 * `stage`: on a packet's way. `subroutine`: called, sets fields, returns; a miss changes nothing. `members`: the rows under one key
 * are a set to replicate to; the columns before the last are the key, the last names the member.
 */
export type Role = "stage" | "subroutine" | "members";

export type Columns = Readonly<Record<string, Column>>;
// biome-ignore lint/suspicious/noExplicitAny: variance: actions with different parameters share one record
export type Actions = Readonly<Record<string, Action<any>>>;

export interface Table<C extends Columns = Columns, A extends Actions = Actions, R extends string = string> {
  /** Stable across releases. */
  readonly number: number;
  readonly name: string;
  readonly text: string;
  readonly role: Role;
  readonly scheme: Scheme;
  readonly ranks: { readonly [K in R]: number };
  readonly columns: C;
  readonly actions: A;
  /** What happens to a packet that no row matches. For `subroutine` and `members` tables: nothing. */
  readonly miss: readonly Step[];
  /** Rows that are part of the program itself. */
  readonly constants: readonly ConstantRow[];
}

export interface ConstantRow {
  readonly rank?: string;
  readonly key: Readonly<Record<string, number | string>>;
  readonly action: string;
  readonly args?: Readonly<Record<string, number | string>>;
}

// biome-ignore lint/suspicious/noExplicitAny: variance, as above
export type AnyTable = Table<any, any, any>;

export interface TableDeclaration<C extends Columns, A extends Actions, R extends string> {
  readonly number: number;
  readonly name: string;
  readonly text: string;
  readonly role?: Role;
  readonly scheme: Scheme;
  readonly ranks?: { readonly [K in R]: number };
  readonly columns: C;
  readonly actions: A;
  readonly miss?: readonly Step[];
  readonly constants?: readonly ConstantRow[];
}

/** Declares a table. Its contract with the rest of the program is checked where the program is put together. */
export function table<const C extends Columns, const A extends Actions, const R extends string = never>(
  declaration: TableDeclaration<C, A, R>,
): Table<C, A, R> {
  return Object.freeze({
    number: declaration.number,
    name: declaration.name,
    text: declaration.text,
    role: declaration.role ?? "stage",
    scheme: declaration.scheme,
    // A table without ranks has none of them: the empty record is what the type then says.
    ranks: declaration.ranks ?? ({} as { readonly [K in R]: number }),
    columns: declaration.columns,
    actions: declaration.actions,
    miss: declaration.miss ?? [],
    constants: declaration.constants ?? [],
  });
}
