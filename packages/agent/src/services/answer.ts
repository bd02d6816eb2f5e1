/** What a local service makes of a punted packet. */

export type Answer =
  | { readonly answer: "reply"; readonly frames: readonly Uint8Array[]; readonly what: string }
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
export const silence = (why: string): Answer => ({ answer: "silence", why });
export const notice = (why: string): Answer => ({ answer: "notice", why });
