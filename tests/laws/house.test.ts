/** The laws of the house (docs/architecture.md): who may import whom, only through faces, and which words stay in which room. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { everywhere, root, inRooms as sources } from "./sources.ts";

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

test("a file is one concept: it begins with a sentence and has at most 450 lines, a test 700", () => {
  const wrong = everywhere.flatMap(({ path, text, lines }) => {
    const isTest = path.endsWith(".test.ts");
    // What a test beside a file is about, that file's own head says.
    const isBeside = isTest && !path.startsWith("tests/");
    return [
      ...(/^(#!.*\n)?\/\*\*/.test(text) || isBeside ? [] : [`${path}: no sentence at its head`]),
      ...(lines > (isTest ? 700 : 450) ? [`${path}: ${lines} lines`] : []),
    ];
  });
  assert.deepEqual(wrong, []);
});

test("nothing unchecked, no swallowed error, no default export, nothing left for later, no machine's own paths", () => {
  const laws: readonly (readonly [string, RegExp])[] = [
    ["unchecked", /@ts-ignore|@ts-expect-error|@ts-nocheck/],
    ["swallowed", /catch\s*(\([^)]*\))?\s*\{\s*\}/],
    ["default export", /^export default\b/m],
    ["left for later", /\b(TODO|FIXME|XXX|not implemented)\b/],
    ["skipped", /\b(test|it|describe)\.(skip|todo|only)\b/],
    ["machine path", /(?<!\w)\/(work|root|home)\//],
  ];
  const here = "tests/laws/house.test.ts";
  const wrong = everywhere.flatMap((source) =>
    laws
      // A test of types says what must not compile, and this law what it forbids.
      .filter(
        ([name]) => !(source.isTest && name === "unchecked") && !(source.path === here && name === "left for later"),
      )
      .filter(([, law]) => law.test(source.text))
      .map(([name]) => `${source.path}: ${name}`),
  );
  assert.deepEqual(wrong, []);
});

test("a doc comment is of what follows it: none is stacked upon another, but what follows a file's head", () => {
  const wrong = everywhere.flatMap(({ path, text }) => {
    const head = /^(#!.*\n)?\/\*\*[\s\S]*?\*\//.exec(text)?.[0].length ?? 0;
    // The head ends where this begins: what is right behind it is not looked at.
    return [...text.slice(head).matchAll(/\*\/\s*\/\*\*/g)].map(
      ({ index }) => `${path}:${text.slice(0, head + index).split("\n").length}`,
    );
  });
  assert.deepEqual(wrong, []);
});
