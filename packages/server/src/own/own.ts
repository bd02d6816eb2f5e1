/** Our own API, `/v1`: the hosts, the history and the state of the whole. Errors travel in our own envelope, with a hint. */
import { errorBody, fail, type SelvageError } from "@selvage/base";
import { Port } from "@selvage/model";
import type { Store } from "@selvage/store";
import type { Caller } from "../api/policy.ts";
import { history } from "../history/history.ts";
import type { HostStates } from "../host-states.ts";
import type { Exchange, Reply } from "../http/exchange.ts";
import type { ServerSettings } from "../settings.ts";
import type { Writer } from "../writer.ts";
import { createHost, deleteHost, hostWire, listHosts, showHost, sortedHosts } from "./hosts.ts";
import { requireOwnAdmin } from "./request.ts";

export interface OwnApi {
  readonly writer: Writer;
  readonly store: Pick<Store, "driver" | "durable" | "bounds" | "tail">;
  readonly hosts: HostStates;
  readonly settings: ServerSettings;
  readonly now: () => number;
  readonly authenticate: (exchange: Exchange) => Promise<Caller>;
}

/** Answers everything under `/v1`. Throws the error to answer with. */
export async function own(api: OwnApi, exchange: Exchange): Promise<Reply> {
  const caller = await api.authenticate(exchange);
  const [first, second, ...deeper] = exchange.path
    .split("/")
    .filter((part) => part !== "")
    .slice(1);
  const { method } = exchange;
  if (deeper.length === 0) {
    if (first === "status" && second === undefined && method === "GET") return status(api, caller);
    if (first === "history" && second === undefined && method === "GET") return history(api, exchange, caller);
    if (first === "hosts" && second === undefined && method === "GET") return listHosts(api, caller);
    if (first === "hosts" && second === undefined && method === "POST") return createHost(api, exchange, caller);
    if (first === "hosts" && second !== undefined && method === "GET") return showHost(api, caller, second);
    if (first === "hosts" && second !== undefined && method === "DELETE")
      return deleteHost(api, exchange, caller, second);
  }
  throw fail("RouteUnknown", { method, path: exchange.path });
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

/** GET /v1/status: is each host alive, which revision is in force on it, how many of its ports are up. */
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
      heard_at: state.heardAt === 0 ? null : new Date(state.heardAt).toISOString(),
    };
  });
  const up = hosts.reduce((sum, host) => sum + host.ports.up, 0);
  const total = [...replica.objects(Port)].length;
  const { driver, durable } = api.store;
  return {
    status: 200,
    body: { revision: replica.revision, store: { driver, durable }, hosts, ports: { up, down: total - up } },
  };
}
