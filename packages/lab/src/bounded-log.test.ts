/** Tests of bounded logs: no line is lost but with the oldest file, none is cut, and the limit holds, by name and by descriptor. */

import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { logDescriptor, logFile } from "./bounded-log.ts";

const folder = mkdtempSync(join(tmpdir(), "selvage-log-"));
after(() => rmSync(folder, { recursive: true }));

const read = (path: string): string => readFileSync(path, "utf8");
const lines = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, index) => `line ${String(from + index).padStart(3, "0")}\n`).join("");

test("a file that is full becomes the older one, and what was older is gone", () => {
  const path = join(folder, "named.log");
  const log = logFile(path, 90);
  for (let at = 0; at < 10; at++) log.write(lines(at, at + 1));
  assert.equal(read(path), lines(0, 10), "exactly full is not too full");
  log.write(lines(10, 11));
  assert.deepEqual([read(`${path}.1`), read(path)], [lines(0, 10), lines(10, 11)]);
  for (let at = 11; at < 25; at++) log.write(lines(at, at + 1));
  assert.deepEqual([read(`${path}.1`), read(path)], [lines(10, 20), lines(20, 25)]);
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test("what an earlier life left counts, and a line longer than the limit is written whole", () => {
  const path = join(folder, "earlier.log");
  writeFileSync(path, lines(0, 9));
  const log = logFile(path, 90);
  const long = `${"x".repeat(200)}\n`;
  log.write(long);
  assert.deepEqual([read(`${path}.1`), read(path)], [lines(0, 9), long]);
  log.write("y\n");
  assert.deepEqual([read(`${path}.1`), read(path)], [long, "y\n"]);
});

test("by descriptor the same, with what others append to the file in between", () => {
  const path = join(folder, "open.log");
  const [current, older] = [openSync(path, "a+", 0o600), openSync(`${path}.1`, "w", 0o600)];
  try {
    const log = logDescriptor(current, older, 90);
    for (let at = 0; at < 9; at++) log.write(lines(at, at + 1));
    writeFileSync(path, "crash words\n", { flag: "a" });
    log.write(lines(9, 10));
    assert.deepEqual([read(`${path}.1`), read(path)], [`${lines(0, 9)}crash words\n`, lines(9, 10)]);
    for (let at = 10; at < 20; at++) log.write(lines(at, at + 1));
    assert.deepEqual([read(`${path}.1`), read(path)], [lines(9, 19), lines(19, 20)], "nothing of the longer one stays");
  } finally {
    closeSync(current);
    closeSync(older);
  }
});

test("a file longer than what is copied at a time moves whole", () => {
  const path = join(folder, "large.log");
  const text = lines(0, 999).repeat(20);
  writeFileSync(path, text);
  const [current, older] = [openSync(path, "a+"), openSync(`${path}.1`, "w")];
  try {
    logDescriptor(current, older, text.length).write("next\n");
    assert.ok(read(`${path}.1`) === text);
    assert.equal(read(path), "next\n");
  } finally {
    closeSync(current);
    closeSync(older);
  }
});
