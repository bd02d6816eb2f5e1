/** Inputs kept as files: those that once broke a target (one a file, named for what broke) and the corpus from which runs begin (one a line). */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const root = join(import.meta.dirname, "../../tests/fuzz");

/** An input that once broke its target. */
export interface Found {
  readonly file: string;
  readonly input: Uint8Array;
}

/** Where a target's found inputs lie. */
export function foundFolder(target: string): string {
  return join(root, "found", target);
}

/** The file of a found input: what broke, and a hash that keeps two of a name apart. */
export function foundFile(target: string, name: string, input: Uint8Array): string {
  const hash = createHash("sha256").update(input).digest("hex").slice(0, 8);
  return join(foundFolder(target), `${name}-${hash}.hex`);
}

/** Keeps an input that broke its target. Gives the path. */
export async function keepFound(target: string, name: string, input: Uint8Array, note: string): Promise<string> {
  const file = foundFile(target, name, input);
  await mkdir(foundFolder(target), { recursive: true });
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

/** All inputs that once broke a target, by name. */
export async function readFound(target: string): Promise<readonly Found[]> {
  const names = (await namesIn(foundFolder(target))).filter((name) => name.endsWith(".hex")).sort();
  return Promise.all(
    names.map(async (name) => ({
      file: name,
      input: fromLines(await readFile(join(foundFolder(target), name), "utf8")),
    })),
  );
}

/** The corpus of a target, in its order. */
export async function readCorpus(target: string): Promise<readonly Uint8Array[]> {
  const folder = join(root, "corpus");
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
  await mkdir(join(root, "corpus"), { recursive: true });
  const lines = inputs.filter((input) => input.length > 0).map((input) => `${Buffer.from(input).toString("hex")}\n`);
  await writeFile(join(root, "corpus", `${target}.hex`), lines.join(""));
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}

function fromLines(text: string): Uint8Array {
  const hex = text
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .join("");
  return Uint8Array.from(Buffer.from(hex, "hex"));
}
