/** What a fuzzer runs: a parser behind one function, what it may throw, and inputs to begin with. */
import type { Shape } from "./mutate.ts";

/** A parser that is loaded and ready. */
export interface Subject {
  /** Inputs that the parser takes: made by our encoders where there are such. */
  readonly seeds: readonly Uint8Array[];
  /** Words that it looks for. */
  readonly dictionary: readonly Uint8Array[];
  /**
   * Feeds one input. Returns (or resolves) where the input is taken or refused as it should be; throws what must not be thrown, and
   * `Broken` where the result contradicts itself.
   */
  readonly run: (input: Uint8Array) => void | Promise<void>;
  readonly close?: () => Promise<void>;
}

/** Stands in `code` for scripts without a URL: validators that are compiled when the program runs. */
export const evaluated = "(evaluated)";

/** A parser's name and how to load it. */
export interface Target {
  readonly name: string;
  /** One line for the help text. */
  readonly about: string;
  /** Parts of the URLs of the code that counts. */
  readonly code: readonly string[];
  readonly shape: Shape;
  /** Longest input, bytes. */
  readonly maxLength: number;
  /** Inputs run between two looks at the coverage. */
  readonly batch: number;
  /** Inputs that the test suite runs besides those that are kept. */
  readonly testRuns: number;
  /** Imports the code, so that its blocks are counted, and prepares it. */
  readonly load: () => Promise<Subject>;
}

/** A law that a parser's result broke. */
export class Broken extends Error {
  override readonly name = "Broken";
}

/** Throws Broken with `law` unless it holds. */
export function hold(holds: boolean, law: string): void {
  if (!holds) throw new Broken(law);
}

/** The bytes of each text, in UTF-8. */
export function words(...texts: readonly string[]): readonly Uint8Array[] {
  return texts.map((text) => new TextEncoder().encode(text));
}
