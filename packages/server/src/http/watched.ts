/**
 * HTTP servers that listen nowhere and are given their connections: Node keeps the times of requests (headersTimeout, requestTimeout) from a server's
 * `listening` on, and knows no time for who asks and does not read the answer.
 */
import type { Server as HttpServer } from "node:http";
import type { Server as HttpsServer } from "node:https";

/** Milliseconds in which nothing moves on a connection, after which it is ended. Sockets that are upgraded are not ended for that: their owner takes the limit away. */
const idleTimeout = 120_000;

/** Has the times kept that the server was made with, and that for answers that nobody reads; gives it back. */
export function watched<S extends HttpServer | HttpsServer>(server: S, idle = idleTimeout): S {
  server.timeout = idle;
  server.emit("listening");
  return server;
}
