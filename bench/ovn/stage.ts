/** A side with its guests and what serves in them: `iperf3`, and `web.ts` at 8080. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { until } from "../bench.ts";
import type { Ground } from "./ground.ts";
import type { Guest } from "./hosts.ts";
import type { Plan } from "./plan.ts";
import type { Namespace } from "./processes.ts";
import { plugGuest, type Side } from "./side.ts";

const web = fileURLToPath(new URL("web.ts", import.meta.url));
export const webPort = 8080;

/** A client, and the address by which it reaches a server. */
export interface Pair {
  readonly client: Namespace;
  readonly server: string;
}

export const urlOf = ({ server }: Pair): string => `http://${server}:${webPort}/`;

export class Stage implements AsyncDisposable {
  readonly side: Side;
  readonly #guests = new Map<number, Guest>();
  readonly #servers: ChildProcess[] = [];

  constructor(side: Side) {
    this.side = side;
  }

  /** Builds a plan, with a guest at each of its ports. */
  async open(plan: Plan): Promise<void> {
    await this.side.build(plan);
    for (const each of plan.ports) this.#guests.set(each.number, await plugGuest(this.side, each));
  }

  guest(number: number): Guest {
    const found = this.#guests.get(number);
    if (found === undefined) throw new RangeError(`no guest ${number}`);
    return found;
  }

  get ground(): Ground {
    if (this.side.ground === undefined) throw new Error(`${this.side.name} stands on no ground`);
    return this.side.ground;
  }

  serve(inside: Namespace): void {
    this.start(inside.within("iperf3", "-s"));
    this.start(inside.within(process.execPath, web, String(webPort)));
  }

  /** A process that ends with the stage. */
  start(argv: readonly string[]): void {
    this.#servers.push(spawn("setpriv", ["--pdeathsig", "KILL", ...argv], { stdio: "ignore" }));
  }

  /** Until a client is answered. */
  async answers(pair: Pair): Promise<void> {
    await until(`${this.side.name}: an answer`, 30_000, () =>
      pair.client.exec("wrk", "-t1", "-c1", "-d1s", urlOf(pair)).then(
        (text) => (Number(/(\d+) requests in/.exec(text)?.[1] ?? 0) > 0 ? true : undefined),
        () => undefined,
      ),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) {
      if (server.exitCode !== null || server.signalCode !== null) continue;
      const gone = once(server, "exit");
      server.kill("SIGKILL");
      await gone;
    }
  }
}
