/** FRR on the machine outside, as a test asks it: its bgpd with its zebra, which puts what it learns into the kernel there, and its bfdd; its own view of routes. */

import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { at, enterLab, OUTSIDE_RANGES } from "@selvage/lab";
import { until } from "@selvage/lab/testing";
import type { Fabric, Program } from "./guests.ts";

const WAIT_MS = 60_000;
const { ipv4, ipv6 } = OUTSIDE_RANGES;

export interface RoutingOptions {
  readonly theirs: number;
  readonly ours: number;
  /** What sessions are signed with. */
  readonly secret?: string;
  /** Whether sessions are over when a host gives no sign of life. */
  readonly isWatching?: boolean;
}

export class Routing implements AsyncDisposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "frr-"));
  readonly #fabric: Fabric;
  readonly #programs: Program[] = [];

  private constructor(fabric: Fabric, { theirs, ours, secret, isWatching = false }: RoutingOptions) {
    this.#fabric = fabric;
    chmodSync(this.#directory, 0o777);
    const family = (version: 4 | 6): readonly string[] => [
      ` address-family ipv${version} unicast`,
      "  neighbor hosts activate",
      "  maximum-paths 8",
      " exit-address-family",
    ];
    const configuration = [
      "frr defaults traditional",
      "log stdout",
      `router bgp ${theirs}`,
      " bgp log-neighbor-changes",
      ` bgp router-id ${ipv4.gateway}`,
      " no bgp ebgp-requires-policy",
      " neighbor hosts peer-group",
      ` neighbor hosts remote-as ${ours}`,
      ...(secret === undefined ? [] : [` neighbor hosts password ${secret}`]),
      ...(isWatching ? [" neighbor hosts bfd"] : []),
      " neighbor hosts timers connect 1",
      ...[ipv4, ipv6].map(({ cidr }) => ` bgp listen range ${cidr} peer-group hosts`),
      ...family(4),
      ...family(6),
    ];
    for (const [daemon, lines] of Object.entries({
      zebra: ["frr defaults traditional"],
      bfdd: [],
      bgpd: configuration,
    }))
      writeFileSync(this.#file(daemon, "conf"), lines.map((line) => `${line}\n`).join(""));
  }

  /** Resolves when all of it runs: each finds the one before it, for what a bgpd asks before there is a bfdd is never asked again. */
  static async begin(fabric: Fabric, options: RoutingOptions): Promise<Routing> {
    const routing = new Routing(fabric, options);
    for (const daemon of ["zebra", "bfdd", "bgpd"] as const) await routing.#begin(daemon);
    return routing;
  }

  #file(daemon: string, kind: string): string {
    return join(this.#directory, `${daemon}.${kind}`);
  }

  async #begin(daemon: "zebra" | "bfdd" | "bgpd"): Promise<void> {
    const places = ["-f", this.#file(daemon, "conf"), "-i", this.#file(daemon, "pid")];
    const sockets = ["--vty_socket", this.#directory, "-z", join(this.#directory, "zserv.api"), "-P", "0"];
    if (daemon === "bfdd") sockets.push("--bfdctl", join(this.#directory, "bfdd.sock"));
    const { outside } = this.#fabric;
    this.#programs.push(this.#fabric.start(outside, `/usr/lib/frr/${daemon}`, ...places, ...sockets));
    const about = ["-d", daemon, "-c", daemon === "zebra" ? "show zebra client" : "show version"];
    await until(`${daemon} does not answer`, WAIT_MS, async () => {
      const { status } = spawnSync("vtysh", ["--vty_socket", this.#directory, ...about]);
      return status === 0 && (daemon !== "bfdd" || this.#isKnown(daemon)) ? true : undefined;
    });
  }

  /** Whether zebra has heard of a program. */
  #isKnown(daemon: string): boolean {
    const asked = ["--vty_socket", this.#directory, "-c", "show zebra client summary"];
    return spawnSync("vtysh", asked, { encoding: "utf8" }).stdout.includes(daemon.replace("bfdd", "bfd"));
  }

  /** Why it ended sessions, a line each with the host's address. */
  get ended(): readonly string[] {
    const said = this.#programs.at(-1)?.said ?? "";
    const all = said.matchAll(/NOTIFICATION: sent to neighbor (\S+) \S+ \((.*)\)/g);
    return [...all].map(([, peer, why]) => `${peer} ${why}`).sort();
  }

  show(command: string): unknown {
    const { stdout } = spawnSync("vtysh", ["--vty_socket", this.#directory, "-c", `show ${command} json`], {
      encoding: "utf8",
    });
    const text = stdout.trim();
    return text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : {};
  }

  /** Next hops of what it holds valid, by prefix. */
  routesOf(version: 4 | 6): ReadonlyMap<string, readonly string[]> {
    const said = at(this.show(`bgp ipv${version} unicast`), "routes") ?? {};
    return new Map(
      Object.entries(said as Readonly<Record<string, readonly unknown[]>>).map(([prefix, paths]) => [
        prefix,
        paths
          .flatMap((path) => (at(path, "nexthops") as readonly unknown[]).map((hop) => String(at(hop, "ip"))))
          .sort(),
      ]),
    );
  }

  get routes(): ReadonlyMap<string, readonly string[]> {
    return this.routesOf(4);
  }

  /** Whether a prefix leads to these next hops and no others. */
  leads(prefix: string, hops: readonly string[]): boolean {
    const held = this.routesOf(prefix.includes(":") ? 6 : 4).get(prefix) ?? [];
    return JSON.stringify(held) === JSON.stringify([...hops].sort());
  }

  /** What it says of its sessions that bear a family, by the address of the host. */
  sessionsOf(version: 4 | 6): Readonly<Record<string, unknown>> {
    const said = at(this.show(`bgp ipv${version} unicast summary`), "peers") ?? {};
    return said as Readonly<Record<string, unknown>>;
  }

  /** Addresses of hosts whose sessions stand. */
  get peers(): readonly string[] {
    const all = { ...this.sessionsOf(4), ...this.sessionsOf(6) };
    return Object.keys(all).filter((address) => at(all[address], "state") === "Established");
  }

  get established(): number {
    return this.peers.length;
  }

  /** Hosts that give signs of life. */
  get watched(): number {
    const peers = this.show("bfd peers");
    return Array.isArray(peers) ? peers.filter((peer) => at(peer, "status") === "up").length : 0;
  }

  async kernel(destination: string): Promise<string> {
    const family = destination.includes(":") ? "-6" : "-4";
    return (await this.#fabric.run(this.#fabric.outside, "ip", family, "route", "show", destination)).said;
  }

  /** All that the kernel and zebra hold, for who did not see what it waited for. */
  async told(): Promise<string> {
    const asked = [
      "show ip route",
      "show ipv6 route",
      "show nexthop-group rib",
      "show bgp ipv4 unicast",
      "show bgp ipv6 unicast",
    ];
    const words = asked.flatMap((command) => ["-c", command]);
    const { stdout } = spawnSync("vtysh", ["--vty_socket", this.#directory, ...words], { encoding: "utf8" });
    const kernel = ["-4 route show", "-6 route show", "nexthop show"].map(async (command) => {
      const { said } = await this.#fabric.run(this.#fabric.outside, "ip", ...command.split(" "));
      return `ip ${command}\n${said}`;
    });
    return [...(await Promise.all(kernel)), stdout].join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // They are other users' than who started them, and in a namespace of their own.
    const end = `kill -9 $(cat ${this.#directory}/*.pid)`;
    await this.#fabric.run(this.#fabric.outside, "sh", "-c", end);
    // A router without power has no routes either, nor next hops: the next zebra would sweep them from the kernel, some after it has used them for its own.
    for (const family of ["-4", "-6"])
      await this.#fabric.run(this.#fabric.outside, "ip", family, "route", "flush", "proto", "bgp");
    await this.#fabric.run(this.#fabric.outside, "ip", "nexthop", "flush");
    for (const program of this.#programs) await program[Symbol.asyncDispose]();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Cuts a host's wire to the outside, or mends it; its way to other hosts stays. */
export function wire(fabric: Fabric, host: string, state: "up" | "down"): void {
  const [file = "", ...words] = enterLab(fabric.firstPid, { kind: "lab" }, ["ip", "link", "set", `pub-${host}`, state]);
  const { status, stderr } = spawnSync(file, words, { encoding: "utf8" });
  if (status !== 0) throw new Error(`the wire of ${host}: ${stderr}`);
}

/** A host's own addresses on an external network, to which what it announces leads. */
export async function hopsOf(fabric: Fabric, network: string, host: string): Promise<readonly string[]> {
  const hosts = at(await fabric.api.ask("GET", "/v1/hosts"), "hosts") as readonly unknown[];
  const id = at(
    hosts.find((each) => at(each, "name") === host),
    "id",
  );
  const found = await fabric.api.ask("GET", `/v2.0/ports?network_id=${network}&device_id=${id}`);
  const [port] = at(found, "ports") as readonly unknown[];
  return (at(port, "fixed_ips") as readonly unknown[]).map((fixed) => String(at(fixed, "ip_address")));
}
