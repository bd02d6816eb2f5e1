/** What Tempest's tests ended with, and which of it is as expected: the lines of `run.py` and the list of `allowed.json`. */

export interface Outcome {
  readonly test: string;
  readonly outcome: "passed" | "failed" | "skipped";
  /** File and line of the test, where it failed. */
  readonly where: string;
  readonly why: string;
}

/** Tests that need what the server does not have. */
export interface Allowed {
  /** Matches the tests' whole names. */
  readonly pattern: RegExp;
  /** The extension that they wait for: once it is listed, the entry counts no more. Absent: none would help. */
  readonly needs: string | undefined;
  readonly reason: string;
}

export interface Judged {
  readonly outcome: Outcome;
  /** Set when it did not pass and need not. */
  readonly allowed: Allowed | undefined;
}

export interface Outcomes {
  passed: number;
  failed: number;
  skipped: number;
  /** Failed or skipped, and in no list. */
  unexpected: number;
  readonly judged: Judged[];
}

export const emptyOutcomes = (): Outcomes => ({ passed: 0, failed: 0, skipped: 0, unexpected: 0, judged: [] });

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const textOf = (record: Readonly<Record<string, unknown>>, key: string): string | undefined => {
  const value = record[key];
  return typeof value === "string" ? value : undefined;
};

/** The list of tests that may fail or be skipped. Throws when an entry has no test or no reason. */
export function parseAllowed(text: string): readonly Allowed[] {
  const read: unknown = JSON.parse(text);
  if (!Array.isArray(read)) throw new Error("the list of allowed tests is no list");
  return read.map((entry: unknown, at) => {
    const [tests, reason, needs] = isRecord(entry)
      ? [textOf(entry, "tests"), textOf(entry, "reason"), textOf(entry, "needs")]
      : [];
    if (tests === undefined || reason === undefined || reason === "") {
      throw new Error(`entry ${at} of the list of allowed tests needs "tests" and "reason"`);
    }
    return { pattern: new RegExp(tests), needs, reason };
  });
}

/** A line of the runner; undefined for what a test printed itself. */
export function parseLine(
  line: string,
):
  | { readonly kind: "listed"; readonly count: number }
  | { readonly kind: "outcome"; readonly outcome: Outcome }
  | undefined {
  let read: unknown;
  try {
    read = JSON.parse(line);
  } catch {
    // Not one of the runner's lines.
    return undefined;
  }
  if (!isRecord(read)) return undefined;
  if (typeof read.listed === "number") return { kind: "listed", count: read.listed };
  const test = textOf(read, "test");
  const outcome = read.outcome;
  if (test === undefined || (outcome !== "passed" && outcome !== "failed" && outcome !== "skipped")) return undefined;
  return {
    kind: "outcome",
    outcome: { test, outcome, where: textOf(read, "where") ?? "", why: textOf(read, "why") ?? "" },
  };
}

/** Counts an outcome and says whether it may be so, given the extensions that the server lists. */
export function judgeOutcome(
  outcomes: Outcomes,
  outcome: Outcome,
  allowed: readonly Allowed[],
  extensions: readonly string[],
): void {
  outcomes[outcome.outcome] += 1;
  const found =
    outcome.outcome === "passed"
      ? undefined
      : allowed.find(
          ({ pattern, needs }) => pattern.test(outcome.test) && (needs === undefined || !extensions.includes(needs)),
        );
  if (outcome.outcome !== "passed" && found === undefined) outcomes.unexpected += 1;
  outcomes.judged.push({ outcome, allowed: found });
}

/** The figures, beside a real Neutron's. */
export function figuresLine({ passed, failed, skipped, unexpected }: Outcomes, seconds: number): string {
  return [
    `tempest.api.network: ${passed} passed, ${failed} failed, ${skipped} skipped of ${passed + failed + skipped} in ${seconds.toFixed(0)} s`,
    `(${unexpected} not allowed; a real Neutron: 248 passed, 0 failed, 16 skipped of 264)`,
  ].join(" ");
}
