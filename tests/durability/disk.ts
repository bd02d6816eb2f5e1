/** A small disk of a server's own, in a mount namespace that nobody else sees: it can be filled, freed and made read-only. */
import { spawnSync } from "node:child_process";
import { closeSync, copyFileSync, existsSync, mkdtempSync, openSync, rmSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, ServerProcess } from "./process.ts";

const mount = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"';

/** Why no such disk can be made here; undefined where one can. */
export function whyNoDisk(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "selvage-disk-"));
  const tried = spawnSync("unshare", ["--mount", "sh", "-c", mount, "sh", "1m", folder, "true"], { encoding: "utf8" });
  rmSync(folder, { recursive: true });
  return tried.status === 0 ? undefined : `no private mount: ${(tried.stderr ?? String(tried.error)).trim()}`;
}

export class DiskServer {
  readonly server: ServerProcess;
  readonly folder: string;

  private constructor(server: ServerProcess, folder: string) {
    this.server = server;
    this.folder = folder;
  }

  /** Starts a server whose data directory is a disk of `megabytes`. */
  static async start(megabytes: number): Promise<DiskServer> {
    const folder = mkdtempSync(join(tmpdir(), "selvage-disk-"));
    const within = ["unshare", "--mount", "sh", "-c", mount, "sh", `${megabytes}m`, folder];
    return new DiskServer(await ServerProcess.start("child", folder, await freePort(), within), folder);
  }

  /** A path on the disk, as this process reaches it. */
  path(name: string): string {
    return join(`/proc/${this.server.pid}/root`, this.folder, name);
  }

  /** Takes all the room that is left, in pieces ever smaller. */
  fill(): void {
    const file = openSync(this.path("filler"), "a");
    try {
      for (let size = 1 << 20; size >= 1; size = Math.floor(size / 2)) {
        const piece = Buffer.alloc(size);
        while (wrote(file, piece));
      }
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    unlinkSync(this.path("filler"));
  }

  /** Whether it could be done: a disk with a file open for writing stays writable. */
  remount(mode: "ro" | "rw"): boolean {
    const words = ["-t", String(this.server.pid), "-m", "mount", "-o", `remount,${mode}`, this.folder];
    return spawnSync("nsenter", words).status === 0;
  }

  /** Copies the store's files, as a crash at this moment would leave them. */
  copyStore(to: string): void {
    for (const name of ["store.db", "store.db-wal"]) {
      if (existsSync(this.path(name))) copyFileSync(this.path(name), join(to, name));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.kill();
    rmSync(this.folder, { recursive: true });
  }
}

/** Whether a piece found room, if only in part. */
function wrote(file: number, piece: Buffer): boolean {
  try {
    return writeSync(file, piece) === piece.length;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOSPC") return false;
    throw error;
  }
}
