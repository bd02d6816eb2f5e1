/**
 * What a flow's cookie says (64 bits): format 1 in [63..60], the drop reason's number in [59..52] (0: not a drop), the table in [51..44], and in
 * [43..0] the first bits of the SHA-256 of the row's id: so a flow names its row for good, on every host and after every restart.
 */
import { hash } from "node:crypto";
import { type ReasonCode, reasonByCode, reasonByNumber } from "@selvage/base";

const format = 1n;
const nameBits = 44n;

/** What a cookie of ours says. `name` is the hash of the row's id. */
export interface Provenance {
  readonly reason: ReasonCode | null;
  readonly table: number;
  readonly name: bigint;
}

/** The cookie of a row's flow; `reason` where the flow drops. */
export function cookieOf(table: number, rowId: string, reason: ReasonCode | null): bigint {
  const number = reason === null ? 0 : reasonByCode(reason).number;
  return (format << 60n) | (BigInt(number) << 52n) | (BigInt(table) << nameBits) | nameOf(rowId);
}

/** The hash of a row's id, as cookies hold it. */
export function nameOf(rowId: string): bigint {
  return BigInt(Math.floor(hash("sha256", rowId, "buffer").readUIntBE(0, 6) / 16));
}

/** Reads a cookie; undefined for one that is not ours. */
export function provenanceOf(cookie: bigint): Provenance | undefined {
  if (cookie >> 60n !== format) return undefined;
  const number = Number((cookie >> 52n) & 0xffn);
  const reason = reasonByNumber(number);
  if (number !== 0 && reason === undefined) return undefined;
  return {
    reason: reason?.code ?? null,
    table: Number((cookie >> nameBits) & 0xffn),
    name: cookie & ((1n << nameBits) - 1n),
  };
}
