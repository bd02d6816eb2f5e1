/** Our own API, `/v1`: the hosts, the history and the state of the whole. Errors travel in our own envelope, with a hint. */
import { errorBody, fail, type SelvageError } from "@selvage/base";
import { Port } from "@selvage/model";
import type { Store } from "@selvage/store";
import type { Caller } from "../api/policy.ts";
import { history } from "../history/history.ts";
import type { HostStates } from "../host-states.ts";
import type { Exchange, Reply } from "../http/exchange.ts";
import { type Route, routeFor } from "../http/route.ts";
import { isPlatforms } from "../rules/security-group-sets.ts";
import type { ServerSettings } from "../settings.ts";
import type { Writer } from "../writer.ts";
import { createHost, deleteHost, hostWire, listHosts, showHost, sortedHosts } from "./hosts.ts";
import { replaceKey } from "./keys.ts";
import { listNatLeases } from "./nat-leases.ts";
import { requireOwnAdmin } from "./request.ts";
import { tracePacket } from "./trace.ts";
import type { Tracer } from "./tracer.ts";
import { deleteUserData, putUserData, showUserData } from "./user-data.ts";
import { missingWires } from "./wires.ts";

export interface OwnApi {
  readonly writer: Writer;
  readonly store: Pick<Store, "driver" | "durable" | "bounds" | "tail">;
  readonly hosts: HostStates;
  readonly settings: ServerSettings;
  /** Undefined where no host is served by this server. */
  readonly tracer: Tracer | undefined;
  readonly now: () => number;
  readonly authenticate: (exchange: Exchange) => Promise<Caller>;
}

interface Asked {
  readonly api: OwnApi;
  readonly caller: Caller;
}

/** Every route under `/v1` of the plain listener. */
export const ownRoutes: readonly Route<Asked>[] = Object.freeze([
  { method: "GET", path: "/v1/status", access: "admin", answer: ({ api, caller }) => status(api, caller) },
  {
    method: "GET",
    path: "/v1/history",
    access: "admin",
    answer: ({ api, caller }, exchange) => history(api, exchange, caller),
  },
  {
    method: "POST",
    path: "/v1/trace",
    access: "policy",
    answer: ({ api, caller }, exchange) => tracePacket(api, exchange, caller),
  },
  { method: "GET", path: "/v1/hosts", access: "admin", answer: ({ api, caller }) => listHosts(api, caller) },
  {
    method: "POST",
    path: "/v1/hosts",
    access: "admin",
    answer: ({ api, caller }, exchange) => createHost(api, exchange, caller),
  },
  {
    method: "GET",
    path: "/v1/hosts/{host}",
    access: "admin",
    answer: ({ api, caller }, _, host = "") => showHost(api, caller, host),
  },
  {
    method: "DELETE",
    path: "/v1/hosts/{host}",
    access: "admin",
    answer: ({ api, caller }, exchange, host = "") => deleteHost(api, exchange, caller, host),
  },
  {
    method: "GET",
    path: "/v1/ports/{id}/user-data",
    access: "policy",
    answer: ({ api, caller }, _, id = "") => showUserData(api, caller, id),
  },
  {
    method: "PUT",
    path: "/v1/ports/{id}/user-data",
    access: "policy",
    answer: ({ api, caller }, exchange, id = "") => putUserData(api, exchange, caller, id),
  },
  {
    method: "DELETE",
    path: "/v1/ports/{id}/user-data",
    access: "policy",
    answer: ({ api, caller }, exchange, id = "") => deleteUserData(api, exchange, caller, id),
  },
  { method: "GET", path: "/v1/nat-leases", access: "admin", answer: ({ api, caller }) => listNatLeases(api, caller) },
  {
    method: "POST",
    path: "/v1/keys",
    access: "admin",
    answer: ({ api, caller }, exchange) => replaceKey(api, exchange, caller),
  },
] as const satisfies readonly Route<Asked>[]);

/** Answers everything under `/v1`. Throws the error to answer with. */
export async function own(api: OwnApi, exchange: Exchange): Promise<Reply> {
  const caller = await api.authenticate(exchange);
  const { method, path } = exchange;
  const found = routeFor(ownRoutes, method, path);
  if (found === undefined) throw fail("RouteUnknown", { method, path });
  return found.route.answer({ api, caller }, exchange, ...found.parts);
}

/** The reply to an error on this API. */
export function ownError(error: SelvageError): Reply {
  const headers: Record<string, string> = {};
  if (error.retryAfter !== undefined) headers["retry-after"] = String(error.retryAfter);
  const body = errorBody(error);
  const { type, status, message, kind, hint, params, field } = error;
  const foreign = typeof body.error !== "object" || body.error === null || !("hint" in body.error);
  const ours = { error: { type, status, message, kind, hint, params, ...(field === undefined ? {} : { field }) } };
  return { status, body: foreign ? ours : body, headers };
}

/** GET /v1/status: is each host alive, which revision is in force on it, how many of its ports are up; and what of the whole is to be looked at. */
function status(api: OwnApi, caller: Caller): Reply {
  requireOwnAdmin(caller, "Seeing the status");
  const { replica } = api.writer;
  const hosts = sortedHosts(api).map((host) => {
    const state = api.hosts.of(host.id);
    const ports = replica.by(Port.index.host, host.name);
    const up = ports.filter((port) => state.portsUp.has(port.id)).length;
    return {
      ...hostWire(api, host),
      ports: { up, down: ports.length - up },
      datapath: state.datapath ?? null,
      unbound: state.unbound,
      problems: state.problems,
      drift: state.drift,
      drops: state.drops,
      heard_at: state.heardAt === 0 ? null : new Date(state.heardAt).toISOString(),
    };
  });
  const up = hosts.reduce((sum, host) => sum + host.ports.up, 0);
  // Routers' interfaces and floating IPs' ports are no machine's and on no host: nothing is ever plugged in there.
  let total = 0;
  for (const port of replica.objects(Port))
    if (!isPlatforms(port.device_owner) || port["binding:host_id"] !== "") total += 1;
  const { driver, durable } = api.store;
  return {
    status: 200,
    body: {
      ...{ revision: replica.revision, store: { driver, durable }, hosts, ports: { up, down: total - up } },
      problems: missingWires(replica),
    },
  };
}
