/** `selvage history`: who changed what, when, by which request. */

import { at, openFabric } from "@selvage/lab";
import { dataDirectory } from "../context.ts";
import { Exit } from "../exit.ts";
import { type Output, printJson, printTable, standardOutput } from "../format.ts";

export interface HistoryFlags {
  readonly since?: string;
  readonly until?: string;
  readonly project?: string;
  readonly kind?: string;
  readonly id?: string;
  readonly author?: string;
  readonly request?: string;
  readonly before?: number;
  readonly limit?: number;
  readonly data?: string;
  readonly json?: boolean;
}

const filters = ["since", "until", "project", "kind", "id", "author", "request", "before", "limit"] as const;

/** The question to the server: the filters that were given. */
export function historyPath(flags: HistoryFlags): string {
  const query = new URLSearchParams();
  for (const name of filters) {
    const value = flags[name];
    if (value !== undefined) query.set(name, String(value));
  }
  return query.size === 0 ? "/v1/history" : `/v1/history?${query}`;
}

function text(value: unknown, ...keys: readonly string[]): string | null {
  const found = keys.reduce<unknown>(at, value);
  return typeof found === "string" && found !== "" ? found : null;
}

function list(value: unknown, key: string): readonly unknown[] {
  const found = at(value, key);
  return Array.isArray(found) ? found : [];
}

/** What an entry did, in a few words: its first change, and how many more there are. */
function changesText(entry: unknown): string {
  const changes = list(entry, "changes");
  const [first] = changes;
  if (first === undefined) return "nothing";
  const [action, kind, id, name] = ["action", "kind", "id", "name"].map((key) => text(first, key));
  const named = name === null ? id : `${name} (${id})`;
  const more = changes.length > 1 ? `, ${changes.length - 1} more` : "";
  return `${kind} ${named} ${action}${more}`;
}

/** Prints what the server answered: a table, newest first, and how to go on. */
export function printHistory(reply: unknown, output: Output): void {
  printTable(output, {
    columns: ["revision", "when", "who", "project", "what", "request"],
    rows: list(reply, "history").map((entry) => {
      const revision = at(entry, "revision");
      return [
        typeof revision === "number" ? revision : null,
        text(entry, "at"),
        text(entry, "author", "name") ?? text(entry, "author", "id"),
        text(entry, "project_id"),
        changesText(entry),
        text(entry, "client_request_id") ?? text(entry, "request_id"),
      ];
    }),
  });
  const next = at(reply, "next");
  if (typeof next === "number") output.note(`\nolder: the same with --before ${next}\n`);
}

/** Runs `selvage history`. */
export async function history(flags: HistoryFlags, output: Output = standardOutput): Promise<number> {
  const { api } = await openFabric(dataDirectory(flags.data));
  const reply = await api.ask("GET", historyPath(flags));
  if (flags.json === true) printJson(output, reply);
  else printHistory(reply, output);
  return Exit.ok;
}
