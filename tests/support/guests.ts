/** A fabric of two hosts as a test uses it: machines plugged into ports of its own making, programs that run in them, what their hosts' switches drop and track. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ReasonCode, reasonByCode } from "@selvage/base";
import {
  type Api,
  askAgent,
  at,
  captureInLab,
  dataPaths,
  enterLab,
  type LabPlace,
  labAgentSocket,
  OUTSIDE,
  openFabric,
  openLab,
  placeOf,
  plug,
  unplug,
} from "@selvage/lab";
import { until } from "@selvage/lab/testing";

const MAIN = fileURLToPath(new URL("../../packages/cli/src/main.ts", import.meta.url));
const WAIT_MS = 120_000;

/** A machine and the port that it is plugged into. */
export interface Guest {
  readonly name: string;
  readonly host: string;
  readonly id: string;
  readonly mac: string;
  readonly ip4: string;
  readonly ip6: string;
  readonly room: LabPlace;
}

/** A program that runs in a machine until it is disposed of. */
export class Program implements AsyncDisposable {
  readonly #child: ChildProcess;
  #said = "";

  constructor(argv: readonly string[]) {
    const [file = "", ...args] = argv;
    this.#child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on("data", (bytes: Buffer) => {
        this.#said += bytes.toString();
      });
  }

  /** All that it has said until now. */
  get said(): string {
    return this.#said;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Waits until it has said what matches. Throws an Error when it ends before. */
  says(pattern: RegExp): Promise<RegExpExecArray> {
    return until(`not said: ${pattern}`, WAIT_MS, async () => {
      const found = pattern.exec(this.#said);
      if (found === null && this.hasEnded) throw new Error(`it ended, and said: ${this.#said}`);
      return found ?? undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.hasEnded) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }
}

function selvage(...words: readonly string[]): string {
  const result = spawnSync(process.execPath, [MAIN, ...words], { encoding: "utf8", timeout: 600_000 });
  if (result.status !== 0) throw new Error(`selvage ${words.join(" ")}: ${result.stderr}`);
  return result.stdout;
}

const texts = (value: unknown, key: string): string => {
  const found = at(value, key);
  if (typeof found !== "string") throw new Error(`no text ${key} in ${JSON.stringify(value)}`);
  return found;
};
const members = (value: unknown, key: string): readonly unknown[] => {
  const found = at(value, key);
  return Array.isArray(found) ? found : [];
};

export class Fabric implements AsyncDisposable {
  readonly api: Api;
  readonly #data: string;
  readonly #place: string;
  readonly #socket: string;
  readonly #firstPid: number;

  private constructor(place: string, data: string, api: Api, socket: string, firstPid: number) {
    this.#place = place;
    this.#data = data;
    this.api = api;
    this.#socket = socket;
    this.#firstPid = firstPid;
  }

  /** Brings a fabric with two hosts, or as many as are told, up in a directory of its own. `more`: further words for `selvage up`. */
  static async up(word: string, hosts = 2, more: readonly string[] = []): Promise<Fabric> {
    const place = mkdtempSync(join(tmpdir(), `selvage-${word}-`));
    // The server's user must be able to pass.
    chmodSync(place, 0o755);
    const data = join(place, "data");
    try {
      selvage("up", "--data", data, "--hosts", String(hosts), "--port", "0", "--json", ...more);
      const { api, paths } = await openFabric(data);
      const { lab } = await openLab(data);
      return new Fabric(place, data, api, paths.labSocket, lab.first.pid);
    } catch (cause) {
      end(place, data);
      throw cause;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    end(this.#place, this.#data);
  }

  /** Makes an object of the Networking API and gives its id. `plural`: as its path has it. */
  async make(plural: string, fields: Readonly<Record<string, unknown>>): Promise<string> {
    const kind = plural.replaceAll("-", "_").replace(/s$/, "");
    return texts(at(await this.api.ask("POST", `/v2.0/${plural}`, { [kind]: fields }), kind), "id");
  }

  async change(plural: string, id: string, fields: Readonly<Record<string, unknown>>): Promise<void> {
    const kind = plural.replaceAll("-", "_").replace(/s$/, "");
    await this.api.ask("PUT", `/v2.0/${plural}/${id}`, { [kind]: fields });
    await this.settled();
  }

  async remove(plural: string, id: string): Promise<void> {
    await this.api.ask("DELETE", `/v2.0/${plural}/${id}`);
    await this.settled();
  }

  /** Makes a port with these fields and plugs a machine into it, with the addresses that the port has. */
  async guest(name: string, host: string, fields: Readonly<Record<string, unknown>>): Promise<Guest> {
    const reply = await this.api.ask("POST", "/v2.0/ports", { port: { name, ...fields } });
    const id = texts(at(reply, "port"), "id");
    const machine = await plug(this.api, this.#socket, id, host, WAIT_MS);
    // Its addresses may have come with its host.
    const port = await until(`${name} is not up`, WAIT_MS, async () => {
      const now = at(await this.api.ask("GET", `/v2.0/ports/${id}`), "port");
      return at(now, "status") === "ACTIVE" ? now : undefined;
    });
    const addresses = members(port, "fixed_ips").map((each) => texts(each, "ip_address"));
    const address = (isIpv6: boolean): string => addresses.find((each) => each.includes(":") === isIpv6) ?? "";
    return {
      name,
      host,
      id,
      mac: texts(port, "mac_address"),
      ip4: address(false),
      ip6: address(true),
      room: placeOf(machine),
    };
  }

  /** Pulls a machine out and deletes its port. */
  async leave({ id }: Guest): Promise<void> {
    await unplug(this.api, this.#socket, id);
    await this.api.ask("DELETE", `/v2.0/ports/${id}`);
  }

  /** The socket of a host's agent. */
  async agent(host: string): Promise<string> {
    const socket = await labAgentSocket(dataPaths(this.#data), host);
    if (socket === undefined) throw new Error(`no agent of ${host}`);
    return socket;
  }

  /** Waits until what was asked for last is in force on every host. */
  async settled(): Promise<void> {
    await until("not every host is current", WAIT_MS, async () => {
      const status = await this.api.ask("GET", "/v1/status");
      const isCurrent = (host: unknown): boolean => at(host, "in_force") === at(status, "revision");
      return members(status, "hosts").every(isCurrent) ? true : undefined;
    });
  }

  /** Runs a program in a machine to its end and gives its exit code and what it said. */
  async run(
    { room }: Pick<Guest, "room">,
    ...argv: readonly string[]
  ): Promise<{ readonly code: number; readonly said: string }> {
    const { code, stdout, stderr } = await captureInLab(this.#firstPid, room, argv, WAIT_MS);
    return { code, said: `${stdout}${stderr}` };
  }

  /** Starts a program in a machine. */
  start({ room }: Pick<Guest, "room">, ...argv: readonly string[]): Program {
    return new Program(enterLab(this.#firstPid, room, argv));
  }

  /** The machine outside, on the physical network, as programs run in it. */
  get outside(): Pick<Guest, "room"> {
    return { room: { kind: "host", name: OUTSIDE } };
  }

  /** Where the fabric keeps all that it has. */
  get data(): string {
    return this.#data;
  }

  get firstPid(): number {
    return this.#firstPid;
  }

  /** Packets that a host's switch has dropped for a reason: its number stands in bits 59 to 52 of the dropping flows' cookies. */
  dropped(host: string, reason: ReasonCode): number {
    const { number } = reasonByCode(reason);
    const flows = this.#said(host, "ovs-ofctl", ["-O", "OpenFlow15", "dump-flows"], "br-int.mgmt");
    return flows.split("\n").reduce((sum, line) => {
      const [, cookie = "0"] = /cookie=(0x[0-9a-f]+)/.exec(line) ?? [];
      const [, packets = "0"] = /n_packets=(\d+)/.exec(line) ?? [];
      return Number((BigInt(cookie) >> 52n) & 0xffn) === number ? sum + Number(packets) : sum;
    }, 0);
  }

  /** Runs `work` and waits until the host has counted so many more drops for the reason. */
  async drops<T>(host: string, reason: ReasonCode, count: number, work: () => Promise<T>): Promise<T> {
    const before = this.dropped(host, reason);
    const result = await work();
    await until(`${host} did not count ${count} times ${reason}`, WAIT_MS, async () =>
      this.dropped(host, reason) >= before + count ? true : undefined,
    );
    return result;
  }

  /** Connections that a host's switch tracks for a port now, and how many it may. */
  tracked({ host, id }: Guest): { readonly count: number; readonly limit: number } {
    const database = `--db=unix:${join(this.#data, "hosts", host, "run", "db.sock")}`;
    const words = [database, "get", "bridge", "br-int", `external_ids:selvage-zone-${id}`];
    const zone = spawnSync("ovs-vsctl", words, { encoding: "utf8" }).stdout.trim().replaceAll('"', "");
    const limits = this.appctl(host, "dpctl/ct-get-limits", "netdev@ovs-netdev");
    const [, limit, count] = new RegExp(`zone=${zone},limit=(\\d+),count=(\\d+)`).exec(limits) ?? [];
    if (limit === undefined) throw new Error(`no zone ${zone} of ${id} in ${limits}`);
    return { limit: Number(limit), count: Number(count) };
  }

  /** What a host's switch daemon says to a command (ovs-appctl(8)). */
  appctl(host: string, ...words: readonly string[]): string {
    const target = join(this.#data, "hosts", host, "run", "vswitchd.ctl");
    const result = spawnSync("ovs-appctl", ["-t", target, ...words], { encoding: "utf8" });
    if (result.status !== 0) throw new Error(`ovs-appctl ${words.join(" ")}: ${result.stderr}`);
    return result.stdout;
  }

  /** Ends a host's agent as a crash would; what watches over it starts it again. Resolves when it serves again. */
  async killAgent(host: string): Promise<void> {
    const { agent: before } = this.#pids(host);
    process.kill(before, "SIGKILL");
    await until(`the agent of ${host} is not back`, WAIT_MS, async () => {
      const { agent } = this.#pids(host);
      return agent > 0 && agent !== before ? true : undefined;
    });
    await this.#answers(host);
  }

  /** Ends a host as when its machine loses power: its cables are dead, and its switch, its database and its agent are gone. They come back, its cables do not. */
  kill(host: string): void {
    const { agent, switch: daemon, database } = this.#pids(host);
    this.#cables(host, "down");
    for (const pid of [daemon, database, agent]) if (pid > 0) process.kill(pid, "SIGKILL");
  }

  /** Gives a host that was killed its cables back, once its agent is there again and has found itself alone. */
  async revive(host: string, others: number): Promise<void> {
    await this.#answers(host);
    await this.untilAway(host, others);
    this.#cables(host, "up");
  }

  /** Waits until a host's agent counts so many of the others as away. */
  async untilAway(host: string, count: number): Promise<void> {
    const socket = await this.agent(host);
    await until(`${host} does not count ${count} as away`, WAIT_MS, async () => {
      const { stdout } = spawnSync("curl", ["-s", "--unix-socket", socket, "http://agent/metrics"], {
        encoding: "utf8",
      });
      return Number(/^\w*peers_away\S* (\d+)/m.exec(stdout)?.[1]) === count ? true : undefined;
    });
  }

  /** The far ends of a host's cables. */
  #cables(host: string, state: "up" | "down"): void {
    for (const cable of ["ul", "pub"]) {
      const words = ["ip", "link", "set", `${cable}-${host}`, state];
      const [file = "", ...rest] = enterLab(this.#firstPid, { kind: "lab" }, words);
      const { status, stderr } = spawnSync(file, rest, { encoding: "utf8" });
      if (status !== 0) throw new Error(`${words.join(" ")}: ${stderr}`);
    }
  }

  async #answers(host: string): Promise<void> {
    const socket = await this.agent(host);
    await until(`the agent of ${host} does not have its switch`, WAIT_MS, async () => {
      const status = await askAgent(socket, "/v1/status").catch(() => undefined);
      return at(status, "switch") === "here" && typeof at(status, "inForce") === "number" ? true : undefined;
    });
  }

  /** A host's processes as this machine numbers them; 0 for one that is between two lives. */
  #pids(host: string): Readonly<Record<"database" | "switch" | "agent", number>> {
    const { hosts } = JSON.parse(this.selvage("lab", "hosts", "--json")) as {
      readonly hosts: readonly { readonly name: string; readonly pids: Readonly<Record<string, number | null>> }[];
    };
    const found = hosts.find(({ name }) => name === host);
    if (found === undefined) throw new Error(`no host ${host}`);
    const { database, agent, switch: daemon } = found.pids;
    return { database: database ?? 0, switch: daemon ?? 0, agent: agent ?? 0 };
  }

  /** What a command of ours says of this fabric. Throws an Error when it fails. */
  selvage(...words: readonly string[]): string {
    return selvage(...words, "--data", this.#data);
  }

  #said(host: string, command: string, words: readonly string[], socket: string): string {
    const target = `unix:${join(this.#data, "hosts", host, "run", socket)}`;
    const result = spawnSync(command, [...words, target], { encoding: "utf8", maxBuffer: 1 << 26 });
    if (result.status !== 0) throw new Error(`${command}: ${result.stderr}`);
    return result.stdout;
  }
}

function end(place: string, data: string): void {
  spawnSync(process.execPath, [MAIN, "down", "--purge", "--data", data], { encoding: "utf8", timeout: 600_000 });
  rmSync(place, { recursive: true, force: true });
}
