/** The program: all tables put together, their contracts with one another checked once, their constant rows made. */
import { makeRow, type Row } from "./row.ts";
import { type Action, type AnyTable, type Column, operandsOf, type Step } from "./table.ts";
import {
  Carriage,
  Classify,
  Copies,
  CopyCarriage,
  Deliver,
  Dhcp,
  Dhcp6,
  FabricIn,
  FabricVni,
  FloodLocal,
  FloodRemote,
  Fragments,
  GuardIp,
  GuardMac,
  L2,
  Mcast,
  ServiceClass,
  TunnelDomain,
  TunnelOut,
  TunnelSource,
  Turn,
} from "./tables.ts";
import {
  Arp,
  ArpAnswer,
  HoldersHere,
  HoldersThere,
  Nd,
  NdAnswer,
  Neighbour,
  RouterSolicitation,
} from "./tables-neighbour.ts";
import { outsideTables } from "./tables-outside.ts";
import { policyTables } from "./tables-policy.ts";
import { routerTables } from "./tables-router.ts";
import { serviceTables } from "./tables-services.ts";

export interface Program {
  readonly tables: readonly AnyTable[];
  readonly byName: ReadonlyMap<string, AnyTable>;
  /** Where every packet begins. */
  readonly entry: string;
  /** Rows that are part of the program, always installed. */
  readonly constants: readonly Row[];
}

/**
 * Puts tables together. Throws when numbers or names collide, a step names no table, a path can loop, a subroutine does more than
 * set fields, a stage's list does not end the packet's way, a replicated table is not of members, or an action names a parameter that it lacks.
 */
export function program(entry: string, tables: readonly AnyTable[]): Program {
  const byName = new Map<string, AnyTable>();
  const numbers = new Map<number, string>();
  for (const table of tables) {
    const held = numbers.get(table.number);
    if (held !== undefined) throw new Error(`tables ${held} and ${table.name} share the number ${table.number}`);
    if (byName.has(table.name)) throw new Error(`two tables are named ${table.name}`);
    numbers.set(table.number, table.name);
    byName.set(table.name, table);
  }
  if (!byName.has(entry)) throw new Error(`no entry table ${entry}`);
  for (const table of tables) checkTable(table, byName);
  checkAcyclic(tables, byName);
  const constants = tables.flatMap((table) =>
    table.constants.map((each) => makeRow(table, each.key, each.action, each.args ?? {}, each.rank)),
  );
  return Object.freeze({ tables: Object.freeze([...tables]), byName, entry, constants: Object.freeze(constants) });
}

const ends: ReadonlySet<Step["do"]> = new Set([
  "goto",
  "back",
  "track",
  "translate",
  "translateSource",
  "select",
  "drop",
  "absorb",
  "output",
  "reply",
  "tunnel",
  "punt",
]);

function checkTable(table: AnyTable, byName: ReadonlyMap<string, AnyTable>): void {
  const lists: (readonly [string, readonly Step[], Action["params"]])[] = Object.entries<Action>(table.actions).map(
    ([name, action]) => [`${table.name}.${name}`, action.steps, action.params],
  );
  if (table.role === "stage") lists.push([`${table.name} miss`, table.miss, {}]);
  else if (table.miss.length > 0) throw new Error(`${table.name}: a ${table.role} table's miss does nothing`);
  if (table.scheme === "exact" && Object.values<Column>(table.columns).some((column) => column.match !== "exact")) {
    throw new Error(`${table.name}: an exact table has exact columns only`);
  }
  if (table.scheme === "clauses") checkClauses(table);
  for (const [where, steps, params] of lists) {
    if (table.scheme === "clauses" && steps.length === 0) continue;
    for (const [at, step] of steps.entries()) checkStep(where, step, at === steps.length - 1, params, table, byName);
    const last = steps.at(-1);
    const replicates = last?.do === "replicate";
    if (table.role !== "subroutine" && (last === undefined || !(ends.has(last.do) || replicates))) {
      throw new Error(`${where}: the list does not end the packet's way`);
    }
  }
}

/** The first column names the rule; parts are numbered from 1 without a gap; clauses do nothing and count. */
function checkClauses(table: AnyTable): void {
  const [first] = Object.values<Column>(table.columns);
  if (first?.match !== "exact" || first.field.home !== "memory")
    throw new Error(`${table.name}: no column names the rule`);
  const numbers = Object.values<number>(table.ranks).sort((a, b) => a - b);
  if (table.ranks.verdict !== 0 || numbers.some((number, at) => number !== at) || numbers.length < 3)
    throw new Error(`${table.name}: a rule has a verdict and two parts or more, numbered from 1`);
  for (const [name, action] of Object.entries<Action>(table.actions)) {
    if (action.steps.length === 0 && action.params.of !== "int")
      throw new Error(`${table.name}.${name}: a clause counts its rule's parts`);
  }
}

function checkStep(
  where: string,
  step: Step,
  isLast: boolean,
  params: Action["params"],
  table: AnyTable,
  byName: ReadonlyMap<string, AnyTable>,
): void {
  if (ends.has(step.do) && !isLast) throw new Error(`${where}: steps follow ${step.do}`);
  if (table.role === "subroutine" && step.do !== "set") throw new Error(`${where}: a subroutine only sets fields`);
  for (const operand of operandsOf(step)) {
    if (operand.from === "param" && params[operand.name] === undefined)
      throw new Error(`${where}: no parameter ${operand.name}`);
  }
  if (step.do === "measure") {
    if (step.field.bits !== 1 || step.field.home !== "memory") {
      throw new Error(`${where}: what is measured goes into one bit of memory, not into ${step.field.name}`);
    }
  }
  if (step.do === "commit") {
    for (const { field } of step.keep)
      if (field.home !== "connection") throw new Error(`${where}: a connection does not keep ${field.name}`);
  }
  if ("zone" in step && (step.zone.home !== "memory" || step.zone.kind !== "name"))
    throw new Error(`${where}: ${step.zone.name} holds no zone`);
  if (step.do === "back") checkBack(where, table);
  if (!("table" in step)) return;
  const target = byName.get(step.table);
  const role = {
    goto: "stage",
    back: "stage",
    track: "stage",
    translate: "stage",
    translateSource: "stage",
    call: "subroutine",
    replicate: "members",
    select: "members",
  }[step.do];
  if (target?.role !== role) throw new Error(`${where}: ${step.do} ${step.table}, which is not a ${role} table`);
}

/** A way back is taken a known number of times: each round has its own row, which moves the count on. */
function checkBack(where: string, table: AnyTable): void {
  const columns = Object.values<Column>(table.columns);
  const [counter] = columns;
  if (table.scheme !== "exact" || columns.length !== 1 || counter?.field.home !== "memory")
    throw new Error(`${where}: only an exact table of one count leads back`);
  if (table.miss.some((step) => step.do === "back")) throw new Error(`${where}: a miss leads back, and so without end`);
  const rounds = Object.values<Action>(table.actions).filter((action) =>
    action.steps.some((step) => step.do === "back"),
  );
  for (const { steps } of rounds) {
    if (!steps.some((step) => step.do === "set" && step.field.name === counter.field.name))
      throw new Error(`${where}: a round that is not counted`);
  }
  for (const each of table.constants) {
    const next = Number(each.args?.next ?? Number.NaN);
    const [name = ""] = Object.keys(table.columns);
    if (rounds.includes(table.actions[each.action]) && !(next > Number(each.key[name])))
      throw new Error(`${where}: the count does not grow`);
  }
}

function targetsOf(table: AnyTable): readonly string[] {
  const steps = [...Object.values<Action>(table.actions).flatMap((action) => action.steps), ...table.miss];
  return steps.flatMap((step) => ("table" in step && step.do !== "back" ? [step.table] : []));
}

function checkAcyclic(tables: readonly AnyTable[], byName: ReadonlyMap<string, AnyTable>): void {
  const done = new Set<string>();
  const visit = (name: string, path: readonly string[]): void => {
    if (path.includes(name)) throw new Error(`the program loops: ${[...path, name].join(" → ")}`);
    if (done.has(name)) return;
    const table = byName.get(name);
    if (table !== undefined) for (const next of targetsOf(table)) visit(next, [...path, name]);
    done.add(name);
  };
  for (const table of tables) visit(table.name, []);
}

/** Selvage's own program. */
export const selvageProgram: Program = program("classify", [
  Classify,
  GuardMac,
  GuardIp,
  Fragments,
  ServiceClass,
  Arp,
  ArpAnswer,
  Nd,
  NdAnswer,
  RouterSolicitation,
  Dhcp,
  Dhcp6,
  Carriage,
  L2,
  HoldersHere,
  HoldersThere,
  Mcast,
  FloodLocal,
  FloodRemote,
  CopyCarriage,
  Copies,
  Neighbour,
  FabricVni,
  TunnelSource,
  TunnelDomain,
  FabricIn,
  TunnelOut,
  Turn,
  Deliver,
  ...policyTables,
  ...routerTables,
  ...serviceTables,
  ...outsideTables,
]);
