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
  /** What they wait for, as the server names it: aliases of extensions, paths of collections. Once all is there, the entry counts no more. */
  readonly needs: readonly string[];
  /** Why the tests are skipped: entries of a suite that says so itself are told by it. */
  readonly skipped: RegExp | undefined;
  /** What the server says when it refuses what it does not have: a test that fails by these words counts as skipped, any other as failed. */
  readonly refused: RegExp | undefined;
  readonly reason: string;
}

export interface Judged {
  /** As it counts. */
  readonly outcome: Outcome;
  /** The entry of the list that it is in, whatever it ended with, as long as that counts. */
  readonly allowed: Allowed | undefined;
  /** Failed or skipped, and may not. */
  readonly unexpected: boolean;
}

export interface Outcomes {
  passed: number;
  failed: number;
  skipped: number;
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
    if (!isRecord(entry)) throw new Error(`entry ${at} of the list of allowed tests is none`);
    const [tests, reason] = [textOf(entry, "tests"), textOf(entry, "reason")];
    const patternOf = (name: string): RegExp | undefined => {
      const text = textOf(entry, name);
      return text === undefined ? undefined : new RegExp(text);
    };
    if (tests === undefined || reason === undefined || reason === "") {
      throw new Error(`entry ${at} of the list of allowed tests needs "tests" and "reason"`);
    }
    const { needs = [] } = entry;
    return {
      pattern: new RegExp(tests),
      needs: (Array.isArray(needs) ? needs : [needs]).map(String),
      skipped: patternOf("skipped"),
      refused: patternOf("refused"),
      reason,
    };
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

/** Whether the server has everything by now that the entry waits for. */
const isOver = ({ needs }: Allowed, offered: ReadonlySet<string>): boolean =>
  needs.length > 0 && needs.every((each) => offered.has(each));

/** Counts an outcome and says whether it may be so, given what the server offers. */
export function judgeOutcome(
  outcomes: Outcomes,
  ended: Outcome,
  allowed: readonly Allowed[],
  offered: ReadonlySet<string>,
): void {
  const isFor = ({ pattern, skipped }: Allowed): boolean =>
    pattern.test(ended.test) && (skipped === undefined || (ended.outcome === "skipped" && skipped.test(ended.why)));
  const found = allowed.find((entry) => isFor(entry) && !isOver(entry, offered));
  const refused = ended.outcome === "failed" && found?.refused?.test(ended.why) === true;
  const outcome: Outcome = refused ? { ...ended, outcome: "skipped" } : ended;
  const unexpected = outcome.outcome === "failed" || (outcome.outcome === "skipped" && found === undefined);
  outcomes[outcome.outcome] += 1;
  if (unexpected) outcomes.unexpected += 1;
  outcomes.judged.push({ outcome, allowed: found, unexpected });
}

/** Why tests did not run: how many for each reason of the list, most first. */
export function waiting({ judged }: Outcomes): readonly { readonly allowed: Allowed; readonly tests: number }[] {
  const counted = new Map<Allowed, number>();
  for (const { outcome, allowed } of judged) {
    if (outcome.outcome === "skipped" && allowed !== undefined) counted.set(allowed, (counted.get(allowed) ?? 0) + 1);
  }
  return [...counted].map(([allowed, tests]) => ({ allowed, tests })).sort((a, b) => b.tests - a.tests);
}

/**
 * Entries of the list that have done their time: everything that they wait for is there, or each of their tests that ran passes.
 * Of a run of every test only: one of a few tells nothing of the others.
 */
export function newlyPossible(
  { judged }: Outcomes,
  allowed: readonly Allowed[],
  offered: ReadonlySet<string>,
): readonly Allowed[] {
  return allowed.filter((entry) => {
    if (isOver(entry, offered)) return true;
    const its = judged.filter((each) => each.allowed === entry);
    return its.every(({ outcome }) => outcome.outcome === "passed");
  });
}

/** The figures, beside a real Neutron's where those are known. */
export function figuresLine(
  { name, peer }: { readonly name: string; readonly peer: string | undefined },
  { passed, failed, skipped, unexpected }: Outcomes,
  seconds: number,
): string {
  return [
    `${name}: ${passed} passed, ${failed} failed, ${skipped} skipped of ${passed + failed + skipped} in ${seconds.toFixed(0)} s`,
    `(${unexpected} not allowed${peer === undefined ? "" : `; a real Neutron: ${peer}`})`,
  ].join(" ");
}
