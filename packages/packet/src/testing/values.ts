/** Arbitrary numbers, bytes, addresses and texts, of which arbitrary packets are made. */

import fc from "fast-check";
import { readIpv4, readIpv6, readMac } from "../mod.ts";

export const bits = (n: number) => fc.integer({ min: 0, max: 2 ** n - 1 });
export const bytes = (min: number, max = min) => fc.uint8Array({ minLength: min, maxLength: max });
export const words = (max: number, unit = 4, extra = 0) =>
  fc.integer({ min: 0, max }).chain((n) => bytes(n * unit + extra));
export const mac = bytes(6).map((raw) => readMac(raw, 0));
export const ipv4 = bytes(4).map((raw) => readIpv4(raw, 0));
/** Zero groups are frequent, for `::` is where IPv6 text goes wrong. */
export const ipv6 = fc
  .array(fc.oneof(fc.constant(0), bits(16)), { minLength: 8, maxLength: 8 })
  .map((groups) => readIpv6(Uint8Array.from(groups.flatMap((group) => [group >>> 8, group & 0xff])), 0));
export const payload = bytes(0, 64);
export const text = fc.string({
  unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 40,
});
export const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
export const domain = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join("."));
export const hex = (min: number, max: number) => bytes(min, max).map((raw) => Buffer.from(raw).toString("hex"));
export const list = <T>(item: fc.Arbitrary<T>, maxLength = 4) => fc.array(item, { minLength: 1, maxLength });

export const none: Uint8Array = new Uint8Array(0);
/** As in the wild: mostly absent. */
export const rarely = <T>(item: fc.Arbitrary<T>, absent: T): fc.Arbitrary<T> =>
  fc.oneof({ weight: 2, arbitrary: fc.constant(absent) }, { weight: 1, arbitrary: item });
