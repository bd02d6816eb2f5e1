/**
 * Rows in few bytes, some 30 instead of 450: the table, rank and action by their numbers in the declaration, the values behind them. A row is made again
 * whenever it is asked for.
 */
import type { RowShelf } from "@selvage/model";
import type { ValueKind } from "./fields.ts";
import type { Program } from "./program.ts";
import { type Row, type RowValue, rowOf } from "./row.ts";
import { Slab } from "./slab.ts";
import type { Action, AnyTable, Column } from "./table.ts";

/** A value's name, how a text of values says it, and whether it is a number. */
interface Slot {
  readonly name: string;
  readonly label: string;
  readonly isNumber: boolean;
}

const slotOf = (name: string, isNumber: boolean): Slot => ({ name, label: `${name}=`, isNumber });

interface PackedAction {
  readonly number: number;
  readonly name: string;
  /** With which the body begins. */
  readonly opening: string;
  readonly params: readonly Slot[];
}

/** What a row of a table is made of. */
interface Plan {
  readonly table: AnyTable;
  readonly number: number;
  readonly columns: readonly Slot[];
  readonly ranks: readonly string[];
  /** With which ids begin: without a rank, and with each of them. */
  readonly openings: readonly string[];
  readonly actions: readonly PackedAction[];
  readonly byName: ReadonlyMap<string, PackedAction>;
}

function planOf(table: AnyTable, number: number): Plan {
  const actions = Object.entries<Action>(table.actions).map(([name, { params }], at) => ({
    number: at,
    name,
    opening: `${name}(`,
    params: Object.entries<ValueKind>(params).map(([param, kind]) => slotOf(param, kind === "int")),
  }));
  const ranks = Object.keys(table.ranks);
  return {
    table,
    number,
    columns: Object.entries<Column>(table.columns).map(([name, { field, match }]) =>
      slotOf(name, field.kind === "int" && match !== "prefix" && match !== "masked"),
    ),
    ranks,
    openings: [`${table.name}(`, ...ranks.map((rank) => `${table.name}(${rank}: `)],
    actions,
    byName: new Map(actions.map((action) => [action.name, action])),
  };
}

/** What stands before a text: its length, or that it is a MAC address, alone or with the mask of all its bits, in 6 bytes. */
const longestText = 250;
const macMark = 254;
const wholeMacMark = 255;
const macLength = 17;
const wholeMask = "/ff:ff:ff:ff:ff:ff";
const octets: readonly string[] = Array.from({ length: 256 }, (_, at) => at.toString(16).padStart(2, "0"));

/** Writes one row after the other into the same bytes, and reads. */
class Cursor {
  bytes: Buffer = Buffer.alloc(Slab.longest);
  at = 0;

  get isFull(): boolean {
    return this.at > this.bytes.length;
  }

  byte(value: number): void {
    this.bytes[this.at] = value;
    this.at += 1;
  }

  nextByte(): number {
    const value = this.bytes[this.at] ?? 0;
    this.at += 1;
    return value;
  }

  /** Seven bits a byte, the lowest first (LEB128). */
  number(value: number): void {
    let rest = value;
    for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) this.byte((rest % 0x80) | 0x80);
    this.byte(rest);
  }

  nextNumber(): number {
    let value = 0;
    for (let weight = 1; ; weight *= 0x80) {
      const byte = this.nextByte();
      value += (byte & 0x7f) * weight;
      if (byte < 0x80) return value;
    }
  }

  /** Gives whether it could be written. */
  text(text: string): boolean {
    const { length } = text;
    const mark = length === macLength ? macMark : length === 35 && text.endsWith(wholeMask) ? wholeMacMark : undefined;
    if (mark !== undefined && isMac(text)) {
      this.byte(mark);
      for (let octet = 0; octet < 6; octet += 1)
        this.byte(16 * digit(text.charCodeAt(3 * octet)) + digit(text.charCodeAt(3 * octet + 1)));
      return true;
    }
    if (length > longestText || this.at + length >= this.bytes.length) return false;
    this.byte(length);
    for (let at = 0; at < length; at += 1) {
      const code = text.charCodeAt(at);
      if (code > 0xff) return false;
      this.byte(code);
    }
    return true;
  }

  nextText(): string {
    const mark = this.nextByte();
    const from = this.at;
    if (mark <= longestText) {
      this.at += mark;
      return this.bytes.toString("latin1", from, this.at);
    }
    this.at += 6;
    const hex = (at: number): string => octets[this.bytes[from + at] ?? 0] ?? "";
    const mac = `${hex(0)}:${hex(1)}:${hex(2)}:${hex(3)}:${hex(4)}:${hex(5)}`;
    return mark === macMark ? mac : mac + wholeMask;
  }
}

/** The value of a digit as MAC addresses have it in rows, lower case; -1 of any other character. */
const digit = (code: number): number =>
  code >= 0x30 && code <= 0x39 ? code - 0x30 : code >= 0x61 && code <= 0x66 ? code - 0x57 : -1;

function isMac(text: string): boolean {
  for (let at = 0; at < macLength; at += 1) {
    const code = text.charCodeAt(at);
    if (at % 3 === 2 ? code !== 0x3a : digit(code) < 0) return false;
  }
  return true;
}

/** Rows of a program. What is no row as `makeRow` makes them, or a very long one, is kept as the object that it is. */
export class PackedRows implements RowShelf<Row> {
  readonly #plans: readonly Plan[];
  readonly #byName: ReadonlyMap<string, Plan>;
  readonly #slab = new Slab();
  readonly #cursor = new Cursor();
  readonly #scratch: Buffer = this.#cursor.bytes;
  /** What is kept as an object, by its place below 0. */
  readonly #objects = new Map<number, Row>();
  #lowest = 0;

  constructor({ tables }: Pick<Program, "tables">) {
    this.#plans = tables.map(planOf);
    this.#byName = new Map(this.#plans.map((plan) => [plan.table.name, plan]));
  }

  put(row: Row): number {
    if (this.#isWritten(row)) return this.#slab.put(this.#scratch, this.#cursor.at) + 1;
    this.#lowest -= 1;
    this.#objects.set(this.#lowest, row);
    return this.#lowest;
  }

  at(place: number): Row {
    if (place > 0) return this.#read(place - 1);
    const row = this.#objects.get(place);
    if (row === undefined) throw new Error(`no row lies at ${place}`);
    return row;
  }

  take(place: number): void {
    if (place > 0) this.#slab.take(place - 1);
    else this.#objects.delete(place);
  }

  /** Writes a row behind the byte that is the slab's. Gives whether what is written says all that the row says. */
  #isWritten(row: Row): boolean {
    const cursor = this.#cursor;
    const plan = this.#byName.get(row.table);
    const action = plan?.byName.get(row.action);
    const rank = row.rank === undefined ? 0 : (plan?.ranks.indexOf(row.rank) ?? -1) + 1;
    if (plan === undefined || action === undefined || (row.rank !== undefined && rank === 0)) return false;
    cursor.bytes = this.#scratch;
    cursor.at = 1;
    cursor.number(plan.number);
    cursor.number(rank);
    cursor.number(action.number);
    let given = 0;
    let weight = 1;
    for (const { name } of plan.columns) {
      if (row.key[name] !== undefined) given += weight;
      weight *= 2;
    }
    cursor.number(given);
    return (
      this.#areWritten(plan.columns, row.key, row.id, plan.openings[rank] ?? "") &&
      action.params.every(({ name }) => row.args[name] !== undefined) &&
      this.#areWritten(action.params, row.args, row.body, action.opening) &&
      !cursor.isFull
    );
  }

  /** Writes the values that there are; gives whether the text that is made of them is this one. */
  #areWritten(slots: readonly Slot[], values: Row["key"], text: string, opening: string): boolean {
    if (!text.startsWith(opening)) return false;
    let at = opening.length;
    for (const { name, label, isNumber } of slots) {
      const value = values[name];
      if (value === undefined) continue;
      if (at > opening.length) {
        if (!text.startsWith(", ", at)) return false;
        at += 2;
      }
      const said = typeof value === "number" ? String(value) : value;
      if (!text.startsWith(label, at) || !text.startsWith(said, at + label.length)) return false;
      at += label.length + said.length;
      if (!this.#isValueWritten(value, isNumber)) return false;
    }
    return text.length === at + 1 && text.endsWith(")");
  }

  #isValueWritten(value: RowValue, isNumber: boolean): boolean {
    if (typeof value === "string") return !isNumber && this.#cursor.text(value);
    if (!isNumber || !Number.isSafeInteger(value) || value < 0) return false;
    this.#cursor.number(value);
    return true;
  }

  #read(place: number): Row {
    this.#cursor.bytes = this.#slab.page(place);
    this.#cursor.at = this.#slab.offset(place) + 1;
    return this.#next();
  }

  #next(): Row {
    const cursor = this.#cursor;
    const plan = this.#plans[cursor.nextNumber()];
    const rank = plan?.ranks[cursor.nextNumber() - 1];
    const action = plan?.actions[cursor.nextNumber()];
    if (plan === undefined || action === undefined) throw new Error("what lies there is no row of the program");
    let given = cursor.nextNumber();
    const key: Record<string, RowValue> = {};
    for (const { name, isNumber } of plan.columns) {
      if (given % 2 === 1) key[name] = isNumber ? cursor.nextNumber() : cursor.nextText();
      given = Math.floor(given / 2);
    }
    const args: Record<string, RowValue> = {};
    for (const { name, isNumber } of action.params) args[name] = isNumber ? cursor.nextNumber() : cursor.nextText();
    return rowOf(plan.table, key, action.name, args, rank);
  }
}
