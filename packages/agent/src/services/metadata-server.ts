/**
 * The metadata service as a machine's programs see it: HTTP (RFC 9112) on connections whose port is known. Who asks is never told by what is asked: of the headers
 * that a machine sends none counts, and none goes on. Answers from the port itself, or has the server ask Nova.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Clock, Counter, Log, Metrics, Timer } from "@selvage/base";
import { Port, type View } from "@selvage/model";
import { longestMetadataBody, type MetadataReply, type MetadataRequest } from "@selvage/sync";
import type { Asker } from "../service-network/door.ts";
import { answerMetadata, type MetadataAnswer } from "./metadata.ts";

/** Has the server ask Nova. Rejects when there is no answer. */
export type AskNova = (request: MetadataRequest) => Promise<MetadataReply>;

export interface MetadataServerOptions {
  readonly view: Pick<View, "get">;
  /** Absent: a port's own data are the answer. */
  readonly nova?: AskNova;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Milliseconds: to ask one question whole, to take its answer, and to think of the next. */
const patience = { question: 10_000, answer: 30_000, next: 5_000 } as const;

/** A connection: the port behind it, and when it ends unless something happens. */
interface Conversation {
  readonly port: string;
  timer: Timer;
}

const text = (status: number, words: string): MetadataAnswer => ({
  status,
  type: "text/plain; charset=utf-8",
  body: new TextEncoder().encode(`${words}\n`),
});

export class MetadataServer {
  readonly #options: MetadataServerOptions;
  readonly #server: Server;
  readonly #conversations = new Map<Socket, Conversation>();
  readonly #served: Counter<"status">;

  constructor(options: MetadataServerOptions) {
    this.#options = options;
    this.#served = options.metrics.counter({
      name: "metadata_requests_total",
      help: "Questions of machines for metadata, by the status of the answer",
      labels: ["status"],
    });
    // It listens nowhere, so that Node's own limits of time, which begin with that, are none here.
    this.#server = createServer(
      { maxHeaderSize: 8_192, headersTimeout: 0, requestTimeout: 0, keepAliveTimeout: patience.next },
      (request, response) => {
        this.#serve(request, response).catch((error: unknown) => {
          options.log.warn("a machine's conversation about metadata is broken off", { error });
          request.socket.destroy();
        });
      },
    );
    this.#server.on("clientError", (_, socket) => {
      if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
      else socket.destroy();
    });
  }

  /** Takes a connection of which nothing has been read. */
  accept(socket: Socket, { port }: Asker): void {
    this.#conversations.set(socket, { port: port.id, timer: this.#deadline(socket, patience.question) });
    socket.on("close", () => {
      this.#conversations.get(socket)?.timer.cancel();
      this.#conversations.delete(socket);
    });
    this.#server.emit("connection", socket);
  }

  /** Ends all connections. */
  close(): void {
    for (const socket of this.#conversations.keys()) socket.destroy();
  }

  #deadline(socket: Socket, ms: number): Timer {
    return this.#options.clock.after(ms, () => socket.destroy());
  }

  /** From now on what is to happen next has its own time. */
  #await(socket: Socket, what: keyof typeof patience | "nothing"): void {
    const conversation = this.#conversations.get(socket);
    if (conversation === undefined) return;
    conversation.timer.cancel();
    if (what !== "nothing") conversation.timer = this.#deadline(socket, patience[what]);
  }

  /** Rejects when the connection can bear no answer: a request is its sender's to choose. */
  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    const answer = await this.#answer(request).catch((error: unknown) => {
      // Who breaks off what he asks is not worth a line.
      const level = socket.destroyed ? "debug" : "warn";
      this.#options.log[level]("a machine's question for metadata is not answered", { error });
      return text(503, "Service Unavailable");
    });
    this.#served.inc({ status: String(answer.status) });
    this.#await(socket, "answer");
    response.on("finish", () => this.#await(socket, "question"));
    response.writeHead(answer.status, {
      "content-type": answer.type,
      "content-length": answer.body.length,
      ...(answer.status === 405 ? { allow: "GET, HEAD" } : {}),
    });
    response.end(request.method === "HEAD" ? undefined : answer.body);
  }

  async #answer(request: IncomingMessage): Promise<MetadataAnswer> {
    const { view, nova } = this.#options;
    // As it is now: a connection may be older than what it asks for.
    const port = view.get(Port, this.#conversations.get(request.socket)?.port ?? "");
    if (port === undefined) return text(404, "Not Found");
    const { method = "GET", url = "/" } = request;
    if (nova === undefined) {
      if (method !== "GET" && method !== "HEAD") return text(405, "Method Not Allowed");
      return answerMetadata(view, port, url);
    }
    if (method !== "GET" && method !== "HEAD" && method !== "POST") return text(405, "Method Not Allowed");
    if (!/^\/[!-~]{0,2047}$/.test(url)) return text(400, "Bad Request");
    const body = await bodyOf(request);
    if (body === undefined) return text(413, "Content Too Large");
    // How long it takes now is the server's affair, which has limits of its own.
    this.#await(request.socket, "nothing");
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
