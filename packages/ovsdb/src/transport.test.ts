/** Endpoints and sockets over IPv4 and IPv6 loopback. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { Connection } from "./connection.ts";
import { dial, parseEndpoint } from "./transport.ts";

test("endpoints are read as Open vSwitch writes them", () => {
  assert.deepEqual(parseEndpoint("unix:/run/db.sock"), { kind: "unix", path: "/run/db.sock" });
  assert.deepEqual(parseEndpoint("tcp:192.0.2.1"), { kind: "tcp", host: "192.0.2.1", port: 6640 });
  assert.deepEqual(parseEndpoint("tcp:192.0.2.1:1"), { kind: "tcp", host: "192.0.2.1", port: 1 });
  assert.deepEqual(parseEndpoint("tcp:[2001:db8::1]"), { kind: "tcp", host: "2001:db8::1", port: 6640 });
  assert.deepEqual(parseEndpoint("tcp:[2001:db8::1]:65535"), { kind: "tcp", host: "2001:db8::1", port: 65535 });
});

test("what is no endpoint is refused", () => {
  const bad = [
    "",
    "unix:",
    "tcp:",
    "tcp:host",
    "tcp:192.0.2.1:0",
    "tcp:192.0.2.1:65536",
    "tcp:2001:db8::1",
    "tcp:[192.0.2.1]",
    "tcp:[host]",
    "ssl:192.0.2.1",
    "/run/db.sock",
  ];
  for (const text of bad) assert.throws(() => parseEndpoint(text), TypeError, text);
});

for (const host of ["127.0.0.1", "::1"]) {
  test(`requests go and answers come over TCP at ${host}, and the server's end is seen`, async () => {
    const server = createServer((socket) => {
      socket.once("data", () => socket.end('{"id":1,"result":["db"],"error":null}'));
    });
    server.listen(0, host);
    await once(server, "listening");
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    const connection = new Connection(await dial({ kind: "tcp", host, port: address.port }));
    assert.deepEqual(await connection.request("list_dbs", []), ["db"]);
    assert.deepEqual(await connection.closed, { kind: "remote" });
    server.close();
    await once(server, "close");
  });
}

test("dialling where nobody answers rejects with the system's error", async () => {
  await assert.rejects(dial({ kind: "unix", path: "/nonexistent/db.sock" }), { code: "ENOENT" });
});

test("dialling can be given up before and while", async () => {
  const endpoint = { kind: "tcp", host: "127.0.0.1", port: 1 } as const;
  await assert.rejects(dial(endpoint, { signal: AbortSignal.abort(new Error("before")) }), /before/);
  const controller = new AbortController();
  const dialling = dial(endpoint, { signal: controller.signal });
  controller.abort(new Error("while"));
  await assert.rejects(dialling, /while/);
});
