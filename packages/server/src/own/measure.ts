/** What is measured and logged of each request, and the figures of the writer and the hosts, for /metrics. */
import { type Places, secondsBuckets } from "@selvage/base";
import { Host, Network, Port, Subnet } from "@selvage/model";
import type { Caller } from "../api/policy.ts";
import type { Exchange } from "../http/exchange.ts";
import type { ServerCore } from "../server.ts";

export interface Observation {
  readonly area: string;
  readonly exchange: Exchange;
  /** Absent: nobody showed who it is. */
  readonly caller: Caller | undefined;
  readonly status: number;
  readonly seconds: number;
}

export type Observe = (observation: Observation) => void;

/** Registers the server's metrics and gives what each request is told to. Neither path nor query is a label: both are the caller's to choose. */
export function measure(core: ServerCore, places: Places): Observe {
  const { metrics, writer, hosts } = core;
  const log = core.log.child("http");
  const requests = metrics.histogram({
    name: "request_seconds",
    help: "Time from a request's last byte to its reply, by API, method and status",
    labels: ["api", "method", "status"],
    buckets: secondsBuckets,
  });
  const gauge = (name: string, help: string, read: () => number): void => {
    metrics.gauge({ name, help, read });
  };
  gauge("revision", "Revision of the log that this server has", () => writer.replica.revision);
  gauge("writes_pending", "Writes that wait or are on their way", () => writer.pending);
  gauge("writer_appends", "Appends to the store since the start", () => writer.figures.appends);
  gauge("writer_entries", "Entries appended since the start", () => writer.figures.entries);
  gauge("writer_moved", "Appends that found the log's head elsewhere", () => writer.figures.moved);
  gauge("writer_reruns", "Rules that ran again for what another writer changed", () => writer.figures.reruns);
  gauge("callers", "Connections that are open", () => places.taken);
  gauge("callers_ended", "Connections ended since the start for want of a place", () => places.ended);
  gauge("hosts", "Hosts that are known", () => count(writer.replica.objects(Host)));
  gauge("hosts_alive", "Hosts that are alive as this server sees it", () => {
    let alive = 0;
    for (const host of writer.replica.objects(Host)) if (hosts.alive(host.id)) alive += 1;
    return alive;
  });
  gauge("networks", "Networks", () => count(writer.replica.objects(Network)));
  gauge("subnets", "Subnets", () => count(writer.replica.objects(Subnet)));
  gauge("ports", "Ports", () => count(writer.replica.objects(Port)));
  return ({ area, exchange, caller, status, seconds }) => {
    requests.observe({ api: area, method: exchange.method, status: String(status) }, seconds);
    log.info("request", {
      request_id: exchange.requestId,
      method: exchange.method,
      path: exchange.path,
      status,
      ms: Math.round(seconds * 10_000) / 10,
      source: exchange.source,
      ...(caller === undefined ? {} : { user: caller.userName, project_id: caller.projectId ?? null }),
    });
  };
}

function count(items: Iterable<unknown>): number {
  let n = 0;
  for (const _ of items) n += 1;
  return n;
}
