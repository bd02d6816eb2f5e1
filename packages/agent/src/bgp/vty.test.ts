/** The conversation with a routing daemon, with one that answers octet by octet. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Vty, VtyRefusal } from "./vty.ts";

/** A daemon that is asked what `answer` says; its words come in pieces of so many octets. */
async function daemon(answer: (command: string, socket: Socket) => readonly [string, number] | undefined, piece = 1) {
  const directory = await mkdtemp(join(tmpdir(), "vty-"));
  const path = join(directory, "bgpd.vty");
  const heard: string[] = [];
  const server = createServer((socket) => {
    let text = "";
    socket.on("data", (octets: Buffer) => {
      text += octets.toString();
      for (let end = text.indexOf("\0"); end >= 0; end = text.indexOf("\0")) {
        const command = text.slice(0, end);
        text = text.slice(end + 1);
        heard.push(command);
        const said = answer(command, socket);
        if (said === undefined) return;
        const whole = Buffer.concat([Buffer.from(said[0]), Buffer.from([0, 0, 0, said[1]])]);
        for (let at = 0; at < whole.length; at += piece) socket.write(whole.subarray(at, at + piece));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    path,
    heard,
    [Symbol.asyncDispose]: async () => {
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true, force: true });
    },
  };
}

test("commands are asked one after another, each with its own answer", async () => {
  await using frr = await daemon((command) => [`${command}!\r\n`, 0]);
  const vty = await Vty.open(frr.path);
  assert.deepEqual(await Promise.all(["enable", "", "show bgp"].map((command) => vty.ask(command))), [
    "enable!",
    "!",
    "show bgp!",
  ]);
  assert.deepEqual(frr.heard, ["enable", "", "show bgp"]);
  vty.close();
});

test("a command that is not taken is told without the secret in it, and those behind it are asked all the same", async () => {
  await using frr = await daemon((command) => (command.startsWith("neighbor") ? ["% no", 2] : ["", 0]), 3);
  const vty = await Vty.open(frr.path);
  const refused = vty.ask("neighbor 203.0.113.1 password sesame");
  const next = vty.ask("end");
  await assert.rejects(refused, (error) => {
    assert.ok(error instanceof VtyRefusal);
    assert.equal(error.status, 2);
    assert.match(error.message, /neighbor 203\.0\.113\.1 password …" \(status 2\): % no$/);
    return true;
  });
  assert.equal(await next, "");
  vty.close();
});

test("who is gone answers nothing: what waits fails, and so does what is asked then", async () => {
  await using frr = await daemon((_command, socket) => void socket.destroy());
  const vty = await Vty.open(frr.path);
  const waiting = [vty.ask("enable"), vty.ask("end")];
  for (const each of waiting) await assert.rejects(each);
  await assert.rejects(vty.ask("end"), /closed the conversation/);
  await assert.rejects(Vty.open(`${frr.path}.not`), { code: "ENOENT" });
});
