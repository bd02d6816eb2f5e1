/** What errors and drop reasons tell a user to type is there to be typed. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { dropReasons, errorTypes } from "@selvage/base";
import type { Command } from "commander";
import { buildProgram } from "./main.ts";

/** The words after `selvage` in a text, each list as far as it goes. */
function commandsIn(text: string): readonly (readonly string[])[] {
  return [...text.matchAll(/\bselvage((?: [a-z]+)+)/g)].map(([, words = ""]) => words.trim().split(" "));
}

/** Whether the words begin with a command that does something by itself, or is one without commands under it. */
function isTyped(program: Command, words: readonly string[]): boolean {
  let at = program;
  for (const word of words) {
    const next = at.commands.find((command) => command.name() === word);
    if (next === undefined) break;
    at = next;
  }
  return at !== program && at.commands.length === 0;
}

test("hints name commands that exist", () => {
  const program = buildProgram(() => assert.fail("nothing is run"));
  const hints: readonly (readonly [string, string])[] = [
    ...Object.entries(errorTypes).map(([code, entry]) => [code, entry.hint] as const),
    ...dropReasons.map((reason) => [reason.code, reason.hint] as const),
  ];
  const named = hints.flatMap(([code, hint]) => commandsIn(hint).map((words) => ({ code, words })));
  assert.ok(named.length > 3, "the pattern finds the commands that hints name");
  assert.deepEqual(
    named.filter(({ words }) => !isTyped(program, words)),
    [],
  );
});
