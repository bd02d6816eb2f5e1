/** HTTP (fastify): bytes to an exchange, an exchange to the API that its path names, and a reply, its log line and its measure back. */
import { createServer, type Server as HttpServer, type IncomingMessage } from "node:http";
import { fail, isError, requestId, type SelvageError } from "@selvage/base";
import Fastify, { type FastifyReply, type FastifyRequest } from "fastify";
import { networking, networkingError, networkingRoutes, versions } from "../api/networking.ts";
import type { Caller } from "../api/policy.ts";
import { Retries } from "../history/retries.ts";
import { identity, identityError, identityRoutes } from "../identity/routes.ts";
import { callerOf, type IdentityService } from "../identity/service.ts";
import type { Observe } from "../own/measure.ts";
import { own, ownError, ownRoutes } from "../own/own.ts";
import type { Tracer } from "../own/tracer.ts";
import type { ServerCore } from "../server.ts";
import type { Exchange, Handler, Reply } from "./exchange.ts";
import { parseQuery } from "./query.ts";
import type { Route, RouteShape } from "./route.ts";
import { watched } from "./watched.ts";

export interface App {
  readonly server: HttpServer;
  /** Resolves when no request is on its way, or after `timeoutMs`. */
  drained(timeoutMs: number): Promise<void>;
  close(): Promise<void>;
}

export interface AppOptions {
  readonly core: ServerCore;
  readonly identity: IdentityService;
  readonly observe: Observe;
  /** Absent: no hosts are told of intent by this server, and none can be spoken of. */
  readonly tracer: Tracer | undefined;
  readonly routes: readonly (readonly [prefix: string, handler: Handler])[];
}

/** One API: which paths are its own, who answers, and how its errors look. */
interface Area {
  readonly name: string;
  readonly owns: (path: string) => boolean;
  readonly answer: Handler;
  readonly refuse: (error: SelvageError, exchange: Exchange) => Reply;
}

/** Times in ms. Headers may be long: a list of some hundred ids is asked for in one URL. */
const httpOptions = {
  requestTimeout: 60_000,
  headersTimeout: 20_000,
  keepAliveTimeout: 65_000,
  maxHeaderSize: 64 * 1024,
} as const;

/** Makes the application; `server` takes connections when it resolves. */
export async function createApp(options: AppOptions): Promise<App> {
  const { core } = options;
  const callers = new WeakMap<Exchange, Caller>();
  const areas = areasOf(options, callers);
  let running = 0;
  const idle = new Set<() => void>();
  const app = Fastify({
    bodyLimit: core.settings.bodyLimit,
    exposeHeadRoutes: false,
    serverFactory: (handler) => watched(createServer(httpOptions, handler)),
    frameworkErrors: (error, request, reply) => void handle(request, reply, error),
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  async function handle(request: FastifyRequest, reply: FastifyReply, failure?: unknown): Promise<FastifyReply> {
    const start = core.clock.monotonic();
    const exchange = exchangeOf(request, core);
    const area = areas.find((each) => each.owns(exchange.path)) ?? unknownArea;
    running += 1;
    let answer: Reply;
    try {
      if (failure !== undefined) throw failure;
      answer = await area.answer(exchange);
    } catch (error) {
      answer = area.refuse(presentable(error, core, exchange), exchange);
    } finally {
      running -= 1;
      if (running === 0) for (const wake of idle) wake();
    }
    options.observe({
      area: area.name,
      exchange,
      caller: callers.get(exchange),
      status: answer.status,
      seconds: (core.clock.monotonic() - start) / 1000,
    });
    return send(reply, exchange, answer);
  }
  app.route({ method: [...app.supportedMethods], url: "/*", handler: (request, reply) => handle(request, reply) });
  app.setErrorHandler((error, request, reply) => handle(request, reply, error));
  app.setNotFoundHandler((request, reply) => handle(request, reply, fail("HTTPNotFound")));
  await app.ready();
  return {
    server: app.server,
    drained: (timeoutMs) =>
      new Promise((resolve) => {
        if (running === 0) return resolve();
        const timer = core.clock.after(timeoutMs, done);
        function done(): void {
          timer.cancel();
          idle.delete(done);
          resolve();
        }
        idle.add(done);
      }),
    close: () => app.close(),
  };
}

/** `callers`: where it is noted who a request's token belongs to, for the log. */
function areasOf(
  { core, identity: service, routes, tracer }: AppOptions,
  callers: WeakMap<Exchange, Caller>,
): readonly Area[] {
  const { writer, hosts, settings, store } = core;
  const authenticate = async (exchange: Exchange): Promise<Caller> => {
    const caller = await callerOf(service, exchange);
    callers.set(exchange, caller);
    return caller;
  };
  const now = (): number => core.clock.now();
  const retries = new Retries(store);
  const under = (prefix: string) => (path: string) => path === prefix || path.startsWith(`${prefix}/`);
  return [
    ...routes.map(([prefix, answer]): Area => ({ name: prefix, owns: under(prefix), answer, refuse: ownError })),
    {
      name: "networking",
      owns: under("/v2.0"),
      answer: (exchange) => networking({ writer, retries, hosts, settings, authenticate }, exchange),
      refuse: networkingError,
    },
    {
      name: "identity",
      owns: under("/identity"),
      answer: (exchange) => identity(service, exchange),
      refuse: identityError,
    },
    {
      name: "own",
      owns: under("/v1"),
      answer: (exchange) => own({ writer, store, hosts, settings, tracer, now, authenticate }, exchange),
      refuse: ownError,
    },
    ...openRoutes.map(
      ({ path: own, answer }): Area => ({
        name: own === "/" ? "versions" : own.slice(1),
        owns: (path) => path === own,
        answer: async (exchange) => answer(core, exchange),
        refuse: own === "/" ? networkingError : ownError,
      }),
    ),
  ];
}

/** What probes and discovery are answered without a token. */
const openRoutes: readonly Route<ServerCore>[] = [
  { method: "GET", path: "/", access: "anybody", answer: (_, exchange) => versions(exchange) },
  {
    method: "GET",
    path: "/healthz",
    access: "anybody",
    answer: () => ({ status: 200, body: { status: "alive" } }),
  },
  { method: "GET", path: "/readyz", access: "anybody", answer: (core) => readiness(core) },
  { method: "GET", path: "/metrics", access: "anybody", answer: (core) => metrics(core) },
];

/** Every route of the plain listener that is the server's own: what plugs in may add others. */
export const plainRoutes: readonly RouteShape[] = Object.freeze(
  [
    ...openRoutes,
    { method: "GET", path: "/identity", access: "anybody" } as const,
    { method: "GET", path: "/identity/v3", access: "anybody" } as const,
    ...identityRoutes,
    ...networkingRoutes,
    ...ownRoutes,
  ].map(({ method, path, access }) => ({ method, path, access })),
);

const unknownArea: Area = {
  name: "unknown",
  owns: () => true,
  answer: () => {
    throw fail("HTTPNotFound");
  },
  refuse: networkingError,
};

async function readiness(core: ServerCore): Promise<Reply> {
  try {
    const { head } = await core.store.bounds();
    return { status: 200, body: { status: "ready", head, revision: core.writer.replica.revision } };
  } catch (error) {
    throw fail(
      "StoreUnavailable",
      { reason: error instanceof Error ? error.message : String(error) },
      { retryAfter: 1 },
    );
  }
}

async function metrics(core: ServerCore): Promise<Reply> {
  return { status: 200, body: await core.metrics.text(), headers: { "content-type": core.metrics.contentType } };
}

function exchangeOf(request: FastifyRequest, core: ServerCore): Exchange {
  const [path = "/", search = ""] = splitOnce(request.raw.url ?? "/", "?");
  const body = request.body;
  return {
    method: request.method,
    path,
    search,
    query: parseQuery(search),
    headers: request.headers,
    body: body instanceof Uint8Array ? body : undefined,
    baseUrl: core.settings.publicUrl ?? `http://${hostOf(request.raw)}`,
    requestId: requestId(),
    source: request.raw.socket.remoteAddress ?? "local",
  };
}

/** What the caller called us by; anything that is no host and port is not repeated to it. */
function hostOf(raw: IncomingMessage): string {
  const { host } = raw.headers;
  return host !== undefined && /^[\w.-]+(:\d+)?$|^\[[0-9a-fA-F:.]+\](:\d+)?$/.test(host) ? host : "localhost";
}

function splitOnce(text: string, separator: string): readonly [string, string?] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function send(reply: FastifyReply, exchange: Exchange, { status, body, headers }: Reply): FastifyReply {
  reply.code(status).header("x-openstack-request-id", exchange.requestId);
  if (headers !== undefined) reply.headers(headers);
  if (body === undefined) return reply.send();
  const bytes = body instanceof Uint8Array ? body : Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  if (headers?.["content-type"] === undefined) reply.header("content-type", "application/json");
  // Bytes, not text: fastify would add a charset that JSON does not have (RFC 8259, section 11).
  return reply.send(exchange.method === "HEAD" ? undefined : bytes);
}

/** The error that the caller is told: one of ours as it is, everything else as a fault of ours, with its cause in the log. */
function presentable(error: unknown, core: ServerCore, exchange: Exchange): SelvageError {
  if (isError(error)) {
    if (error.status >= 500) core.log.warn("a request was refused", { request_id: exchange.requestId, error });
    return error;
  }
  const status = error instanceof Error && "statusCode" in error ? error.statusCode : undefined;
  if (status === 413) return fail("BodyTooLarge", { limit: core.settings.bodyLimit });
  if (typeof status === "number" && status >= 400 && status < 500)
    return fail("HTTPBadRequest", { message: String(error) });
  core.log.error("a request failed", {
    request_id: exchange.requestId,
    method: exchange.method,
    path: exchange.path,
    error,
  });
  return fail("HTTPInternalServerError");
}
