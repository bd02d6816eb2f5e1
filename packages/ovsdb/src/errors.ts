/** The errors of the OVSDB client, one class a cause, so that a caller can tell its own mistake from the server's refusal and from a lost line (RFC 7047 §3.1, §4.1.3). */

/** Why bytes could not be cut into JSON messages. */
export type FramingReason = "garbage" | "too-long" | "bad-utf8" | "bad-json";

/** The byte stream is not a sequence of JSON objects; the connection cannot be resynchronised and closes. */
export class FramingError extends Error {
  override readonly name = "FramingError";
  readonly reason: FramingReason;

  constructor(reason: FramingReason, detail: string, options?: ErrorOptions) {
    super(`OVSDB stream: ${detail} (${reason})`, options);
    this.reason = reason;
  }
}

/** The peer sent well-formed JSON that is not what RFC 7047 allows at this place. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";

  constructor(detail: string, options?: ErrorOptions) {
    super(`OVSDB protocol: ${detail}`, options);
  }
}

/** A value does not fit its column, read from the wire or about to be written. `column` is `Table.column`. */
export class ValueError extends Error {
  override readonly name = "ValueError";
  readonly column: string;

  constructor(column: string, detail: string) {
    super(`${column}: ${detail}`);
    this.column = column;
  }
}

/** A declared table does not agree with the schema that the server runs. Lists every disagreement. */
export class SchemaMismatchError extends Error {
  override readonly name = "SchemaMismatchError";
  readonly database: string;
  readonly mismatches: readonly string[];

  constructor(database: string, mismatches: readonly string[]) {
    super(`database ${database} differs from the declared tables: ${mismatches.join("; ")}`);
    this.database = database;
    this.mismatches = mismatches;
  }
}

/** Where in a transaction the server found fault. */
export type FaultyOperation = {
  /** Index into the operations as given; `null` when the fault appeared at commit, after all of them. */
  readonly index: number | null;
  /** The operation's name (`insert`, `mutate`, …), `null` at commit. */
  readonly op: string | null;
  /** The table it addressed, where it addressed one. */
  readonly table: string | null;
};

/** The server understood and refused: an `<error>` object of RFC 7047 §3.1. */
export class OvsdbError extends Error {
  override readonly name = "OvsdbError";
  /** The error's identifier, for example `constraint violation`, `timed out`, `unknown method`. */
  readonly error: string;
  /** The server's human text, `null` when it gave none. */
  readonly details: string | null;
  /** The method that was asked. */
  readonly method: string;
  /** Set for transactions only. */
  readonly operation: FaultyOperation | null;

  constructor(fault: {
    readonly error: string;
    readonly details: string | null;
    readonly method: string;
    readonly operation?: FaultyOperation;
  }) {
    const at = fault.operation;
    const place =
      at === undefined
        ? fault.method
        : at.index === null
          ? "commit"
          : `operation ${at.index} (${at.op}${at.table === null ? "" : ` ${at.table}`})`;
    super(`${place}: ${fault.error}${fault.details === null ? "" : `: ${fault.details}`}`);
    this.error = fault.error;
    this.details = fault.details;
    this.method = fault.method;
    this.operation = at ?? null;
  }
}

/** Why a connection ended. */
export type CloseCause =
  /** `close()` was called on this side. */
  | { readonly kind: "local" }
  /** The server closed the stream. */
  | { readonly kind: "remote" }
  /** Nothing was heard for `silentMs`, not even the answer to our echo. */
  | { readonly kind: "silent"; readonly silentMs: number }
  /** The stream broke, or what came over it could not be used. */
  | { readonly kind: "failed"; readonly error: Error };

/** One line of text for a cause, for logs and messages. */
export function describeClose(cause: CloseCause): string {
  switch (cause.kind) {
    case "local":
      return "closed by this side";
    case "remote":
      return "closed by the server";
    case "silent":
      return `the server was silent for ${cause.silentMs} ms`;
    case "failed":
      return cause.error.message;
  }
}

/** The connection ended before an answer came: whether the request took effect is unknown. */
export class ConnectionClosedError extends Error {
  override readonly name = "ConnectionClosedError";
  readonly closed: CloseCause;

  constructor(closed: CloseCause) {
    super(`OVSDB connection ended: ${describeClose(closed)}`, closed.kind === "failed" ? { cause: closed.error } : {});
    this.closed = closed;
  }
}
