/** The loop of a coverage-guided fuzzer (after AFL and libFuzzer): mutate what reached something, keep what reaches more, tell what breaks. */
import { join } from "node:path";
import { Coverage, type Figures, includes, type Reached } from "./coverage.ts";
import { kept } from "./found.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";
import { evaluated, type Subject, type Target } from "./target.ts";
import { type Fault, type Limits, Trial } from "./trial.ts";
import { Watchdog } from "./watchdog.ts";

/** How long to run, and from what. */
export interface Options {
  readonly seed: number;
  /** Mutated inputs at most. */
  readonly runs: number;
  /** When to stop, on the clock of `performance.now()`. */
  readonly until?: number;
  /** Inputs to begin with besides the target's seeds. */
  readonly corpus?: readonly Uint8Array[];
  /** Without coverage every input given is kept and no other: many more inputs in the same time, none of which leads anywhere. True unless told. */
  readonly guided?: boolean;
  /** What an input may take; the usual limits unless told. */
  readonly limits?: Limits;
  /** How long an input may take before it is kept and the process ended for it, ms. */
  readonly endlessMs?: number;
  /** Where it is kept then; among the found inputs unless told. */
  readonly endlessFolder?: string;
}

/** A fault and the shortest input that was seen to meet it. */
export interface Finding {
  readonly fault: Fault;
  readonly input: Uint8Array;
}

export interface Report {
  readonly executions: number;
  readonly seconds: number;
  /** Of what the seeds and the corpus given reached, and of all; absent without guidance. */
  readonly coverage: { readonly begun: Figures; readonly reached: Figures } | undefined;
  /** Inputs that together reach all that was reached, shortest first. */
  readonly corpus: readonly Uint8Array[];
  readonly findings: readonly Finding[];
}

/** Runs a target. Findings are part of the report; rejects only where the target cannot be loaded. */
export async function fuzz(target: Target, options: Options): Promise<Report> {
  // What a package's tests share is none of its code.
  const counts = (url: string): boolean =>
    !url.includes("/src/testing/") &&
    target.code.some((part) => (part === evaluated ? url === "" : url.includes(part)));
  // Before the code is loaded, or its blocks are not counted.
  using coverage = options.guided === false ? undefined : new Coverage(counts);
  const subject = await target.load();
  using trial = new Trial(subject, options.limits);
  const { endlessMs = 20_000, endlessFolder = join(kept, "found", target.name) } = options;
  const watchdog = new Watchdog(endlessFolder, { ms: endlessMs, maxLength: Math.max(target.maxLength, 1 << 20) });
  try {
    return await new Run(target, subject, { coverage, trial, watchdog }, options).whole();
  } finally {
    await watchdog.close();
    await subject.close?.();
  }
}

interface Tools {
  readonly coverage: Coverage | undefined;
  readonly trial: Trial;
  readonly watchdog: Watchdog;
}

class Run {
  readonly #target: Target;
  readonly #subject: Subject;
  readonly #tools: Tools;
  readonly #options: Options;
  readonly #random: Random;
  readonly #corpus: Uint8Array[] = [];
  readonly #findings = new Map<string, Finding>();
  readonly #start = performance.now();
  #executions = 0;

  constructor(target: Target, subject: Subject, tools: Tools, options: Options) {
    this.#target = target;
    this.#subject = subject;
    this.#tools = tools;
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  async whole(): Promise<Report> {
    const { coverage } = this.#tools;
    const given = [...this.#subject.seeds, ...(this.#options.corpus ?? [])];
    coverage?.learn(coverage.take());
    for (const input of given) await this.#keepNew([input], { trim: false });
    if (this.#corpus.length === 0) this.#corpus.push(...given, new Uint8Array(0));
    const begun = coverage?.figures();
    const { runs, until = Number.POSITIVE_INFINITY } = this.#options;
    for (let done = 0; done < runs && performance.now() < until; done += this.#target.batch) {
      const batch = Array.from({ length: Math.min(this.#target.batch, runs - done) }, () => this.#next());
      await this.#keepNew(batch, { trim: true });
    }
    const reached = coverage?.figures();
    return {
      executions: this.#executions,
      seconds: (performance.now() - this.#start) / 1000,
      coverage: begun === undefined || reached === undefined ? undefined : { begun, reached },
      corpus: coverage === undefined ? this.#corpus : await this.#least(coverage),
      findings: [...this.#findings.values()],
    };
  }

  #next(): Uint8Array {
    const random = this.#random;
    // Half of the time one of the newest, which are at the edge of what is known.
    const newest = Math.max(1, Math.floor(this.#corpus.length / 4));
    const from = random.oneIn(2) ? this.#corpus.slice(-newest) : this.#corpus;
    const { dictionary } = this.#subject;
    const { maxLength, shape } = this.#target;
    return mutate(random, random.pick(from), shape, { other: random.pick(this.#corpus), dictionary, maxLength });
  }

  /** Runs inputs, and keeps of them those that reach something new. To look at the coverage costs more than most inputs: so halves are asked. */
  async #keepNew(batch: readonly Uint8Array[], how: { readonly trim: boolean }): Promise<void> {
    const { coverage } = this.#tools;
    if (coverage === undefined) {
      for (const input of batch) await this.#execute(input);
      return;
    }
    const reached = await this.#reachedBy(batch, coverage);
    const fresh = coverage.fresh(reached);
    const [input] = batch;
    if (fresh.size === 0 || input === undefined) return;
    if (batch.length > 1) {
      const half = batch.length >> 1;
      await this.#keepNew(batch.slice(0, half), how);
      await this.#keepNew(batch.slice(half), how);
      // What came of no single one of them (a server's housekeeping) is not asked after again.
      coverage.learn(reached);
      return;
    }
    const still = async (shorter: Uint8Array): Promise<boolean> =>
      includes(await this.#reachedBy([shorter], coverage), fresh);
    this.#corpus.push(how.trim ? await this.#trimmed(input, 24, still) : input);
    coverage.learn(reached);
  }

  async #reachedBy(inputs: readonly Uint8Array[], coverage: Coverage): Promise<Reached> {
    for (const input of inputs) await this.#execute(input);
    return coverage.take();
  }

  async #execute(input: Uint8Array): Promise<Fault | undefined> {
    const { trial, watchdog } = this.#tools;
    watchdog.begin(input);
    const fault = await trial.run(input);
    watchdog.end();
    this.#executions++;
    if (fault !== undefined && !this.#findings.has(fault.name)) {
      this.#findings.set(fault.name, { fault, input });
      const shortest = await this.#trimmed(
        input,
        // Each attempt at what takes long takes long.
        fault.kind === "crash" ? 200 : 20,
        async (shorter) => (await this.#execute(shorter))?.name === fault.name,
      );
      this.#findings.set(fault.name, { fault, input: shortest });
    }
    return fault;
  }

  /** Takes parts out of an input, ever smaller ones, as long as it stays what it was kept for. */
  async #trimmed(
    input: Uint8Array,
    most: number,
    still: (shorter: Uint8Array) => Promise<boolean>,
  ): Promise<Uint8Array> {
    let kept = input;
    let attempts = most;
    for (let part = kept.length >> 1; part >= 1 && attempts > 0; part >>= 1) {
      for (let at = 0; at < kept.length && attempts > 0; attempts--) {
        const shorter = Uint8Array.from([...kept.subarray(0, at), ...kept.subarray(at + part)]);
        if (await still(shorter)) kept = shorter;
        else at += part;
      }
    }
    return kept;
  }

  /** The inputs without which something would not be reached, tried from the shortest on. */
  async #least(coverage: Coverage): Promise<readonly Uint8Array[]> {
    const union = new Map<string, Uint8Array>();
    const least: Uint8Array[] = [];
    for (const input of [...this.#corpus].sort((a, b) => a.length - b.length)) {
      let adds = false;
      for (const [id, marks] of await this.#reachedBy([input], coverage)) {
        const known = union.get(id) ?? new Uint8Array(marks.length);
        union.set(id, known);
        for (let at = 0; at < marks.length; at++) {
          if (marks[at] !== 1 || known[at] === 1) continue;
          known[at] = 1;
          adds = true;
        }
      }
      if (adds) least.push(input);
    }
    return least;
  }
}
