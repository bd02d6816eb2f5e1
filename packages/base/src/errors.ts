/** The one registry of errors and the one class that carries them; texts follow Neutron, Keystone and our own `/v1`. */
import { type ErrorEntry, type ErrorParam, fillTemplate, type ParamsOf } from "./error-entry.ts";
import { addressingErrors } from "./errors-addressing.ts";
import { identityErrors } from "./errors-identity.ts";
import { networkingErrors } from "./errors-networking.ts";
import { outsideErrors } from "./errors-outside.ts";
import { ownErrors } from "./errors-own.ts";
import { securityErrors } from "./errors-security.ts";
import { segmentErrors } from "./errors-segments.ts";

/** Every error that can reach a user, by code. Append to the file of its API; a code's meaning never changes. */
export const errorTypes = {
  ...networkingErrors,
  ...outsideErrors,
  ...segmentErrors,
  ...addressingErrors,
  ...securityErrors,
  ...identityErrors,
  ...ownErrors,
} as const satisfies Readonly<Record<string, ErrorEntry>>;

/** Name of an entry of the registry. */
export type ErrorCode = keyof typeof errorTypes;

/** Parameters that an error's message demands. */
export type ErrorParams<C extends ErrorCode> = ParamsOf<(typeof errorTypes)[C]["message"]>;

/** What may accompany an error besides its parameters. */
export interface ErrorOptions {
  /** Path of the field at fault, as the user wrote it: `fixed_ips.0.ip_address`. */
  readonly field?: string;
  /** Seconds after which repeating is sensible; becomes `Retry-After`. */
  readonly retryAfter?: number;
  readonly cause?: unknown;
}

/** A failure that a user can understand: its code, what is on the wire, and what can be done. Make it with {@link fail}. */
export class SelvageError extends Error {
  /** Entry of the registry. */
  readonly code: ErrorCode;
  /** Type as the API says it; one type may have many codes. */
  readonly type: string;
  readonly status: number;
  /** Kind of object that it is about. */
  readonly kind: string;
  readonly hint: string;
  readonly params: Readonly<Record<string, ErrorParam>>;
  readonly field: string | undefined;
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, params: Readonly<Record<string, ErrorParam>>, options: ErrorOptions = {}) {
    const entry = entryOf(code);
    super(fillTemplate(entry.message, params), "cause" in options ? { cause: options.cause } : undefined);
    this.name = "SelvageError";
    this.code = code;
    this.type = entry.wire ?? code;
    this.status = entry.status;
    this.kind = entry.kind;
    this.hint = entry.hint;
    this.params = params;
    this.field = options.field;
    this.retryAfter = options.retryAfter;
  }
}

type Rest<C extends ErrorCode> = keyof ErrorParams<C> extends never
  ? [params?: Readonly<Record<never, ErrorParam>>, options?: ErrorOptions]
  : [params: ErrorParams<C>, options?: ErrorOptions];

/**
 * Makes an error of the registry; use it as `throw fail("PortNotFound", { port_id })`.
 * Takes the code, exactly the holes of its message, and options. Gives the error; throws nothing itself.
 */
export function fail<C extends ErrorCode>(code: C, ...[params, options]: Rest<C>): SelvageError {
  return new SelvageError(code, params ?? {}, options);
}

/** The registry's entry of a code. */
export function entryOf(code: ErrorCode): ErrorEntry {
  return errorTypes[code];
}

/** Whether a caught value is one of our errors, and of one of the codes where these are given. */
export function isError(value: unknown, ...codes: readonly ErrorCode[]): value is SelvageError {
  return value instanceof SelvageError && (codes.length === 0 || codes.includes(value.code));
}

/** Body of the reply in the error's own envelope: `{NeutronError}`, Keystone's `{error}`, or ours with its hint. */
export function errorBody(error: SelvageError): Readonly<Record<string, unknown>> {
  const { envelope } = entryOf(error.code);
  switch (envelope) {
    case "neutron":
      return { NeutronError: { type: error.type, message: error.message, detail: "" } };
    case "keystone":
      return { error: { code: error.status, title: error.type, message: error.message } };
    case "selvage":
      return {
        error: {
          type: error.type,
          status: error.status,
          message: error.message,
          kind: error.kind,
          hint: error.hint,
          params: error.params,
          ...(error.field === undefined ? {} : { field: error.field }),
        },
      };
  }
}
