/** How a host joins: the request over TLS with its token and certificate request, as anybody on the network may send it (RFC 2986, 8446). */
import { request } from "node:https";
import type { RunningServer } from "@selvage/server";
import type { TestServer } from "@selvage/server/testing";
import { hold, type Subject, type Target, words } from "../target.ts";
import { failuresOf } from "./failures.ts";

export const join: Target = {
  name: "join",
  about: "joining and renewing over TLS: token texts, certificate requests, JSON bodies",
  code: [
    "/packages/server/src/relay/admission.ts",
    "/packages/server/src/relay/endpoint.ts",
    "/packages/base/src/certificates.ts",
  ],
  shape: "lines",
  maxLength: 4096,
  batch: 32,
  testRuns: 80,
  load,
};

async function load(): Promise<Subject> {
  const { relay } = await import("@selvage/server");
  const { startTestServer } = await import("@selvage/server/testing");
  const { createKeyAndRequest, ManualClock } = await import("@selvage/base");
  const failures: unknown[] = [];
  // Time passes when it is told to: failures slow down who fails, and the slow would be all that is tested.
  const clock = new ManualClock(Date.now());
  const forever = 2 ** 31;
  const settings = { passwordMemory: 8, passwordPasses: 1, tokenLifetime: forever, joinTokenLifetime: forever };
  const server = await startTestServer({ plugins: [relay()], log: failuresOf(failures), settings, clock });
  const { csrPem } = await createKeyAndRequest("h1");
  let hosts = 0;
  let token = await newToken(server, hosts);
  const body = (values: object): string => JSON.stringify(values);
  return {
    seeds: words(
      `POST /v1/join\n${body({ token: "@token@", csr: "@csr@", tunnel_ip: "10.0.0.1" })}`,
      `POST /v1/join\n${body({ token: "@token@", csr: "@csr@" })}`,
      `POST /v1/join\n${body({ token: "@token@", csr: csrPem })}`,
      `POST /v1/join\n${body({ token: "@token@", csr: "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n" })}`,
      `POST /v1/join\n${body({ token: "wrong", csr: "x", tunnel_ip: "::1" })}`,
      `POST /v1/renew\n${body({ csr: "@csr@" })}`,
      "GET /v1/sync\n{}",
      "GET /v2.0/networks\n[]",
    ),
    dictionary: words(
      "token",
      "csr",
      "tunnel_ip",
      "@token@",
      "@csr@",
      "-----BEGIN ",
      "CERTIFICATE REQUEST",
      "-----",
      "\\n",
      "MIH",
      "MIIB",
      "===",
      "::",
      "10.0.0.1",
    ),
    async run(input) {
      const text = Buffer.from(input).toString("latin1");
      const newline = text.indexOf("\n");
      const [method = "GET", path = "/"] = (newline < 0 ? text : text.slice(0, newline)).split(" ");
      const sent = (newline < 0 ? "" : text.slice(newline + 1))
        .replaceAll("@token@", token)
        .replaceAll("@csr@", JSON.stringify(csrPem).slice(1, -1));
      const answer = await ask(server.running, { method, path, body: Buffer.from(sent, "latin1") });
      const [failure] = failures.splice(0);
      if (failure !== undefined) throw failure;
      hold(answer.status >= 200 && answer.status < 500, `the status ${answer.status} is one of a refusal or a join`);
      JSON.parse(answer.text);
      if (answer.status === 429) clock.advance(16 * 60_000);
      if (answer.status !== 200) return;
      hold(answer.text.includes("BEGIN CERTIFICATE"), "who joins gets a certificate");
      hosts++;
      token = await newToken(server, hosts);
    },
    close: () => server[Symbol.asyncDispose](),
  };
}

/** Makes a host that may join. A host that has joined gets no other token. */
async function newToken(server: TestServer, number: number): Promise<string> {
  const created = await server.admin.post("/v1/hosts", { name: `h${number}` });
  return String(created.body.token);
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: Buffer;
}

/** Sends a request over TLS; a request that cannot be written is not sent. */
function ask(
  server: RunningServer,
  { method, path, body }: Asked,
): Promise<{ readonly status: number; readonly text: string }> {
  const sendable = ["GET", "POST", "PUT", "DELETE"].includes(method) && /^\/[\x21-\x7e]*$/.test(path);
  const { promise, resolve, reject } = Promise.withResolvers<{ readonly status: number; readonly text: string }>();
  const asked = request(
    {
      host: "127.0.0.1",
      port: server.port,
      // Who joins compares a fingerprint instead: that is not asked here.
      rejectUnauthorized: false,
      agent: false,
      method: sendable ? method : "POST",
      path: sendable ? path : "/v1/join",
      headers: { "content-type": "application/json", "content-length": body.length },
    },
    (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") }),
      );
      response.on("error", reject);
    },
  );
  asked.on("error", reject);
  asked.end(body);
  return promise;
}
