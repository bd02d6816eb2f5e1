/** `selvage nat leases`: which host translates with which ports of which router's address outside. */

import { at, openFabric } from "@selvage/lab";
import { dataDirectory } from "../context.ts";
import { Exit } from "../exit.ts";
import { type Output, printJson, printTable, standardOutput } from "../format.ts";

export interface NatFlags {
  readonly data?: string;
  readonly json?: boolean;
}

const listIn = (reply: unknown, key: string): readonly unknown[] => {
  const list = at(reply, key);
  return Array.isArray(list) ? list.map((each: unknown) => each) : [];
};

/** What has a name is shown by it, and by its id where it has none. */
function nameIn(row: unknown, key: string): string {
  const object = at(row, key);
  const name = at(object, "name");
  return typeof name === "string" && name !== "" ? name : String(at(object, "id"));
}

const portsIn = (row: unknown): string => `${String(at(row, "first_port"))}-${String(at(row, "last_port"))}`;

/** For people: one line a block; those that rest are behind those that are held. */
export function showLeases(reply: unknown, output: Output): void {
  const held = listIn(reply, "nat_leases").map((lease) => [
    String(at(lease, "address")),
    portsIn(lease),
    nameIn(lease, "host"),
    nameIn(lease, "router"),
    at(lease, "current") === true ? "in use" : "draining",
  ]);
  const resting = listIn(reply, "rests").map((rest) => [
    String(at(rest, "address")),
    portsIn(rest),
    null,
    null,
    `rests until ${String(at(rest, "until"))}`,
  ]);
  printTable(output, { columns: ["address", "ports", "host", "router", "state"], rows: [...held, ...resting] });
}

/** Runs `selvage nat leases`. */
export async function natLeases(flags: NatFlags, output: Output = standardOutput): Promise<number> {
  const { api } = await openFabric(dataDirectory(flags.data));
  const reply = await api.ask("GET", "/v1/nat-leases");
  if (flags.json === true) printJson(output, reply);
  else showLeases(reply, output);
  return Exit.ok;
}
