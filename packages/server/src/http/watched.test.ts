/** Who asks without end and reads no answer is not waited for without end. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect, createServer as listen } from "node:net";
import { test } from "node:test";
import { watched } from "./watched.ts";

test("a connection whose answers nobody reads ends, and one that is read does not", async () => {
  const body = "x".repeat(200_000);
  const server = watched(
    createServer((_request, response) => void response.end(body)),
    300,
  );
  const listener = listen((socket) => void server.emit("connection", socket));
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const address = listener.address();
  assert.ok(typeof address === "object" && address !== null);
  const ended = once(server, "timeout");
  const deaf = connect(address.port, "127.0.0.1");
  deaf.on("error", () => undefined);
  deaf.pause();
  deaf.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200));
  const [socket] = await ended;
  socket.destroy();
  const reply = await fetch(`http://127.0.0.1:${address.port}/`);
  assert.equal((await reply.text()).length, body.length);
  deaf.destroy();
  server.closeAllConnections();
  server.close();
  listener.close();
});
