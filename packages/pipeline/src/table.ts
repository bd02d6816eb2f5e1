/**
 * What a table is: typed columns, a closed set of actions made of a few primitive steps, and what a miss means. Data only:
 * every datapath, the docs, the trace and the tests read the same declaration (after P4; faucet's table contracts).
 */
import type { ReasonCode } from "@selvage/base";
import type { Encapsulation, Field, ValueKind } from "./fields.ts";

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
export type PuntKind = "dhcp4" | "nd";

/** The primitives. An action is a list of them; `goto`, `drop`, `absorb`, `output`, `reply`, `tunnel` and `punt` end it. */
export type Step =
  | { readonly do: "set"; readonly field: Field; readonly to: Operand }
  /**
   * Sets a field of one bit: 1 when the frame, header and tag included, has more bytes than the limit, else 0. What an executor does after it may be
   * worked out for both values at once, so that a row which drops by the field counts nothing by itself: the drop counts, not the row.
   */
  | { readonly do: "measure"; readonly field: Field; readonly limit: Operand }
  | { readonly do: "goto"; readonly table: string }
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

export const set = (field: Field, to: Operand): Step => ({ do: "set", field, to });
export const measure = (field: Field, limit: Operand): Step => ({ do: "measure", field, limit });
export const goto = (table: string): Step => ({ do: "goto", table });
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
 */
export type Scheme = "exact" | "longest" | "ranked";

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
