/** A run of many scenarios drawn by a seed, until enough packets have been compared or two of them ended differently; then the least such scenario is sought. */
import { hash } from "node:crypto";
import fc from "fast-check";
import { compare, Divergence, Miscount, outerScenarios, type Scenario, scenarios } from "./comparison.ts";
import type { RealSide } from "./real-side.ts";
import { least } from "./shrink.ts";
import type { Entry } from "./simulated-side.ts";

export interface CampaignPlan {
  readonly seed: number;
  /** Packets to be compared. */
  readonly cases: number;
  /** How many lesser scenarios are tried, to find one that diverges too; 0 for the first as it is. */
  readonly shrink: number;
  /** What is drawn; unless told, scenarios of both kinds in turn. */
  readonly of?: "inside" | "outside";
  /** Called now and then with the number of packets so far. */
  readonly progress?: (cases: number) => void;
}

export interface CampaignResult {
  readonly cases: number;
  readonly topologies: number;
  readonly traces: number;
  readonly milliseconds: number;
  /** How often each table was met, and how packets ended: what the run has seen of the program. */
  readonly tables: ReadonlyMap<string, number>;
  readonly ends: ReadonlyMap<string, number>;
  readonly divergence: { readonly scenario: Scenario; readonly text: string } | null;
}

/** Scenarios that one draw of fast-check's holds: its seed is the campaign's and the draw's number together. */
const scenariosADraw = 20;

const count = (counts: Map<string, number>, name: string): void => {
  counts.set(name, (counts.get(name) ?? 0) + 1);
};

/** The scenarios of a draw. */
function drawn(of: CampaignPlan["of"], seed: number): readonly Scenario[] {
  const sample = (from: fc.Arbitrary<Scenario>): readonly Scenario[] =>
    fc.sample(from, { seed, numRuns: scenariosADraw });
  if (of !== undefined) return sample(of === "inside" ? scenarios : outerScenarios);
  const outer = sample(outerScenarios);
  return sample(scenarios).flatMap((each, place) => [each, ...outer.slice(place, place + 1)]);
}

/** A seed for each draw, far from those of other draws and other campaigns: neighbouring ones draw much alike. */
const spread = (seed: number, draw: number): number => hash("sha256", `${seed}/${draw}`, "buffer").readInt32BE(0);

/** Runs it on hosts that are started already. Throws only what is no divergence. */
export async function campaign(
  real: RealSide,
  { seed, cases, shrink, of, progress }: CampaignPlan,
): Promise<CampaignResult> {
  const start = performance.now();
  const tables = new Map<string, number>();
  const ends = new Map<string, number>();
  const before = real.traces;
  let done = 0;
  let topologies = 0;
  const passed = (entries: readonly Entry[]): void => {
    done += 1;
    for (const { trace } of entries) {
      for (const { table } of trace.visits) count(tables, table);
      for (const { kind } of trace.outcomes) count(ends, kind);
    }
  };
  const result = (divergence: CampaignResult["divergence"]): CampaignResult => {
    const milliseconds = performance.now() - start;
    return { cases: done, topologies, traces: real.traces - before, milliseconds, tables, ends, divergence };
  };
  for (let draw = 0; done < cases; draw += 1) {
    for (const scenario of drawn(of, spread(seed, draw))) {
      if (done >= cases) break;
      topologies += 1;
      const text = await divergenceOf(real, scenario, passed);
      if (text !== null) {
        const until = result(null);
        const divergence = await least({ scenario, text }, (each) => divergenceOf(real, each, () => undefined), shrink);
        return { ...until, divergence };
      }
      progress?.(done);
    }
  }
  return result(null);
}

/** What differs in a scenario; null where nothing does. Counts alone must differ twice. */
async function divergenceOf(
  real: RealSide,
  scenario: Scenario,
  passed: (entries: readonly Entry[]) => void,
): Promise<string | null> {
  const first = await differenceIn(real, scenario, passed);
  const found = first instanceof Miscount ? await differenceIn(real, scenario, () => undefined) : first;
  return found?.message ?? null;
}

async function differenceIn(
  real: RealSide,
  scenario: Scenario,
  passed: (entries: readonly Entry[]) => void,
): Promise<Divergence | undefined> {
  try {
    await compare(real, scenario, passed);
    return undefined;
  } catch (error) {
    if (error instanceof Divergence) return error;
    throw error;
  }
}

/** A scenario in a line that a test can hold; bytes of drawn packets stand as lists of numbers. */
export const scenarioText = (scenario: Scenario): string =>
  JSON.stringify(scenario, (_, value: unknown) => (value instanceof Uint8Array ? { bytes: [...value] } : value));
