/** A request without an end, to servers that are given their connections. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, createServer as createListener } from "node:net";
import { test } from "node:test";
import { watched } from "./watched.ts";

test("who does not end the head of a request is told so, and the connection ends", async () => {
  const times = { headersTimeout: 50, requestTimeout: 50, connectionsCheckingInterval: 10 };
  const server = watched(createServer(times, (_request, response) => response.end("never")));
  const listener = createListener((socket) => void server.emit("connection", socket));
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const socket = connect((listener.address() as AddressInfo).port, "127.0.0.1");
  let heard = "";
  socket.on("data", (part: Buffer) => {
    heard += part.toString();
  });
  socket.write("GET / HTTP/1.1\r\nHo");
  await once(socket, "close");
  assert.match(heard, /^HTTP\/1\.1 408 /);
  listener.close();
  server.closeAllConnections();
});
