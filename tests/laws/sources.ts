/** The sources that the laws look at: all of the program, of its scripts, of its tests and of its benches. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

export const root = join(import.meta.dirname, "../..");

export interface Source {
  readonly path: string;
  readonly room: string;
  readonly isTest: boolean;
  readonly text: string;
  readonly lines: number;
}

function sourcesUnder(folder: string): readonly Source[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => {
      const path = relative(root, join(entry.parentPath, entry.name));
      const text = readFileSync(join(root, path), "utf8");
      return {
        path,
        room: path.split("/")[1] ?? "",
        isTest: entry.name.endsWith(".test.ts") || path.includes("/testing/") || entry.name === "bench.ts",
        text,
        lines: text.split("\n").length,
      };
    })
    .filter((source) => !source.path.includes("node_modules"));
}

/** What is of the rooms. */
export const inRooms = sourcesUnder("packages");

export const everywhere = ["scripts", "tests", "bench"].flatMap(sourcesUnder).concat(inRooms);
