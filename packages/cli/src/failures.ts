/** Turns whatever a command threw into a sentence, what to do about it and an exit code. */

import { isError } from "@selvage/base";
import { LabError } from "@selvage/lab";
import { Exit, exitCodeOf } from "./exit.ts";

export interface Description {
  readonly text: string;
  readonly hint: string | undefined;
  readonly exitCode: number;
}

function codeOf(type: string): number {
  if (type === "ConfigInvalid" || type === "UsageInvalid") return Exit.usage;
  return type === "ConfigUnreadable" ? Exit.unavailable : Exit.failed;
}

/** The words for an error; with SELVAGE_DEBUG its stack as well. */
export function describe(cause: unknown): Description {
  const stack = process.env.SELVAGE_DEBUG !== undefined && cause instanceof Error ? `\n${cause.stack}` : "";
  if (cause instanceof LabError) return { text: cause.message + stack, hint: cause.hint, exitCode: exitCodeOf(cause) };
  if (isError(cause)) return { text: cause.message + stack, hint: cause.hint, exitCode: codeOf(cause.type) };
  const text = cause instanceof Error ? cause.message : String(cause);
  return {
    text: text + stack,
    hint: stack === "" ? "SELVAGE_DEBUG=1 shows where it happened" : undefined,
    exitCode: Exit.failed,
  };
}
