/** Bundles: messages that take effect together or not at all (OpenFlow 1.5.1, section 7.3.9). */
import { DecodeError, type Reader, type Writer } from "./wire.ts";

/** Steps of a bundle; the switch answers each request with its reply. */
export type BundleStep =
  | "openRequest"
  | "openReply"
  | "closeRequest"
  | "closeReply"
  | "commitRequest"
  | "commitReply"
  | "discardRequest"
  | "discardReply";

/** All or nothing; in the order given. */
export const BundleFlag = { atomic: 1, ordered: 2 } as const;

export interface BundleControl {
  readonly kind: "bundleControl";
  readonly bundle: number;
  readonly step: BundleStep;
  readonly flags: number;
}

const steps: readonly BundleStep[] = [
  "openRequest",
  "openReply",
  "closeRequest",
  "closeReply",
  "commitRequest",
  "commitReply",
  "discardRequest",
  "discardReply",
];

export function encodeBundleControl(w: Writer, control: BundleControl): void {
  w.u32(control.bundle);
  w.u16(steps.indexOf(control.step));
  w.u16(control.flags);
}

export function decodeBundleControl(r: Reader): BundleControl {
  const bundle = r.u32();
  const number = r.u16();
  const step = steps[number];
  if (step === undefined) throw new DecodeError(`bundle control type ${number}`);
  return { kind: "bundleControl", bundle, step, flags: r.u16() };
}
