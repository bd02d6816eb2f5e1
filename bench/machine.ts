/** The machine that a run was made on: figures mean little without it. */
import { execFileSync } from "node:child_process";
import { cpus, loadavg, release, totalmem } from "node:os";
import { switchVersion } from "@selvage/lab";

export interface Machine {
  readonly date: string;
  readonly cores: number;
  readonly processor: string;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  /** Null: there is none. */
  readonly openVSwitch: string | null;
  /** Runnable processes over the last minute when the run began: well above 0 means that others were at work. */
  readonly load: number;
}

export async function describeMachine(): Promise<Machine> {
  const processors = cpus();
  return {
    date: new Date().toISOString(),
    cores: processors.length,
    processor: processors[0]?.model ?? "unknown",
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    openVSwitch: (await switchVersion()) ?? null,
    load: loadNow(),
  };
}

/** Runnable processes over the last minute. */
export const loadNow = (): number => Math.round((loadavg()[0] ?? 0) * 10) / 10;

export function machineText(machine: Machine): string {
  const { date, cores, processor, memoryGiB, kernel, node, openVSwitch, load } = machine;
  return [
    `${date}: ${cores} cores (${processor}), ${memoryGiB} GiB, Linux ${kernel}, Node ${node},`,
    `Open vSwitch ${openVSwitch ?? "none"}, load ${load} before the run`,
  ].join(" ");
}

/** The commit that is measured; undefined outside a git tree. */
export function commitName(root: string): string | undefined {
  try {
    return execFileSync("git", ["-C", root, "rev-parse", "--short", "HEAD"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    // Not a checkout, or no git: the figures stand without it.
    return undefined;
  }
}
