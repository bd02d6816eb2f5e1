/** `selvage status`: what the server knows of its hosts and ports. */

import { askStatus, labAlive, openFabric } from "@selvage/lab";
import { dataDirectory } from "../context.ts";
import { Exit } from "../exit.ts";
import { type Output, printJson, printTable, standardOutput } from "../format.ts";

export interface StatusFlags {
  readonly data?: string;
  readonly json?: boolean;
}

/** Runs `selvage status`. Exit code 1 when a host or the lab is dead. */
export async function status(flags: StatusFlags, output: Output = standardOutput): Promise<number> {
  const { api, record } = await openFabric(dataDirectory(flags.data));
  const fabric = await askStatus(api);
  const lab = record.lab === null ? "none" : labAlive(record.lab) ? "alive" : "dead";
  if (flags.json === true) {
    printJson(output, {
      datapath: record.datapath,
      why: record.why,
      url: record.url,
      lab,
      revision: fabric.revision,
      hosts: fabric.hosts.map((host) => ({
        name: host.name,
        alive: host.alive,
        tunnel_ip: host.tunnelIp,
        revision: host.inForce,
        unbound: host.unbound,
        problems: host.problems,
      })),
      ports: fabric.ports,
    });
  } else {
    const behind = (inForce: number | null): string | null =>
      inForce === null || fabric.revision === null
        ? null
        : inForce >= fabric.revision
          ? "all in force"
          : `${fabric.revision - inForce} behind`;
    output.text(
      `datapath: ${record.datapath}   server: ${record.url}   lab: ${lab}   revision: ${fabric.revision ?? "-"}\n`,
    );
    output.text(`ports: ${fabric.ports.up} up, ${fabric.ports.down} down\n\n`);
    printTable(output, {
      columns: ["host", "tunnel", "state", "revision", ""],
      rows: fabric.hosts.map((host) => [
        host.name,
        host.tunnelIp,
        host.alive ? "alive" : "dead",
        host.inForce,
        behind(host.inForce),
      ]),
    });
    for (const host of fabric.hosts) {
      for (const port of host.unbound)
        output.text(
          `\n${host.name}: the interface of port ${port} is plugged in here, but the port is not bound here\n`,
        );
      for (const problem of host.problems) output.text(`\n${host.name}: ${problem}\n`);
    }
    if (lab === "dead") output.note("the lab has ended: ./selvage up repairs it\n");
  }
  return lab !== "dead" && fabric.hosts.every((host) => host.alive) ? Exit.ok : Exit.failed;
}
