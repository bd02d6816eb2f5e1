/** Runs packets through the program as it is declared: no table is known by name, so that it is the oracle for every other datapath. */
import type { ReasonCode } from "@selvage/base";
import { Frame } from "@selvage/packet";
import {
  type Action,
  type Column,
  type Encapsulation,
  F,
  type Field,
  frameLength,
  type Operand,
  type Program,
  type PuntKind,
  type Row,
  type Step,
} from "@selvage/pipeline";
import { Packet, type TunnelHeader } from "./packet.ts";
import { TupleSpace } from "./tuple-space.ts";
import { type FieldValue, valueFrom } from "./values.ts";

/** What the packet met in one table: the row that matched, or none. */
export interface Visit {
  readonly table: string;
  readonly row: Row | undefined;
}

/** How one copy of the packet ended. */
export type Outcome =
  | { readonly kind: "output"; readonly port: string; readonly frame: Uint8Array }
  | {
      readonly kind: "tunnel";
      readonly by: Encapsulation;
      readonly to: string;
      readonly key: number;
      readonly srcPort: number;
      readonly dstPort: number;
      readonly frame: Uint8Array;
    }
  | {
      readonly kind: "punt";
      readonly punt: PuntKind;
      readonly net: number;
      readonly srcPort: number;
      readonly frame: Uint8Array;
    }
  | { readonly kind: "drop"; readonly reason: ReasonCode; readonly table: string }
  /** A copy that would have returned where it came in. */
  | { readonly kind: "suppressed"; readonly port: string };

export interface Trace {
  readonly visits: readonly Visit[];
  readonly outcomes: readonly Outcome[];
}

export class Interpreter {
  readonly program: Program;
  readonly #tables: ReadonlyMap<string, TupleSpace>;
  /** Rows of `members` tables by table and the key that they share. */
  readonly #members = new Map<string, Map<string, Row>>();

  /** An interpreter that holds the program's constant rows and nothing else. */
  constructor(program: Program) {
    this.program = program;
    this.#tables = new Map(program.tables.map((table) => [table.name, new TupleSpace(table)]));
    for (const row of program.constants) this.put(row);
  }

  /** Throws TypeError on a row that names no table or action of the program, or bears a value that does not fit. */
  check(row: Row): void {
    const table = this.program.byName.get(row.table);
    const action: Action | undefined = table?.actions[row.action];
    if (table === undefined || action === undefined) throw new TypeError(`no action ${row.table}.${row.action}`);
    this.#space(row.table).place(row);
    for (const step of action.steps) {
      if (step.do === "measure" && step.limit.from === "param") valueFrom(frameLength, row.args[step.limit.name] ?? "");
      if (!("to" in step) || step.to.from !== "param") continue;
      const value = row.args[step.to.name];
      if (value === undefined) throw new TypeError(`${row.id}: ${step.to.name} is missing`);
      valueFrom(step.do === "set" ? step.field : step.do === "output" ? F.ingress : F.tunSrc, value);
    }
  }

  /** Puts a row, in the place of one of the same key and rank. Throws TypeError as `check` does, and then has changed nothing. */
  put(row: Row): void {
    this.check(row);
    this.#space(row.table).put(row);
    const group = this.#groupOf(row);
    if (group === undefined) return;
    const rows = this.#members.get(group) ?? new Map<string, Row>();
    rows.set(row.id, row);
    this.#members.set(group, rows);
  }

  remove(row: Row): void {
    this.#space(row.table).remove(row);
    const group = this.#groupOf(row);
    if (group === undefined) return;
    const rows = this.#members.get(group);
    rows?.delete(row.id);
    if (rows?.size === 0) this.#members.delete(group);
  }

  /** Every row there is, constants with them. */
  *rows(): Iterable<Row> {
    for (const space of this.#tables.values()) yield* space;
  }

  /** Runs a frame from an ingress to all of its ends. Throws AmbiguousRows, and EncodeError on bytes that are no frame. */
  execute(ingress: string, frame: Uint8Array, tunnel?: TunnelHeader): Trace {
    const run: Run = { visits: [], outcomes: [] };
    this.#visit(run, this.program.entry, new Packet(ingress, new Frame(frame), tunnel));
    return run;
  }

  #space(table: string): TupleSpace {
    const space = this.#tables.get(table);
    if (space === undefined) throw new TypeError(`no table ${table}`);
    return space;
  }

  /** The group that a member row belongs to: its table and all key columns but the last. */
  #groupOf(row: Row): string | undefined {
    const table = this.program.byName.get(row.table);
    if (table?.role !== "members") return undefined;
    const columns = Object.entries<Column>(table.columns).slice(0, -1);
    return [row.table, ...columns.map(([name, { field }]) => String(valueFrom(field, row.key[name] ?? "")))].join("|");
  }

  #visit(run: Run, name: string, packet: Packet): void {
    const table = this.program.byName.get(name);
    if (table === undefined) throw new TypeError(`no table ${name}`);
    const row = this.#space(name).find(packet.read);
    run.visits.push({ table: name, row });
    const steps = row === undefined ? table.miss : (table.actions[row.action] as Action).steps;
    this.#run(run, name, steps, row?.args ?? {}, packet);
  }

  #run(run: Run, table: string, steps: readonly Step[], args: Row["args"], packet: Packet): void {
    const operand = (from: Operand, of: Field): FieldValue => {
      switch (from.from) {
        case "param":
          return valueFrom(of, args[from.name] ?? "");
        case "value":
          return valueFrom(of, from.value);
        case "field":
          return packet.read(from.field) ?? 0n;
      }
    };
    for (const step of steps) {
      switch (step.do) {
        case "set":
          packet.write(step.field, operand(step.to, step.field));
          break;
        case "measure": {
          const limit = operand(step.limit, frameLength);
          packet.write(step.field, BigInt(packet.length) > BigInt(limit) ? 1n : 0n);
          break;
        }
        case "goto":
        case "call":
          this.#visit(run, step.table, packet);
          break;
        case "replicate":
          this.#replicate(run, step.table, packet);
          break;
        case "output": {
          const port = String(operand(step.to, F.ingress));
          run.outcomes.push(
            port === packet.ingress
              ? { kind: "suppressed", port }
              : { kind: "output", port, frame: packet.frame.toBytes() },
          );
          break;
        }
        case "reply":
          run.outcomes.push({ kind: "output", port: packet.ingress, frame: packet.frame.toBytes() });
          break;
        case "tunnel":
          run.outcomes.push({
            kind: "tunnel",
            by: step.by,
            to: String(operand(step.to, F.tunSrc)),
            key: number(packet, F.net),
            srcPort: step.by === "vxlan" ? 0 : number(packet, F.srcPort),
            dstPort: step.by === "vxlan" ? 0 : number(packet, F.dstPort),
            frame: packet.frame.toBytes(),
          });
          break;
        case "punt":
          run.outcomes.push({
            kind: "punt",
            punt: step.kind,
            net: number(packet, F.net),
            srcPort: number(packet, F.srcPort),
            frame: packet.frame.toBytes(),
          });
          break;
        case "absorb":
          break;
        case "drop":
          run.outcomes.push({ kind: "drop", reason: step.reason, table });
          break;
      }
    }
  }

  #replicate(run: Run, name: string, packet: Packet): void {
    const table = this.program.byName.get(name);
    if (table === undefined) throw new TypeError(`no table ${name}`);
    const columns = Object.values<Column>(table.columns).slice(0, -1);
    const group = [name, ...columns.map(({ field }) => String(packet.read(field) ?? 0n))].join("|");
    const rows = [...(this.#members.get(group)?.values() ?? [])].sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const row of rows) {
      run.visits.push({ table: name, row });
      this.#run(run, name, (table.actions[row.action] as Action).steps, row.args, packet.copy());
    }
  }
}

interface Run {
  readonly visits: Visit[];
  readonly outcomes: Outcome[];
}

const number = (packet: Packet, field: Field): number => Number(packet.read(field) ?? 0n);
