/** The error of the lab: a code for programs, a sentence for people and what they can do about it. */

export type LabErrorCode =
  | "command-missing"
  | "command-failed"
  | "command-timeout"
  | "capability"
  | "port-in-use"
  | "underlay-overlap"
  | "underlay-invalid"
  | "data-dir"
  | "setting"
  | "not-running"
  | "busy"
  | "unknown-host"
  | "unknown-machine"
  | "host-count"
  | "start-failed"
  | "proof-failed"
  | "setup-failed"
  | "protocol"
  | "api";

/** Thrown by everything in the lab that a user can put right; `hint` says how. */
export class LabError extends Error {
  readonly code: LabErrorCode;
  readonly hint: string | undefined;

  constructor(code: LabErrorCode, message: string, hint?: string) {
    super(message);
    this.name = "LabError";
    this.code = code;
    this.hint = hint;
  }
}
