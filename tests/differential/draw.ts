/** How much of a draw is as usual: what is rare everywhere at once would leave nothing to compare. */
import fc from "fast-check";

/** One value in two thirds of all draws, any in the rest. */
export const mostly = <T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 2 * others.length, arbitrary: fc.constant(usual) }, fc.constantFrom(usual, ...others));

/** One value in six sevenths of all draws, any in the rest: of several that are drawn so most draws are as usual in all. */
export const usually = <T>(usual: T, ...others: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(usual, ...others) });
