/** The load: so many clients, each with one request on its way and the next behind it, in a process of their own. */
import { Agent } from "node:http";
import { send } from "./api-client.ts";
import { answerQuestions } from "./child.ts";

export interface Load {
  readonly url: string;
  readonly token: string;
  readonly clients: number;
  readonly milliseconds: number;
  /** Requests, taken in turn; the answer of each must be a success. */
  readonly requests: readonly {
    readonly method: string;
    readonly path: string;
    readonly body?: string;
  }[];
}

export interface Loaded {
  /** How long each answered request took, ms, once the first tenth of the time was over. */
  readonly latencies: readonly number[];
  /** Those answered a second, over the same time. */
  readonly rate: number;
  /** All successes, those of the first tenth of the time too. */
  readonly answered: number;
  readonly failures: number;
  readonly firstFailure: string | undefined;
}

export type LoadAnswers = { readonly run: Loaded };

async function run({ url, token, clients, milliseconds, requests }: Load): Promise<Loaded> {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const latencies: number[] = [];
  const begin = performance.now();
  const counted = begin + milliseconds / 10;
  const end = begin + milliseconds;
  let turn = 0;
  let answered = 0;
  let failures = 0;
  let firstFailure: string | undefined;
  const client = async (): Promise<void> => {
    for (;;) {
      const asked = performance.now();
      const request = requests[turn % requests.length];
      turn += 1;
      if (asked >= end || request === undefined) return;
      const { status, text } = await send(agent, url, request.method, request.path, token, request.body);
      const now = performance.now();
      if (status < 200 || status > 299) {
        failures += 1;
        firstFailure ??= `${status} ${text.slice(0, 300)}`;
        continue;
      }
      answered += 1;
      if (now >= counted && now <= end) latencies.push(now - asked);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  agent.destroy();
  return { latencies, answered, rate: latencies.length / ((end - counted) / 1000), failures, firstFailure };
}

answerQuestions({ run });
