/** Takes a fabric down: ends its lab and its server, and removes its data when that is asked. */

import { mkdir, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { stopLab } from "./lab-process.ts";
import { readLabRecord } from "./lab-record.ts";
import { dataPaths } from "./paths.ts";
import type { ProcessIdentity } from "./processes.ts";
import { lockData, readRunRecord, unmarkRunning } from "./run-record.ts";
import { stopServerProcess } from "./server-process.ts";

export interface DownOptions {
  readonly dataDirectory: string;
  readonly runningMarks: string;
  /** Whether the data stay or go. */
  readonly data: "keep" | "purge";
  readonly onStep: (step: string) => void;
}

/** What `down` found and did. */
export interface DownReport {
  readonly wasRunning: boolean;
  readonly purged: boolean;
}

const OWN_NAMES = ["run.json", "lab.json", "lab.sock", "demo.json", "lock", "server", "hosts", "log"];

/** Ends all of a fabric; its data stay unless purged. Harmless when nothing runs. */
export async function takeDown(options: DownOptions): Promise<DownReport> {
  const paths = dataPaths(options.dataDirectory);
  const known = await readRunRecord(paths.runRecord).catch((cause: unknown) => {
    if (options.data === "purge") return undefined;
    throw cause;
  });
  const there = known !== undefined || (await readLabRecord(paths.labRecord).catch(() => undefined)) !== undefined;
  if (!there && options.data === "keep") return { wasRunning: false, purged: false };
  await mkdir(paths.root, { recursive: true, mode: 0o755 });
  const lock = await lockData(paths.lock);
  try {
    if (known !== undefined) {
      if (known.lab !== null) {
        options.onStep("ending the lab");
        await stopLab(known.lab, paths.labSocket, 20_000);
      }
      options.onStep("ending the server");
      await stopServerProcess(known.server);
      const marks: readonly ProcessIdentity[] = known.lab === null ? [known.server] : [known.server, known.lab.first];
      await unmarkRunning(options.runningMarks, marks);
      await rm(paths.runRecord, { force: true });
    }
    if (options.data === "purge") {
      options.onStep(`removing ${paths.root}`);
      // Only what is ours: a directory that someone named by mistake keeps all else.
      await Promise.all(OWN_NAMES.map((name) => rm(join(paths.root, name), { recursive: true, force: true })));
    }
    return { wasRunning: known !== undefined, purged: options.data === "purge" };
  } finally {
    await lock.release();
    if (options.data === "purge") await rmdir(paths.root).catch(() => undefined); // not empty: not only ours
  }
}
