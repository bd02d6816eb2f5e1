/** What a lab must leave as it was on the machine it runs on: files of /etc, routes, rules, sysctls, packet filters, links, mounts, namespaces. */

import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { attempt } from "../command.ts";
import { commandLine, processIds } from "../processes.ts";
import { findCommand } from "../setup.ts";

/** One text a part; equal texts mean that nothing changed. */
export type MachineSnapshot = Readonly<Record<string, string>>;

function filesOf(directory: string): readonly string[] {
  return readdirSync(directory, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) return [`${path}/`, ...filesOf(path)];
      if (entry.isSymbolicLink()) return [`${path} -> ${readlinkSync(path)}`];
      if (!entry.isFile()) return [`${path} special`];
      const { mode, uid, gid } = lstatSync(path);
      return [
        `${path} ${mode.toString(8)} ${uid}:${gid} ${createHash("sha256").update(readFileSync(path)).digest("hex")}`,
      ];
    });
}

function sysctls(directory: string): readonly string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return sysctls(path);
    // Values that count or measure change by themselves.
    if (/count$|\/nf_conntrack_|rcv_wscale|cookie|flow_limit/.test(path)) return [];
    try {
      return [`${path} = ${readFileSync(path, "utf8").trim()}`];
    } catch {
      return []; // write-only, such as route/flush
    }
  });
}

async function output(...argv: readonly string[]): Promise<string> {
  const [command] = argv;
  if (command === undefined || findCommand(command) === undefined) return "no such tool";
  const result = await attempt(argv);
  return result.stdout.replace(/expires \d+sec/g, "");
}

/** Takes the snapshot. */
export async function machineSnapshot(): Promise<MachineSnapshot> {
  const [links, addresses, routes, routes6, rules, filters, namespaces, neighbours] = await Promise.all([
    output("ip", "-o", "link"),
    output("ip", "-o", "addr"),
    output("ip", "-4", "route", "show", "table", "all"),
    output("ip", "-6", "route", "show", "table", "all"),
    output("ip", "rule"),
    output("nft", "list", "ruleset"),
    output("ip", "netns", "list"),
    output("ip", "-o", "maddr"),
  ]);
  const mounts = readFileSync("/proc/self/mountinfo", "utf8");
  return {
    etc: filesOf("/etc").join("\n"),
    sysctls: sysctls("/proc/sys/net").join("\n"),
    ...{ links, addresses, routes, routes6, rules, filters, namespaces, neighbours, mounts },
  };
}

/** Processes of this machine whose command line names a directory: what a lab there has left running. */
export function processesNaming(directory: string): readonly string[] {
  return processIds()
    .filter((pid) => pid !== process.pid)
    .map((pid) => `${pid} ${commandLine(pid)}`)
    .filter((line) => line.includes(directory));
}
