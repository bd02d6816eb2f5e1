/** Writing files whole or not at all, for their owner alone: a new file, flushed, takes the old one's name (rename(2)). */
import { type FileHandle, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** Whether an error says that a file is not there. */
export const isAbsent = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "ENOENT";

/** The text of a file, or undefined when it is not there. Throws the system's other errors. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** Puts a file (0600) in the place of what is there; after a crash it is the old one or the new one. Gives it open for appending. */
export async function replaceFile(path: string, chunks: Iterable<string>): Promise<FileHandle> {
  const unfinished = `${path}.new`;
  await rm(unfinished, { force: true });
  const file = await open(unfinished, "ax", 0o600);
  try {
    for (const chunk of chunks) await file.appendFile(chunk);
    await file.sync();
    await rename(unfinished, path);
    const directory = await open(dirname(path), "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** As `replaceFile`, for a text that nothing will be appended to. */
export async function writeWhole(path: string, text: string): Promise<void> {
  await (await replaceFile(path, [text])).close();
}
