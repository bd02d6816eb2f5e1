/** The metadata service over the door's own socket: who asks is told by the introduction alone, and of what a machine sends no header goes on. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createMetrics, silentLog } from "@selvage/base";
import { Attachment, Port, Replica } from "@selvage/model";
import { makePort, put } from "@selvage/model/testing";
import { serviceAddress } from "@selvage/pipeline";
import type { MetadataReply, MetadataRequest } from "@selvage/sync";
import { type Door, openDoor, portFinder } from "../service-network/door.ts";
import { introductionText, readIntroduction } from "../service-network/introduction.ts";
import { MetadataServer } from "./metadata-server.ts";

const view = new Replica();
const bound = (id: string, key: number, host = "h1") => makePort({ id, key, name: id, "binding:host_id": host });
view.apply(
  [
    ...[bound("red", 1), bound("blue", 0x400001), bound("moved", 3, "h2"), bound("away", 4)].map((port) =>
      put(Port, port),
    ),
    ...["red", "blue", "moved"].map((id) => put(Attachment, { id })),
  ],
  1,
);

let directory: string;
let own: Door;
let nova: Door;
const asked: MetadataRequest[] = [];
let answer: () => Promise<MetadataReply>;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "selvage-metadata-"));
  const metrics = await createMetrics();
  const door = (name: string, server: MetadataServer) =>
    openDoor({
      socket: join(directory, name),
      portOf: portFinder(view, "h1"),
      services: { tcp: { 80: (socket, asker) => server.accept(socket, asker) } },
      log: silentLog,
    });
  own = await door("own", new MetadataServer({ view, log: silentLog, metrics }));
  const asks = async (request: MetadataRequest) => {
    asked.push(request);
    return answer();
  };
  nova = await door("nova", new MetadataServer({ view, nova: asks, log: silentLog, metrics: await createMetrics() }));
});
after(async () => {
  await Promise.all([own?.close(), nova?.close()]);
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
});

const from = (key: number, version: 4 | 6 = 4, transport: "tcp" | "udp" = "tcp", toPort = 80): string => {
  const address = serviceAddress(key, 0, version) ?? "";
  const to = version === 4 ? "169.254.169.254" : "fe80::a9fe:a9fe";
  return introductionText({ transport, from: address, fromPort: 40_000, to, toPort });
};

/** Everything that comes back for what is sent, until the other end closes. */
async function said(door: string, ...parts: readonly string[]): Promise<string> {
  const socket: Socket = connect({ path: join(directory, door), allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  // A door that is shut in one's face is an answer too.
  socket.on("error", () => undefined);
  socket.on("end", () => socket.end());
  for (const part of parts) socket.write(part);
  await once(socket, "close");
  return Buffer.concat(chunks).toString();
}
const get = (path: string, ...headers: readonly string[]): string =>
  [`GET ${path} HTTP/1.1`, "Host: 169.254.169.254", "Connection: close", ...headers, "", ""].join("\r\n");
const nameIn = (response: string): unknown => JSON.parse(response.slice(response.indexOf("\r\n\r\n"))).name;

const forged = ["X-Instance-ID: blue", "X-Tenant-ID: blue", "X-Forwarded-For: 1.64.0.1", "X-Instance-ID-Signature: 0"];

test("who asks is the port of the switch, by either family, whatever the headers say", async () => {
  for (const version of [4, 6] as const) {
    for (const [key, name] of [
      [1, "red"],
      [0x400001, "blue"],
    ] as const) {
      const response = await said("own", from(key, version), get("/openstack/latest/meta_data.json", ...forged));
      assert.match(response, /^HTTP\/1\.1 200 /);
      assert.equal(nameIn(response), name);
    }
  }
});

test("the introduction may come in pieces, and with the question behind it", async () => {
  const whole = from(1) + get("/openstack/latest/meta_data.json");
  assert.equal(nameIn(await said("own", whole)), "red");
  assert.equal(nameIn(await said("own", ...whole.split(""))), "red");
});

test("nobody is behind another's number: no port, one of another host, one that is not plugged in; nor without an introduction", async () => {
  const question = get("/openstack/latest/meta_data.json");
  for (const first of [from(2), from(3), from(4), "", "PROXY TCP4 fe80::1 1.0.0.1 1 80\r\n", `${"x".repeat(200)}\r\n`])
    assert.equal(await said("own", first, question), "");
  assert.equal(await said("own", from(1, 4, "tcp", 53), question), "", "and nothing is served on another port");
  assert.equal(await said("own", from(1, 4, "udp", 53), question), "");
});

test("an introduction is read as it was written, and nothing else is", () => {
  const each = { transport: "udp", from: "1.0.0.1", fromPort: 0, to: "169.254.169.252", toPort: 53 } as const;
  const text = introductionText(each);
  assert.deepEqual(readIntroduction(text.slice(0, -2)), each);
  for (const wrong of [text, "PROXY TCP6 1.0.0.1 1.0.0.2 1 2", "PROXY UNKNOWN", "GET / HTTP/1.1", ""])
    assert.equal(readIntroduction(wrong), undefined);
});

test("from the port's own data there is nothing to be written, and what is no HTTP is refused", async () => {
  const put = get("/latest/api/token").replace("GET", "PUT");
  assert.match(await said("own", from(1), put), /^HTTP\/1\.1 405 .*allow: GET, HEAD/is);
  assert.match(await said("own", from(1), "nonsense\r\n\r\n"), /^HTTP\/1\.1 400 /);
  assert.match(await said("own", from(1), get("/", `X: ${"y".repeat(10_000)}`)), /^HTTP\/1\.1 4\d\d /);
  const head = get("/latest/meta-data/mac").replace("GET", "HEAD");
  assert.match(await said("own", from(1), head), /content-length: 17\r\n.*\r\n\r\n$/is);
});

test("to Nova go port, method, path and body, and no header; what it answers comes back", async () => {
  answer = async () => ({ status: 201, type: "text/x", body: Buffer.from("of Nova").toString("base64") });
  const post = get("/password?x=1", "Content-Length: 5", ...forged).replace("GET", "POST");
  const response = await said("nova", from(0x400001), `${post}hello`);
  assert.match(response, /^HTTP\/1\.1 201 .*content-type: text\/x.*\r\n\r\nof Nova$/is);
  assert.deepEqual(asked.splice(0), [{ port: "blue", method: "POST", path: "/password?x=1", body: "aGVsbG8=" }]);
});

test("without an answer of Nova's a machine is told to come again, and what is too long is not passed on", async () => {
  answer = () => Promise.reject(new Error("no server"));
  assert.match(await said("nova", from(1), get("/latest/user-data")), /^HTTP\/1\.1 503 /);
  asked.length = 0;
  const body = "x".repeat(20_000);
  const post = get("/password", `Content-Length: ${body.length}`).replace("GET", "POST");
  assert.match(await said("nova", from(1), `${post}${body}`), /^HTTP\/1\.1 413 /);
  assert.match(await said("nova", from(1), get(`/${"a".repeat(3_000)}`)), /^HTTP\/1\.1 400 /);
  assert.deepEqual(asked, []);
});
