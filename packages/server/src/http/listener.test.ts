/** Who opens connections without end takes none from those who ask something. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, get } from "node:http";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { startTestServer } from "../testing/mod.ts";

const places = 40;

/** A connection that is open as its opener sees it, and says no more than `words`. */
async function opened(port: number, words = ""): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => undefined);
  await once(socket, "connect");
  if (words !== "") socket.write(words);
  return socket;
}

/** Asks from an address of this machine, by a connection that stays open or by one of its own. Gives the status. */
function asks(port: number, localAddress: string, agent?: Agent): Promise<number | undefined> {
  const own = agent === undefined ? { agent: false as const } : { agent };
  return new Promise((resolve, reject) => {
    const request = get({ port, host: "127.0.0.1", localAddress, path: "/healthz", ...own }, (response) => {
      response.resume();
      response.once("end", () => resolve(response.statusCode));
    });
    request.once("error", reject);
  });
}

for (const [what, words] of [
  ["say nothing", ""],
  ["begin a request", "GET /healthz HTTP/1.1\r\n"],
  ["begin TLS", "\x16\x03\x01\x02\x00"],
] as const)
  test(`many times more connections than there are places, which ${what}, keep nobody else out`, async () => {
    // Whoever takes TLS waits for what does not come.
    const plugins = [() => ({ tls: () => undefined })];
    await using server = await startTestServer({ settings: { connections: places }, plugins });
    const { port, core } = server.running;
    const figure = async (name: string): Promise<number> =>
      Number(new RegExp(`^selvage_${name} (\\d+)$`, "m").exec(await core.metrics.text())?.[1]);
    const kept = new Agent({ keepAlive: true, maxSockets: 1 });
    const held: Socket[] = [];
    try {
      assert.equal(await asks(port, "127.0.0.2", kept), 200);
      const [line] = Object.values(kept.freeSockets).flat();
      assert.ok(line);
      for (let round = 0; round < 5; round += 1) {
        held.push(...(await Promise.all(Array.from({ length: places * 2 }, () => opened(port, words)))));
        assert.equal(await asks(port, "127.0.0.3"), 200, "who comes");
        assert.equal(await asks(port, "127.0.0.2", kept), 200, "who is there");
        assert.ok((await figure("callers")) <= places);
      }
      assert.ok((await figure("callers_ended")) >= places * 9);
      assert.equal(Object.values(kept.freeSockets).flat()[0], line, "its connection was never ended");
      // Of the same source too: what has waited without a word gives way.
      if (words === "") assert.equal(await asks(port, "127.0.0.1"), 200);
    } finally {
      kept.destroy();
      for (const socket of held) socket.destroy();
    }
  });
