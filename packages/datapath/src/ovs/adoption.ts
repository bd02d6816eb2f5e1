/** Desired minus installed: reads what the switch holds, keeps what is right to the last counter, and plans the rest. Restart, drift, upgrade and audit are this one operation. */
import {
  type Bucket,
  type Flow,
  FlowFlag,
  type GroupDescription,
  type Match,
  type MeterConfig,
} from "@selvage/openflow";
import type { Row } from "@selvage/pipeline";
import { type Adoption, mostDifferences, type SwitchDifference } from "../datapath.ts";
import { provenanceOf } from "./cookie.ts";
import { UnrenderableRows } from "./errors.ts";
import { groupingOf, Installation, type RenderedRows, renderAll } from "./installation.ts";
import { clauseKey, flagsOf, flowBody, flowKey, Plan } from "./plan.ts";
import type { Ports } from "./ports.ts";
import { generalPunts, hostMeters, portLimits, portMeters, pulseFlow, puntTable, slotOf } from "./punts.ts";
import { reentryFlows, zoneFlows } from "./reentry.ts";
import type { MemberSet, RenderedFlow, Renderer } from "./render.ts";
import { actionsText, bucketText, choiceText, clauseTextsIn, matchText } from "./text.ts";

/** What the switch holds. */
export interface Survey {
  readonly flows: AsyncIterable<Flow> | Iterable<Flow>;
  readonly groups: readonly GroupDescription[];
  readonly meters: readonly MeterConfig[];
}

export interface AdoptionPlan {
  readonly plan: Plan;
  readonly adoption: Adoption;
  /** What the switch holds once the plan is done. */
  readonly installation: Installation;
}

/** A flow that should be, with the row that it is for; another name where that is the driver's or the program's. */
interface Desired {
  readonly flow: RenderedFlow;
  readonly row: string;
  /** Of a flow of clauses: the rows that each is of, by its text. */
  readonly clauses?: ReadonlyMap<string, readonly string[]>;
}

interface Found {
  readonly key: string;
  readonly table: number;
  readonly priority: number;
  readonly match: Match;
  readonly cookie: bigint;
  readonly body: string;
}

/** A flow in the switch's words, made of its identity and of what is compared of it, so that nothing more is kept of the thousands that are right. */
function wordsOf(key: string, body: string): string {
  const [table = "", priority = "", ...match] = key.split("|");
  const [cookie = "", flags = "", ...actions] = body.replace(/^foreign /, "").split("|");
  const strange = body.startsWith("foreign ") ? " (with a timeout or other instructions)" : "";
  const where = match.join("|");
  return `cookie=0x${cookie}, table=${table}, priority=${priority}${flags === "0" ? "" : `, flags=${flags}`}${where === "" ? "" : `,${where}`} actions=${actions.join("|")}${strange}`;
}

const wantedWords = ({ flow }: Desired): string => wordsOf(flowKey(flow), bodyOf(flow));

const groupWords = (
  group: Pick<GroupDescription, "group" | "type" | "selection">,
  buckets: readonly Bucket[],
): string => [`group_id=${group.group},${choiceText(group)}`, ...buckets.map(bucketText)].join(",");

const meterWords = ({ meter, bands }: MeterConfig): string =>
  `meter=${meter} ${bands.map((band) => `band=${JSON.stringify(band)}`).join(" ")}`;

const actionsIn = (flow: Flow) => flow.instructions.flatMap((each) => (each.kind === "apply" ? each.actions : []));

/** What is compared of a flow in the switch; timeouts, and instructions that we never write, make it another one; that counts were once reset does not. */
function bodyIn(flow: Flow): string {
  const foreign = flow.instructions.some((each) => each.kind !== "apply") || flow.idleTimeout + flow.hardTimeout > 0;
  return `${foreign ? "foreign " : ""}${flowBody(flow.cookie, flow.flags & ~FlowFlag.resetCounts, actionsIn(flow))}`;
}

/**
 * Plans what makes the switch hold exactly `rows` and the program's own, for the interfaces as they are. Groups and meters keep the numbers that
 * the switch has for them. Throws UnrenderableRows.
 */
export async function planAdoption(
  renderer: Renderer,
  rows: ReadonlyMap<string, Row>,
  ports: Ports,
  survey: Survey,
): Promise<AdoptionPlan> {
  const installation = new Installation(renderer, ports);
  const { constants } = renderer.program;
  const rendered = renderAll(renderer, [...constants, ...rows.values()], ports);
  const parts = [...rendered.flows, ...rendered.members, ...rendered.clauses].map(({ row }) => row);
  const tally = new Tally(rows, parts);
  const plan = new Plan();

  const sets = new Map<
    string,
    { readonly set: MemberSet; readonly buckets: Map<number, { bucket: Bucket; row: string }> }
  >();
  for (const { set, bucket, row } of rendered.members) {
    const held = sets.get(set.id) ?? { set, buckets: new Map() };
    held.buckets.set(bucket.id, { bucket, row });
    sets.set(set.id, held);
  }
  const setsByMatch = new Map([...sets.values()].map(({ set }) => [`${set.table}|${matchText(set.match)}`, set]));

  const found: Found[] = [];
  for await (const flow of survey.flows) {
    const { table, priority, match, cookie } = flow;
    found.push({ key: flowKey(flow), table, priority, match, cookie, body: bodyIn(flow) });
    claimNumbers(installation, setsByMatch, flow);
  }

  const desired: Desired[] = [...rendered.flows, ...clauseFlows(renderer, rendered.clauses)];
  const want = (flow: RenderedFlow, row: string) => desired.push({ flow, row });
  for (const { set } of sets.values()) want(renderer.setFlow(set, installation.groups.of(set.id)), set.id);
  for (const flow of renderer.misses()) want(flow, "miss");
  for (const flow of generalPunts()) want(flow, "punt");
  for (const flow of [...reentryFlows(renderer.program), ...renderer.tailFlows()]) want(flow, "reentry");
  for (const zone of ports.zones.values()) for (const flow of zoneFlows(zone)) want(flow, `zone ${zone}`);
  want(pulseFlow, "pulse");
  const meters = [...hostMeters];
  for (const port of ports.metered) {
    const slot = installation.slots.of(String(port.ofport));
    meters.push(...portMeters(port.of, slot));
    for (const flow of portLimits(port, slot)) want(flow, `interface ${port.ofport}`);
  }

  compareFlows(plan, tally, desired, found);
  compareGroups(plan, tally, installation, sets, survey.groups);
  compareMeters(plan, tally, meters, survey.meters);
  for (const row of [...constants, ...rows.values()]) installation.remember(row);
  installation.rememberClauses(rendered.clauses);
  for (const { set, buckets } of sets.values()) installation.sizes.set(set.id, buckets.size);
  return { plan, adoption: tally.result(), installation };
}

const bodyOf = (flow: RenderedFlow): string => flowBody(flow.cookie, flagsOf(flow), flow.actions);

/** The flows that clauses are parts of. Throws UnrenderableRows where the switch cannot hold one. */
function clauseFlows(renderer: Renderer, clauses: RenderedRows["clauses"]): readonly Desired[] {
  const byKey = Map.groupBy(clauses, ({ clause }) => clauseKey(clause));
  return [...byKey.values()].flatMap((all): readonly Desired[] => {
    const [first] = all;
    if (first === undefined) return [];
    const { table, match } = first.clause;
    try {
      const flow = renderer.clauseFlow(
        table,
        match,
        all.map(({ clause }) => clause.conjunction),
      );
      const rows = Map.groupBy(all, ({ clause }) => actionsText([clause.conjunction]));
      return [
        { flow, row: first.row, clauses: new Map([...rows].map(([text, of]) => [text, of.map(({ row }) => row)])) },
      ];
    } catch (error) {
      throw new UnrenderableRows(new Map([[first.row, error instanceof Error ? error : new Error(String(error))]]));
    }
  });
}

/** Groups and slots of meters that flows refer to keep their numbers. */
function claimNumbers(installation: Installation, sets: ReadonlyMap<string, MemberSet>, flow: Flow): void {
  const [first, ...others] = actionsIn(flow);
  if (first?.kind === "group" && others.length === 0) {
    const set = sets.get(`${flow.table}|${matchText(flow.match)}`);
    if (set !== undefined) installation.groups.claim(set.id, first.group);
  } else if (first?.kind === "meter" && flow.table === puntTable) {
    const port = flow.match.find((item) => item.field === "in_port");
    if (port === undefined || port.field === "raw") return;
    if (installation.ports.nameOf(Number(port.value)) === undefined) return;
    installation.slots.claim(String(port.value), slotOf(first.meter));
  }
}

function compareFlows(plan: Plan, tally: Tally, desired: readonly Desired[], found: readonly Found[]): void {
  const missing = new Map(found.length === 0 ? [] : desired.map((each) => [flowKey(each.flow), each]));
  for (const { key, table, priority, match, cookie, body } of found) {
    const wanted = missing.get(key);
    missing.delete(key);
    if (wanted === undefined) {
      plan.removeFlow(key, { table, priority, match });
      const clauses = clauseTextsIn(body);
      if (clauses.length === 0) tally.surplus(cookie);
      for (const _ of clauses) tally.surplus(0n);
      tally.tell("foreign", null, () => ({ found: wordsOf(key, body) }));
    } else if (body === bodyOf(wanted.flow)) {
      for (const row of rowsOf(wanted)) tally.agrees(row);
    } else {
      const reason = provenanceOf(cookie)?.reason ?? null;
      plan.replaceFlow(wanted.row, wanted.flow, reason === null ? "passed" : "dropped");
      if (wanted.clauses !== undefined && headOf(body) === headOf(bodyOf(wanted.flow))) {
        compareClauses(tally, wanted, wanted.clauses, key, body);
        continue;
      }
      for (const row of rowsOf(wanted)) {
        tally.differs(row);
        tally.tell("changed", row, () => ({ wanted: wantedWords(wanted), found: wordsOf(key, body) }));
      }
    }
  }
  for (const each of found.length === 0 ? desired : missing.values()) {
    plan.addFlow(each.row, each.flow);
    for (const row of rowsOf(each)) tally.tell("missing", row, () => ({ wanted: wantedWords(each) }));
  }
}

/** A flow that is ours and holds other clauses than it should: each clause by itself is there, missing, or nobody's. */
function compareClauses(
  tally: Tally,
  wanted: Desired,
  clauses: ReadonlyMap<string, readonly string[]>,
  key: string,
  body: string,
): void {
  const there = new Set(clauseTextsIn(body));
  for (const [text, rows] of clauses) {
    for (const row of rows) {
      if (there.has(text)) tally.agrees(row);
      else tally.tell("missing", row, () => ({ wanted: wantedWords(wanted), found: wordsOf(key, body) }));
    }
    there.delete(text);
  }
  for (const _ of there) {
    tally.surplus(0n);
    tally.tell("foreign", null, () => ({ wanted: wantedWords(wanted), found: wordsOf(key, body) }));
  }
}

/** The rows that a flow is for. */
const rowsOf = ({ row, clauses }: Desired): readonly string[] =>
  clauses === undefined ? [row] : [...clauses.values()].flat();

/** What of a flow is compared, but for its actions. */
const headOf = (body: string): string => body.split("|").slice(0, 2).join("|");

function compareGroups(
  plan: Plan,
  tally: Tally,
  installation: Installation,
  sets: ReadonlyMap<
    string,
    { readonly set: MemberSet; readonly buckets: ReadonlyMap<number, { bucket: Bucket; row: string }> }
  >,
  groups: readonly GroupDescription[],
): void {
  const there = new Map(groups.map((group) => [group.group, group]));
  for (const { set, buckets } of sets.values()) {
    const number = groupingOf(set, installation.groups.of(set.id));
    const held = there.get(number.group);
    there.delete(number.group);
    const all = [...buckets.values()].map(({ bucket }) => bucket);
    if (held === undefined || choiceText(held) !== choiceText(set)) {
      const found = held === undefined ? {} : { found: groupWords(held, []) };
      tally.tell(held === undefined ? "missing" : "changed", set.id, () => ({
        wanted: groupWords(number, all),
        ...found,
      }));
      if (held === undefined) plan.addGroup(set.id, number, all);
      else plan.replaceGroup(set.id, number, all);
      continue;
    }
    const right = new Set<number>();
    const told = new Set<number>();
    for (const bucket of held.buckets) {
      const wanted = buckets.get(bucket.id);
      if (wanted !== undefined && bucketText(bucket) === bucketText(wanted.bucket)) right.add(bucket.id);
      else {
        plan.removeBucket(set.id, number, bucket.id);
        if (wanted === undefined) tally.surplus(0n);
        else tally.differs(wanted.row);
        const words = { found: groupWords(number, [bucket]) };
        tally.tell(wanted === undefined ? "foreign" : "changed", wanted?.row ?? null, () =>
          wanted === undefined ? words : { ...words, wanted: groupWords(number, [wanted.bucket]) },
        );
        if (wanted !== undefined) told.add(bucket.id);
      }
    }
    for (const { bucket, row } of buckets.values()) {
      if (right.has(bucket.id)) tally.agrees(row);
      else {
        plan.insertBuckets(row, number, [bucket]);
        if (!told.has(bucket.id)) tally.tell("missing", row, () => ({ wanted: groupWords(number, [bucket]) }));
      }
    }
  }
  for (const group of there.values()) {
    plan.removeGroup(`group ${group.group}`, group.group);
    tally.tell("foreign", null, () => ({ found: groupWords(group, group.buckets) }));
    for (let at = 0; at < group.buckets.length; at += 1) tally.surplus(0n);
  }
}

function compareMeters(plan: Plan, tally: Tally, wanted: readonly MeterConfig[], held: readonly MeterConfig[]): void {
  const there = new Map(held.map((meter) => [meter.meter, meter]));
  for (const meter of wanted) {
    const found = there.get(meter.meter);
    there.delete(meter.meter);
    if (found === undefined) {
      plan.addMeter(meter);
      tally.tell("missing", null, () => ({ wanted: meterWords(meter) }));
    } else if (JSON.stringify([found.flags, found.bands]) !== JSON.stringify([meter.flags, meter.bands])) {
      plan.changeMeter(meter);
      tally.tell("changed", null, () => ({ wanted: meterWords(meter), found: meterWords(found) }));
    }
  }
  for (const meter of there.values()) {
    plan.removeMeter(meter.meter);
    tally.tell("foreign", null, () => ({ found: meterWords(meter) }));
  }
}

/** Counts rows by what was found of them. What is the program's or the driver's own is put right and told, and not counted. */
class Tally {
  readonly #rows: ReadonlyMap<string, Row>;
  /** What each row is to have, and of that what was found. */
  readonly #parts = new Map<string, number>();
  readonly #agreeing = new Map<string, number>();
  readonly #differing = new Set<string>();
  readonly #surplusNames = new Set<bigint>();
  readonly #differences: SwitchDifference[] = [];
  #unexplained = 0;

  constructor(rows: ReadonlyMap<string, Row>, parts: readonly string[]) {
    this.#rows = rows;
    for (const row of parts) if (rows.has(row)) this.#parts.set(row, (this.#parts.get(row) ?? 0) + 1);
  }

  agrees(row: string): void {
    if (this.#rows.has(row)) this.#agreeing.set(row, (this.#agreeing.get(row) ?? 0) + 1);
  }

  differs(row: string): void {
    if (this.#rows.has(row)) this.#differing.add(row);
  }

  /** Something that is not wanted, by its cookie. */
  surplus(cookie: bigint): void {
    const provenance = provenanceOf(cookie);
    if (provenance === undefined) this.#unexplained += 1;
    else this.#surplusNames.add(provenance.name);
  }

  /** Keeps a difference in words, while there is room; `row` is what it is for, a row's id or not. */
  tell(
    what: SwitchDifference["what"],
    row: string | null,
    words: () => Partial<Pick<SwitchDifference, "wanted" | "found">>,
  ): void {
    if (this.#differences.length === mostDifferences) return;
    const known = row !== null && this.#rows.has(row) ? row : null;
    this.#differences.push({ what, row: known, wanted: null, found: null, ...words() });
  }

  result(): Adoption {
    let added = 0;
    let changed = 0;
    let kept = 0;
    for (const id of this.#rows.keys()) {
      const parts = this.#parts.get(id) ?? 0;
      const agreeing = this.#agreeing.get(id) ?? 0;
      if (parts === agreeing && !this.#differing.has(id)) kept += 1;
      else if (agreeing === 0 && !this.#differing.has(id)) added += 1;
      else changed += 1;
    }
    const differences = this.#differences;
    return {
      added,
      changed,
      removed: this.#surplusNames.size + this.#unexplained,
      kept,
      ...(differences.length === 0 ? {} : { differences }),
    };
  }
}
