/** What a lab is made of, as it is kept over `down`, a crash or a reboot: its hosts, its machines, its underlay. */

import type { MachinePlan } from "./machine.ts";
import { readRecord, writeRecord } from "./paths.ts";

/** A host that belongs to the lab. */
export interface RecordedHost {
  readonly name: string;
  readonly number: number;
  readonly tunnelIp: string;
  /** The physical networks that it has besides `public`. Absent: none. */
  readonly wires?: readonly string[];
}

export interface LabRecord {
  /** Version of this file's form. */
  readonly version: 1;
  readonly underlay: string;
  /** The port that the server was asked to have; 0: any free one. */
  readonly port?: number;
  readonly hosts: readonly RecordedHost[];
  readonly machines: readonly MachinePlan[];
}

/** A lab with nothing in it yet. */
export function emptyLab(underlay: string): LabRecord {
  return { version: 1, underlay, hosts: [], machines: [] };
}

function isLabRecord(value: unknown): value is LabRecord {
  return (
    typeof value === "object" &&
    value !== null &&
    "version" in value &&
    value.version === 1 &&
    "hosts" in value &&
    Array.isArray(value.hosts) &&
    "machines" in value &&
    Array.isArray(value.machines) &&
    "underlay" in value &&
    typeof value.underlay === "string"
  );
}

/** Reads the record; `undefined` when there is none or it is of another version. */
export async function readLabRecord(path: string): Promise<LabRecord | undefined> {
  const value = await readRecord(path);
  return isLabRecord(value) ? value : undefined;
}

/** Writes the record, whole. */
export function writeLabRecord(path: string, record: LabRecord): Promise<void> {
  return writeRecord(path, record);
}
