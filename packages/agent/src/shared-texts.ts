/** Texts that many objects bear (ids of their network, of their project) are held once: a message that is read has each as often as it is written in it. */

/** How many texts are remembered: one takes the place of another. */
const slots = 4096;
/** Shorter ones are hardly worth it, and longer ones are seldom two objects' own. */
const shortest = 8;
const longest = 64;

const nothing: readonly unknown[] = Object.freeze([]);

function slotOf(text: string): number {
  let hash = text.length;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x9e3779b1);
  return hash >>> 20;
}

export class SharedTexts {
  readonly #seen: string[] = new Array<string>(slots).fill("");

  /** Gives a JSON value, its texts those of former ones where they are equal. Objects and lists are changed in place: they must be the caller's own. */
  share<T>(value: T): T {
    // What takes the place of a value is equal to it, and so of its type.
    return this.#shared(value) as T;
  }

  #shared(value: unknown): unknown {
    if (typeof value === "string") return this.#text(value);
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value) && value.length === 0) return nothing;
    const members = value as Record<string, unknown>;
    for (const name of Object.keys(members)) {
      const before = members[name];
      const after = this.#shared(before);
      if (typeof before === "string" || after !== before) members[name] = after;
    }
    return value;
  }

  #text(text: string): string {
    if (text.length < shortest || text.length > longest) return text;
    const slot = slotOf(text);
    const seen = this.#seen[slot] ?? "";
    if (seen === text) return seen;
    this.#seen[slot] = text;
    return text;
  }
}
