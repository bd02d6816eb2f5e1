/** Toy parsers, each with one fault, by which the fuzzer itself is tested. */

/** Throws behind three bytes, each of which is looked at only when those before it are right: guessing all at once would take seventeen million inputs. */
export function guarded(input: Uint8Array): void {
  if (input[0] !== 0x66) return;
  if (input[1] !== 0x75) return;
  if (input[2] !== 0x7a) return;
  throw new RangeError("behind the guard");
}

/** Never comes back from an input that begins with a zero byte. */
export function endless(input: Uint8Array): void {
  let turns = 0;
  while (input[0] === 0) turns++;
  if (turns > 0) throw new Error("it came back");
}
