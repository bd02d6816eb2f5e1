/** Tests of what the command line prints. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { shellWord } from "./commands/env.ts";
import { type Output, openProgress, printError, tableLines } from "./format.ts";

function recorded(isTerminal: boolean) {
  const seen = { text: "", note: "" };
  const output: Output = {
    text: (text) => {
      seen.text += text;
    },
    note: (text) => {
      seen.note += text;
    },
    isTerminal,
  };
  return { seen, output };
}

test("columns are as wide as their widest cell, numbers stand to the right, nothing trails", () => {
  const lines = tableLines({
    columns: ["host", "revision", "note"],
    rows: [
      ["h1", 7, null],
      ["a-long-one", 1234, "é"],
    ],
  });
  assert.deepEqual(lines, ["HOST        REVISION  NOTE", "h1                 7  -", "a-long-one      1234  é"]);
});

test("0 is a value, an empty table has its headings, a missing cell is a dash", () => {
  assert.deepEqual(tableLines({ columns: ["n"], rows: [[0]] }), ["N", "0"]);
  assert.deepEqual(tableLines({ columns: ["a", "b"], rows: [] }), ["A  B"]);
});

test("a name from the API cannot move the cursor or colour the terminal", () => {
  const [, line] = tableLines({ columns: ["name"], rows: [["a\u001b[2Jb\nc\u009bd"]] });
  assert.equal(line, "a?[2Jb?c?d");
});

test("progress is one line a step where nobody watches, and renews its line on a terminal", () => {
  const plain = recorded(false);
  const progress = openProgress(plain.output);
  progress.step("one");
  progress.detail("apt says much");
  progress.step("two");
  progress.end();
  assert.equal(plain.seen.note, "one\ntwo\n");
  const terminal = recorded(true);
  const renewed = openProgress(terminal.output);
  renewed.step("one");
  renewed.end();
  assert.ok(terminal.seen.note.startsWith("… one\r"));
  assert.ok(terminal.seen.note.includes("one (0.0 s)"));
});

test("an error says what is wrong and, below, what to do", () => {
  const { seen, output } = recorded(false);
  printError(output, "port 9696 is held", "choose another");
  assert.deepEqual([seen.text, seen.note], ["", "selvage: port 9696 is held\n  → choose another\n"]);
});

test("a word survives a POSIX shell", () => {
  assert.equal(shellWord("http://127.0.0.1:9696/identity/v3"), "http://127.0.0.1:9696/identity/v3");
  assert.equal(shellWord("it's $HOME"), "'it'\\''s $HOME'");
  assert.equal(shellWord(""), "''");
});
