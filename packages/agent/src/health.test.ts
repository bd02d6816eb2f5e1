/** The agent's answers to probes, whoever else on this machine opens connections. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { createMetrics } from "@selvage/base";
import { type Asked, serveHealth } from "./health.ts";

test("connections that say nothing, many more than there are places, keep no probe out", async () => {
  const nobody: Asked = {
    // Nothing of it is asked for here.
    status: {} as Asked["status"],
    flows: () => Promise.reject(new Error("nothing is asked of the switch")),
  };
  const health = await serveHealth({ port: 0 }, nobody, await createMetrics());
  const silent: Socket[] = [];
  try {
    for (let at = 0; at < 300; at += 1) {
      const socket = connect({ port: health.port ?? 0, host: "127.0.0.1" });
      socket.on("error", () => undefined);
      await once(socket, "connect");
      silent.push(socket);
    }
    const answer = await fetch(`http://127.0.0.1:${health.port}/healthz`);
    assert.deepEqual(await answer.json(), { status: "ok" });
    // Those that were ended hear of it.
    const first = silent[0];
    if (first !== undefined && !first.closed) await once(first.resume(), "close");
  } finally {
    for (const socket of silent) socket.destroy();
    await health.close();
  }
});
