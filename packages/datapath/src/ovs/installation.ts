/** What we know to be in the switch: rows, the interfaces and zones that they were rendered for, and the numbers of groups and meters; a change of it gives a plan. */
import { type Bucket, type Conjunction, GroupId, type Match } from "@selvage/openflow";
import { type Row, RowTable } from "@selvage/pipeline";
import { Allocator } from "./allocator.ts";
import { UnrenderableRows } from "./errors.ts";
import { clauseKey, flagsOf, flowBody, flowKey, type Grouping, Plan } from "./plan.ts";
import { Ports } from "./ports.ts";
import { portLimits, portMeters } from "./punts.ts";
import { zoneFlows } from "./reentry.ts";
import type { MemberSet, RenderedClause, RenderedFlow, Renderer } from "./render.ts";
import { bucketText } from "./text.ts";

/** Slots of meters: 8 numbers each, within what a datapath can hold. */
const maxSlots = 30_000;

/** Members that leave and enter one set. */
interface SetChange {
  readonly set: MemberSet;
  readonly gone: Map<number, Bucket>;
  readonly come: Map<number, { readonly bucket: Bucket; readonly row: string }>;
}

/** The clauses of one flow, by the rows that they are of. */
interface ClauseSet {
  readonly table: number;
  readonly match: Match;
  readonly clauses: ReadonlyMap<string, Conjunction>;
}

/** A flow of clauses before and after a change; undefined where it is not there. */
interface ClauseChange {
  readonly key: string;
  readonly row: string;
  readonly before: RenderedFlow | undefined;
  readonly after: RenderedFlow | undefined;
  readonly set: ClauseSet;
}

export class Installation {
  readonly renderer: Renderer;
  readonly rows: RowTable;
  readonly groups = new Allocator(GroupId.max);
  readonly slots = new Allocator(maxSlots);
  /** How many buckets a set has; one without any has no group. */
  readonly sizes = new Map<string, number>();
  /** Rows whose flows hold an interface's number, by the interface's port. */
  readonly #byInterface = new Map<string, Map<string, Row>>();
  /** Rows whose flows hold a zone of connection tracking, by the port that has it. */
  readonly #byZone = new Map<string, Map<string, Row>>();
  readonly #clauses = new Map<string, ClauseSet>();
  #ports: Ports;

  constructor(renderer: Renderer, ports: Ports = Ports.none) {
    this.renderer = renderer;
    this.rows = new RowTable(renderer.program);
    this.#ports = ports;
  }

  get ports(): Ports {
    return this.#ports;
  }

  /**
   * Takes rows away and puts others (one with a known id replaces it), and gives what the switch must be told. Throws UnrenderableRows, and then
   * nothing has changed.
   */
  change(gone: Iterable<Row>, put: readonly Row[]): Plan {
    const wanted = new Set(put.map((row) => row.id));
    const before: Row[] = [];
    for (const { id } of gone) {
      const held = this.rows.get(id);
      if (held !== undefined && !wanted.has(id)) before.push(held);
    }
    for (const { id } of put) {
      const held = this.rows.get(id);
      if (held !== undefined) before.push(held);
    }
    const plan = this.#plan(before, put, this.#ports);
    for (const row of before) this.forget(row);
    for (const row of put) this.remember(row);
    return plan;
  }

  /** Ports that rows name a zone of. */
  get zones(): { has(port: string): boolean } {
    return this.#byZone;
  }

  /** Takes the interfaces and zones as they are now, and gives what the switch must be told: rows that wait come in, others go or move. */
  moveTo(ports: Ports): Plan {
    const touched = new Map<string, Row>();
    for (const [names, rowsOf] of [
      [ports.differencesFrom(this.#ports), this.#byInterface],
      [ports.zoneDifferencesFrom(this.#ports), this.#byZone],
    ] as const)
      for (const name of names) for (const [id, row] of rowsOf.get(name) ?? []) touched.set(id, row);
    const rows = [...touched.values()];
    const plan = this.#plan(rows, rows, ports);
    const now = new Map(ports.metered.map((port) => [port.ofport, port]));
    const old = new Map(this.#ports.metered.map((port) => [port.ofport, port]));
    for (const [ofport, port] of now) {
      if (old.has(ofport)) continue;
      const slot = this.slots.of(String(ofport));
      for (const meter of portMeters(port.of, slot)) plan.addMeter(meter);
      for (const flow of portLimits(port, slot)) plan.addFlow(`interface ${ofport}`, flow);
    }
    for (const [ofport, port] of old) {
      if (now.has(ofport)) continue;
      const slot = this.slots.of(String(ofport));
      for (const flow of portLimits(port, slot)) plan.removeFlow(`interface ${ofport}`, flow);
      for (const { meter } of portMeters(port.of, slot)) plan.removeMeter(meter);
      this.slots.free(String(ofport));
    }
    const zones = new Set(ports.zones.values());
    const before = new Set(this.#ports.zones.values());
    for (const zone of zones)
      if (!before.has(zone)) for (const flow of zoneFlows(zone)) plan.addFlow(`zone ${zone}`, flow);
    for (const zone of before)
      if (!zones.has(zone)) for (const flow of zoneFlows(zone)) plan.removeFlow(`zone ${zone}`, flow);
    this.#ports = ports;
    return plan;
  }

  /** Notes a row as installed. */
  remember(row: Row): void {
    this.rows.put(row);
    for (const name of this.renderer.interfacesOf(row)) note(this.#byInterface, name, row);
    for (const name of this.renderer.zonesOf(row)) note(this.#byZone, name, row);
  }

  /** Notes clauses as installed. */
  rememberClauses(clauses: RenderedRows["clauses"]): void {
    const sets = new Map<string, ClauseSet & { readonly clauses: Map<string, Conjunction> }>();
    for (const { clause, row } of clauses) {
      const { table, match, conjunction } = clause;
      const key = clauseKey(clause);
      const set = sets.get(key) ?? { table, match, clauses: new Map() };
      set.clauses.set(row, conjunction);
      sets.set(key, set);
    }
    for (const [key, set] of sets) this.#clauses.set(key, set);
  }

  forget(row: Row): void {
    this.rows.delete(row.id);
    for (const name of this.renderer.interfacesOf(row)) strike(this.#byInterface, name, row);
    for (const name of this.renderer.zonesOf(row)) strike(this.#byZone, name, row);
  }

  #plan(before: readonly Row[], after: readonly Row[], ports: Ports): Plan {
    const plan = new Plan();
    const rendered = renderAll(this.renderer, after, ports);
    const old = renderAll(this.renderer, before, this.#ports);
    const clauses = this.#clauseChanges(old.clauses, rendered.clauses);
    // A verdict goes before the clauses of its rule.
    const oldFlows = new Map(old.flows.map((each) => [flowKey(each.flow), each]));
    for (const { flow, row } of rendered.flows) {
      if (oldFlows.size === 0) {
        plan.addFlow(row, flow);
        continue;
      }
      const key = flowKey(flow);
      const replaced = oldFlows.get(key)?.flow;
      oldFlows.delete(key);
      if (replaced === undefined) plan.addFlow(row, flow);
      else if (bodyOf(replaced) !== bodyOf(flow)) {
        plan.replaceFlow(row, flow, replaced.reason === null ? "passed" : "dropped");
      }
    }
    for (const { flow, row } of oldFlows.values()) plan.removeFlow(row, flow);
    for (const change of clauses) this.#planClauses(plan, change);
    const sets = new Map<string, SetChange>();
    const changeOf = (set: MemberSet): SetChange => {
      const held = sets.get(set.id) ?? { set, gone: new Map(), come: new Map() };
      sets.set(set.id, held);
      return held;
    };
    for (const { set, bucket } of old.members) changeOf(set).gone.set(bucket.id, bucket);
    for (const { set, bucket, row } of rendered.members) changeOf(set).come.set(bucket.id, { bucket, row });
    for (const change of sets.values()) this.#planSet(plan, change);
    // Not before: a group goes last, so its number cannot be another's in the same plan.
    for (const id of sets.keys()) if (!this.sizes.has(id)) this.groups.free(id);
    return plan;
  }

  /** The flows of which a clause goes or comes; nothing has changed yet. Throws UnrenderableRows where the switch cannot hold one. */
  #clauseChanges(gone: RenderedRows["clauses"], come: RenderedRows["clauses"]): readonly ClauseChange[] {
    const sets = new Map<
      string,
      { row: string; readonly set: ClauseSet & { readonly clauses: Map<string, Conjunction> } }
    >();
    const at = ({ clause, row }: RenderedRows["clauses"][number]) => {
      const key = clauseKey(clause);
      const { table, match } = clause;
      const made = sets.get(key) ?? {
        row,
        set: { table, match, clauses: new Map(this.#clauses.get(key)?.clauses) },
      };
      sets.set(key, made);
      return made;
    };
    for (const each of gone) at(each).set.clauses.delete(each.row);
    for (const each of come) {
      const made = at(each);
      made.row = each.row;
      made.set.clauses.set(each.row, each.clause.conjunction);
    }
    const faults = new Map<string, Error>();
    const changes = [...sets].flatMap(([key, { row, set }]): readonly ClauseChange[] => {
      try {
        return [{ key, row, set, before: this.#clauseFlow(this.#clauses.get(key)), after: this.#clauseFlow(set) }];
      } catch (error) {
        faults.set(row, error instanceof Error ? error : new Error(String(error)));
        return [];
      }
    });
    if (faults.size > 0) throw new UnrenderableRows(faults);
    return changes;
  }

  #clauseFlow(set: ClauseSet | undefined): RenderedFlow | undefined {
    if (set === undefined || set.clauses.size === 0) return undefined;
    return this.renderer.clauseFlow(set.table, set.match, set.clauses.values());
  }

  #planClauses(plan: Plan, { key, row, before, after, set }: ClauseChange): void {
    if (set.clauses.size === 0) this.#clauses.delete(key);
    else this.#clauses.set(key, set);
    if (after === undefined) {
      if (before !== undefined) plan.removeFlow(row, before);
    } else if (before === undefined) plan.addFlow(row, after);
    else if (bodyOf(before) !== bodyOf(after)) plan.replaceFlow(row, after, "passed");
  }

  /** The first member makes the group and the flow that leads into it, the last one takes both away; between them it is one bucket each. */
  #planSet(plan: Plan, { set, gone, come }: SetChange): void {
    const size = this.sizes.get(set.id) ?? 0;
    const rest = size - gone.size + come.size;
    if (size === 0 && rest === 0) return;
    const group = groupingOf(set, this.groups.of(set.id));
    if (size === 0) {
      plan.addGroup(
        set.id,
        group,
        [...come.values()].map(({ bucket }) => bucket),
      );
      plan.addFlow(set.id, this.renderer.setFlow(set, group.group));
    } else if (rest === 0) {
      plan.removeFlow(set.id, this.renderer.setFlow(set, group.group));
      plan.removeGroup(set.id, group.group);
    } else {
      for (const [id, bucket] of gone) {
        const next = come.get(id);
        if (next !== undefined && bucketText(next.bucket) === bucketText(bucket)) come.delete(id);
        else plan.removeBucket(set.id, group, id);
      }
      for (const { bucket, row } of come.values()) plan.insertBuckets(row, group, [bucket]);
    }
    if (rest === 0) this.sizes.delete(set.id);
    else this.sizes.set(set.id, rest);
  }
}

/** A set's group as the switch is told of it. */
export const groupingOf = ({ type, selection }: MemberSet, group: number): Grouping => ({ group, type, selection });

function note(index: Map<string, Map<string, Row>>, name: string, row: Row): void {
  const held = index.get(name) ?? new Map<string, Row>();
  index.set(name, held.set(row.id, row));
}

function strike(index: Map<string, Map<string, Row>>, name: string, row: Row): void {
  const held = index.get(name);
  held?.delete(row.id);
  if (held?.size === 0) index.delete(name);
}

const bodyOf = (flow: RenderedFlow): string => flowBody(flow.cookie, flagsOf(flow), flow.actions);

/** Rows as the switch holds them: flows, members of sets, and clauses of rules. */
export interface RenderedRows {
  readonly flows: readonly { readonly flow: RenderedFlow; readonly row: string }[];
  readonly members: readonly { readonly set: MemberSet; readonly bucket: Bucket; readonly row: string }[];
  readonly clauses: readonly { readonly clause: RenderedClause; readonly row: string }[];
}

/** Renders rows for the interfaces given; those that wait give nothing. Throws UnrenderableRows with all that are wrong. */
export function renderAll(renderer: Renderer, rows: Iterable<Row>, ports: Ports): RenderedRows {
  const flows: { readonly flow: RenderedFlow; readonly row: string }[] = [];
  const members: { readonly set: MemberSet; readonly bucket: Bucket; readonly row: string }[] = [];
  const clauses: { readonly clause: RenderedClause; readonly row: string }[] = [];
  const faults = new Map<string, Error>();
  for (const row of rows) {
    try {
      if (renderer.isMember(row)) {
        const bucket = renderer.bucket(row, ports);
        if (bucket !== undefined) members.push({ set: renderer.setOf(row), bucket, row: row.id });
      } else if (renderer.isClause(row)) {
        for (const clause of renderer.clauses(row)) clauses.push({ clause, row: row.id });
      } else for (const flow of renderer.flows(row, ports)) flows.push({ flow, row: row.id });
    } catch (error) {
      faults.set(row.id, error instanceof Error ? error : new Error(String(error)));
    }
  }
  if (faults.size > 0) throw new UnrenderableRows(faults);
  return { flows, members, clauses };
}
