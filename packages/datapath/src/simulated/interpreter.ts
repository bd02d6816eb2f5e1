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
  limits,
  type Operand,
  type Program,
  type PuntKind,
  type Row,
  type Step,
} from "@selvage/pipeline";
import { type Punt, type Resumption, underwayFields } from "../datapath.ts";
import { waitsOf } from "../underway.ts";
import { zoneOwner } from "../zone-kinds.ts";
import { ClauseSpace, type NearRule } from "./clauses.ts";
import { type ChoosePort, Connections, type SourcePlan, type Tracked } from "./connections.ts";
import { flowOf, heaviest } from "./flow-hash.ts";
import { Packet, type TunnelHeader } from "./packet.ts";
import { Rates } from "./rates.ts";
import { type RowSpace, TupleSpace } from "./tuple-space.ts";
import { type FieldValue, valueFrom } from "./values.ts";

/** What the packet met in one table: the row that matched, or none. */
export interface Visit {
  readonly table: string;
  readonly row: Row | undefined;
  /** Where rows speak of rules: the clauses by which the rule was met whose verdict `row` is, one a part. */
  readonly clauses?: readonly Row[];
  /** Where rows speak of rules and none was met: those to which the packet comes nearest, of which it met the first part. */
  readonly nearest?: readonly NearRule[];
}

/** Rules that a visit tells of when none was met: as many as a reader who knows more of them needs to choose from. */
const mostNearest = 100;

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
      readonly srcSet: number;
      readonly frame: Uint8Array;
    }
  | {
      readonly kind: "punt";
      readonly punt: PuntKind;
      readonly net: number;
      readonly srcPort: number;
      readonly vrf: number;
      readonly frame: Uint8Array;
      readonly waits?: NonNullable<Punt["waits"]>;
    }
  | { readonly kind: "drop"; readonly reason: ReasonCode; readonly table: string }
  /** A copy that would have returned where it came in. */
  | { readonly kind: "suppressed"; readonly port: string }
  /** A fragment that waits for the others of its datagram: with the last, all of them go on. */
  | { readonly kind: "held"; readonly zone: string };

export interface Trace {
  readonly visits: readonly Visit[];
  readonly outcomes: readonly Outcome[];
}

export interface InterpreterOptions {
  /** The clock by which connections end and rates are measured, in milliseconds; unless told it stands still. */
  readonly now?: () => number;
  /** Connections that one zone keeps at most; the program's own number unless told. */
  readonly connections?: number;
  /** Which of a set's members a packet takes that is to take one; undefined: the one that its flow's hash tells. */
  readonly choose?: (members: readonly Row[], frame: Uint8Array) => Row | undefined;
  /** Which of its ports a connection leaves with whose source is translated. */
  readonly choosePort?: ChoosePort;
}

export class Interpreter {
  readonly program: Program;
  readonly #tables: ReadonlyMap<string, RowSpace>;
  /** Rows of `members` tables by table and the key that they share. */
  readonly #members = new Map<string, Map<string, Row>>();
  readonly #connections: Connections<Packet>;
  readonly #rates: Rates;
  readonly #choose: InterpreterOptions["choose"];
  /** Ids of the rows that name a zone of connection tracking. */
  readonly #zones = new Map<string, Set<string>>();

  /** An interpreter that holds the program's constant rows and nothing else. */
  constructor(program: Program, { now = () => 0, connections, choose, choosePort }: InterpreterOptions = {}) {
    this.program = program;
    this.#choose = choose;
    this.#connections = new Connections(now, connections, choosePort);
    this.#rates = new Rates(now);
    this.#tables = new Map(
      program.tables.map((table) => [
        table.name,
        table.scheme === "clauses" ? new ClauseSpace(table) : new TupleSpace(table),
      ]),
    );
    for (const row of program.constants) this.put(row);
  }

  /** Throws TypeError on a row that names no table or action of the program, or bears a value that does not fit. */
  check(row: Row): void {
    const table = this.program.byName.get(row.table);
    const action: Action | undefined = table?.actions[row.action];
    if (table === undefined || action === undefined) throw new TypeError(`no action ${row.table}.${row.action}`);
    this.#space(row.table).check(row);
    for (const step of action.steps) {
      for (const [field, from] of operandsOf(step)) {
        if (from.from !== "param") continue;
        const value = row.args[from.name];
        if (value === undefined) throw new TypeError(`${row.id}: ${from.name} is missing`);
        valueFrom(field, value);
      }
    }
  }

  /** Puts a row, in the place of one of the same key and rank. Throws TypeError as `check` does, and then has changed nothing. */
  put(row: Row): void {
    this.check(row);
    this.#space(row.table).put(row);
    for (const zone of this.#zonesNamedBy(row)) {
      const rows = this.#zones.get(zone) ?? new Set<string>();
      this.#zones.set(zone, rows.add(row.id));
    }
    const group = this.#groupOf(row);
    if (group === undefined) return;
    const rows = this.#members.get(group) ?? new Map<string, Row>();
    rows.set(row.id, row);
    this.#members.set(group, rows);
  }

  remove(row: Row): void {
    this.#space(row.table).remove(row);
    for (const zone of this.#zonesNamedBy(row)) this.#zones.get(zone)?.delete(row.id);
    const group = this.#groupOf(row);
    if (group === undefined) return;
    const rows = this.#members.get(group);
    rows?.delete(row.id);
    if (rows?.size === 0) this.#members.delete(group);
  }

  /** Forgets the connections of every zone that no row names any more. To be called after a difference of rows, not in its midst. */
  flushUnnamed(): void {
    for (const [zone, rows] of this.#zones) if (rows.size === 0) this.#zones.delete(zone);
    for (const zone of this.#connections.zones) if (!this.#zones.has(zone)) this.#connections.flush(zone);
  }

  /** The zones that rows name. */
  get zones(): readonly string[] {
    return [...this.#zones.keys()];
  }

  /** How many connections a zone keeps: a port's by its id, a router's by its id behind `nat:`. */
  connections(zone: string): number {
    return this.#connections.count(zone);
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

  /** As `execute`, from a table on. Throws TypeError when there is no such table. */
  resume(table: string, { net, vrf, sentOn }: Resumption, ingress: string, frame: Uint8Array): Trace {
    const run: Run = { visits: [], outcomes: [] };
    const packet = new Packet(ingress, new Frame(frame));
    packet.write(F.net, BigInt(net));
    packet.write(F.vrf, BigInt(vrf));
    if (sentOn !== undefined) {
      packet.write(F.nhMac, valueFrom(F.nhMac, sentOn.nhMac));
      for (const name of underwayFields) packet.write(F[name], BigInt(sentOn.underway[name]));
    }
    this.#visit(run, table, packet);
    return run;
  }

  #space(table: string): RowSpace {
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

  /** Zones of connection tracking that a row puts into fields. */
  #zonesNamedBy(row: Row): readonly string[] {
    const action: Action | undefined = this.program.byName.get(row.table)?.actions[row.action];
    return (action?.steps ?? []).flatMap((step) => {
      const names = step.do === "set" && step.field.kind === "name" && step.field.home === "memory";
      if (!names || step.to.from === "field") return [];
      return [zoneOwner(step.field, String(step.to.from === "param" ? row.args[step.to.name] : step.to.value))];
    });
  }

  #visit(run: Run, name: string, packet: Packet): void {
    const table = this.program.byName.get(name);
    if (table === undefined) throw new TypeError(`no table ${name}`);
    const space = this.#space(name);
    const found = space.find(packet.read);
    const row = found.at(-1);
    if (!(space instanceof ClauseSpace)) run.visits.push({ table: name, row });
    else if (row !== undefined) run.visits.push({ table: name, row, clauses: found.slice(0, -1) });
    else run.visits.push({ table: name, row, nearest: space.nearest(packet.read, mostNearest) });
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
        case "back":
        case "call":
          this.#visit(run, step.table, packet);
          break;
        case "track":
        case "translate":
          this.#track(run, step.zone, step.table, packet);
          break;
        case "translateSource": {
          const port = (from: Operand): number => Number(operand(from, F.tcpSrc));
          const { ports } = step;
          this.#translateSource(run, step, packet, {
            address: BigInt(operand(step.address, F.ip4Src)).toString(16).padStart(8, "0"),
            ports: ports === null ? null : { first: port(ports.first), last: port(ports.last) },
          });
          break;
        }
        case "pushTag":
          packet.pushTag(Number(operand(step.vlan, F.vlan)));
          break;
        case "popTag":
          packet.popTag();
          break;
        case "commit":
          packet.tracked = this.#commit(
            zoneOf(step.zone, packet),
            new Map(step.keep.map(({ field, to }) => [field.name, BigInt(operand(to, field))])),
            packet,
          );
          break;
        case "select":
          this.#select(run, step.table, packet);
          break;
        case "decrementTtl":
          packet.write(F.ttl, BigInt(number(packet, F.ttl)) - 1n);
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
            srcSet: step.by === "vxlan" ? 0 : number(packet, F.srcSet),
            frame: packet.frame.toBytes(),
          });
          break;
        case "punt":
        case "report":
          run.outcomes.push(puntOf(step.kind, packet));
          break;
        case "limit":
          if (this.#rates.admits(packet.ingress, step.kind)) break;
          run.outcomes.push({ kind: "drop", reason: limits[step.kind].reason, table });
          return;
        case "absorb":
          break;
        case "drop":
          run.outcomes.push({ kind: "drop", reason: step.reason, table });
          break;
      }
    }
  }

  #track(run: Run, zone: Field, table: string, packet: Packet): void {
    const name = zoneOf(zone, packet);
    const { tracked, items } = this.#connections.track(name, packet.datagram(), packet);
    if (items.length === 0) run.outcomes.push({ kind: "held", zone: name });
    const rewrite = this.#connections.rewriteOf(tracked);
    for (const each of items) {
      each.tracked = tracked;
      if (rewrite !== undefined) each.translate(rewrite);
      this.#visit(run, table, each);
    }
  }

  #translateSource(run: Run, { zone, table }: SourceStep, packet: Packet, plan: SourcePlan): void {
    const name = zoneOf(zone, packet);
    const before =
      packet.tracked?.zone === name ? packet.tracked : this.#connections.track(name, packet.datagram(), packet).tracked;
    const after = this.#connections.translateSource(before, plan);
    packet.tracked = after;
    const rewrite = before === after ? undefined : this.#connections.rewriteOf(after);
    if (rewrite !== undefined) packet.translate(rewrite);
    this.#visit(run, table, packet);
  }

  #commit(zone: string, values: ReadonlyMap<string, bigint>, packet: Packet): Tracked {
    const tracked =
      packet.tracked?.zone === zone ? packet.tracked : this.#connections.track(zone, packet.datagram(), packet).tracked;
    return this.#connections.commit(tracked, values);
  }

  #replicate(run: Run, name: string, packet: Packet): void {
    for (const row of this.#membersFor(name, packet)) this.#runMember(run, row, packet.copy());
  }

  #select(run: Run, name: string, packet: Packet): void {
    const members = this.#membersFor(name, packet);
    const chosen = this.#choose?.(members, packet.frame.toBytes()) ?? heaviest(members, flowOf(packet));
    if (chosen !== undefined) this.#runMember(run, chosen, packet);
  }

  #runMember(run: Run, row: Row, packet: Packet): void {
    run.visits.push({ table: row.table, row });
    const action: Action | undefined = this.program.byName.get(row.table)?.actions[row.action];
    this.#run(run, row.table, action?.steps ?? [], row.args, packet);
  }

  /** The rows of a members table under the packet's key, in the order of their ids. */
  #membersFor(name: string, packet: Packet): readonly Row[] {
    const table = this.program.byName.get(name);
    if (table === undefined) throw new TypeError(`no table ${name}`);
    const columns = Object.values<Column>(table.columns).slice(0, -1);
    const group = [name, ...columns.map(({ field }) => String(packet.read(field) ?? 0n))].join("|");
    return [...(this.#members.get(group)?.values() ?? [])].sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}

interface Run {
  readonly visits: Visit[];
  readonly outcomes: Outcome[];
}

type SourceStep = Extract<Step, { readonly do: "translateSource" }>;

const number = (packet: Packet, field: Field): number => Number(packet.read(field) ?? 0n);

function puntOf(punt: PuntKind, packet: Packet): Outcome {
  const [net = 0, srcPort = 0, vrf = 0] = [F.net, F.srcPort, F.vrf].map((field) => number(packet, field));
  const frame = packet.frame.toBytes();
  const waits = waitsOf(punt, (field) => BigInt(packet.read(field) ?? 0n), frame);
  return { kind: "punt", punt, net, srcPort, vrf, frame, ...waits };
}

const zoneOf = (zone: Field, packet: Packet): string => zoneOwner(zone, String(packet.read(zone)));

/** What a step takes, each with the field by whose kind it is read. */
function operandsOf(step: Step): readonly (readonly [Field, Operand])[] {
  switch (step.do) {
    case "set":
      return [[step.field, step.to]];
    case "measure":
      return [[frameLength, step.limit]];
    case "output":
      return [[F.ingress, step.to]];
    case "tunnel":
      return [[F.tunSrc, step.to]];
    case "commit":
      return step.keep.map(({ field, to }) => [field, to]);
    case "pushTag":
      return [[F.vlan, step.vlan]];
    case "translateSource": {
      const ports = step.ports === null ? [] : [step.ports.first, step.ports.last];
      return [[F.ip4Src, step.address], ...ports.map((port) => [F.tcpSrc, port] as const)];
    }
    default:
      return [];
  }
}
