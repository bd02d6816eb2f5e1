/** Giving up root: the data directory changes hands, then group, groups and user (setgid(2), setgroups(2), setuid(2)), and it is checked. */
import { lchown, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fail } from "@selvage/base";

export interface RunAs {
  readonly uid: number;
  readonly gid: number;
}

/** Throws when the process is root and nobody said as whom it shall go on. To stay root, say uid 0. */
export function checkRunAs(runAs: RunAs | undefined): void {
  if (process.getuid?.() === 0 && runAs === undefined) throw fail("RootRefused");
}

/** Gives the directory and all in it to the user. Links themselves change hands, never what they point to. */
export async function giveDirectory(directory: string, { uid, gid }: RunAs): Promise<void> {
  if (process.getuid?.() !== 0) return;
  await lchown(directory, uid, gid);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await giveDirectory(path, { uid, gid });
    else await lchown(path, uid, gid);
  }
}

/** Becomes the user, for good. Does nothing when the process is not root, or shall stay it. Throws when root could be had back. */
export function dropRoot({ uid, gid }: RunAs): void {
  if (process.getuid?.() !== 0 || uid === 0) return;
  process.setgroups?.([]);
  process.setgid?.(gid);
  process.setuid?.(uid);
  if (process.getuid?.() !== uid || process.getgid?.() !== gid) throw new Error("the user or group did not change");
  try {
    process.setuid?.(0);
  } catch {
    // Refused, as it must be.
    return;
  }
  throw new Error("root could be had back after it was given up");
}
