/** Which code a run reached, by V8's precise block coverage (Chrome DevTools Protocol, domain Profiler): no instrumentation, no native code. */
import { type Profiler, Session } from "node:inspector";

/** Reached characters of each script, by its id: 1 where code ran. */
export type Reached = ReadonlyMap<string, Uint8Array>;

/** How far the code of the functions of some scripts was reached. */
export interface Figures {
  readonly functions: number;
  readonly functionsReached: number;
  /** Characters of source inside functions. */
  readonly code: number;
  readonly codeReached: number;
}

interface Script {
  /** What was reached since the start. */
  readonly seen: Uint8Array;
  /** What lies inside a function. */
  readonly inside: Uint8Array;
  /** By `start-end`: whether it was ever called. */
  readonly functions: Map<string, boolean>;
}

/** Only code that is loaded after the start is counted by blocks: import what is measured behind it. One at a time in a process. */
export class Coverage implements Disposable {
  readonly #session = new Session();
  readonly #counts: (url: string) => boolean;
  readonly #scripts = new Map<string, Script>();

  /** Takes which scripts count, by the URL they were loaded from. */
  constructor(counts: (url: string) => boolean) {
    this.#counts = counts;
    this.#session.connect();
    this.#session.post("Profiler.enable");
    this.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  /** What ran since the last `take`. */
  take(): Reached {
    const reached = new Map<string, Uint8Array>();
    this.#session.post("Profiler.takePreciseCoverage", (error, answer) => {
      // The session is of this thread: it answers before `post` returns.
      if (error !== null) throw error;
      for (const script of answer.result) {
        if (this.#counts(script.url)) reached.set(script.scriptId, this.#mark(script));
      }
    });
    return reached;
  }

  #mark({ scriptId, functions }: Profiler.ScriptCoverage): Uint8Array {
    const end = functions.reduce((most, { ranges }) => Math.max(most, ranges[0]?.endOffset ?? 0), 0);
    let script = this.#scripts.get(scriptId);
    if (script === undefined || script.seen.length < end) {
      const grown = { seen: new Uint8Array(end), inside: new Uint8Array(end) };
      if (script !== undefined) {
        grown.seen.set(script.seen);
        grown.inside.set(script.inside);
      }
      script = { ...grown, functions: script?.functions ?? new Map<string, boolean>() };
      this.#scripts.set(scriptId, script);
    }
    const marks = new Uint8Array(script.seen.length);
    // Outer functions come before those inside them, and a function's outer ranges before its inner ones.
    for (const { functionName, ranges } of functions) {
      for (const { startOffset, endOffset, count } of ranges) marks.fill(count > 0 ? 1 : 0, startOffset, endOffset);
      const [whole] = ranges;
      if (whole === undefined || (functionName === "" && whole.startOffset === 0)) continue;
      const name = `${whole.startOffset}-${whole.endOffset}`;
      if (!script.functions.has(name)) script.inside.fill(1, whole.startOffset, whole.endOffset);
      script.functions.set(name, (script.functions.get(name) ?? false) || whole.count > 0);
    }
    return marks;
  }

  /** What of `reached` was never reached before. */
  fresh(reached: Reached): Reached {
    const fresh = new Map<string, Uint8Array>();
    for (const [id, marks] of reached) {
      const seen = this.#scripts.get(id)?.seen;
      const news = marks.map((mark, at) => (mark === 1 && seen?.[at] !== 1 ? 1 : 0));
      if (news.includes(1)) fresh.set(id, news);
    }
    return fresh;
  }

  /** Takes note of what was reached. */
  learn(reached: Reached): void {
    for (const [id, marks] of reached) {
      const seen = this.#scripts.get(id)?.seen;
      if (seen !== undefined) for (let at = 0; at < marks.length; at++) if (marks[at] === 1) seen[at] = 1;
    }
  }

  /** How far the code was reached so far. */
  figures(): Figures {
    const total = { functions: 0, functionsReached: 0, code: 0, codeReached: 0 };
    for (const { functions, inside, seen } of this.#scripts.values()) {
      for (const called of functions.values()) {
        total.functions++;
        if (called) total.functionsReached++;
      }
      for (let at = 0; at < inside.length; at++) {
        if (inside[at] !== 1) continue;
        total.code++;
        if (seen[at] === 1) total.codeReached++;
      }
    }
    return total;
  }

  [Symbol.dispose](): void {
    this.#session.post("Profiler.stopPreciseCoverage");
    this.#session.disconnect();
  }
}

/** Whether all that is in `wanted` is in `reached`. */
export function includes(reached: Reached, wanted: Reached): boolean {
  return [...wanted].every(([id, marks]) => {
    const have = reached.get(id);
    return have !== undefined && marks.every((mark, at) => mark !== 1 || have[at] === 1);
  });
}
