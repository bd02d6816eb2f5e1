/** A guest for timing: namespace, interface, address and neighbour are ready before anything is asked of the fabric; and the probe that runs in it. */
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { enterLab } from "@selvage/lab";
import { until } from "./bench.ts";
import type { Fabric } from "./fabric.ts";

export interface GuestPlan {
  /** Names its namespace and its interface on the host: at most 15 characters. */
  readonly name: string;
  readonly host: string;
  readonly mac: string;
  readonly address: string;
  readonly prefix: number;
  /** Whom it will ping, and in which namespace that one is. */
  readonly target: { readonly address: string; readonly mac: string; readonly namespace: string };
}

/** Makes the namespace with everything that the guest itself would need; it is plugged into nothing yet. */
export async function makeGuest(fabric: Fabric, plan: GuestPlan): Promise<void> {
  const { name, host, mac, address, prefix, target } = plan;
  await fabric.script(
    [
      `ip netns add ${name}`,
      `ip -n ${host} link add ${name} type veth peer name eth0 address ${mac} netns ${name}`,
      `ip netns exec ${host} ethtool -K ${name} tx off > /dev/null`,
      `ip netns exec ${name} sh -ec 'ethtool -K eth0 tx off > /dev/null; echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6'`,
      `ip -n ${name} link set lo up`,
      `ip -n ${name} link set eth0 up`,
      `ip -n ${name} address add ${address}/${prefix} dev eth0`,
      `ip -n ${name} neighbour replace ${target.address} lladdr ${target.mac} dev eth0`,
      `ip -n ${target.namespace} neighbour replace ${address} lladdr ${mac} dev eth0`,
      `ip -n ${host} link set ${name} addrgenmode none up`,
    ].join("\n"),
  );
}

export async function removeGuest(fabric: Fabric, { name, host, address, target }: GuestPlan): Promise<void> {
  await fabric.script(
    [
      `ip -n ${target.namespace} neighbour del ${address} dev eth0`,
      `ip -n ${host} link delete ${name}`,
      `ip netns delete ${name}`,
    ].join("\n"),
  );
}

/** A probe that sends an echo each 2 ms. */
export interface Probe {
  /** Resolves when it has begun to send. */
  readonly sending: Promise<void>;
  /** The moment at which its word of the first answer is read, as `performance.now` counts. Rejects after `limitMs`. */
  answered(limitMs: number): Promise<number>;
  stop(): Promise<void>;
}

/** Packets that left by the interface of a guest, as a process sees it that is in the guest's network namespace; undefined while it is on its way there. */
async function sentBy(pid: number | undefined): Promise<number | undefined> {
  const table = await readFile(`/proc/${pid ?? 0}/net/dev`, "utf8");
  const fields = /^ *eth0:(.*)$/m.exec(table)?.[1]?.trim().split(/ +/);
  return fields?.[8] === undefined ? undefined : Number(fields[8]);
}

/** Starts probing from a guest; nothing answers yet. */
export function startProbe(fabric: Fabric, { name, target }: GuestPlan): Probe {
  // BusyBox's, which the DHCP client is of too: that of iputils leaves 10 ms between echoes that nobody answers, whatever it is told.
  const words = ["busybox", "ping", "-i", "0.002", target.address];
  const [file = "", ...args] = enterLab(fabric.firstPid, { kind: "host", name }, words);
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "ignore"] });
  const first = Promise.withResolvers<number>();
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  // Who waits for the answer hears of it; after the answer nobody does.
  first.promise.catch(() => undefined);
  let counted: number | undefined;
  let text = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (chunk: string) => {
    text += chunk;
    if (/^\d+ bytes from/m.test(text)) first.resolve(performance.now());
    if (text.length > 10_000) text = text.slice(-1_000);
  });
  child.on("error", first.reject);
  child.on("close", () => first.reject(new Error("the probe ended")));
  return {
    sending: until("the probe does not send", 5_000, async () => {
      const [before = 0, now] = [counted, await sentBy(child.pid)];
      counted = now;
      return before > 0 && now !== undefined && now > before ? true : undefined;
    }).then(() => undefined),
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

/** How long a guest's DHCP client takes from its start to its lease, ms: a process is started in that time. */
export async function leaseTime(fabric: Fabric, { name }: GuestPlan): Promise<number> {
  const words = [
    "before=$(date +%s%N)",
    `ip netns exec ${name} udhcpc -f -q -n -t 10 -T 1 -i eth0 -s /bin/true > /dev/null 2>&1`,
    "echo $(( $(date +%s%N) - before ))",
  ];
  return Number((await fabric.script(words.join("\n"))).trim()) / 1e6;
}
