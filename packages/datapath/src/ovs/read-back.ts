/** What the switch holds, told as rows: a flow's cookie names its row, a group's bucket its member, a flow of clauses the rules. */
import type { Connection } from "@selvage/openflow";
import type { Row } from "@selvage/pipeline";
import type { InstalledRow } from "../datapath.ts";
import { nameOf, provenanceOf } from "./cookie.ts";
import { clauseKey, flowKey } from "./plan.ts";
import { firstDriverTable } from "./punts.ts";
import type { Renderer } from "./render.ts";
import { actionsText, bucketText, flowText } from "./text.ts";

/** A row's parts as found so far. */
interface Reading {
  readonly row: Row;
  readonly texts: string[];
  packets: number;
}

/**
 * Reads flows and groups. What is the program's own without being a row (what a miss does, how packets reach the agent) is left out; what nothing
 * explains has a null row.
 */
export async function readInstalled(
  renderer: Renderer,
  rows: Iterable<Row>,
  connection: Connection,
): Promise<readonly InstalledRow[]> {
  const { tables } = renderer.program;
  const numbers = new Map(tables.map((table) => [table.name, table.number]));
  const byName = new Map<string, Row>();
  const members = new Map<string, Row>();
  const clauses = new Map<string, Row[]>();
  const own = new Set(tables.map((table) => `${table.number}|${nameOf(`${table.name}(miss)`)}`));
  for (const row of rows) {
    const table = numbers.get(row.table) ?? firstDriverTable;
    if (renderer.isClause(row)) {
      for (const clause of renderer.clauses(row)) {
        const key = `${clauseKey(clause)} ${actionsText([clause.conjunction])}`;
        clauses.set(key, [...(clauses.get(key) ?? []), row]);
      }
      continue;
    }
    if (!renderer.isMember(row)) {
      byName.set(`${table}|${nameOf(row.id)}`, row);
      continue;
    }
    const set = `${table}|${nameOf(renderer.setOf(row).id)}`;
    members.set(`${set}|${renderer.memberNumber(row)}`, row);
  }
  const groups = new Map((await connection.groups()).map((group) => [group.group, group]));
  const readings = new Map<string, Reading>();
  const unexplained: InstalledRow[] = [];
  const note = (row: Row, text: string, packets: number): void => {
    const held = readings.get(row.id) ?? { row, texts: [], packets: 0 };
    held.texts.push(text);
    held.packets += packets;
    readings.set(row.id, held);
  };
  for await (const flow of connection.flowStats()) {
    if (flow.table >= firstDriverTable) continue;
    const actions = flow.instructions.flatMap((each) => (each.kind === "apply" ? each.actions : []));
    const packets = Number(flow.statistics.packets ?? 0n);
    const provenance = provenanceOf(flow.cookie);
    const key = provenance?.table === flow.table ? `${flow.table}|${provenance.name}` : "";
    if (own.has(key)) continue;
    const row = byName.get(key);
    if (row !== undefined) {
      note(row, flowText({ ...flow, actions }), packets);
      continue;
    }
    const [action] = actions;
    if (action?.kind === "conjunction") {
      for (const clause of actions) {
        const of = clauses.get(`${flowKey(flow)} ${actionsText([clause])}`);
        const text = flowText({ ...flow, actions: [clause] });
        for (const each of of ?? []) note(each, text, packets);
        if (of === undefined) unexplained.push({ row: null, text, packets });
      }
      continue;
    }
    const group = action?.kind === "group" ? groups.get(action.group) : undefined;
    const found = (group?.buckets ?? []).map((bucket) => ({ bucket, row: members.get(`${key}|${bucket.id}`) }));
    if (group === undefined || found.every((each) => each.row === undefined)) {
      unexplained.push({ row: null, text: flowText({ ...flow, actions }), packets });
      continue;
    }
    groups.delete(group.group);
    // Whatever enters a group goes to each of its members.
    for (const { bucket, row: member } of found) {
      const text = `group_id=${group.group},${bucketText(bucket)}`;
      if (member === undefined) unexplained.push({ row: null, text, packets });
      else note(member, text, packets);
    }
  }
  for (const { group, buckets } of groups.values()) {
    unexplained.push({ row: null, text: `group_id=${group},${buckets.map(bucketText).join(",")}`, packets: 0 });
  }
  const explained = [...readings.values()].map(({ row, texts, packets }) => ({ row, text: texts.join("; "), packets }));
  return [...explained, ...unexplained];
}
