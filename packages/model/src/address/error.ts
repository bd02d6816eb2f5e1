/** The typed refusal of every parser and constructor of addresses. */

/** What was being read. */
export type AddressKind = "ip" | "cidr" | "mac";

/** A text, number or byte string that is no address; `text` is what was given, `reason` why it was refused. */
export class AddressError extends Error {
  readonly kind: AddressKind;
  readonly text: string;
  readonly reason: string;

  constructor(kind: AddressKind, text: string, reason: string) {
    super(`'${text}' is refused: ${reason}`);
    this.name = "AddressError";
    this.kind = kind;
    this.text = text;
    this.reason = reason;
  }
}
