/** The API as anybody may speak to it: a real server in this process, asked over loopback; never a 500, never no answer (RFC 9112). */
import { connect } from "node:net";
import type { TestServer } from "@selvage/server/testing";
import { Broken, hold, type Subject, type Target, words } from "../target.ts";
import { failuresOf } from "./failures.ts";
import { requests, vocabulary } from "./http-requests.ts";

export const http: Target = {
  name: "http",
  about: "the HTTP API: request lines, queries and JSON bodies of networking, identity and our own",
  code: [
    "/packages/server/src/api/",
    "/packages/server/src/rules/",
    "/packages/server/src/identity/",
    "/packages/server/src/own/",
    "/packages/server/src/http/",
  ],
  shape: "lines",
  maxLength: 4096,
  batch: 32,
  testRuns: 300,
  load,
};

/** Requests that one server takes before a fresh one takes its place, so that what an input meets does not depend on too many before it. */
const requestsPerServer = 300;

async function load(): Promise<Subject> {
  let world = await World.start();
  return {
    seeds: words(...requests),
    dictionary: words(...vocabulary),
    async run(input) {
      if (world.worn) {
        await world.close();
        world = await World.start();
      }
      await world.ask(input);
    },
    close: () => world.close(),
  };
}

/** A server with a network, a subnet and a port in it, whose ids stand for `@net@`, `@subnet@`, `@port@` in an input. */
class World {
  readonly #server: TestServer;
  readonly #names: ReadonlyMap<string, string>;
  readonly #failures: unknown[];
  #asked = 0;

  private constructor(server: TestServer, names: ReadonlyMap<string, string>, failures: unknown[]) {
    this.#server = server;
    this.#names = names;
    this.#failures = failures;
  }

  static async start(): Promise<World> {
    const { startTestServer } = await import("@selvage/server/testing");
    const { relay } = await import("@selvage/server");
    const failures: unknown[] = [];
    // The cheapest hash that there is: what is asked here is not how slow it is.
    const settings = { passwordMemory: 8, passwordPasses: 1 };
    const server = await startTestServer({ log: failuresOf(failures), settings, plugins: [relay()] });
    const project = await server.project("p");
    const { admin } = server;
    const net = await admin.create("network", { name: "n" });
    const subnet = await admin.create("subnet", { network_id: net.id, cidr: "10.0.0.0/24", ip_version: 4 });
    const port = await admin.create("port", { network_id: net.id });
    await server.host("h1");
    const names = new Map([
      ["net", net.id],
      ["subnet", subnet.id],
      ["port", port.id],
      ["project", project.id],
      ["admin", admin.token ?? ""],
      ["member", project.member.token ?? ""],
    ]);
    return new World(server, names, failures);
  }

  get worn(): boolean {
    return this.#asked >= requestsPerServer;
  }

  close(): Promise<void> {
    return this.#server[Symbol.asyncDispose]();
  }

  /** Asks what the input says: a request line, header lines, and from the first brace on a body. Throws what the server must not do. */
  async ask(input: Uint8Array): Promise<void> {
    this.#asked++;
    const text = Buffer.from(input)
      .toString("latin1")
      .replaceAll(/@(\w+)@/g, (all, name: string) => this.#names.get(name) ?? all);
    const answer = await exchange(this.#server.running.port, requestOf(text));
    if (text.charCodeAt(0) === tlsHandshake) {
      hold(answer === "", "a server that has no TLS ends a connection that begins as TLS");
      return;
    }
    const [failure] = this.#failures.splice(0);
    if (failure !== undefined) throw failure;
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? 0);
    hold(status >= 200 && status < 500, `the status ${status} is one of an API`);
    // Whoever lost the token, the network or the port asks a fresh server next.
    if (status === 204) this.#asked = requestsPerServer;
    const body = answer.slice(answer.indexOf("\r\n\r\n") + 4);
    if (/^content-type: application\/json/im.test(answer) && body !== "") JSON.parse(body);
  }
}

/** The byte that begins a TLS record with a handshake (RFC 8446, section 5.1). */
const tlsHandshake = 0x16;

/** Header lines that say how long a request is are ours to write: a server rightly waits for the rest of what was announced. */
const framing = /^\s*(content-length|transfer-encoding|connection|upgrade|expect|http2-settings|keep-alive)\s*:/i;

function requestOf(text: string): Buffer {
  const lines = text.split("\n");
  const at = lines.findIndex((line, index) => index > 0 && /^[[{]/.test(line));
  const head = (at < 0 ? lines : lines.slice(0, at)).filter(
    (line, index) => index === 0 || (line !== "" && !framing.test(line)),
  );
  const body = Buffer.from(at < 0 ? "" : lines.slice(at).join("\n"), "latin1");
  const [first = "", ...headers] = head;
  const lengths = [
    "Host: x",
    "Connection: close",
    ...(body.length === 0 ? [] : ["Content-Type: application/json", `Content-Length: ${body.length}`]),
  ];
  return Buffer.concat([
    Buffer.from([`${first} HTTP/1.1`, ...lengths, ...headers, "", ""].join("\r\n"), "latin1"),
    body,
  ]);
}

/** Sends bytes on a connection of its own, gives all that comes until its end. */
function exchange(port: number, request: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    // A refusal may come, and the connection end, before everything was sent.
    socket.on("error", (error) =>
      chunks.length > 0 ? resolve(Buffer.concat(chunks).toString("latin1")) : reject(new Broken(error.message)),
    );
    socket.on("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
    socket.write(request);
  });
}
