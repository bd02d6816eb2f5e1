/** Agents as processes that are killed and started again while clients write, and what each of them must hold when all is over. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { joinHost } from "@selvage/agent";
import { hostEngine } from "@selvage/compiler";
import { askAgent, at } from "@selvage/lab";
import { until } from "@selvage/lab/testing";
import { Attachment, Port } from "@selvage/model";
import { rowText, selvageProgram } from "@selvage/pipeline";
import type { Snapshot } from "@selvage/store";
import { isLocal, project, projectedResources } from "@selvage/sync";

const child = fileURLToPath(new URL("agent-child.ts", import.meta.url));
const projected: ReadonlySet<string> = new Set(projectedResources.map(({ kind }) => kind));
const constants: ReadonlySet<string> = new Set(selvageProgram.constants.map(rowText));
/** Not a deadline: what takes so long on any machine is stuck. */
const HANGS_MS = 120_000;
/** Rows that a violation tells. */
const told = 5;

interface Held {
  readonly isConnected: boolean;
  /** Rows on its switch, as text, sorted; without those of the program itself. */
  readonly rows: readonly string[];
}

/** The agent of one host, in this life or another. */
export class AgentProcess {
  readonly host: string;
  readonly #dataDir: string;
  readonly #tunnelIp: string;
  #process: ChildProcess;
  #complaints = "";
  kills = 0;

  private constructor(host: string, dataDir: string, tunnelIp: string) {
    this.host = host;
    this.#dataDir = dataDir;
    this.#tunnelIp = tunnelIp;
    this.#process = this.#begin();
  }

  /** Makes a host by the API, joins it, and starts its agent, which is not waited for. */
  static async start(url: string, token: string, number: number, dir: string): Promise<AgentProcess> {
    const host = `h${number}`;
    const response = await fetch(`${url}/v1/hosts`, {
      method: "POST",
      headers: { "x-auth-token": token, "content-type": "application/json" },
      body: JSON.stringify({ name: host }),
    });
    const made: unknown = await response.json();
    const word = `${at(made, "token")}.${at(made, "ca_fingerprint")}`;
    const [dataDir, tunnelIp] = [join(dir, host), `192.0.2.${number}`];
    await joinHost({ url: url.replace("http:", "https:"), token: word, dataDir, tunnelIp });
    return new AgentProcess(host, dataDir, tunnelIp);
  }

  /** SIGKILL, wherever it stands, be it that it has hardly started; another begins at once. */
  async kill(): Promise<void> {
    this.kills += 1;
    await this.end();
    this.#process = this.#begin();
  }

  /** SIGKILL; resolves when the process is gone. */
  async end(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }

  /** Waits until it holds what a host must hold by the store, and gives in words what it holds otherwise, or lacks. */
  async wrong(snapshot: Snapshot): Promise<readonly string[]> {
    const wanted = new Set(rowsBy(snapshot, this.host));
    let last: Held | undefined;
    const differing = (): readonly string[] => {
      const held = new Set(last?.rows);
      return [
        ...[...wanted].filter((row) => !held.has(row)).map((row) => `lacks ${row}`),
        ...[...held].filter((row) => !wanted.has(row)).map((row) => `has ${row}`),
      ];
    };
    const holds = async (): Promise<true | undefined> => {
      last = await this.#held();
      return last?.isConnected && differing().length === 0 ? true : undefined;
    };
    const found = await until(`${this.host} does not hold it`, HANGS_MS, holds).catch(() => false as const);
    if (found) return [];
    const state = last === undefined ? "does not answer" : last.isConnected ? "is connected" : "has no server";
    const words = [`${state}, and is to have ${wanted.size} rows`, ...differing().slice(0, told), this.#complaints];
    return words.map((word) => `the agent of ${this.host}: ${word}`);
  }

  /** Undefined: it does not answer yet. */
  async #held(): Promise<Held | undefined> {
    if (this.#process.exitCode !== null) throw new Error(`the agent of ${this.host} ended`);
    const socket = join(this.#dataDir, "agent.sock");
    const asked = Promise.all([askAgent(socket, "/v1/status"), askAgent(socket, "/v1/flows")]);
    const answers = await asked.catch(() => undefined);
    if (answers === undefined) return undefined;
    const [status, answer] = answers;
    const flows = at(answer, "flows");
    const texts = (Array.isArray(flows) ? flows : []).map((flow: unknown) => String(at(flow, "text")));
    const rows = texts.filter((text) => !constants.has(text));
    return { isConnected: at(status, "connected") === true, rows };
  }

  #begin(): ChildProcess {
    const words = [child, this.#dataDir, this.#tunnelIp, this.host];
    const begun = spawn(process.execPath, words, { stdio: ["ignore", "ignore", "pipe"] });
    this.#complaints = "";
    begun.stderr?.on("data", (bytes) => {
      this.#complaints = `${this.#complaints}${bytes}`.slice(-1_000);
    });
    return begun;
  }
}

/**
 * The rows of a host by the whole of the store, with no relay between and no history: what each agent must hold, whatever became of it, its server and its stream.
 * Into each port that is bound to the host a machine is plugged.
 */
export function rowsBy({ revision, objects }: Snapshot, host: string): readonly string[] {
  const engine = hostEngine({ name: host });
  const seen = objects
    .filter(({ kind }) => projected.has(kind))
    .map(({ kind, id, revision: written, object }) => ({
      ...{ kind, id, revision: written },
      object: project(kind, object, isLocal(kind, object, host) ? "near" : "far"),
    }));
  const machines = objects
    .filter(({ kind, object }) => kind === Port.kind && isLocal(kind, object, host))
    .map(({ id }) => ({ kind: Attachment.kind, id, revision, object: { id } }));
  engine.load([...seen, ...machines], revision);
  return [...engine.rows()].map(rowText).sort();
}
