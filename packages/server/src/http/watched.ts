/** HTTP servers that listen nowhere and are given their connections: Node keeps the times of requests (headersTimeout, requestTimeout) from a server's `listening` on. */
import type { Server as HttpServer } from "node:http";
import type { Server as HttpsServer } from "node:https";

/** Has the times kept that the server was made with, and gives it back. */
export function watched<S extends HttpServer | HttpsServer>(server: S): S {
  server.emit("listening");
  return server;
}
