/** A client of what Nova takes: Identity v3 password tokens, and POST `os-server-external-events` (Compute API 2.1). */
import { isRecord, textAt } from "./reading.ts";
import type { NovaEvent } from "./watch.ts";

/** Where Nova is, and as whom it is asked. */
export interface ComputeOptions {
  /** Base URL of the Compute API, such as `http://nova:8774/v2.1`. Absent: the catalogue's `compute` of the token. */
  readonly endpoint?: string;
  /** URL of Identity v3, such as `http://keystone:5000/v3`. */
  readonly authUrl: string;
  readonly username: string;
  readonly password: string;
  readonly project: string;
  readonly userDomain: string;
  readonly projectDomain: string;
  /** Looked for in the catalogue. */
  readonly region: string;
  /** How long one request may take, ms. */
  readonly timeout: number;
}

/** What became of one event: its code is Nova's (200 taken, 404 unknown machine, 422 machine without a host, 400 wrong). */
export interface Verdict {
  readonly event: NovaEvent;
  readonly code: number;
}

/** A request that did not reach its end. `passing`: worth another try. */
export class ComputeFailure extends Error {
  readonly passing: boolean;
  constructor(message: string, passing: boolean, options?: ErrorOptions) {
    super(message, options);
    this.name = "ComputeFailure";
    this.passing = passing;
  }
}

interface Session {
  readonly token: string;
  readonly endpoint: string;
}

const taken = 200;

export class Compute {
  readonly #options: ComputeOptions;
  #session: Session | undefined;

  constructor(options: ComputeOptions) {
    this.#options = options;
  }

  /** Sends events in one request and gives what became of each. Throws ComputeFailure. A token that holds no more is renewed once. */
  async send(events: readonly NovaEvent[], signal: AbortSignal): Promise<readonly Verdict[]> {
    const first = await this.#post(events, signal);
    if (first.status !== 401) return this.#verdicts(events, first);
    this.#session = undefined;
    return this.#verdicts(events, await this.#post(events, signal));
  }

  async #post(events: readonly NovaEvent[], signal: AbortSignal): Promise<Answer> {
    this.#session ??= await this.#signIn(signal);
    const { endpoint, token } = this.#session;
    return this.#request(`${endpoint}/os-server-external-events`, { "x-auth-token": token }, { events }, signal);
  }

  #verdicts(events: readonly NovaEvent[], answer: Answer): readonly Verdict[] {
    const { status, body } = answer;
    const entries = isRecord(body) && Array.isArray(body.events) ? (body.events as readonly unknown[]) : [];
    // 404 without a list: Nova knows none of the machines. 207 and 200 judge each event by itself.
    if (status === 404) return events.map((event) => ({ event, code: 404 }));
    if (status !== 200 && status !== 207) {
      const passing = status >= 500 || status === 429 || status === 401 || status === 403;
      throw new ComputeFailure(`Nova answered ${status}`, passing);
    }
    return events.map((event) => {
      const own = entries.find(
        (entry) =>
          textAt(entry, "tag") === event.tag &&
          textAt(entry, "name") === event.name &&
          textAt(entry, "server_uuid") === event.server_uuid,
      );
      const code = isRecord(own) && typeof own.code === "number" ? own.code : taken;
      return { event, code };
    });
  }

  async #signIn(signal: AbortSignal): Promise<Session> {
    const { authUrl, username, password, project, userDomain, projectDomain } = this.#options;
    const user = { name: username, domain: { name: userDomain }, password };
    const auth = {
      identity: { methods: ["password"], password: { user } },
      scope: { project: { name: project, domain: { name: projectDomain } } },
    };
    const answer = await this.#request(`${trimmed(authUrl)}/auth/tokens`, {}, { auth }, signal);
    const token = answer.headers.get("x-subject-token");
    if (answer.status !== 201 || token === null)
      throw new ComputeFailure(`signing in at ${authUrl} as ${username} was answered with ${answer.status}`, true);
    return { token, endpoint: trimmed(this.#options.endpoint ?? this.#catalogued(answer.body)) };
  }

  /** The `compute` service's endpoint of the region: internal before public. */
  #catalogued(body: unknown): string {
    const token = isRecord(body) ? body.token : undefined;
    const services = isRecord(token) && Array.isArray(token.catalog) ? (token.catalog as readonly unknown[]) : [];
    const endpoints = services
      .filter((service) => textAt(service, "type") === "compute")
      .flatMap((service) => (isRecord(service) && Array.isArray(service.endpoints) ? service.endpoints : []))
      .filter((endpoint: unknown) => textAt(endpoint, "region") === this.#options.region);
    for (const wanted of ["internal", "public"]) {
      const url = textAt(
        endpoints.find((endpoint: unknown) => textAt(endpoint, "interface") === wanted),
        "url",
      );
      if (url !== undefined) return url;
    }
    throw new ComputeFailure(`the catalogue names no compute service in region ${this.#options.region}`, true);
  }

  async #request(
    url: string,
    headers: Readonly<Record<string, string>>,
    body: unknown,
    signal: AbortSignal,
  ): Promise<Answer> {
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json", accept: "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.any([signal, AbortSignal.timeout(this.#options.timeout)]),
      });
      const text = await response.text();
      return { status: response.status, headers: response.headers, body: parsed(text) };
    } catch (cause) {
      const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
      const why = inner instanceof Error ? inner.message : String(inner);
      throw new ComputeFailure(`${url} could not be asked: ${why}`, true, { cause });
    }
  }
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** The body's JSON; undefined when it is none. */
  readonly body: unknown;
}

function trimmed(url: string): string {
  return url.replace(/\/+$/, "");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A gateway's page in HTML says nothing that its status does not say.
    return undefined;
  }
}
