/** The agent's own answers to probes and people, on a unix socket or a loopback port: `/healthz`, `/readyz`, `/v1/status`, `/v1/flows`, `/metrics`. */
import { rm } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { type Metrics, Places } from "@selvage/base";
import type { AgentStatus } from "./host-agent.ts";
import type { InstalledFlows } from "./installed.ts";

/** Where to answer: the path of a unix socket, or a port on the loopback address (0: any free one). */
export type HealthAddress = { readonly socket: string } | { readonly port: number };

export interface Health {
  /** The port, where it is one. */
  readonly port: number | undefined;
  close(): Promise<void>;
}

/** Who asks is on this machine. */
const mostConnections = 64;

/** What is asked for: how the agent stands, and what its switch holds (which fails while that is away). */
export interface Asked {
  readonly status: AgentStatus;
  flows(): Promise<InstalledFlows>;
}

/** Starts answering. Throws the system's errors (EADDRINUSE). */
export async function serveHealth(address: HealthAddress, agent: Asked, metrics: Metrics): Promise<Health> {
  const answer: RequestListener = (request, response) => {
    const json = (code: number, body: unknown): void => {
      response.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    const later = (asked: Promise<unknown>): void => {
      asked.then(
        (body) => json(200, body),
        // The switch is away, or went away while it was read.
        (error: unknown) => json(503, { error: error instanceof Error ? error.message : String(error) }),
      );
    };
    const now = agent.status;
    switch (request.url) {
      case "/healthz":
        json(200, { status: "ok" });
        return;
      case "/readyz": {
        const ready = now.switch === "here" && now.inForce !== null;
        json(ready ? 200 : 503, { ready, switch: now.switch, in_force: now.inForce });
        return;
      }
      case "/v1/status":
        json(200, now);
        return;
      case "/v1/flows":
        later(agent.flows());
        return;
      case "/metrics":
        metrics.text().then(
          (text) => response.writeHead(200, { "content-type": metrics.contentType }).end(text),
          () => json(500, { error: "the metrics could not be read" }),
        );
        return;
      default:
        json(404, { error: `there is no ${request.url ?? "/"}` });
    }
  };
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, answer);
  const places = new Places(mostConnections);
  server.on("connection", (socket) => void places.take(socket));
  if ("socket" in address) await rm(address.socket, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen("socket" in address ? { path: address.socket } : { host: "127.0.0.1", port: address.port }, resolve);
  });
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound !== null ? bound.port : undefined,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
