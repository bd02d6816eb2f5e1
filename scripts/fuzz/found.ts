/** Inputs kept as files: those that once broke a target (one a file, named for what broke) and the corpus from which runs begin (one a line). */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Where the inputs of this project lie. */
export const kept = join(import.meta.dirname, "../../tests/fuzz");

/**
 * `found`: what once broke a target and must not again. `open`: what still breaks it, because the fault is in a room that is not ours to
 * mend; a run does not tell of it again, and a test says when it is mended.
 */
export type Shelf = "found" | "open";

/** An input that breaks its target, or once did. */
export interface Found {
  readonly file: string;
  /** What broke: the name of the fault. */
  readonly name: string;
  readonly input: Uint8Array;
}

/** The file of a found input: what broke, and a hash that keeps two of a name apart. */
export function foundFile(folder: string, name: string, input: Uint8Array): string {
  const hash = createHash("sha256").update(input).digest("hex").slice(0, 8);
  return join(folder, `${name}-${hash}.hex`);
}

/** Keeps an input that broke its target. Gives the path. */
export async function keepFound(target: string, name: string, input: Uint8Array, note: string): Promise<string> {
  const folder = join(kept, "found", target);
  await mkdir(folder, { recursive: true });
  const file = foundFile(folder, name, input);
  await writeFile(file, foundText(input, note));
  return file;
}

/** Text of such a file: the note behind `#`, then hex. */
export function foundText(input: Uint8Array, note: string): string {
  const lines =
    Buffer.from(input)
      .toString("hex")
      .match(/.{1,96}/g) ?? [];
  return [`# ${note.replaceAll(/\s+/g, " ").slice(0, 200)}`, ...lines, ""].join("\n");
}

/** The input in the text of such a file. */
export function inputOf(text: string): Uint8Array {
  const lines = text.split("\n").filter((line) => !line.startsWith("#"));
  return Uint8Array.from(Buffer.from(lines.join(""), "hex"));
}

/** All inputs of a target on a shelf, by name. */
export async function readFound(target: string, shelf: Shelf): Promise<readonly Found[]> {
  const folder = join(kept, shelf, target);
  const files = (await namesIn(folder)).filter((file) => file.endsWith(".hex")).sort();
  return Promise.all(
    files.map(async (file) => ({
      file,
      name: file.replace(/-[0-9a-f]{8}\.hex$/, ""),
      input: inputOf(await readFile(join(folder, file), "utf8")),
    })),
  );
}

/** The corpus of a target, in its order. */
export async function readCorpus(target: string): Promise<readonly Uint8Array[]> {
  const folder = join(kept, "corpus");
  const name = `${target}.hex`;
  if (!(await namesIn(folder)).includes(name)) return [];
  const text = await readFile(join(folder, name), "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => Uint8Array.from(Buffer.from(line, "hex")));
}

/** Keeps a target's corpus, in place of the one before. */
export async function keepCorpus(target: string, inputs: readonly Uint8Array[]): Promise<void> {
  await mkdir(join(kept, "corpus"), { recursive: true });
  const lines = inputs.filter((input) => input.length > 0).map((input) => `${Buffer.from(input).toString("hex")}\n`);
  await writeFile(join(kept, "corpus", `${target}.hex`), lines.join(""));
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}
