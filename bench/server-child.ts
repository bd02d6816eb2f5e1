/** A server in a process of its own, as `selvage server run` starts it, that can be asked for its memory and its stalls. */
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

/** A timer's period: what lies between two of its turns beyond that is a stall. */
const period = 5;
let turn = performance.now();
let longest = 0;
/** Notes the time since the last turn; `monitorEventLoopDelay` was seen to miss stalls of seconds. */
function note(): void {
  const now = performance.now();
  longest = Math.max(longest, now - turn - period);
  turn = now;
}
setInterval(note, period).unref();

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
      note();
      const stall = longest;
      longest = 0;
      return stall;
    },
  },
  () => server?.close(),
);
