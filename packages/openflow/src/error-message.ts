/** The error message: a refusal by type and code, or by an experimenter's number (OpenFlow 1.5.1, section 7.5.4). */
import type { Reader, Writer } from "./wire.ts";

/** The switch refused something; `errorName` gives its name. */
export interface ErrorMessage {
  readonly kind: "error";
  /** 0xffff where an experimenter says what `code` means. */
  readonly type: number;
  readonly code: number;
  readonly experimenter: number;
  /** At least 64 bytes of the refused message, as a rule; text for a failed hello. */
  readonly data: Uint8Array;
}

const experimenterError = 0xffff;

export function encodeError(w: Writer, error: ErrorMessage): void {
  w.u16(error.type);
  w.u16(error.code);
  if (error.type === experimenterError) w.u32(error.experimenter);
  w.bytes(error.data);
}

export function decodeError(r: Reader): ErrorMessage {
  const type = r.u16();
  const code = r.u16();
  const experimenter = type === experimenterError ? r.u32() : 0;
  return { kind: "error", type, code, experimenter, data: r.bytes(r.left) };
}
