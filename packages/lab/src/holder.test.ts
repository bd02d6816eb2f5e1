/** Tests of naming the process that holds a TCP port. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { LabError } from "./failure.ts";
import { portHolder, portIsHeld, refuseHeldPort } from "./holder.ts";

async function listen(host: string) {
  const server = createServer();
  server.listen(0, host);
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return { server, port: address.port };
}

test("a held port is refused with its holder's id and command and the flag that helps, IPv4 and IPv6", async () => {
  for (const host of ["127.0.0.1", "::1"]) {
    const { server, port } = await listen(host);
    assert.deepEqual(portHolder(port)?.pid, process.pid);
    assert.throws(
      () => refuseHeldPort(port),
      (cause) =>
        cause instanceof LabError &&
        cause.code === "port-in-use" &&
        cause.message.includes(`port ${port} is held by process ${process.pid} (${process.execPath}`) &&
        (cause.hint ?? "").includes("--port"),
    );
    server.close();
    await once(server, "close");
    assert.equal(portIsHeld(port), false, host);
    refuseHeldPort(port);
  }
});

test("another process is named by its command line", async () => {
  const script = "const s=require('node:net').createServer().listen(0,'127.0.0.1',()=>console.log(s.address().port))";
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "ignore"] });
  try {
    const [line]: readonly unknown[] = await once(child.stdout, "data");
    const holder = portHolder(Number(String(line)));
    assert.equal(holder?.pid, child.pid);
    assert.match(holder?.command ?? "", /createServer/);
  } finally {
    child.kill("SIGKILL");
  }
});

test("port 0 means any and is never refused", () => {
  refuseHeldPort(0);
});
