/** An agent in a process of its own, on a real switch and a real server, that can be asked for its memory. */
import { type AgentStatus, joinHost, type RunningAgent, startAgent } from "@selvage/agent";
import { silentLog } from "@selvage/base";
import { OvsDatapath } from "@selvage/datapath";
import { answerQuestions } from "./child.ts";
import { type MemoryUse, memoryUse } from "./memory-use.ts";

export interface StartAgent {
  /** `unix:` and the server's socket. */
  readonly server: string;
  readonly token: string;
  readonly dataDir: string;
  /** `unix:` and the socket of the switch's database. */
  readonly database: string;
  readonly tunnelIp: string;
}

export type AgentAnswers = {
  readonly start: undefined;
  readonly status: AgentStatus;
  readonly memory: MemoryUse;
};

let agent: RunningAgent | undefined;

function running(): RunningAgent {
  if (agent === undefined) throw new Error("the agent was not started");
  return agent;
}

answerQuestions(
  {
    start: async ({ server, token, dataDir, database, tunnelIp }: StartAgent) => {
      await joinHost({ url: server, token, dataDir, tunnelIp });
      const datapath = new OvsDatapath({ database, tunnelIp });
      agent = await startAgent({ dataDir, tunnelIp, datapath, log: silentLog });
    },
    status: () => running().status,
    memory: () => memoryUse(),
  },
  () => agent?.close(),
);
