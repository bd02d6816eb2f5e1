/**
 * A host with a real Open vSwitch for tests: a network namespace with its own database and switch (userspace datapath), an uplink whose wire ends in
 * this process, and machines that are either sockets of frames (netdev-dummy's stream, ovs-vswitchd(8) `--enable-dummy`) or namespaces with a kernel's stack.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const schema = "/usr/share/openvswitch/vswitch.ovsschema";
const binaries = [
  "/usr/sbin/ovs-vswitchd",
  "/usr/sbin/ovsdb-server",
  "/usr/bin/ovs-vsctl",
  "/usr/bin/ovs-ofctl",
  "/usr/bin/nsenter",
  schema,
];
const underlayMtu = 9000;
export const uplinkBridge = "br-ul";
export const integrationBridge = "br-int";

/** A cable whose far end is this process: frames go in and come out. */
export class Wire {
  readonly #socket: Socket;
  #held = Buffer.alloc(0);

  constructor(socket: Socket, receive: (frame: Uint8Array) => void) {
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => {
      this.#held = Buffer.concat([this.#held, bytes]);
      for (let end = this.#end(); end <= this.#held.length; end = this.#end()) {
        receive(Uint8Array.from(this.#held.subarray(2, end)));
        this.#held = this.#held.subarray(end);
      }
    });
    // The switch closes its end when it stops; who wrote meanwhile finds out from what does not arrive.
    socket.on("error", () => socket.destroy());
  }

  /** Where the first frame held ends; beyond all that is held while its length is not known. */
  #end(): number {
    return this.#held.length < 2 ? Number.POSITIVE_INFINITY : 2 + this.#held.readUInt16BE(0);
  }

  /** Each frame goes with its length before it. */
  send(frame: Uint8Array): void {
    const bytes = Buffer.alloc(2 + frame.length);
    bytes.writeUInt16BE(frame.length, 0);
    bytes.set(frame, 2);
    this.#socket.write(bytes);
  }

  close(): void {
    this.#socket.destroy();
  }
}

function wireTo(path: string, receive: (frame: Uint8Array) => void): Promise<Wire> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(new Wire(socket, receive));
    });
  });
}

/** A process of ours, which the kernel ends if this one dies before it can. */
function daemon(argv: readonly string[], env: NodeJS.ProcessEnv = process.env): ChildProcess {
  return spawn("setpriv", ["--pdeathsig", "TERM", ...argv], { env, stdio: "ignore" });
}

function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill(signal);
  });
}

/** A namespace of its own, there for as long as its process is. */
class Namespace {
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async make(): Promise<Namespace> {
    // The word comes from inside: then the namespace is there.
    const holder = spawn(
      "setpriv",
      ["--pdeathsig", "TERM", "unshare", "-n", "sh", "-c", "echo here; exec sleep infinity"],
      {
        stdio: ["ignore", "pipe", "ignore"],
      },
    );
    await new Promise((resolve, reject) => {
      holder.once("error", reject);
      holder.once("exit", (code) =>
        reject(new Error(`no namespace could be made (exit code ${code}): tests of the switch need root`)),
      );
      holder.stdout.once("data", resolve);
    });
    return new Namespace(holder);
  }

  get pid(): string {
    return String(this.#holder.pid);
  }

  within(argv: readonly string[]): readonly string[] {
    return ["nsenter", `--net=/proc/${this.pid}/ns/net`, ...argv];
  }

  async exec(...argv: readonly string[]): Promise<string> {
    const [file = "", ...rest] = this.within(argv);
    return (await run(file, rest, { maxBuffer: 1 << 26 })).stdout;
  }

  end(): Promise<void> {
    this.#holder.removeAllListeners("exit");
    return ended(this.#holder, "SIGKILL");
  }
}

/** A machine with a kernel's stack, plugged by a pair of virtual cables. */
export class Machine {
  readonly namespace: Namespace;

  constructor(namespace: Namespace) {
    this.namespace = namespace;
  }

  exec(...argv: readonly string[]): Promise<string> {
    return this.namespace.exec(...argv);
  }

  /** Runs a program until the signal is aborted; resolves when it has ended. */
  async run(argv: readonly string[], signal: AbortSignal): Promise<void> {
    const child = daemon(this.namespace.within(argv));
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", () => resolve());
      signal.addEventListener("abort", () => child.kill("SIGKILL"), { once: true });
    });
  }
}

export interface OvsHostPlan {
  readonly address: string;
  readonly mac: string;
  /** Frames that the host puts on the underlay. */
  readonly underlay: (frame: Uint8Array) => void;
}

export class OvsHost {
  readonly plan: OvsHostPlan;
  readonly directory: string;
  readonly #namespace: Namespace;
  readonly #env: NodeJS.ProcessEnv;
  readonly #machines: Namespace[] = [];
  readonly #wires = new Map<string, { wire: Wire; readonly receive: (frame: Uint8Array) => void }>();
  #database: ChildProcess | undefined;
  #switch: ChildProcess | undefined;
  #uplink: Wire | undefined;
  readonly #physical: string[] = [];
  #starts = 0;
  #plugs = 0;

  private constructor(plan: OvsHostPlan, directory: string, namespace: Namespace) {
    this.plan = plan;
    this.directory = directory;
    this.#namespace = namespace;
    this.#env = {
      ...process.env,
      OVS_RUNDIR: directory,
      OVS_DBDIR: directory,
      OVS_SYSCONFDIR: directory,
      OVS_LOGDIR: directory,
    };
  }

  /** Starts database and switch, with the uplink's bridge and nothing else. Throws when Open vSwitch is not installed. Needs root. */
  static async start(plan: OvsHostPlan): Promise<OvsHost> {
    const missing = binaries.filter((path) => !existsSync(path));
    if (missing.length > 0)
      throw new Error(`Open vSwitch is not installed (${missing.join(", ")}): run ./selvage setup`);
    const directory = await mkdtemp(join(tmpdir(), "selvage-ovs-"));
    const host = new OvsHost(plan, directory, await Namespace.make());
    try {
      await host.#startDatabase();
      await host.startSwitch();
      return host;
    } catch (error) {
      await host.dispose();
      throw error;
    }
  }

  /** Where the database listens. */
  get database(): string {
    return `unix:${join(this.directory, "db.sock")}`;
  }

  async vsctl(...args: readonly string[]): Promise<string> {
    const all = [`--db=${this.database}`, "--retry", "--timeout=30", ...args];
    return (await run("ovs-vsctl", all, { env: this.#env })).stdout;
  }

  /** `ovs-ofctl -O OpenFlow15 <command> <the integration bridge> …`. */
  async ofctl(command: string, ...args: readonly string[]): Promise<string> {
    const all = ["-O", "OpenFlow15", command, `unix:${join(this.directory, `${integrationBridge}.mgmt`)}`, ...args];
    return (await run("ovs-ofctl", all, { env: this.#env, maxBuffer: 1 << 28 })).stdout;
  }

  async appctl(...args: readonly string[]): Promise<string> {
    const control = join(this.directory, "switch.ctl");
    return (await run("ovs-appctl", ["-t", control, ...args], { env: this.#env, maxBuffer: 1 << 26 })).stdout;
  }

  exec(...argv: readonly string[]): Promise<string> {
    return this.#namespace.exec(...argv);
  }

  /** The words that run a program in the host's namespace, and where that namespace is. */
  within(argv: readonly string[]): readonly string[] {
    return this.#namespace.within(argv);
  }
  get namespace(): string {
    return `/proc/${this.#namespace.pid}/ns/net`;
  }

  async #startDatabase(): Promise<void> {
    const file = join(this.directory, "conf.db");
    await run("ovsdb-tool", ["create", file, schema], { env: this.#env });
    const options = [`--remote=p${this.database}`, "--no-chdir", "-vconsole:off", "-vsyslog:off", file];
    this.#database = daemon(["ovsdb-server", ...options], this.#env);
    const v6 = this.plan.address.includes(":");
    if (!v6)
      await this.exec("sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1");
    await this.exec("ip", "link", "set", "lo", "up");
    await this.vsctl(
      ...["--no-wait", "init", "--", "add-br", uplinkBridge],
      ...["--", "set", "bridge", uplinkBridge, "datapath_type=netdev", "fail_mode=standalone"],
      `other_config:hwaddr="${this.plan.mac}"`,
      ...["--", "set", "interface", uplinkBridge, `mtu_request=${underlayMtu}`],
      ...["--", "add-port", uplinkBridge, "uplink", "--", "set", "interface", "uplink", "type=dummy"],
      ...[`mtu_request=${underlayMtu}`, `options:pstream="punix:${join(this.directory, "uplink.wire")}"`],
    );
  }

  /** Starts the switch and resolves when it has done all that its database says, and its wires are held again. */
  async startSwitch(): Promise<void> {
    const options = ["--enable-dummy", "--disable-system", "--no-chdir", "-vconsole:off", "-vsyslog:off"];
    const control = `--unixctl=${join(this.directory, "switch.ctl")}`;
    this.#switch = daemon(this.#namespace.within(["ovs-vswitchd", this.database, ...options, control]), this.#env);
    this.#starts += 1;
    // Counters are brought in by every look through the cached flows: five times as often as by default, for tests wait for them.
    const often = "other_config:max-revalidator=100";
    await this.vsctl("set", "open_vswitch", ".", `external_ids:starts=${this.#starts}`, often);
    this.#uplink = await wireTo(join(this.directory, "uplink.wire"), this.plan.underlay);
    // What a kernel says when an interface comes up (RFC 4861, RFC 3810) would be lost, and counted, until the switch has taken the wire: which it has done
    // when it has gone round twice.
    for (let round = 0; round < 2; round += 1) await this.appctl("version");
    const { address } = this.plan;
    const v6 = address.includes(":");
    const length = v6 ? "64" : "24";
    await this.exec("ip", "address", "replace", `${address}/${length}`, "dev", uplinkBridge, ...(v6 ? ["nodad"] : []));
    await this.exec("ip", "link", "set", uplinkBridge, "up");
    await this.exec("ethtool", "-K", uplinkBridge, "tx", "off");
    for (const [name, held] of this.#wires)
      held.wire = await wireTo(join(this.directory, `${name}.wire`), held.receive);
  }

  /** Ends the switch as a crash would. */
  async stopSwitch(): Promise<void> {
    this.#uplink?.close();
    for (const { wire } of this.#wires.values()) wire.close();
    if (this.#switch !== undefined) await ended(this.#switch, "SIGKILL");
    this.#switch = undefined;
  }

  get isUp(): boolean {
    return this.#switch !== undefined;
  }

  /** A frame from the underlay. */
  receive(frame: Uint8Array): void {
    this.#uplink?.send(frame);
  }

  /** Adds an interface that names a port, with a wire to this process. Gives the interface's name. */
  async plugWire(port: string, receive: (frame: Uint8Array) => void): Promise<string> {
    return this.#addWire(integrationBridge, receive, `external_ids:iface-id=${port}`);
  }

  /** Makes a bridge to a physical network, with a wire to this process. Gives the wire's name. */
  async plugPhysical(bridge: string, receive: (frame: Uint8Array) => void): Promise<string> {
    const kind = ["datapath_type=netdev", "fail_mode=standalone"];
    await this.vsctl("add-br", bridge, "--", "set", "bridge", bridge, ...kind);
    this.#physical.push(bridge);
    const name = await this.#addWire(bridge, receive);
    // What is sent before the switch has taken the wire is lost.
    for (let round = 0; round < 2; round += 1) await this.appctl("version");
    return name;
  }

  /** How large a frame may be is for rows to say, not for the interface. */
  async #addWire(bridge: string, receive: (frame: Uint8Array) => void, ...more: readonly string[]): Promise<string> {
    this.#plugs += 1;
    const name = `wire${this.#plugs}`;
    const path = join(this.directory, `${name}.wire`);
    await this.vsctl(
      ...["add-port", bridge, name, "--", "set", "interface", name, "type=dummy"],
      ...[`options:pstream="punix:${path}"`, `mtu_request=${underlayMtu}`, ...more],
    );
    this.#wires.set(name, { wire: await wireTo(path, receive), receive });
    return name;
  }

  /** Puts a frame into the switch by a wire. */
  send(name: string, frame: Uint8Array): void {
    const held = this.#wires.get(name);
    if (held === undefined) throw new Error(`no wire ${name}`);
    held.wire.send(frame);
  }

  async unplug(name: string): Promise<void> {
    await this.vsctl("del-port", integrationBridge, name);
    this.#wires.get(name)?.wire.close();
    this.#wires.delete(name);
  }

  /** Plugs a machine with a kernel of its own: `addresses` with their prefix lengths; `mtu` is what the machine believes. */
  async plugMachine(port: string, mac: string, addresses: readonly string[], mtu = 1400): Promise<Machine> {
    this.#plugs += 1;
    const name = `machine${this.#plugs}`;
    const inside = await Namespace.make();
    this.#machines.push(inside);
    await this.exec(...["ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", inside.pid]);
    await this.exec("ip", "link", "set", name, "up");
    await this.exec("ethtool", "-K", name, "tx", "off");
    await inside.exec("ip", "link", "set", "lo", "up");
    await inside.exec("ip", "link", "set", "eth0", "address", mac, "mtu", String(mtu), "up");
    await inside.exec("ethtool", "-K", "eth0", "tx", "off");
    for (const address of addresses) {
      await inside.exec("ip", "address", "add", address, "dev", "eth0", ...(address.includes(":") ? ["nodad"] : []));
    }
    await this.vsctl(
      "add-port",
      integrationBridge,
      name,
      "--",
      "set",
      "interface",
      name,
      `external_ids:iface-id=${port}`,
    );
    return new Machine(inside);
  }

  /** Takes all machines and wires away, and the bridge that they were plugged into. The switch must be up. */
  async clear(): Promise<void> {
    for (const bridge of [integrationBridge, ...this.#physical.splice(0)])
      await this.vsctl("--if-exists", "del-br", bridge);
    for (const { wire } of this.#wires.values()) wire.close();
    this.#wires.clear();
    for (const machine of this.#machines.splice(0)) await machine.end();
  }

  async dispose(): Promise<void> {
    await this.stopSwitch();
    if (this.#database !== undefined) await ended(this.#database, "SIGTERM");
    for (const machine of this.#machines) await machine.end();
    await this.#namespace.end();
    await rm(this.directory, { recursive: true, force: true });
  }
}
