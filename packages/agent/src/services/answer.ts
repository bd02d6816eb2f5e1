/** What a local service makes of a punted packet. */
import type { Resumption } from "@selvage/datapath";

export type Answer =
  /** `to`: another interface than that which it came in by. */
  | { readonly answer: "reply"; readonly frames: readonly Uint8Array[]; readonly what: string; readonly to?: string }
  /** The packet goes on in a table of the switch's program. */
  | {
      readonly answer: "resume";
      readonly table: string;
      readonly at: Resumption;
      readonly frame: Uint8Array;
      readonly what: string;
    }
  /** Nothing is sent, and that is right. */
  | { readonly answer: "silence"; readonly why: string }
  /** Nothing is sent, and an operator wants to know. */
  | { readonly answer: "notice"; readonly why: string };

/** One frame or more to who asked. */
export const reply = (frames: Uint8Array | readonly Uint8Array[], what: string): Answer => ({
  answer: "reply",
  frames: frames instanceof Uint8Array ? [frames] : frames,
  what,
});
/** One frame to another interface. */
export const replyTo = (to: string, frame: Uint8Array, what: string): Answer => ({
  answer: "reply",
  frames: [frame],
  what,
  to,
});
/** One frame goes on in a table, on a network and of a router. */
export const resume = (table: string, at: Resumption, frame: Uint8Array, what: string): Answer => ({
  answer: "resume",
  table,
  at,
  frame,
  what,
});
export const silence = (why: string): Answer => ({ answer: "silence", why });
export const notice = (why: string): Answer => ({ answer: "notice", why });
