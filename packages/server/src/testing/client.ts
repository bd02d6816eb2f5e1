/** A tiny client of the server's HTTP, for tests: one token, JSON in and out, no exceptions for statuses. */

/** Any JSON object of a reply; tests name the parts that they look at. */
export type Json = Readonly<Record<string, unknown>>;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** The body's JSON; `{}` when there is none. */
  readonly body: Json;
  readonly text: string;
}

export type HeaderValues = Readonly<Record<string, string>>;

export class TestClient {
  readonly url: string;
  readonly token: string | undefined;

  constructor(url: string, token?: string) {
    this.url = url;
    this.token = token;
  }

  /** Sends a request. `body`: a value for JSON, or text or bytes as they are. */
  async request(method: string, path: string, body?: unknown, headers: HeaderValues = {}): Promise<Answer> {
    const raw = typeof body === "string" || body instanceof Uint8Array;
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        ...(this.token === undefined ? {} : { "x-auth-token": this.token }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: raw ? (body as string) : JSON.stringify(body) }),
      redirect: "manual",
    });
    const text = await response.text();
    const parsed: unknown = text.startsWith("{") ? JSON.parse(text) : {};
    return { status: response.status, headers: response.headers, body: parsed as Json, text };
  }

  get(path: string, headers?: HeaderValues): Promise<Answer> {
    return this.request("GET", path, undefined, headers);
  }

  post(path: string, body: unknown, headers?: HeaderValues): Promise<Answer> {
    return this.request("POST", path, body, headers);
  }

  put(path: string, body: unknown, headers?: HeaderValues): Promise<Answer> {
    return this.request("PUT", path, body, headers);
  }

  delete(path: string, headers?: HeaderValues): Promise<Answer> {
    return this.request("DELETE", path, undefined, headers);
  }

  /** Creates an object and gives it. Throws when the reply is not 201. */
  async create(kind: string, values: Json): Promise<Json & { readonly id: string }> {
    const answer = await this.post(`/v2.0/${kind}s`, { [kind]: values });
    if (answer.status !== 201) throw new Error(`${kind} was not created: ${answer.status} ${answer.text}`);
    return answer.body[kind] as Json & { readonly id: string };
  }

  /** Shows an object. Throws when the reply is not 200. */
  async show(kind: string, id: string): Promise<Json> {
    const answer = await this.get(`/v2.0/${kind}s/${id}`);
    if (answer.status !== 200) throw new Error(`${kind} ${id} was not shown: ${answer.status} ${answer.text}`);
    return answer.body[kind] as Json;
  }

  /** Lists a collection; `query` without `?`. Throws when the reply is not 200. */
  async list(plural: string, query = ""): Promise<readonly Json[]> {
    const answer = await this.get(`/v2.0/${plural}${query === "" ? "" : `?${query}`}`);
    if (answer.status !== 200) throw new Error(`${plural} were not listed: ${answer.status} ${answer.text}`);
    return answer.body[plural] as readonly Json[];
  }
}

/** The type and message of an error, whichever envelope it came in. */
export function errorOf(answer: Answer): { readonly type: string; readonly message: string } {
  const body = (answer.body.NeutronError ?? answer.body.error ?? {}) as Json;
  return { type: String(body.type ?? body.title ?? ""), message: String(body.message ?? "") };
}
