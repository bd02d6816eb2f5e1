/** The metadata service as a machine may speak to it: bytes on a connection that the switch has told the port of, answered from the port and by way of Nova. */
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hold, type Subject, type Target, words } from "../target.ts";
import { failuresOf } from "./failures.ts";

export const metadata: Target = {
  name: "metadata",
  about: "HTTP of machines that ask the metadata service: requests, headers, bodies, several on one connection",
  code: ["/packages/agent/src/services/metadata", "/packages/agent/src/service-network/"],
  shape: "lines",
  maxLength: 12_288,
  batch: 32,
  testRuns: 400,
  load,
};

const who = "PROXY TCP4 1.0.0.1 169.254.169.254 40000 80\r\n";

const requests = [
  "GET /openstack/latest/meta_data.json HTTP/1.1\nHost: x\n\n",
  "GET /openstack/latest/network_data.json HTTP/1.0\n\n",
  "HEAD /latest/meta-data/mac HTTP/1.1\nHost: x\nX-Instance-ID: blue\n\n",
  "POST /password HTTP/1.1\nHost: x\nContent-Length: 2\n\nhi",
  "POST /password HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n2\nhi\n0\n\n",
  "GET /latest/user-data HTTP/1.1\nHost: x\n\nGET /latest/../constructor HTTP/1.1\nHost: x\nConnection: close\n\n",
  "OPTIONS * HTTP/1.1\nHost: x\nExpect: 100-continue\n\n",
  "CONNECT blue:80 HTTP/1.1\nHost: x\nUpgrade: h2c\nConnection: upgrade\n\n",
];
const vocabulary = [
  ...["constructor", "__proto__", "toString", "%2e%2e/", "openstack", "latest", "user_data", "meta-data", "hostname"],
  ...["X-Instance-ID: blue", "X-Tenant-ID: blue", "X-Forwarded-For: 1.0.0.2", "Transfer-Encoding: chunked", "\n "],
  ...["Content-Length: 0", "Content-Length: 99999999", "Connection: keep-alive", "PUT", "DELETE", "PRI * HTTP/2.0"],
];

async function load(): Promise<Subject> {
  const { createMetrics, ManualClock } = await import("@selvage/base");
  const { MetadataServer, openDoor, portFinder } = await import("@selvage/agent");
  const { Attachment, Port, Replica } = await import("@selvage/model");
  const { makePort, put } = await import("@selvage/model/testing");
  const view = new Replica();
  for (const [key, id] of ["red", "blue"].entries()) {
    const port = makePort({ id, name: id, key: key + 1, "binding:host_id": "h1", user_data: btoa(`secret of ${id}`) });
    view.apply([put(Port, port), put(Attachment, { id })], key + 1);
  }
  const failures: unknown[] = [];
  const failed = failuresOf(failures);
  // What it warns of is a machine's doing here, and nothing that a machine does is to be worth it.
  const log = { ...failed, warn: failed.error };
  const clock = new ManualClock();
  const directory = await mkdtemp(join(tmpdir(), "selvage-fuzz-"));
  const asked: string[] = [];
  const nova = async ({ port }: { readonly port: string }) => {
    asked.push(port);
    return { status: 200, type: "text/plain", body: btoa(`secret of ${port}`) };
  };
  const servers = await Promise.all(
    [{}, { nova }].map(
      async (more) => new MetadataServer({ view, clock, log, metrics: await createMetrics(), ...more }),
    ),
  );
  const doors = await Promise.all(
    servers.map((server, at) =>
      openDoor({
        socket: join(directory, String(at)),
        portOf: portFinder(view, "h1"),
        services: { tcp: { 80: (socket, asker) => server.accept(socket, asker) } },
        log,
      }),
    ),
  );
  return {
    seeds: words(...requests),
    dictionary: words(...vocabulary),
    async run(input) {
      const text = Buffer.from(input).toString("latin1").replaceAll("\n", "\r\n");
      for (const at of servers.keys()) {
        const answer = await exchange(join(directory, String(at)), Buffer.from(who + text, "latin1"), clock);
        const [failure] = failures.splice(0);
        if (failure !== undefined) throw failure;
        hold(answer === "" || /^HTTP\/1\.1 [1-4]\d\d /.test(answer), "a machine is answered in HTTP, or not at all");
        hold(!answer.includes("secret of blue"), "nothing of another port's is told");
        hold(
          asked.splice(0).every((port) => port === "red"),
          "Nova is asked for the port that asks",
        );
      }
    },
    async close() {
      await Promise.all(doors.map((door) => door.close()));
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Sends bytes on a connection of its own and gives all that comes until its end; what waits for more is ended by the server's own patience. */
function exchange(path: string, bytes: Buffer, clock: { advance(ms: number): void }): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ path, allowHalfOpen: true });
    const chunks: Buffer[] = [];
    const patience = setInterval(() => clock.advance(60_000), 20);
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.on("end", () => socket.end());
    // A door that is shut in one's face is an answer.
    socket.on("error", () => undefined);
    socket.on("close", () => {
      clearInterval(patience);
      resolve(Buffer.concat(chunks).toString("latin1"));
    });
    socket.end(bytes);
  });
}
