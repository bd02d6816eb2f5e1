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

/** Questions of one connection that are held at once, the one that is being answered with them; who sends more is not served. */
const mostHeld = 64;
/** Questions of one port that Nova is asked at once, over all its connections. */
const mostAtNova = 4;

interface Question {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** A connection: the port behind it, what it has asked, and when it ends unless something happens. */
interface Conversation {
  readonly port: string;
  /** In their order: the first is being answered, the others wait until that answer is taken (RFC 9112 section 9.3.2). */
  readonly questions: Question[];
  timer: Timer;
}

/** The turns of one port's questions: so many at once, the others in the order in which they came. */
interface Turns {
  taken: number;
  readonly waiting: Map<Socket, PromiseWithResolvers<void>>;
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
  /** By port: those that have a question at Nova. */
  readonly #turns = new Map<string, Turns>();
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
      (request, response) => this.#take({ request, response }),
    );
    this.#server.on("clientError", (_, socket) => {
      if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
      else socket.destroy();
    });
  }

  /** Takes a connection of which nothing has been read. */
  accept(socket: Socket, { port }: Asker): void {
    const timer = this.#deadline(socket, patience.question);
    this.#conversations.set(socket, { port: port.id, questions: [], timer });
    socket.on("close", () => {
      this.#conversations.get(socket)?.timer.cancel();
      this.#conversations.delete(socket);
      const waiting = this.#turns.get(port.id)?.waiting;
      waiting?.get(socket)?.reject(new Error("the connection ended"));
      waiting?.delete(socket);
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

  /** Takes a question when it has been read: HTTP has all that were sent together read at once. */
  #take(question: Question): void {
    const { socket } = question.request;
    const questions = this.#conversations.get(socket)?.questions;
    if (questions === undefined || socket.destroyed) return;
    const held = questions.push(question);
    if (held > mostHeld) socket.destroy();
    else if (held === 1) this.#begin(question);
  }

  #begin(question: Question): void {
    const { socket } = question.request;
    this.#serve(question).catch((error: unknown) => {
      this.#options.log.warn("a machine's conversation about metadata is broken off", { error });
      socket.destroy();
    });
  }

  /** The first question's answer has been taken: the next question begins, unless the connection bears no more answers. */
  #goOn(socket: Socket): void {
    this.#await(socket, "question");
    const questions = this.#conversations.get(socket)?.questions;
    questions?.shift();
    const [next] = questions ?? [];
    if (next !== undefined && socket.writable) this.#begin(next);
  }

  /** Rejects when the connection can bear no answer: a request is its sender's to choose. */
  async #serve({ request, response }: Question): Promise<void> {
    const { socket } = request;
    const answer = await this.#answer(request).catch((error: unknown) => {
      // Who breaks off what he asks is not worth a line.
      const level = socket.destroyed ? "debug" : "warn";
      this.#options.log[level]("a machine's question for metadata is not answered", { error });
      return text(503, "Service Unavailable");
    });
    this.#served.inc({ status: String(answer.status) });
    this.#await(socket, "answer");
    response.on("finish", () => this.#goOn(socket));
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
    const question: MetadataRequest = { port: port.id, method, path: url, body: body.toString("base64") };
    const reply = await this.#inTurn(request.socket, port.id, () => nova(question));
    return { status: reply.status, type: reply.type, body: Buffer.from(reply.body, "base64") };
  }

  /** Asks when the port has a turn, which it has until the answer is there, whoever still waits for that. Rejects as what is asked does, and when the connection ends before. */
  async #inTurn<T>(socket: Socket, port: string, ask: () => Promise<T>): Promise<T> {
    if (socket.destroyed) throw new Error("the connection ended");
    const turns = this.#turns.get(port) ?? { taken: 0, waiting: new Map() };
    this.#turns.set(port, turns);
    if (turns.taken < mostAtNova) turns.taken += 1;
    else {
      const turn = Promise.withResolvers<void>();
      turns.waiting.set(socket, turn);
      await turn.promise;
    }
    try {
      return await ask();
    } finally {
      const [next] = turns.waiting;
      if (next === undefined) {
        turns.taken -= 1;
        if (turns.taken === 0) this.#turns.delete(port);
      } else {
        // The turn goes from one to the other.
        turns.waiting.delete(next[0]);
        next[1].resolve();
      }
    }
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
