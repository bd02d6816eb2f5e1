/** Counts test results and judges skips: pure functions behind `./selvage test`. */

/** One finished test as the runner tells it. */
export interface TestEvent {
  readonly name: string;
  /** Path from the repository's root. */
  readonly file: string;
  readonly suite: boolean;
  readonly passed: boolean;
  readonly skipped: boolean;
  readonly skipReason: string;
}

export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: readonly TestEvent[];
}

/** A skip that may be, and why. */
export interface AllowedSkip {
  readonly file: string;
  readonly name: string;
  readonly reason: string;
}

export const emptyTally: Tally = { passed: 0, failed: 0, skipped: [] };

/** Adds one finished test. A suite counts only when it failed by itself, since its tests are counted. */
export function tally(sum: Tally, event: TestEvent): Tally {
  if (event.skipped) return { ...sum, skipped: [...sum.skipped, event] };
  if (event.suite) return sum;
  return event.passed ? { ...sum, passed: sum.passed + 1 } : { ...sum, failed: sum.failed + 1 };
}

/** The closing line. */
export function summaryLine(sum: Tally): string {
  return `${sum.passed} passed, ${sum.failed} failed, ${sum.skipped.length} skipped`;
}

/**
 * Reads the list of allowed skips: `[{ "file", "name", "reason" }]`.
 * @throws Error when an entry lacks one of them, since a skip without a reason is not allowed.
 */
export function parseAllowedSkips(text: string): readonly AllowedSkip[] {
  const value: unknown = JSON.parse(text);
  if (!Array.isArray(value)) throw new Error("allowed-skips.json is not a list");
  return value.map((entry: unknown, index) => {
    if (typeof entry === "object" && entry !== null && "file" in entry && "name" in entry && "reason" in entry) {
      const { file, name, reason } = entry;
      if (typeof file === "string" && typeof name === "string" && typeof reason === "string" && reason.trim() !== "") {
        return { file, name, reason };
      }
    }
    throw new Error(`allowed-skips.json: entry ${index + 1} needs "file", "name" and a "reason"`);
  });
}

/** When strict, turns every skip that nobody allowed into a failure and says so. */
export function judge(
  sum: Tally,
  allowed: readonly AllowedSkip[],
  strict: boolean,
): { readonly tally: Tally; readonly complaints: readonly string[] } {
  if (!strict) return { tally: sum, complaints: [] };
  const isAllowed = (event: TestEvent): boolean =>
    allowed.some((skip) => skip.file === event.file && skip.name === event.name);
  const refused = sum.skipped.filter((event) => !isAllowed(event));
  return {
    tally: { passed: sum.passed, failed: sum.failed + refused.length, skipped: sum.skipped.filter(isAllowed) },
    complaints: refused.map(
      (event) => `${event.file}: ${event.name}: skipped, and tests/allowed-skips.json does not list it`,
    ),
  };
}
