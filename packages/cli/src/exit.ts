/** The exit codes of `selvage`, after sysexits.h where it has one. */

import { LabError } from "@selvage/lab";

export const Exit = {
  /** Done. */
  ok: 0,
  /** It was tried and did not succeed. */
  failed: 1,
  /** The command was written wrongly. */
  usage: 64,
  /** What it needs is not there: nothing runs, a port or range is taken, a tool is missing. */
  unavailable: 69,
  /** `lab exec` itself failed, not the command in the machine. */
  exec: 125,
} as const;

/** The exit code that says how something failed. */
export function exitCodeOf(cause: unknown): number {
  if (!(cause instanceof LabError)) return Exit.failed;
  switch (cause.code) {
    case "underlay-invalid":
    case "host-count":
    case "unknown-host":
    case "unknown-machine":
      return Exit.usage;
    case "capability":
    case "command-missing":
    case "port-in-use":
    case "underlay-overlap":
    case "data-dir":
    case "setting":
    case "not-running":
    case "busy":
    case "setup-failed":
      return Exit.unavailable;
    case "command-failed":
    case "command-timeout":
    case "start-failed":
    case "proof-failed":
    case "protocol":
    case "api":
      return Exit.failed;
  }
}
