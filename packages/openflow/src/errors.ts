/** What can go wrong on a connection, one class a cause. */

import type { ErrorMessage } from "./error-message.ts";
import { errorName } from "./error-names.ts";
import type { Message } from "./message.ts";

/** Why a connection ended. */
export type CloseCause =
  | { readonly kind: "requested" }
  | { readonly kind: "peer" }
  | { readonly kind: "transport"; readonly error: Error }
  /** The peer sent what the protocol does not allow. */
  | { readonly kind: "protocol"; readonly error: Error }
  /** Nothing was heard for so many milliseconds, though we asked. */
  | { readonly kind: "silence"; readonly milliseconds: number };

/** The switch answered a request with an error. */
export class OpenFlowError extends Error {
  override readonly name = "OpenFlowError";
  /** As "OFPFMFC_TABLE_FULL". */
  readonly code: string;
  readonly error: ErrorMessage;
  /** What was refused. */
  readonly request: Message;

  constructor(error: ErrorMessage, request: Message) {
    const code = errorName(error.type, error.code, error.experimenter);
    super(`${request.kind} refused: ${code}`);
    this.code = code;
    this.error = error;
    this.request = request;
  }
}

/** Some messages before a barrier were refused; the others are in force. */
export class BatchError extends Error {
  override readonly name = "BatchError";
  readonly failures: readonly OpenFlowError[];

  constructor(failures: readonly OpenFlowError[]) {
    super(`${failures.length} messages refused, first: ${failures[0]?.message}`);
    this.failures = failures;
  }
}

/** A bundle was refused: nothing of it is in force. */
export class BundleError extends Error {
  override readonly name = "BundleError";
  /** The messages to blame, where the switch said which. */
  readonly failures: readonly OpenFlowError[];

  constructor(failures: readonly OpenFlowError[], cause?: unknown) {
    const first = failures[0] ?? cause;
    super(`bundle refused${first instanceof Error ? `: ${first.message}` : ""}`, { cause });
    this.failures = failures;
  }
}

/** The connection is gone; whether a request without reply took effect is not known. */
export class ConnectionClosedError extends Error {
  override readonly name = "ConnectionClosedError";
  readonly reason: CloseCause;

  constructor(reason: CloseCause) {
    super(`connection closed: ${describe(reason)}`, "error" in reason ? { cause: reason.error } : undefined);
    this.reason = reason;
  }
}

/** The peer does not speak OpenFlow 1.5. */
export class VersionError extends Error {
  override readonly name = "VersionError";
  /** What the peer speaks. */
  readonly versions: readonly number[];

  constructor(versions: readonly number[]) {
    super(`the switch speaks wire versions ${versions.join(", ")}, not 6 (OpenFlow 1.5): enable it on the bridge`);
    this.versions = versions;
  }
}

function describe(reason: CloseCause): string {
  switch (reason.kind) {
    case "requested":
      return "by us";
    case "peer":
      return "by the switch";
    case "transport":
    case "protocol":
      return reason.error.message;
    case "silence":
      return `nothing heard for ${reason.milliseconds} ms`;
  }
}
