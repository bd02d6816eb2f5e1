/** Clients that write, read, lose replies and retry: each does what a seed says and records what it was told. */
import type { Revision } from "@selvage/model";
import type { Ask, Outcome, Read, Resource, Write } from "./evidence.ts";

/** Whole numbers from 0 to `below` - 1, the same for the same seed (xorshift32). */
export type Numbers = (below: number) => number;

export function numbersOf(seed: number): Numbers {
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

interface Named {
  readonly resource: Resource;
  readonly id: string;
}

/** What all clients of a run share: where the server is, what there is to play with, and what they record. */
export class Ground {
  readonly writes: Write[] = [];
  readonly reads: Read[] = [];
  /** Of each server; a try goes to any of them. */
  readonly urls: readonly string[];
  readonly token: string;
  /** Names of hosts, to which ports may be bound. */
  readonly hosts: readonly string[];
  /** Replies that no client may ever get, in words. */
  readonly strange: string[] = [];
  repeated = 0;
  lostReplies = 0;
  networks: readonly string[] = [];
  subnets: readonly { readonly id: string; readonly network: string }[] = [];
  over = false;
  #up = Promise.withResolvers<void>();

  constructor(urls: readonly string[], token: string, hosts: readonly string[] = []) {
    this.urls = urls;
    this.token = token;
    this.hosts = hosts;
    this.#up.resolve();
  }

  /** Clients wait from now on until `back`. */
  gone(): void {
    this.#up = Promise.withResolvers();
  }

  back(): void {
    this.#up.resolve();
  }

  up(): Promise<void> {
    return this.#up.promise;
  }

  keepNetwork(id: string): void {
    this.networks = [...this.networks.slice(-40), id];
  }
}

interface Told {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly revision: Revision;
  readonly repeated: boolean;
}

interface Sent {
  readonly url: string;
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  readonly key?: string;
}

/** A write, wherever it is sent. */
type Keyed = Omit<Sent, "url"> & { readonly key: string };

/** Milliseconds after which a client believes that no reply comes. */
const patience = 15_000;

async function send(ground: Ground, { url, method, path, body, key }: Sent, signal?: AbortSignal): Promise<Told> {
  const signals = [AbortSignal.timeout(patience), ...(signal === undefined ? [] : [signal])];
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      "x-auth-token": ground.token,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(key === undefined ? {} : { "idempotency-key": key }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.any(signals),
  });
  const text = await response.text();
  return {
    status: response.status,
    body: text === "" ? {} : (JSON.parse(text) as Readonly<Record<string, unknown>>),
    revision: Number(response.headers.get("x-selvage-revision") ?? Number.NaN),
    repeated: response.headers.get("idempotency-replayed") !== null,
  };
}

export class Client {
  readonly #ground: Ground;
  readonly #number: number;
  readonly #random: Numbers;
  readonly #own: Named[] = [];
  #keys = 0;

  constructor(ground: Ground, number: number, seed: number) {
    this.#ground = ground;
    this.#number = number;
    this.#random = numbersOf(seed * 1_009 + number);
  }

  /** Writes and reads until the run is over; resolves when its last request is answered. */
  async work(): Promise<void> {
    while (!this.#ground.over) {
      const dice = this.#random(100);
      if (dice < 12) await this.#createNetworks(1);
      else if (dice < 17) await this.#createNetworks(2 + this.#random(7));
      else if (dice < 22) await this.#createSubnet();
      else if (dice < 42) await this.#createPorts(1);
      else if (dice < 52) await this.#createPorts(2 + this.#random(9));
      else if (dice < 57) await this.#createSpoiltBulk();
      else if (dice < 72) await this.#rename();
      else if (dice < 82) await this.#delete();
      else await this.#read();
    }
  }

  #url(): string {
    return this.#oneOf(this.#ground.urls) ?? "";
  }

  #names(count: number): { readonly key: string; readonly names: readonly string[] } {
    this.#keys += 1;
    const key = `c${this.#number}-${this.#keys}`;
    return { key, names: Array.from({ length: count }, (_, at) => `${key}/${at}`) };
  }

  #oneOf<T>(list: readonly T[]): T | undefined {
    return list.length === 0 ? undefined : list[this.#random(list.length)];
  }

  /** A network that any client may have made. */
  #sharedNetwork(): Named | undefined {
    const id = this.#oneOf(this.#ground.networks);
    return id === undefined ? undefined : { resource: "network", id };
  }

  async #createNetworks(count: number): Promise<void> {
    const { key, names } = this.#names(count);
    const ids = await this.#create(
      key,
      "network",
      names,
      names.map((name) => ({ name })),
    );
    for (const id of ids) this.#ground.keepNetwork(id);
  }

  async #createSubnet(): Promise<void> {
    const network_id = this.#oneOf(this.#ground.networks);
    if (network_id === undefined) return;
    const { key, names } = this.#names(1);
    const cidr = `10.${this.#number}.${this.#random(256)}.0/${26 + this.#random(3)}`;
    const [id] = await this.#create(key, "subnet", names, [{ name: names[0], network_id, ip_version: 4, cidr }]);
    if (id !== undefined) this.#ground.subnets = [...this.#ground.subnets.slice(-20), { id, network: network_id }];
  }

  async #createPorts(count: number): Promise<void> {
    const subnet = this.#oneOf(this.#ground.subnets);
    const network_id = subnet?.network ?? this.#oneOf(this.#ground.networks);
    if (network_id === undefined) return;
    const { key, names } = this.#names(count);
    const bound = (): object => {
      const host = this.#oneOf(this.#ground.hosts);
      return host === undefined ? {} : { "binding:host_id": host };
    };
    await this.#create(
      key,
      "port",
      names,
      names.map((name) => ({ name, network_id, ...bound() })),
    );
  }

  /** A bulk whose last port cannot be: nothing of it may be done. */
  async #createSpoiltBulk(): Promise<void> {
    const network_id = this.#oneOf(this.#ground.networks);
    if (network_id === undefined) return;
    const { key, names } = this.#names(4);
    const bodies = names.map((name, at) => ({
      name,
      network_id: at === 3 ? "00000000-0000-4000-8000-000000000000" : network_id,
    }));
    const ids = await this.#create(key, "port", names, bodies);
    if (ids.length > 0) this.#ground.strange.push(`${key}: a bulk with a port on no network was done`);
  }

  async #create(
    key: string,
    resource: Resource,
    names: readonly string[],
    bodies: readonly Readonly<Record<string, unknown>>[],
  ): Promise<readonly string[]> {
    const plural = `${resource}s`;
    const [only] = bodies;
    const body = bodies.length === 1 ? { [resource]: only } : { [plural]: bodies };
    const outcome = await this.#write(
      { verb: "create", resource, names },
      { method: "POST", path: `/v2.0/${plural}`, body, key },
    );
    const ids = outcome.kind === "acknowledged" ? outcome.ids : [];
    this.#own.push(...ids.map((id) => ({ resource, id })));
    return ids;
  }

  async #rename(): Promise<void> {
    const target = this.#random(2) === 0 ? this.#sharedNetwork() : this.#oneOf(this.#own);
    if (target === undefined) return;
    const { resource, id } = target;
    const { key, names } = this.#names(1);
    const name = names[0] ?? key;
    await this.#write(
      { verb: "rename", resource, id, name },
      { method: "PUT", path: `/v2.0/${resource}s/${id}`, body: { [resource]: { name } }, key },
    );
  }

  async #delete(): Promise<void> {
    const target = this.#oneOf(this.#own);
    if (target === undefined) return;
    const { resource, id } = target;
    const { key } = this.#names(0);
    const outcome = await this.#write(
      { verb: "delete", resource, id },
      { method: "DELETE", path: `/v2.0/${resource}s/${id}`, key },
    );
    if (outcome.kind === "acknowledged") this.#own.splice(this.#own.indexOf(target), 1);
  }

  /** Sends a write until it is told how it ended, or gives up. Each try bears the same key. */
  async #write(ask: Ask, sent: Keyed): Promise<Outcome> {
    const invoked = performance.now();
    const outcome = await this.#insist(ask, sent);
    this.#ground.writes.push({ client: this.#number, key: sent.key, ask, invoked, outcome });
    return outcome;
  }

  async #insist(ask: Ask, sent: Keyed): Promise<Outcome> {
    let unanswered = 0;
    for (;;) {
      await this.#ground.up();
      const began = performance.now();
      const tried = await this.#try(sent);
      const { told } = tried;
      unanswered += tried.unanswered;
      if (told !== undefined && told.status < 500) {
        if (told.repeated) this.#ground.repeated += 1;
        return outcomeOf(ask, told, began, unanswered === 0);
      }
      // A 503 says as little as no answer.
      if (told !== undefined) unanswered += 1;
      if (told !== undefined && told.status !== 503) {
        this.#ground.strange.push(`${sent.method} ${sent.path}: ${told.status} ${JSON.stringify(told.body)}`);
      }
      if (told === undefined) this.#ground.lostReplies += 1;
      if (this.#random(20) === 0) return { kind: "unknown" };
      await pause(told === undefined ? 5 : 50);
    }
  }

  /** One try, and how many requests of it were not answered. Now and then the client itself hangs up, or sends the request twice. */
  async #try(sent: Keyed): Promise<{ readonly told?: Told; readonly unanswered: number }> {
    const dice = this.#random(25);
    try {
      if (dice === 0)
        return {
          told: await send(this.#ground, { ...sent, url: this.#url() }, AbortSignal.timeout(1 + this.#random(30))),
          unanswered: 0,
        };
      if (dice === 1) {
        const [first, second] = await Promise.allSettled([
          send(this.#ground, { ...sent, url: this.#url() }),
          send(this.#ground, { ...sent, url: this.#url() }),
        ]);
        const all = [first, second].flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
        const [told] = all.sort((a, b) => a.status - b.status);
        const answered = all.filter(({ status }) => status < 500).length;
        return { ...(told === undefined ? {} : { told }), unanswered: 2 - answered };
      }
      return { told: await send(this.#ground, { ...sent, url: this.#url() }), unanswered: 0 };
    } catch (error) {
      // Whatever broke the connection: no reply is no reply.
      if (error instanceof Error) return { unanswered: 1 };
      throw error;
    }
  }

  async #read(): Promise<void> {
    const target = this.#random(2) === 0 ? this.#sharedNetwork() : this.#oneOf(this.#own);
    // A second server may show what it has not heard of yet: reads are held to time where there is one.
    if (target === undefined || this.#ground.urls.length > 1) return;
    await this.#ground.up();
    const { resource, id } = target;
    const invoked = performance.now();
    try {
      const told = await send(this.#ground, { url: this.#url(), method: "GET", path: `/v2.0/${resource}s/${id}` });
      const at = performance.now();
      if (told.status === 200 || told.status === 404) {
        const object = told.body[resource] as { readonly name: string } | undefined;
        this.#ground.reads.push({ client: this.#number, resource, id, invoked, at, name: object?.name ?? null });
      } else if (told.status !== 503) {
        this.#ground.strange.push(`GET ${resource}: ${told.status} ${JSON.stringify(told.body)}`);
      }
    } catch (error) {
      // A read that was not answered says nothing.
      if (!(error instanceof Error)) throw error;
    }
  }
}

function outcomeOf(ask: Ask, { status, body, revision }: Told, began: number, alone: boolean): Outcome {
  const at = performance.now();
  if (status >= 400) return { kind: "refused", at, status, began, alone };
  const { resource } = ask;
  const shown = body[`${resource}s`] ?? (body[resource] === undefined ? [] : [body[resource]]);
  const ids = (shown as readonly { readonly id: string }[]).map(({ id }) => id);
  return { kind: "acknowledged", at, revision, ids };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
