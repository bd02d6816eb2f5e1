/** The lab's control channel: one JSON line asked, one JSON line answered, on a unix socket that only its owner may open. */

import { rm } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { LabError, type LabErrorCode } from "./failure.ts";
import type { Lease, MachinePlan } from "./machine.ts";
import { message } from "./supervise.ts";

/** What the lab can be asked. */
export type ControlRequest =
  | { readonly op: "state" }
  /** Makes a host, or gives one that did not join yet its token; a host that is there stays. */
  | {
      readonly op: "host";
      readonly name: string;
      readonly number: number;
      readonly tunnelIp: string;
      readonly token: string | null;
      /** The physical networks that it has besides `public`. Absent: none. */
      readonly wires?: readonly string[];
    }
  /** Plugs a machine and waits up to `waitMs` for its address; one that is there on the same host stays. */
  | { readonly op: "plug"; readonly machine: MachinePlan; readonly waitMs: number }
  | { readonly op: "unplug"; readonly port: string }
  /** Lets a simulated machine send echoes until one is answered or `count` were sent. */
  | { readonly op: "ping"; readonly port: string; readonly address: string; readonly count: number }
  | { readonly op: "stop" };

/** One process of a host: its id inside the lab and how often it was started. */
export interface ProcessState {
  readonly pid: number | null;
  readonly starts: number;
}

export interface HostState {
  readonly name: string;
  readonly tunnelIp: string;
  readonly directory: string;
  readonly database: ProcessState;
  readonly vswitch: ProcessState;
  readonly agent: ProcessState | null;
}

export interface MachineState {
  readonly port: string;
  readonly name: string;
  readonly host: string;
  readonly mac: string;
  readonly ipv4: string | null;
  readonly ipv6: readonly string[];
  readonly dhcp: Lease["state"] | "off";
  readonly namespace: string;
  /** The process, as the lab numbers it, in whose mount namespace the machine's commands run. */
  readonly holder: number | null;
  readonly tap: string;
}

/** Everything the lab runs. `settled` is false while it still brings back what was recorded. */
export interface LabState {
  readonly settled: boolean;
  readonly underlay: string;
  readonly hosts: readonly HostState[];
  readonly machines: readonly MachineState[];
}

/** What each request gives back. */
export interface ControlReplies {
  readonly state: LabState;
  readonly host: HostState;
  readonly plug: MachineState;
  readonly unplug: { readonly removed: boolean };
  readonly ping: { readonly milliseconds: number | null };
  readonly stop: { readonly stopping: true };
}

type Reply =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly code: LabErrorCode; readonly message: string; readonly hint: string | null };

const LONGEST_LINE = 4_000_000;

/** Serves the channel on `path`. The handler's errors are given to the asker. */
export async function serveControl(
  path: string,
  handle: (request: ControlRequest) => Promise<ControlReplies[ControlRequest["op"]]>,
): Promise<Server> {
  await rm(path, { force: true });
  const answer = async (line: string): Promise<Reply> => {
    try {
      // The only writers are this package's own askControl of the same version, behind a 0600 socket.
      const request = JSON.parse(line) as ControlRequest;
      return { ok: true, value: await handle(request) };
    } catch (cause) {
      if (cause instanceof LabError)
        return { ok: false, code: cause.code, message: cause.message, hint: cause.hint ?? null };
      return { ok: false, code: "protocol", message: message(cause), hint: null };
    }
  };
  const server = createServer((socket) => {
    let text = "";
    let asked = false;
    socket.setEncoding("utf8");
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: string) => {
      if (asked) return;
      text += chunk;
      const end = text.indexOf("\n");
      if (end < 0) {
        if (text.length > LONGEST_LINE) socket.destroy();
        return;
      }
      asked = true;
      void answer(text.slice(0, end)).then((reply) => socket.end(`${JSON.stringify(reply)}\n`));
    });
  });
  const previous = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
  } finally {
    process.umask(previous);
  }
  return server;
}

/**
 * Asks the lab behind `path` and gives its answer.
 * @throws LabError what the lab answered, or `not-running` when nobody serves the socket.
 */
export function askControl<Op extends ControlRequest["op"]>(
  path: string,
  request: Extract<ControlRequest, { readonly op: Op }>,
): Promise<ControlReplies[Op]> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let text = "";
    socket.setEncoding("utf8");
    socket.on("error", (cause: NodeJS.ErrnoException) => {
      const absent = cause.code === "ENOENT" || cause.code === "ECONNREFUSED";
      const why = absent ? "the lab is not running" : `the lab cannot be asked: ${cause.message}`;
      reject(new LabError("not-running", why, "start it: ./selvage up; its log is in the data directory under log/"));
    });
    socket.on("connect", () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on("data", (chunk: string) => {
      text += chunk;
    });
    socket.on("end", () => {
      if (text === "") {
        reject(new LabError("not-running", "the lab ended while it was asked", "start it again: ./selvage up"));
        return;
      }
      const reply = JSON.parse(text) as Reply;
      if (reply.ok) resolve(reply.value as ControlReplies[Op]);
      else reject(new LabError(reply.code, reply.message, reply.hint ?? undefined));
    });
  });
}
