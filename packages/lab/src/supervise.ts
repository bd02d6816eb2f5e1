/** Keeps one process running: starts it again when it ends, with a growing pause, and hands on the lines it prints. */

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** What to run and where its output goes. */
export interface ProcessPlan {
  /** Short name for the log, such as `h1/switch`. */
  readonly name: string;
  /** The command; as a function it is asked at each start. */
  readonly argv: readonly string[] | (() => readonly string[]);
  readonly env?: Readonly<Record<string, string>>;
  /** Runs before every start: repairs what the process needs. Its failure counts as a failed start. */
  readonly prepare?: () => Promise<void>;
  /** Runs after every start, once the process has been spawned: waits until it serves and sets it up. Its failure ends the process. */
  readonly settle?: () => Promise<void>;
  /** Gets each line of standard output and standard error. */
  readonly onLine: (line: string) => void;
  /** Gets one sentence at each start, end and failure. */
  readonly onEvent: (event: string) => void;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
/** A process that lived so long starts again with the shortest pause. */
const STEADY_MS = 10_000;

/** A process under supervision. */
export interface Supervised {
  readonly name: string;
  /** Its id in the namespace of the supervisor; `undefined` between two lives. */
  readonly pid: number | undefined;
  /** How many times it has been started. */
  readonly starts: number;
  /** Resolves when the process is running and `settle` has finished; at once when it is so already. */
  ready(): Promise<void>;
  /** Ends it for good: SIGTERM, then SIGKILL after the grace. Resolves when it is gone. */
  stop(graceMs: number): Promise<void>;
}

interface Waiter {
  readonly resolve: () => void;
}

/** Starts a process and keeps it running until `stop`. */
export function supervise(plan: ProcessPlan): Supervised {
  let child: ChildProcess | undefined;
  let stopped = false;
  let settled = false;
  let starts = 0;
  let pauseMs = FIRST_PAUSE_MS;
  let pauseTimer: NodeJS.Timeout | undefined;
  let ended: Promise<void> = Promise.resolve();
  let waiters: readonly Waiter[] = [];

  const wakeWaiters = (): void => {
    const woken = waiters;
    waiters = [];
    for (const waiter of woken) waiter.resolve();
  };

  const again = (): void => {
    if (stopped) return;
    const pause = pauseMs;
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
    pauseTimer = setTimeout(() => void live(), pause);
  };

  const live = async (): Promise<void> => {
    if (stopped) return;
    try {
      await plan.prepare?.();
    } catch (cause) {
      plan.onEvent(`${plan.name}: could not prepare: ${message(cause)}`);
      again();
      return;
    }
    if (stopped) return;
    const [file = "", ...args] = typeof plan.argv === "function" ? plan.argv() : plan.argv;
    const startedAt = performance.now();
    const now = spawn(file, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: plan.env === undefined ? process.env : { ...process.env, ...plan.env },
    });
    child = now;
    starts += 1;
    plan.onEvent(`${plan.name}: start ${starts}, pid ${now.pid ?? "none"}`);
    for (const stream of [now.stdout, now.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on("line", plan.onLine);
    }
    ended = new Promise((resolve) => {
      const over = (how: string): void => {
        if (child !== now) return;
        child = undefined;
        settled = false;
        resolve();
        if (stopped) {
          wakeWaiters();
          return;
        }
        if (performance.now() - startedAt > STEADY_MS) pauseMs = FIRST_PAUSE_MS;
        plan.onEvent(`${plan.name}: ended (${how}), starting again`);
        again();
      };
      now.on("error", (cause) => over(cause.message));
      now.on("exit", (code, signal) => over(signal ?? `exit code ${code}`));
    });
    try {
      await plan.settle?.();
      if (child === now) {
        settled = true;
        wakeWaiters();
      }
    } catch (cause) {
      plan.onEvent(`${plan.name}: did not get ready: ${message(cause)}`);
      now.kill("SIGKILL");
    }
  };

  void live();

  return {
    name: plan.name,
    get pid() {
      return child?.pid;
    },
    get starts() {
      return starts;
    },
    ready() {
      if (settled || stopped) return Promise.resolve();
      return new Promise((resolve) => {
        waiters = [...waiters, { resolve }];
      });
    },
    async stop(graceMs) {
      stopped = true;
      clearTimeout(pauseTimer);
      wakeWaiters();
      const last = child;
      if (last === undefined) return;
      const kill = setTimeout(() => last.kill("SIGKILL"), graceMs);
      last.kill("SIGTERM");
      await ended;
      clearTimeout(kill);
    },
  };
}

/** The words of whatever was thrown. */
export function message(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
