/** What a local service makes of a punted packet. */

export type Answer =
  | { readonly answer: "reply"; readonly frame: Uint8Array; readonly what: string }
  /** Nothing is sent, and that is right. */
  | { readonly answer: "silence"; readonly why: string }
  /** Nothing is sent, and an operator wants to know. */
  | { readonly answer: "notice"; readonly why: string };

export const reply = (frame: Uint8Array, what: string): Answer => ({ answer: "reply", frame, what });
export const silence = (why: string): Answer => ({ answer: "silence", why });
export const notice = (why: string): Answer => ({ answer: "notice", why });
