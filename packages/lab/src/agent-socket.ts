/** The way to a host's agent from its own machine: the unix socket in its data directory (`GET /v1/status`, `/v1/flows`). */

import { request } from "node:http";
import { join } from "node:path";
import { askControl } from "./control.ts";
import { LabError } from "./failure.ts";
import { hostPaths } from "./host.ts";
import type { DataPaths } from "./paths.ts";
import { readRunRecord } from "./run-record.ts";

/** The file in an agent's data directory. */
const SOCKET = "agent.sock";
const LONGEST_WAIT_MS = 60_000;

/** The socket of the agent with this data directory. */
export const agentSocket = (agentData: string): string => join(agentData, SOCKET);

/**
 * The socket of a lab host's agent; `undefined` when no lab runs in the data directory.
 * @throws LabError `unknown-host` when the lab has no such host.
 */
export async function labAgentSocket(paths: DataPaths, host: string): Promise<string | undefined> {
  const record = await readRunRecord(paths.runRecord);
  if (record === undefined) return undefined;
  const control = record.lab === null ? paths.simulatedSocket : paths.labSocket;
  const { hosts } = await askControl(control, { op: "state" });
  const found = hosts.find(({ name }) => name === host);
  if (found === undefined) {
    const names = hosts.map(({ name }) => name).join(", ");
    throw new LabError("unknown-host", `the lab has no host "${host}"`, `its hosts: ${names}`);
  }
  return agentSocket(hostPaths(found.directory).agent);
}

/**
 * Asks an agent over its socket and gives its JSON.
 * @throws LabError `not-running` when nobody answers there, `api` with the agent's own words when it refuses.
 */
export function askAgent(socket: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: socket, path, timeout: LONGEST_WAIT_MS }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("error", reject);
      response.on("end", () => {
        if (response.statusCode === 200) resolve(JSON.parse(text));
        else reject(new LabError("api", `the agent answered ${response.statusCode}: ${text}`));
      });
    });
    asked.on("timeout", () => asked.destroy(new Error("it took longer than a minute")));
    asked.on("error", (cause) => {
      const hint = "the socket is in the agent's data directory, unless healthPort is set; name it with --agent DIR";
      reject(new LabError("not-running", `no agent answers at ${socket} (${cause.message})`, hint));
    });
    asked.end();
  });
}
