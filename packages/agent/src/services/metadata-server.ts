/**
 * The metadata service as a machine's programs see it: HTTP (RFC 9112) on connections whose port is known. Who asks is never told by what is asked: of the headers
 * that a machine sends none counts, and none goes on. Answers from the port itself, or has the server ask Nova.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Counter, Log, Metrics } from "@selvage/base";
import type { Port, View } from "@selvage/model";
import { longestMetadataBody, type MetadataReply, type MetadataRequest } from "@selvage/sync";
import type { Asker } from "../service-network/door.ts";
import { answerMetadata, type MetadataAnswer } from "./metadata.ts";

/** Has the server ask Nova. Rejects when there is no answer. */
export type AskNova = (request: MetadataRequest) => Promise<MetadataReply>;

export interface MetadataServerOptions {
  readonly view: Pick<View, "get">;
  /** Absent: a port's own data are the answer. */
  readonly nova?: AskNova;
  readonly log: Log;
  readonly metrics: Metrics;
}

const text = (status: number, words: string): MetadataAnswer => ({
  status,
  type: "text/plain; charset=utf-8",
  body: new TextEncoder().encode(`${words}\n`),
});

export class MetadataServer {
  readonly #options: MetadataServerOptions;
  readonly #server: Server;
  /** Who is behind a connection. */
  readonly #askers = new WeakMap<Socket, Port>();
  readonly #served: Counter<"status">;

  constructor(options: MetadataServerOptions) {
    this.#options = options;
    this.#served = options.metrics.counter({
      name: "metadata_requests_total",
      help: "Questions of machines for metadata, by the status of the answer",
      labels: ["status"],
    });
    this.#server = createServer(
      { maxHeaderSize: 8_192, headersTimeout: 10_000, requestTimeout: 10_000, keepAliveTimeout: 5_000 },
      (request, response) => void this.#serve(request, response),
    );
    this.#server.on("clientError", (_, socket) => socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
  }

  /** Takes a connection of which nothing has been read. */
  accept(socket: Socket, { port }: Asker): void {
    this.#askers.set(socket, port);
    this.#server.emit("connection", socket);
  }

  /** Ends all connections. */
  close(): void {
    this.#server.closeAllConnections();
  }

  /** Never throws: a request is its sender's to choose. */
  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const answer = await this.#answer(request).catch((error: unknown) => {
      this.#options.log.warn("a machine's question for metadata is not answered", { error });
      return text(503, "Service Unavailable");
    });
    this.#served.inc({ status: String(answer.status) });
    response.writeHead(answer.status, {
      "content-type": answer.type,
      "content-length": answer.body.length,
      ...(answer.status === 405 ? { allow: "GET, HEAD" } : {}),
    });
    response.end(request.method === "HEAD" ? undefined : answer.body);
  }

  async #answer(request: IncomingMessage): Promise<MetadataAnswer> {
    const port = this.#askers.get(request.socket);
    if (port === undefined) return text(404, "Not Found");
    const { view, nova } = this.#options;
    const { method = "GET", url = "/" } = request;
    if (nova === undefined) {
      if (method !== "GET" && method !== "HEAD") return text(405, "Method Not Allowed");
      return answerMetadata(view, port, url);
    }
    if (method !== "GET" && method !== "HEAD" && method !== "POST") return text(405, "Method Not Allowed");
    if (!/^\/[!-~]{0,2047}$/.test(url)) return text(400, "Bad Request");
    const body = await bodyOf(request);
    if (body === undefined) return text(413, "Content Too Large");
    const reply = await nova({ port: port.id, method, path: url, body: body.toString("base64") });
    return { status: reply.status, type: reply.type, body: Buffer.from(reply.body, "base64") };
  }
}

/** Undefined where it is too long. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > longestMetadataBody) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts);
}
