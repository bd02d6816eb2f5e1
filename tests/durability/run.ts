/** One durability run: clients at work, the server killed and started again, followers cut; then the evidence and the verdict. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Revision } from "@selvage/model";
import { login } from "@selvage/server/testing";
import { type LoggedEntry, openSqlite, type Store, StoreFailure } from "@selvage/store";
import { AgentProcess } from "./agents.ts";
import { violations } from "./checker.ts";
import { Client, Ground, numbersOf } from "./clients.ts";
import type { Evidence, HeadSeen } from "./evidence.ts";
import { freePort, type Kind, ServerProcess } from "./process.ts";

export interface RunOptions {
  readonly seed: number;
  readonly kind: Kind;
  /** Absent: 32. */
  readonly clients?: number;
  /** How often the server is killed with SIGKILL. Absent: 3. */
  readonly kills?: number;
  /** How often the thread that owns the store's file is ended, only of kind `child`. Absent: 3. */
  readonly workerEnds?: number;
  /** Servers on the one store, one of which is killed at a time. Absent: 1. */
  readonly servers?: number;
  /** Hosts whose agents follow the first server, and are killed at any time; ports are bound to them. Absent: 0. */
  readonly agents?: number;
}

export interface Report {
  readonly seed: number;
  readonly kind: Kind;
  readonly servers: number;
  readonly kills: number;
  readonly workerEnds: number;
  readonly cuts: number;
  readonly agentKills: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
  /** Replies that never came. */
  readonly lostReplies: number;
  /** Retries that got the reply of a try before. */
  readonly repeated: number;
  readonly reads: number;
  readonly entries: number;
  readonly seconds: number;
  readonly violations: readonly string[];
}

/** Where a server is started, again and again. */
interface Place {
  readonly port: number;
  server: ServerProcess;
}

/** Longest stretch between two blows, ms. */
const longestStretch = 500;

/** Runs and judges. Leaves nothing behind but, where a promise was broken, the data directory, which the report names. */
export async function durabilityRun(options: RunOptions): Promise<Report> {
  const { seed, kind, clients = 32, kills = 3, workerEnds = kind === "child" ? 3 : 0, servers: count = 1 } = options;
  const { agents: hostCount = 0 } = options;
  const random = numbersOf(seed);
  const begun = performance.now();
  const dataDir = await mkdtemp(join(tmpdir(), "selvage-durability-"));
  const servers: Place[] = [];
  for (let at = 0; at < count; at += 1) {
    const port = await freePort();
    servers.push({ port, server: await ServerProcess.start(kind, dataDir, port) });
  }
  const urls = servers.map(({ server }) => server.url);
  const password = (await readFile(join(dataDir, "admin-password"), "utf8")).trim();
  const { token = "" } = await login(urls[0] ?? "", "admin", password, "admin");
  const agents: AgentProcess[] = [];
  for (let number = 1; number <= hostCount; number += 1)
    agents.push(await AgentProcess.start(urls[0] ?? "", token, number, dataDir));
  const hosts = agents.map(({ host }) => host);
  const ground = new Ground(urls, token, hosts);
  const store = await openSqlite({ path: join(dataDir, "store.db") });
  const followers = [new Follower(store, "a", 0), new Follower(store, "b", (await store.bounds()).head)];
  const heads: HeadSeen[] = [];
  const working = Promise.all(Array.from({ length: clients }, (_, number) => new Client(ground, number, seed).work()));
  for (const blow of blowsOf(kills, workerEnds, random)) {
    await pause(20 + random(longestStretch));
    for (const follower of followers) if (random(3) === 0) follower.cut();
    for (const agent of agents) if (random(2) === 0) await agent.kill();
    const place = servers[random(count)];
    if (place === undefined) continue;
    if (blow === "worker") {
      place.server.endWorker();
      continue;
    }
    // Where there is another server clients go on with it.
    if (count === 1) ground.gone();
    await place.server.kill();
    place.server = await ServerProcess.start(kind, dataDir, place.port);
    heads.push({ revision: (await store.bounds()).head, at: performance.now() });
    ground.back();
  }
  await pause(20 + random(longestStretch));
  ground.over = true;
  await working;
  const wrong = await wrongAgents(agents, store);
  for (const { server } of servers) await server.kill();
  const { head } = await store.bounds();
  const log = await logOf(store, head);
  const followed = await Promise.all(followers.map((follower) => follower.end(head)));
  const snapshot = await store.snapshot();
  await store.close();
  const evidence: Evidence = { writes: ground.writes, reads: ground.reads, heads, followers: followed, log, snapshot };
  const found = [...ground.strange, ...wrong, ...violations(evidence)];
  if (found.length === 0) await rm(dataDir, { recursive: true });
  else found.push(`the data are kept in ${dataDir}`);
  const ended = (outcome: string): number => ground.writes.filter((write) => write.outcome.kind === outcome).length;
  return {
    seed,
    kind,
    servers: count,
    kills,
    workerEnds,
    cuts: followers.reduce((sum, { cuts }) => sum + cuts, 0),
    agentKills: agents.reduce((sum, { kills: times }) => sum + times, 0),
    acknowledged: ended("acknowledged"),
    refused: ended("refused"),
    unknown: ended("unknown"),
    lostReplies: ground.lostReplies,
    repeated: ground.repeated,
    reads: ground.reads.length,
    entries: log.length,
    seconds: (performance.now() - begun) / 1000,
    violations: found,
  };
}

/** Waits until agents have heard of all, and says in words what they hold that the store does not say, and what they lack. They are ended. */
async function wrongAgents(agents: readonly AgentProcess[], store: Store): Promise<readonly string[]> {
  if (agents.length === 0) return [];
  const snapshot = await store.snapshot();
  const wrong = await Promise.all(agents.map((agent) => agent.wrong(snapshot)));
  await Promise.all(agents.map((agent) => agent.end()));
  return wrong.flat();
}

/** The kills and the ends of the worker in a random order. */
function blowsOf(
  kills: number,
  workerEnds: number,
  random: (below: number) => number,
): readonly ("server" | "worker")[] {
  const left = { server: kills, worker: workerEnds };
  return Array.from({ length: kills + workerEnds }, () => {
    const blow = random(left.server + left.worker) < left.server ? "server" : "worker";
    left[blow] -= 1;
    return blow;
  });
}

async function logOf(store: Store, head: Revision): Promise<readonly LoggedEntry[]> {
  const entries: LoggedEntry[] = [];
  for await (const entry of store.tail(0, new AbortController().signal)) {
    entries.push(entry);
    if (entry.revision === head) break;
  }
  return entries;
}

/** Follows the log in this process, as a second server would; after a cut it goes on behind the last entry that it saw. */
class Follower {
  readonly #store: Store;
  readonly #name: string;
  readonly #from: Revision;
  readonly #seen: { readonly revision: Revision; readonly id: string }[] = [];
  readonly #stop = new AbortController();
  readonly #following: Promise<void>;
  #leg = new AbortController();
  #until = Number.POSITIVE_INFINITY;
  cuts = 0;

  constructor(store: Store, name: string, from: Revision) {
    this.#store = store;
    this.#name = name;
    this.#from = from;
    this.#following = this.#follow();
  }

  cut(): void {
    this.cuts += 1;
    this.#leg.abort();
  }

  /** What it saw, up to `head`: it is waited for until it has. */
  async end(head: Revision) {
    this.#until = head;
    // A leg that waits at the head already is woken to find that it is done.
    this.#leg.abort();
    await this.#following;
    return { follower: this.#name, from: this.#from, entries: this.#seen };
  }

  get #position(): Revision {
    return this.#seen.at(-1)?.revision ?? this.#from;
  }

  async #follow(): Promise<void> {
    while (this.#position < this.#until) {
      this.#leg = new AbortController();
      const signal = AbortSignal.any([this.#leg.signal, this.#stop.signal]);
      try {
        for await (const { revision, id } of this.#store.tail(this.#position, signal)) {
          this.#seen.push({ revision, id });
          if (revision >= this.#until) return;
        }
      } catch (error) {
        if (!(error instanceof StoreFailure)) throw error;
      }
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
