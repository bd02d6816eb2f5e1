/** Logs that do not fill the disk: what is full moves aside once and the log begins anew, so that each holds one to two times its limit at most. */

import { appendFileSync, fstatSync, ftruncateSync, readSync, renameSync, statSync, writeSync } from "node:fs";

/** How large a log of DIR/log grows before it moves aside, bytes. */
export const LOG_LIMIT = 4 * 1024 * 1024;

/** Where whole lines go. */
export interface LineSink {
  write(line: string): void;
}

/** Appends lines to a file; when the next one would make it longer than `limit` bytes, the file becomes `PATH.1` (the former one is gone). */
export function logFile(path: string, limit = LOG_LIMIT): LineSink {
  let size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  return {
    write(line) {
      const length = Buffer.byteLength(line);
      if (size > 0 && size + length > limit) {
        renameSync(path, `${path}.1`);
        size = 0;
      }
      appendFileSync(path, line, { mode: 0o600 });
      size += length;
    },
  };
}

const CHUNK = 64 * 1024;

/**
 * The same for a process that may not name its log's file any more (it gave up root): `current` is open to append and to read, `older`
 * to write. When the next line would make `current` longer than `limit` bytes, all of it is copied into `older` and it begins anew.
 * What the process writes past this sink (the runtime's last words) goes to the same file.
 */
export function logDescriptor(current: number, older: number, limit = LOG_LIMIT): LineSink {
  return {
    write(line) {
      const length = Buffer.byteLength(line);
      const { size } = fstatSync(current);
      if (size > 0 && size + length > limit) {
        ftruncateSync(older, 0);
        const chunk = Buffer.alloc(CHUNK);
        for (let at = 0; at < size; ) {
          const read = readSync(current, chunk, 0, CHUNK, at);
          if (read === 0) break;
          for (let done = 0; done < read; ) done += writeSync(older, chunk, done, read - done, at + done);
          at += read;
        }
        ftruncateSync(current, 0);
      }
      writeSync(current, line);
    },
  };
}
