/**
 * Sends a datagram each 4 ms to whoever echoes it, and tells of the times in which nothing came back: usage: echo-probe.ts ADDRESS PORT. For each word `ask` on its input
 * it prints the longest silence since the last such word, and that in which it is, in ms.
 */
import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";

/** Milliseconds. */
const between = 4;

const [, , address = "", port = ""] = process.argv;
const socket = createSocket("udp4");
let last = performance.now();
let longest = 0;
let answers = 0;

socket.on("message", () => {
  const now = performance.now();
  longest = Math.max(longest, now - last);
  last = now;
  answers += 1;
});
socket.connect(Number(port), address, () => {
  setInterval(() => socket.send("?", () => undefined), between);
});
// What is refused while nobody is there is a silence like any other.
socket.on("error", () => undefined);

createInterface({ input: process.stdin }).on("line", () => {
  const present = performance.now() - last;
  process.stdout.write(`${JSON.stringify({ longest: Math.max(longest, present), present, answers })}\n`);
  longest = 0;
});
