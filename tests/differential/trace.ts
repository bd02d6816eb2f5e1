/**
 * Reads what `ofproto/trace` says of a packet (ovs-vswitchd(8), "ofproto/trace") back to the tables it met, and in each the row or the reason.
 * What follows a measured length is told for both outcomes, the larger first; which of them came true is for the packet that is really sent to show.
 */
import { nameOf, provenanceOf } from "@selvage/datapath/testing";
import { type Action, type Program, type Row, selvageProgram } from "@selvage/pipeline";
import type { Ending } from "./ending.ts";
import { isMembers, measuring, metAs, reasonOf, type TooLarge } from "./way.ts";

/** What a cookie stands for. */
interface Named {
  readonly id: string;
  /** Why it drops, where it does. */
  readonly reason: string | null;
}

/** Rows by table and the name that cookies hold of them. */
export class RowNames {
  readonly #program: Program;
  readonly #named = new Map<string, Named>();
  readonly #tables: ReadonlyMap<number, string>;

  /** For the rows of one host; the program's own come with it. */
  constructor(rows: Iterable<Row>, program: Program = selvageProgram) {
    this.#program = program;
    this.#tables = new Map(
      program.tables.filter(({ name }) => !isMembers(program, name)).map(({ number, name }) => [number, name]),
    );
    for (const { table, id, action } of [...rows, ...program.constants]) {
      const actions: Readonly<Record<string, Action>> = program.byName.get(table)?.actions ?? {};
      this.#named.set(`${table}|${nameOf(id)}`, { id, reason: reasonOf(actions[action]?.steps ?? []) });
    }
    for (const { name, miss } of program.tables)
      this.#named.set(`${name}|${nameOf(`${name}(miss)`)}`, { id: "miss", reason: reasonOf(miss) });
  }

  /** A table's name, for those that packets are looked up in; undefined for sets of members and the driver's own. */
  table(number: number): string | undefined {
    return this.#tables.get(number);
  }

  /** The row or miss that a cookie names, and why it drops; the cookie's own text where nothing explains it. */
  named(table: string, cookie: bigint): Named {
    const provenance = provenanceOf(cookie);
    const number = this.#program.byName.get(table)?.number;
    const named = provenance?.table === number ? this.#named.get(`${table}|${provenance?.name}`) : undefined;
    // A cookie that tells a reason is believed: it is what the drop is counted under.
    const reason = provenance?.reason ?? named?.reason ?? null;
    const id = named && metAs(this.#program, table, named.id);
    return { id: id ?? `a flow that is no row's, 0x${cookie.toString(16)}`, reason };
  }
}

const visit = /^ *(\d+)\. (No match\.|.*\bpriority \d+, cookie 0x([0-9a-f]+))$/;
const measured = /^( *)check_pkt_larger\(/;

/** Writes down which rows a traced frame met on a host, and why it was dropped. Throws SyntaxError on a text that is no trace. */
export function readTrace(text: string, tooLarge: TooLarge, host: number, names: RowNames, ending: Ending): void {
  const end = text.indexOf("\nFinal flow:");
  if (!text.includes('bridge("br-int")') || end < 0) throw new SyntaxError(`no trace: ${text}`);
  const met = (line: string) => {
    const found = visit.exec(line);
    const table = found === null ? undefined : names.table(Number(found[1]));
    if (found === null || table === undefined) return undefined;
    const named = found[3] === undefined ? undefined : names.named(table, BigInt(`0x${found[3]}`));
    return { table, id: named?.id ?? "miss", reason: named?.reason ?? null };
  };
  const isTooLarge = (line: string): boolean => {
    const row = met(line);
    return row !== undefined && tooLarge.has(measuring(row.table, row.id));
  };
  for (const line of asMeasured(text.slice(0, end).split("\n"), isTooLarge)) {
    const row = met(line);
    if (row === undefined) continue;
    ending.met(host, row.table, row.id);
    if (row.reason !== null) ending.dropped(host, row.reason);
  }
}

/**
 * The lines without those of the outcomes that are not read. A measurement is followed by one lookup, told twice: what lies between the two tellings is of
 * the larger outcome, and what follows the second, as far as the lookups go on that the measuring table began, is of the other. In either there may be another.
 */
function asMeasured(lines: readonly string[], isTooLarge: (line: string) => boolean): readonly string[] {
  const at = lines.findIndex((line) => measured.test(line));
  const [, indent = ""] = measured.exec(lines[at] ?? "") ?? [];
  if (at < 0) return lines;
  const isLookup = (line: string): boolean => line.startsWith(`${indent}resubmit(`);
  const larger = lines.findIndex((line, place) => place > at && isLookup(line));
  const other = lines.findIndex((line, place) => place > larger && isLookup(line));
  if (larger < 0 || other < 0)
    throw new SyntaxError(`a measurement is not followed by two lookups: ${lines.join("\n")}`);
  const table = lines.slice(0, at).findLast((line) => visit.test(line)) ?? "";
  const after = lines.findIndex((line, place) => place > other && isBeyond(line, depthOf(table)));
  const end = after < 0 ? lines.length : after;
  const kept = isTooLarge(table) ? lines.slice(larger, other) : lines.slice(other, end);
  return [...lines.slice(0, at), ...asMeasured(kept, isTooLarge), ...asMeasured(lines.slice(end), isTooLarge)];
}

/** How far a line about a table stands in; its number takes two places at least. */
const depthOf = (line: string): number => Math.max(0, line.indexOf(".") - 2);

/** Whether a line is of what comes after the lookups that a table at some depth began: farther out, or as far and no lookup. */
function isBeyond(line: string, depth: number): boolean {
  if (depth === 0 || line.trim() === "") return false;
  const own = line.length - line.trimStart().length;
  if (visit.test(line)) return depthOf(line) < depth;
  return own < depth || (own === depth && !/^ *(bridge\(|-+$)/.test(line));
}
