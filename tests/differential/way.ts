/**
 * A simulated packet's way through the tables as the switch's own trace can tell it: up to where its connection is tracked, for the trace knows no
 * connections (ovs-vswitchd(8), "ofproto/trace"), with what came of each measured length.
 */
import type { Trace, Visit } from "@selvage/datapath";
import { type Action, type Program, type Row, type Step, selvageProgram } from "@selvage/pipeline";
import type { Ending } from "./ending.ts";

/** Why a list of steps drops, where it does. */
export const reasonOf = (steps: readonly Step[]): string | null => {
  const last = steps.at(-1);
  return last?.do === "drop" ? last.reason : null;
};

/** What a visit is told as. Of several rules that a packet meets it is not said which one's verdict is run. */
export const metAs = (program: Program, table: string, id: string): string =>
  program.byName.get(table)?.scheme === "clauses" && id !== "miss" ? "a rule's verdict" : id;

/** Tables whose rows are sets of members: a switch replicates to them without a lookup. */
export const isMembers = (program: Program, table: string): boolean => program.byName.get(table)?.role === "members";

const stepsOf = (program: Program, { table, row }: Pick<Visit, "table"> & { readonly row: Row | undefined }) => {
  const declared = program.byName.get(table);
  const action: Action | undefined = row === undefined ? undefined : declared?.actions[row.action];
  return action?.steps ?? declared?.miss ?? [];
};

/** A visit, and whether the packet had been tracked before it. */
interface Placed {
  readonly visit: Visit;
  readonly isTracked: boolean;
}

/** Visits in their order, which is that of a walk through the steps: each table that a step leads to follows with all that it leads to. */
export function placed({ visits }: Trace, program: Program = selvageProgram): readonly Placed[] {
  const all: Placed[] = [];
  let at = 0;
  const walk = (isTracked: boolean): void => {
    const visit = visits[at];
    if (visit === undefined) return;
    at += 1;
    all.push({ visit, isTracked });
    for (const step of stepsOf(program, visit)) {
      switch (step.do) {
        case "goto":
        case "back":
        case "call":
        case "select":
          if (visits[at]?.table === step.table) walk(isTracked);
          break;
        case "replicate":
          while (visits[at]?.table === step.table) walk(isTracked);
          break;
        case "track":
        case "translate":
        case "translateSource":
          while (visits[at]?.table === step.table) walk(true);
          break;
        default:
          break;
      }
    }
  };
  walk(false);
  if (at !== visits.length)
    throw new TypeError(`visits that no step leads to: ${visits.slice(at).map((each) => each.table)}`);
  return all;
}

/** Rows that measured the packet, by table and id, of those it was too large for. */
export type TooLarge = ReadonlySet<string>;

export const measuring = (table: string, id: string): string => `${table}: ${id}`;

export function tooLargeFor({ visits }: Trace, program: Program = selvageProgram): TooLarge {
  return new Set(
    visits.flatMap((visit, place) => {
      const measures = stepsOf(program, visit).some((step) => step.do === "measure");
      const next = visits[place + 1];
      return measures && next !== undefined && isOversize(program, next)
        ? [measuring(visit.table, visit.row?.id ?? "miss")]
        : [];
    }),
  );
}

/** Whether a packet was measured as too large, by what it met next: a row that says so, or not the program's own row that is for those that are not. */
function isOversize(program: Program, { table, row }: Visit): boolean {
  if (row?.key.oversize !== undefined) return row.key.oversize === 1;
  return program.byName.get(table)?.constants?.some(({ key }) => key.oversize === 0) === true;
}

/** Writes down which rows a packet met on a host before it was tracked, and why it was dropped there. */
export function tellWay(trace: Trace, host: number, ending: Ending, program: Program = selvageProgram): void {
  for (const { visit, isTracked } of placed(trace, program)) {
    if (isTracked || isMembers(program, visit.table)) continue;
    ending.met(host, visit.table, metAs(program, visit.table, visit.row?.id ?? "miss"));
    const reason = reasonOf(stepsOf(program, visit));
    if (reason !== null) ending.dropped(host, reason);
  }
}
