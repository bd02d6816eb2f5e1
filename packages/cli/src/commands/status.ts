/** `selvage status`: what the server knows of its hosts and ports. */

import { askStatus, type FabricStatus, labAlive, openFabric } from "@selvage/lab";
import { dataDirectory } from "../context.ts";
import { Exit } from "../exit.ts";
import { type Output, printJson, printTable, standardOutput } from "../format.ts";

export interface StatusFlags {
  readonly data?: string;
  readonly json?: boolean;
}

/** What of a fabric is running, besides what its server tells. */
export interface Running {
  readonly datapath: string;
  readonly why: string | null;
  readonly url: string;
  readonly lab: "none" | "alive" | "dead";
}

const behind = (inForce: number | null, revision: number | null): string | null => {
  if (inForce === null || revision === null) return null;
  return inForce >= revision ? "all in force" : `${revision - inForce} behind`;
};

/** The answer for programs. */
export function statusJson(running: Running, fabric: FabricStatus): unknown {
  return {
    ...running,
    revision: fabric.revision,
    hosts: fabric.hosts.map((host) => ({
      name: host.name,
      alive: host.alive,
      tunnel_ip: host.tunnelIp,
      datapath: host.datapath,
      revision: host.inForce,
      unbound: host.unbound,
      problems: host.problems,
      drift: host.drift,
      drops: host.drops,
    })),
    ports: fabric.ports,
    problems: fabric.problems,
  };
}

function driftNote({ name, drift }: FabricStatus["hosts"][number]): readonly (readonly string[])[] {
  const last = drift.at(-1);
  if (last === undefined) return [];
  const times = drift.length === 1 ? "one thing" : `${drift.length} things`;
  return [
    [
      name,
      `${times} on its switch ${drift.length === 1 ? "was" : "were"} changed by another hand and mended, last at ${last.at}: selvage drift ${name}`,
    ],
  ];
}

/** Reasons that one line names. */
const namedReasons = 5;

function dropsText(drops: FabricStatus["hosts"][number]["drops"]): string {
  const named = drops.slice(0, namedReasons).map(({ reason, packets }) => `${reason} ${packets}`);
  const rest = drops.slice(namedReasons).reduce((sum, { packets }) => sum + packets, 0);
  return [...named, ...(rest === 0 ? [] : [`others ${rest}`])].join(", ");
}

/** The answer for people: a line a host, and below whatever an operator has to look at. */
export function showStatus(running: Running, fabric: FabricStatus, output: Output): void {
  const { datapath, url, lab } = running;
  output.text(`datapath: ${datapath}   server: ${url}   lab: ${lab}   revision: ${fabric.revision ?? "-"}\n`);
  output.text(`ports: ${fabric.ports.up} up, ${fabric.ports.down} down\n\n`);
  printTable(output, {
    columns: ["host", "tunnel", "state", "datapath", "revision", ""],
    rows: fabric.hosts.map((host) => [
      host.name,
      host.tunnelIp,
      host.alive ? "alive" : "dead",
      host.datapath,
      host.inForce,
      behind(host.inForce, fabric.revision),
    ]),
  });
  const ofHosts = fabric.hosts.flatMap((host) => [
    ...host.unbound.map((port) => [
      host.name,
      `the interface of port ${port} is plugged in, but the port is not bound here`,
    ]),
    ...host.problems.map((problem) => [host.name, problem]),
    ...driftNote(host),
  ]);
  const notes = [...ofHosts, ...fabric.problems.map((problem) => [null, problem])];
  if (notes.length > 0) {
    output.text("\n");
    printTable(output, { columns: ["host", "to look at"], rows: notes });
  }
  const dropping = fabric.hosts.filter(({ drops }) => drops.length > 0);
  if (dropping.length > 0) {
    output.text("\n");
    const rows = dropping.map(({ name, drops }) => [name, dropsText(drops)]);
    printTable(output, { columns: ["host", "packets dropped, most first (docs/drop-reasons.md)"], rows });
  }
  if (lab === "dead") output.note("the lab has ended: ./selvage up repairs it\n");
}

/** Runs `selvage status`. Exit code 1 when a host or the lab is dead. */
export async function status(flags: StatusFlags, output: Output = standardOutput): Promise<number> {
  const { api, record } = await openFabric(dataDirectory(flags.data));
  const fabric = await askStatus(api);
  const { datapath, why, url } = record;
  const lab = record.lab === null ? "none" : labAlive(record.lab) ? "alive" : "dead";
  const running: Running = { datapath, why, url, lab };
  if (flags.json === true) printJson(output, statusJson(running, fabric));
  else showStatus(running, fabric, output);
  return lab !== "dead" && fabric.hosts.every((host) => host.alive) ? Exit.ok : Exit.failed;
}
