/** A ping each 2 ms from a guest, and the moment of its first answer. */
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { until } from "../bench.ts";
import type { Guest } from "./hosts.ts";

export interface Probe {
  /** The moment of the first answer, by `performance.now`. Rejects after `limitMs`. */
  answered(limitMs: number): Promise<number>;
  stop(): Promise<void>;
}

/** Frames that left by the guest's interface. */
async function sent(pid: string): Promise<number> {
  const table = await readFile(`/proc/${pid}/net/dev`, "utf8");
  return Number(/^ *eth0:(.*)$/m.exec(table)?.[1]?.trim().split(/ +/)[8]);
}

/** Starts it; resolves when it sends. */
export async function startProbe({ namespace }: Guest, address: string): Promise<Probe> {
  const before = await sent(namespace.pid);
  // BusyBox's: that of iputils leaves 10 ms between echoes that nobody answers, whatever it is told.
  const [file = "", ...args] = namespace.within("busybox", "ping", "-i", "0.002", address);
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "ignore"] });
  const first = Promise.withResolvers<number>();
  // Who waits for the answer hears of it; after the answer nobody does.
  first.promise.catch(() => undefined);
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  let text = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (chunk: string) => {
    text += chunk;
    if (/^\d+ bytes from/m.test(text)) first.resolve(performance.now());
    if (text.length > 10_000) text = text.slice(-1_000);
  });
  child.on("close", () => first.reject(new Error("the ping ended")));
  await until("a ping that sends", 5_000, async () => ((await sent(namespace.pid)) > before + 1 ? true : undefined));
  return {
    async answered(limitMs) {
      const timer = setTimeout(() => first.reject(new Error(`no answer within ${limitMs} ms`)), limitMs);
      try {
        return await first.promise;
      } finally {
        clearTimeout(timer);
      }
    },
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}
