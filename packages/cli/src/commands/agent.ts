/** `selvage agent join|run`: one host's agent in this process. */

import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import { joinHost, startAgent } from "@selvage/agent";
import { createLog } from "@selvage/base";
import { OvsDatapath } from "@selvage/datapath";
import { askedToEnd } from "@selvage/lab";
import { Exit } from "../exit.ts";
import { standardOutput } from "../format.ts";

export interface JoinFlags {
  readonly data: string;
  readonly tunnelIp: string;
}

export interface RunFlags extends JoinFlags {
  readonly ovsdb: string;
  readonly bridge: string;
}

/** Runs `selvage agent join URL TOKEN`; the token `-` is read from standard input, where no other user sees it. */
export async function agentJoin(url: string, token: string, flags: JoinFlags): Promise<number> {
  const word = token === "-" ? (await text(process.stdin)).trim() : token;
  const joined = await joinHost({ url, token: word, dataDir: resolve(flags.data), tunnelIp: flags.tunnelIp });
  standardOutput.text(`joined as ${joined.host.name}\n`);
  return Exit.ok;
}

/** Runs `selvage agent run`; resolves when the agent has been told to end. Forwarding goes on after it. */
export async function agentRun(flags: RunFlags): Promise<number> {
  const log = await createLog({ room: "agent" });
  const { ovsdb: database, bridge, tunnelIp } = flags;
  const datapath = new OvsDatapath({ database, bridge, tunnelIp, log: log.child("datapath") });
  const agent = await startAgent({ dataDir: resolve(flags.data), tunnelIp, datapath, log });
  await askedToEnd();
  await agent.close();
  return Exit.ok;
}
