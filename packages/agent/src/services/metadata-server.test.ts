/** The metadata service over the door's own socket: who asks is told by the introduction alone, and of what a machine sends no header goes on. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createMetrics, ManualClock, silentLog } from "@selvage/base";
import { Attachment, Port, Replica } from "@selvage/model";
import { makePort, put } from "@selvage/model/testing";
import { serviceAddress } from "@selvage/pipeline";
import type { MetadataReply, MetadataRequest } from "@selvage/sync";
import { type Asker, type Door, openDoor, portFinder } from "../service-network/door.ts";
import { introductionText, readIntroduction } from "../service-network/introduction.ts";
import { MetadataServer } from "./metadata-server.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
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

const clock = new ManualClock();
let directory: string;
let own: Door;
let nova: Door;
const asked: MetadataRequest[] = [];
let answer: () => Promise<MetadataReply>;
/** The service's ends of connections. */
const accepted: Socket[] = [];

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "selvage-metadata-"));
  const metrics = await createMetrics();
  const accept = (server: MetadataServer, socket: Socket, asker: Asker): void => {
    accepted.push(socket);
    server.accept(socket, asker);
  };
  const door = (name: string, server: MetadataServer) =>
    openDoor({
      socket: join(directory, name),
      portOf: portFinder(view, "h1"),
      services: { tcp: { 80: (socket, asker) => accept(server, socket, asker) } },
      log: silentLog,
    });
  own = await door("own", new MetadataServer({ view, clock, log: silentLog, metrics }));
  const asks = async (request: MetadataRequest) => {
    asked.push(request);
    return answer();
  };
  nova = await door(
    "nova",
    new MetadataServer({ view, nova: asks, clock, log: silentLog, metrics: await createMetrics() }),
  );
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

/** A machine's end of a conversation. */
class Caller {
  readonly #socket: Socket;
  readonly #closed: Promise<unknown>;
  #heard = "";

  constructor(door: string, ...parts: readonly string[]) {
    const socket = connect({ path: join(directory, door), allowHalfOpen: true });
    this.#socket = socket;
    this.#closed = new Promise((resolve) => socket.on("close", resolve));
    socket.on("data", (chunk: Buffer) => {
      this.#heard += chunk.toString();
    });
    // A door that is shut in one's face is an answer too.
    socket.on("error", () => undefined);
    socket.on("end", () => socket.end());
    this.say(...parts);
  }

  say(...parts: readonly string[]): void {
    for (const part of parts) this.#socket.write(part);
  }

  /** Resolves with what has been heard when it matches. */
  async hears(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#heard)) await once(this.#socket, "data");
    return this.#heard;
  }

  leave(): void {
    this.#socket.destroy();
  }

  /** Everything that came back, once the other end has closed. */
  async all(): Promise<string> {
    await this.#closed;
    return this.#heard;
  }
}

/** Everything that comes back for what is sent, until the other end closes. */
const said = (door: string, ...parts: readonly string[]): Promise<string> => new Caller(door, ...parts).all();
const get = (path: string, ...headers: readonly string[]): string =>
  [`GET ${path} HTTP/1.1`, "Host: 169.254.169.254", "Connection: close", ...headers, "", ""].join("\r\n");
const kept = (path: string): string => get(path).replace("Connection: close\r\n", "");
const nameIn = (response: string): unknown => JSON.parse(response.slice(response.indexOf("\r\n\r\n"))).name;

const forged = [
  "X-Instance-ID: blue",
  "x-instance-id: blue",
  "X-INSTANCE-ID:\tblue",
  "X-Tenant-ID: blue",
  "X-Forwarded-For: 1.64.0.1",
  "X-Forwarded-For: 1.64.0.1, 1.64.0.2",
  "Forwarded: for=1.64.0.1",
  "X-Real-IP: 1.64.0.1",
  "X-Instance-ID-Signature: 0",
  "X-Metadata-Provider: blue",
];

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

test("on one connection question comes after question, sent together or not, and each is answered for the same port", async () => {
  const paths = ["/latest/meta-data/hostname", "/nowhere", "/latest/meta-data/local-hostname"];
  const both = await said("own", from(1), ...paths.slice(0, 2).map(kept), get(paths[2] ?? ""));
  assert.deepEqual(
    [...both.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status),
    ["200", "404", "200"],
  );
  assert.equal([...both.matchAll(/^red/gm)].length, 2);
  const slow = new Caller("own", from(1), kept("/latest/meta-data/hostname"));
  await slow.hears(/red$/);
  slow.say(`PROXY TCP4 1.64.0.1 169.254.169.254 1 80\r\n${get("/latest/meta-data/hostname", ...forged)}`);
  assert.doesNotMatch(await slow.all(), /blue/, "nobody introduces himself a second time");
});

test("a question whose length is said twice, or in two ways, or whose header goes on in the next line, is refused or its own", async () => {
  const asPost = (text: string) => text.replace("GET", "POST");
  const hidden = get("/latest/meta-data/mac");
  const both = asPost(get("/x", "Content-Length: 3", "Transfer-Encoding: chunked"));
  const twice = asPost(get("/x", "Content-Length: 3", "Content-Length: 30"));
  asked.length = 0;
  answer = async () => ({ status: 200, type: "text/x", body: "" });
  for (const wrong of [both, twice]) {
    assert.match(
      await said("nova", from(1), `${wrong}0\r\n\r\n${hidden}`),
      /^HTTP\/1\.1 400 [^\n]*\r\nConnection: close\r\n\r\n$/,
    );
    assert.match(
      await said("own", from(1), `${wrong}0\r\n\r\n${hidden}`),
      /^HTTP\/1\.1 400 [^\n]*\r\nConnection: close\r\n\r\n$/,
    );
  }
  assert.deepEqual(asked, []);
  const folded = await said("own", from(1), get("/latest/meta-data/hostname", "X: 1\r\n X-Instance-ID: blue"));
  assert.doesNotMatch(folded, /blue/);
  const parts = ["5\r\nhello\r\n", "1\r\n!\r\n", "0\r\n\r\n"];
  assert.match(
    await said("nova", from(1), asPost(get("/x", "Transfer-Encoding: chunked")), ...parts),
    /^HTTP\/1\.1 200 /,
  );
  assert.deepEqual(
    asked.splice(0).map(({ body }) => body),
    [Buffer.from("hello!").toString("base64")],
  );
  const endless = Array.from({ length: 20 }, () => `400\r\n${"x".repeat(0x400)}\r\n`);
  assert.match(
    await said("nova", from(1), asPost(get("/x", "Transfer-Encoding: chunked")), ...endless),
    /^HTTP\/1\.1 413 /,
  );
  assert.deepEqual(asked, []);
});

test("paths that climb lead nowhere, and what every object has is no document", async () => {
  for (const path of [
    "/openstack/latest/constructor",
    "/openstack/latest/__proto__",
    "/latest/../../etc/passwd",
    "/%2e%2e/",
  ])
    assert.match(await said("own", from(1), get(path)), /^HTTP\/1\.1 404 /, path);
  assert.match(await said("own", from(1), get("*")), /^HTTP\/1\.1 404 /);
  assert.match(await said("own", from(1), get("http://blue/latest/meta-data/hostname")), /^HTTP\/1\.1 404 /);
});

test("who asks a question bit by bit, or takes no notice of the answer, is waited for so long and no longer", async () => {
  const slow = new Caller("own", from(1), "GET /");
  await clock.whenPending(1);
  clock.advance(9_999);
  slow.say("latest");
  assert.equal(clock.pending, 1, "a bit more is no question");
  clock.advance(1);
  assert.equal(await slow.all(), "");
  const idle = new Caller("own", from(1), get("/latest/meta-data/hostname").replace("Connection: close\r\n", ""));
  await idle.hears(/red$/);
  await clock.whenPending(1);
  clock.advance(40_000);
  assert.match(await idle.all(), /red$/);
  const body = new Caller("nova", from(1), get("/password", "Content-Length: 5").replace("GET", "POST"), "he");
  await clock.whenPending(1);
  clock.advance(10_000);
  assert.equal(await body.all(), "");
});

/** A Nova that answers when it is told to. */
class SlowNova {
  readonly #held: ((reply: MetadataReply) => void)[] = [];
  readonly #waiters: { readonly count: number; readonly resolve: () => void }[] = [];
  /** The most that it was asked at once. */
  most = 0;

  readonly ask = (): Promise<MetadataReply> =>
    new Promise((resolve) => {
      this.#held.push(resolve);
      this.most = Math.max(this.most, this.#held.length);
      for (const waiter of this.#waiters) if (this.#held.length >= waiter.count) waiter.resolve();
    });

  /** Resolves once so many of its answers are waited for. */
  async holds(count: number): Promise<void> {
    if (this.#held.length < count) await new Promise<void>((resolve) => this.#waiters.push({ count, resolve }));
  }

  /** Answers what it was asked first. */
  say(text: string): void {
    this.#held.shift()?.({ status: 200, type: "text/x", body: Buffer.from(`${text}\n`).toString("base64") });
  }
}

test("of questions that are sent together Nova is asked one after another, in their order, each when the answer before it is taken", async () => {
  const slow = new SlowNova();
  answer = slow.ask;
  asked.length = 0;
  const paths = Array.from({ length: 50 }, (_, at) => `/q/${at}`);
  const caller = new Caller("nova", from(1), [...paths.slice(1).map(kept), get("/last")].join(""));
  for (const path of paths) {
    await slow.holds(1);
    slow.say(`says ${path}`);
  }
  const heard = await caller.all();
  assert.equal(slow.most, 1);
  assert.deepEqual(
    asked.splice(0).map(({ path }) => path),
    [...paths.slice(1), "/last"],
  );
  assert.deepEqual(
    [...heard.matchAll(/^says (.*)$/gm)].map(([, path]) => path),
    paths,
  );
});

test("a question that waits for Nova has its time, whenever the answer before it was taken", async () => {
  const slow = new SlowNova();
  answer = slow.ask;
  asked.length = 0;
  const caller = new Caller("nova", from(1), kept("/first") + get("/second"));
  await slow.holds(1);
  slow.say("one");
  await caller.hears(/one\n$/);
  await slow.holds(1);
  clock.advance(60_000);
  slow.say("two");
  assert.match(await caller.all(), /one\n.*two\n$/s);
  assert.equal(asked.splice(0).length, 2);
});

test("who sends more questions than are held is not served", async () => {
  const slow = new SlowNova();
  answer = slow.ask;
  asked.length = 0;
  const all = kept("/q").repeat(1_000);
  assert.equal(await said("nova", from(1), all), "");
  assert.ok(asked.splice(0).length <= 1);
  slow.say("nobody hears it");
  const own = await said("own", from(1), all);
  assert.ok([...own.matchAll(/HTTP/g)].length < 1_000, "nor where Nova is not asked");
});

test("of one port Nova is asked four questions at once, over all its connections, and another port does not wait for them", async () => {
  const slow = new SlowNova();
  answer = slow.ask;
  asked.length = 0;
  const callers = Array.from({ length: 12 }, (_, at) => new Caller("nova", from(1), get(`/q/${at}`)));
  await slow.holds(4);
  const other = new Caller("nova", from(0x400001), get("/other"));
  await slow.holds(5);
  assert.deepEqual(asked.map(({ port }) => port).sort(), ["blue", "red", "red", "red", "red"]);
  for (const _ of [...callers, other]) {
    await slow.holds(1);
    slow.say("said");
  }
  for (const caller of [...callers, other]) assert.match(await caller.all(), /said\n$/);
  assert.deepEqual([asked.splice(0).length, slow.most], [13, 5]);
});

test("who leaves while his question waits for its turn is not asked for, and the turns go to those behind him", async () => {
  const slow = new SlowNova();
  answer = slow.ask;
  asked.length = 0;
  const ask = (path: string) => new Caller("nova", from(1), get(path));
  const callers = Array.from({ length: 4 }, () => ask("/q"));
  await slow.holds(4);
  /** Asks one that has to wait: its connection's other end, once it waits, which is when no time is set any more. */
  const waits = async (path: string): Promise<readonly [Caller, Socket]> => {
    const before = accepted.length;
    const caller = ask(path);
    while (accepted.length === before) await turn();
    while (clock.pending > 0) await turn();
    const end = accepted.at(-1);
    assert.ok(end !== undefined);
    return [caller, end];
  };
  const [leaver, end] = await waits("/left");
  const [last] = await waits("/last");
  leaver.leave();
  await once(end, "close");
  for (const _ of [...callers, last]) {
    await slow.holds(1);
    slow.say("said");
  }
  for (const caller of [...callers, last]) assert.match(await caller.all(), /said\n$/);
  assert.deepEqual(
    asked.splice(0).map(({ path }) => path),
    ["/q", "/q", "/q", "/q", "/last"],
  );
});

test("what a port has is what it has now, on a connection of any age; one that is gone has nothing", async () => {
  const kept = get("/latest/user-data").replace("Connection: close\r\n", "");
  view.apply(
    [
      put(Port, { ...bound("green", 5), user_data: Buffer.from("first").toString("base64") }),
      put(Attachment, { id: "green" }),
    ],
    2,
  );
  const caller = new Caller("own", from(5), kept);
  await caller.hears(/first$/);
  view.apply([put(Port, { ...bound("green", 5), user_data: Buffer.from("second").toString("base64") })], 3);
  caller.say(kept);
  await caller.hears(/second$/);
  view.apply([{ kind: Port.kind, id: "green", object: null }], 4);
  caller.say(get("/latest/user-data"));
  assert.match((await caller.all()).slice(-400), /HTTP\/1\.1 404 /);
});
