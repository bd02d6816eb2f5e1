/** A server in a process of its own, as `selvage server run` starts it, that can be asked for its memory and its stalls. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { noQuotas, type RunningServer, relay, startServer } from "@selvage/server";
import { answerQuestions } from "./child.ts";
import { type MemoryUse, memoryUse } from "./memory-use.ts";

/** What it can be asked. */
export type ServerAnswers = {
  /** Starts on a data directory. */
  readonly start: { readonly url: string; readonly milliseconds: number };
  readonly memory: MemoryUse;
  /** The longest stall of the event loop since the last time this was asked, ms. */
  readonly stall: number;
  /** Processor time used since the start, ms. */
  readonly busy: number;
};

export interface StartServer {
  readonly dataDir: string;
  readonly socket: string;
}

let server: RunningServer | undefined;
const resolution = 5;
const delay = monitorEventLoopDelay({ resolution });
delay.enable();

answerQuestions(
  {
    start: async ({ dataDir, socket }: StartServer) => {
      const before = performance.now();
      server = await startServer({
        dataDir,
        socket,
        port: 0,
        plugins: [relay()],
        log: "silent",
        settings: noQuotas,
        ...(process.getuid?.() === 0 ? { runAs: { uid: 0, gid: 0 } } : {}),
      });
      return { url: server.url, milliseconds: performance.now() - before };
    },
    memory: () => memoryUse(),
    busy: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1000;
    },
    stall: () => {
      // The histogram counts from timer to timer: what is beyond its resolution is the stall.
      const longest = Math.max(0, delay.max / 1e6 - resolution);
      delay.reset();
      return longest;
    },
  },
  () => server?.close(),
);
