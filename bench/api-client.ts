/** A small client for benches: one token, kept connections, JSON in and out; an answer that is not as expected throws. */
import { readFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { join } from "node:path";

export type Json = Readonly<Record<string, unknown>>;

export interface ApiAnswer {
  readonly status: number;
  readonly text: string;
  readonly token: string | undefined;
}

/** Sends one request over the agent's connections. */
export function send(
  agent: Agent,
  url: string,
  method: string,
  path: string,
  token: string | undefined,
  body?: string,
): Promise<ApiAnswer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      `${url}${path}`,
      {
        agent,
        method,
        headers: {
          ...(token === undefined ? {} : { "x-auth-token": token }),
          ...(body === undefined
            ? {}
            : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const subject = response.headers["x-subject-token"];
          resolve({
            status: response.statusCode ?? 0,
            text: Buffer.concat(chunks).toString("utf8"),
            token: typeof subject === "string" ? subject : undefined,
          });
        });
      },
    );
    asked.on("error", reject);
    asked.end(body);
  });
}

export class ApiClient {
  readonly url: string;
  readonly token: string;
  readonly #agent: Agent;

  constructor(url: string, token: string, connections = 4) {
    this.url = url;
    this.token = token;
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  /** Signs in as the administrator of the server whose data directory is given. */
  static async admin(url: string, serverDirectory: string, connections = 4): Promise<ApiClient> {
    const password = (await readFile(join(serverDirectory, "admin-password"), "utf8")).trim();
    const agent = new Agent();
    const domain = { id: "default" };
    const auth = {
      identity: { methods: ["password"], password: { user: { name: "admin", domain, password } } },
      scope: { project: { name: "admin", domain } },
    };
    const answer = await send(agent, url, "POST", "/identity/v3/auth/tokens", undefined, JSON.stringify({ auth }));
    agent.destroy();
    if (answer.token === undefined) throw new Error(`the administrator was not let in: ${answer.text}`);
    return new ApiClient(url, answer.token, connections);
  }

  /** Asks and gives the reply's JSON. Throws when the status is no success. */
  async ask(method: string, path: string, body?: unknown): Promise<Json> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const answer = await send(this.#agent, this.url, method, path, this.token, text);
    if (answer.status < 200 || answer.status > 299)
      throw new Error(`${method} ${path}: ${answer.status} ${answer.text.slice(0, 400)}`);
    return answer.text === "" ? {} : (JSON.parse(answer.text) as Json);
  }

  /** Creates one object and gives it. */
  async create(kind: string, values: Json): Promise<Json & { readonly id: string }> {
    const reply = await this.ask("POST", `/v2.0/${kind}s`, { [kind]: values });
    return reply[kind] as Json & { readonly id: string };
  }

  /** Creates many objects, as few to a request as the server takes, and gives them. */
  async createMany(kind: string, values: readonly Json[]): Promise<readonly (Json & { readonly id: string })[]> {
    const made: (Json & { readonly id: string })[] = [];
    for (let at = 0; at < values.length; at += bulk) {
      const reply = await this.ask("POST", `/v2.0/${kind}s`, { [`${kind}s`]: values.slice(at, at + bulk) });
      made.push(...(reply[`${kind}s`] as readonly (Json & { readonly id: string })[]));
    }
    return made;
  }

  /** Gives its own project a quota that is large enough for any bench: to look whether it is kept is part of what is measured. */
  async takeQuota(): Promise<void> {
    const { project } = await this.ask("GET", "/v2.0/quotas/project");
    const { project_id } = project as Json;
    const quota = { network: largestQuota, subnet: largestQuota, port: largestQuota };
    await this.ask("PUT", `/v2.0/quotas/${String(project_id)}`, { quota });
  }

  close(): void {
    this.#agent.destroy();
  }
}

const largestQuota = 1_000_000_000;

/** Objects in one request. */
const bulk = 500;

/** A network with one IPv4 subnet of 65,000 addresses for machines that ask, and 250 beside them for those that name theirs. */
export async function makeNetwork(
  api: ApiClient,
  name: string,
  second: number,
): Promise<{ readonly network: string; readonly subnet: string }> {
  const network = await api.create("network", { name });
  const subnet = await api.create("subnet", {
    network_id: network.id,
    ip_version: 4,
    cidr: `10.${second}.0.0/16`,
    allocation_pools: [{ start: `10.${second}.0.2`, end: `10.${second}.249.254` }],
  });
  return { network: network.id, subnet: subnet.id };
}

/** A network with one IPv4 subnet of 16 million addresses; gives the network's id. */
export async function makeWideNetwork(api: ApiClient, name: string): Promise<string> {
  const { id } = await api.create("network", { name });
  await api.create("subnet", { network_id: id, ip_version: 4, cidr: "10.0.0.0/8" });
  return id;
}
