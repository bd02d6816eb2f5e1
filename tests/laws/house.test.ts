/** The laws of the house (docs/architecture.md): who may import whom, only through faces, and which words stay in which room. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "../..");

/** Rooms and what each may import. Tests may also reach sideways for helpers: see `testOnly`. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  base: [],
  packet: [],
  openflow: [],
  ovsdb: [],
  model: ["base"],
  store: ["base", "model"],
  pipeline: ["base", "model"],
  sync: ["base", "model"],
  compiler: ["base", "model", "pipeline", "sync"],
  datapath: ["base", "model", "pipeline", "packet", "openflow", "ovsdb"],
  explain: ["base", "model", "sync", "pipeline", "compiler", "datapath", "packet"],
  server: ["base", "model", "store", "sync", "explain"],
  agent: ["base", "model", "sync", "pipeline", "compiler", "datapath", "packet"],
  lab: ["*"],
  cli: ["*"],
};

/** A test proves its room against real neighbours: rooms that a room's tests may use beyond its own imports. */
const testOnly: Readonly<Record<string, readonly string[]>> = {
  compiler: ["datapath", "packet"],
  datapath: ["compiler"],
  server: ["agent", "pipeline", "compiler", "datapath", "packet"],
  agent: ["server", "store"],
};

interface Source {
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

const sources = sourcesUnder("packages");

const importsOf = (text: string): readonly string[] =>
  [...text.matchAll(/(?:from\s+|import\s*\(\s*|import\s+)["']([^"']+)["']/g)].map((match) => match[1] ?? "");

test("every package is a room of the house", () => {
  assert.deepEqual(readdirSync(join(root, "packages")).sort(), Object.keys(rooms).sort());
});

test("nothing imports upwards, and only through a room's face", () => {
  const wrong = sources.flatMap((source) =>
    importsOf(source.text).flatMap((target) => {
      if (target.startsWith(".")) {
        return join(source.path, "..", target).startsWith(`packages/${source.room}/`)
          ? []
          : [`${source.path}: ${target} leaves its room`];
      }
      const match = /^@selvage\/([a-z]+)(\/testing)?$/.exec(target);
      if (match === null) return target.startsWith("@selvage/") ? [`${source.path}: ${target} is not a face`] : [];
      const [, room = "", testing] = match;
      const allowed = rooms[source.room] ?? [];
      const also = source.isTest ? (testOnly[source.room] ?? []) : [];
      if (testing !== undefined && !source.isTest) return [`${source.path}: ${target} is for tests`];
      const may = room === source.room || allowed.includes("*") || allowed.includes(room) || also.includes(room);
      return may ? [] : [`${source.path}: ${source.room} may not import ${room}`];
    }),
  );
  assert.deepEqual(wrong, []);
});

test("no file outside the Open vSwitch driver names registers, resubmits, conjunctions or OpenFlow tables", () => {
  const words =
    /\b(xxreg\d|xreg\d|reg\d+|resubmit|conjunction|conj_id|ofport|goto_table|ofp_table|OpenFlow\s?table)\b/i;
  const speaks = (path: string): boolean =>
    /^packages\/(openflow|ovsdb)\//.test(path) ||
    path.startsWith("packages/datapath/src/ovs/") ||
    path.startsWith("packages/lab/");
  const wrong = sources
    .filter((source) => !speaks(source.path) && !source.isTest)
    .flatMap((source) =>
      source.text
        .split("\n")
        .map((line, at) => ({ line, at: at + 1 }))
        .filter(({ line }) => words.test(line))
        .map(({ line, at }) => `${source.path}:${at}: ${line.trim()}`),
    );
  assert.deepEqual(wrong, []);
});

test("a file is one concept: it begins with a sentence and has at most 450 lines", () => {
  const wrong = sources.flatMap((source) => [
    ...(/^(#!.*\n)?\/\*\*/.test(source.text) || source.isTest ? [] : [`${source.path}: no sentence at its head`]),
    ...(source.lines > (source.isTest ? 700 : 450) ? [`${source.path}: ${source.lines} lines`] : []),
  ]);
  assert.deepEqual(wrong, []);
});

test("nothing unchecked, no swallowed error, no default export, nothing left for later, no machine's own paths", () => {
  const laws: readonly (readonly [string, RegExp])[] = [
    ["unchecked", /@ts-ignore|@ts-expect-error|@ts-nocheck/],
    ["swallowed", /catch\s*(\([^)]*\))?\s*\{\s*\}/],
    ["default export", /^export default\b/m],
    ["left for later", /\b(TODO|FIXME|XXX|not implemented)\b/],
    ["skipped", /\b(test|it|describe)\.(skip|todo|only)\b/],
    ["machine path", /\/(work|root|home)\//],
  ];
  const wrong = [...sources, ...sourcesUnder("scripts")].flatMap((source) =>
    laws
      // A test of types says what must not compile.
      .filter(([name, law]) => !(source.isTest && name === "unchecked") && law.test(source.text))
      .map(([name]) => `${source.path}: ${name}`),
  );
  assert.deepEqual(wrong, []);
});

test("tests do not sleep: they wait on the fact", () => {
  const sleeps = /setTimeout\(\s*(resolve|done|r)\b|timers\/promises|(?<![.\w])sleep\(\d/;
  const wrong = sources
    .filter((source) => source.path.endsWith(".test.ts") && sleeps.test(source.text))
    .map((source) => source.path);
  assert.deepEqual(wrong, []);
});
