/** `selvage trace FROM TO`: a packet's way through every table of every host that it meets, how it ends, and why. */

import type { ToldLeg, ToldObject, ToldRow, ToldTrace } from "@selvage/explain";
import { at, LabError, openFabric } from "@selvage/lab";
import { dataDirectory } from "../context.ts";
import { Exit } from "../exit.ts";
import { type Output, printJson, standardOutput, tableLines } from "../format.ts";

export interface TraceFlags {
  readonly tcp?: number;
  readonly udp?: number;
  readonly sctp?: number;
  /** True: without a type. */
  readonly icmp?: string | true;
  readonly proto?: number;
  readonly sourcePort?: number;
  readonly 4?: boolean;
  readonly 6?: boolean;
  readonly size?: number;
  readonly ttl?: number;
  readonly data?: string;
  readonly json?: boolean;
}

const usage = (text: string): LabError => new LabError("unknown-machine", text, "selvage trace --help");

/** Type and code of `8` or `3/1`. Throws LabError. */
function icmpOf(word: string): object {
  const found = /^(\d{1,3})(?:\/(\d{1,3}))?$/.exec(word);
  if (found === null) throw usage(`"${word}" is no ICMP type, nor a type and a code such as 3/1`);
  return { icmp_type: Number(found[1]), ...(found[2] === undefined ? {} : { icmp_code: Number(found[2]) }) };
}

/** The question to the server. Throws LabError where the words contradict each other. */
export function traceBody(from: string, to: string, flags: TraceFlags): Readonly<Record<string, unknown>> {
  const ports = (["tcp", "udp", "sctp"] as const).flatMap((protocol) => {
    const port = flags[protocol];
    return port === undefined ? [] : [{ protocol, destination_port: port }];
  });
  const protocols: readonly object[] = [
    ...ports,
    ...(flags.icmp === undefined ? [] : [{ protocol: "icmp", ...(flags.icmp === true ? {} : icmpOf(flags.icmp)) }]),
    ...(flags.proto === undefined ? [] : [{ protocol: flags.proto }]),
  ];
  if (protocols.length > 1)
    throw usage("one packet has one protocol: give one of --tcp, --udp, --sctp, --icmp, --proto");
  if (flags[4] === true && flags[6] === true) throw usage("one packet has one IP version: give -4 or -6");
  return {
    from,
    to,
    ...protocols[0],
    ...(flags.sourcePort === undefined ? {} : { source_port: flags.sourcePort }),
    ...(flags[4] === true ? { ip_version: 4 } : flags[6] === true ? { ip_version: 6 } : {}),
    ...(flags.size === undefined ? {} : { size: flags.size }),
    ...(flags.ttl === undefined ? {} : { ttl: flags.ttl }),
  };
}

/** `port red-1`; of another project's object its kind. */
export function objectText({ kind, id, name }: ToldObject): string {
  const word = kind.replaceAll("_", " ");
  if (id === null) return `${word} of another project`;
  return `${word} ${name === null || name === "" ? id : name}`;
}

const rowCells = (table: string, row: ToldRow | null): readonly string[] => {
  if (row === null) return [table, "no row", ""];
  const objects = row.objects.length === 0 ? "always" : row.objects.map(objectText).join(", ");
  return [table, objects, row.row ?? row.action];
};

const headings: Readonly<Record<ToldLeg["direction"], string>> = {
  ask: "who has the next hop's address",
  forward: "there",
  reply: "back",
};

/** The answer for people: each host's tables in the packet's order, and the end in one line with what can be done. */
export function showTrace({ legs, notes, delivered, summary, source, destination }: ToldTrace, output: Output): void {
  output.text(`from ${source} to ${destination}\n`);
  for (const { direction, hops } of legs) {
    output.text(`\n${headings[direction]}\n`);
    for (const { host, packet, steps, outcomes } of hops) {
      output.text(`  ${host ?? "a host"}: ${packet}\n`);
      const rows = steps.flatMap(({ table, row, clauses = [] }) => [
        ...clauses.map((clause) => rowCells(table, clause)),
        rowCells(table, row),
      ]);
      for (const line of tableLines({ columns: ["table", "of", "row"], rows })) output.text(`    ${line}\n`);
      for (const outcome of outcomes) output.text(`    = ${outcome}\n`);
    }
  }
  output.text(`\n${delivered ? "delivered" : "NOT delivered"}: ${summary}\n`);
  const ending = legs.at(-1)?.ending;
  if (ending?.kind === "dropped") {
    output.text(`  → ${ending.hint}\n`);
    for (const { group, text, fails } of ending.nearest)
      output.text(`  nearest rule: ${text} (security group ${group}); ${fails.join("; ")}\n`);
  }
  for (const note of notes) output.text(`note: ${note}\n`);
}

/** Runs `selvage trace FROM TO`. Exit code 1 when the packet, or its answer, is not delivered. */
export async function trace(
  from: string,
  to: string,
  flags: TraceFlags,
  output: Output = standardOutput,
): Promise<number> {
  const body = traceBody(from, to, flags);
  const { api } = await openFabric(dataDirectory(flags.data));
  // The server is of this very version, or says what it cannot do.
  const told = at(await api.ask("POST", "/v1/trace", body), "trace") as ToldTrace;
  if (flags.json === true) printJson(output, told);
  else showTrace(told, output);
  return told.delivered ? Exit.ok : Exit.failed;
}
