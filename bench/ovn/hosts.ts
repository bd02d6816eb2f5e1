/** Hosts with real switches (userspace datapath) in network namespaces, their uplinks joined by a cable, and guests with a kernel's stack. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { until } from "../bench.ts";
import { SwitchDatabase } from "../fabric.ts";
import { type Ground, uplink, wire } from "./ground.ts";
import {
  addressOf,
  cidrOf,
  gatewayOf,
  guestMtu,
  hostName,
  macOf,
  nameOf,
  type PlannedPort,
  tunnelAddress,
} from "./plan.ts";
import { Daemon, Namespace, run } from "./processes.ts";

const schema = "/usr/share/openvswitch/vswitch.ovsschema";
const bridge = "br-int";
const physicalBridge = "br-public";
/** How both systems are told of it: the physical network `public` is reached by that bridge. */
export const bridgeMappings = `public:${physicalBridge}`;

/** Interfaces that one transaction adds: of more at once a busy switch says nothing for so long that its drivers take it for gone. */
const step = 500;

export class Host {
  readonly number: number;
  /** `run/db.sock` and the rest of the switch is in it. */
  readonly directory: string;
  readonly namespace: Namespace;
  readonly env: NodeJS.ProcessEnv;
  readonly #guests: Namespace[] = [];
  readonly #daemons: Daemon[] = [];
  #switch: Daemon | undefined;
  #database: SwitchDatabase | undefined;

  private constructor(number: number, directory: string, namespace: Namespace) {
    this.number = number;
    this.directory = directory;
    this.namespace = namespace;
    const place = join(directory, "run");
    this.env = {
      ...process.env,
      OVS_RUNDIR: place,
      OVS_DBDIR: place,
      OVS_SYSCONFDIR: place,
      OVS_LOGDIR: place,
      OVN_RUNDIR: place,
    };
  }

  static async start(number: number, directory: string): Promise<Host> {
    await mkdir(join(directory, "run"), { recursive: true });
    const host = new Host(number, directory, await Namespace.make());
    try {
      await host.#start();
      return host;
    } catch (error) {
      await host.end();
      throw error;
    }
  }

  get name(): string {
    return hostName(this.number);
  }

  get database(): string {
    return `unix:${this.#at("db.sock")}`;
  }

  #at(file: string): string {
    return join(this.directory, "run", file);
  }

  vsctl(...args: readonly string[]): Promise<string> {
    return run(["ovs-vsctl", `--db=${this.database}`, "--retry", "--timeout=120", ...args], this.env);
  }

  appctl(...args: readonly string[]): Promise<string> {
    return run(["ovs-appctl", "-t", this.#at("switch.ctl"), ...args], this.env);
  }

  /** Flows that the switch holds, by `dump-aggregate`. */
  async flows(): Promise<number> {
    const text = await run(["ovs-ofctl", "-O", "OpenFlow15", "dump-aggregate", `unix:${this.#at(`${bridge}.mgmt`)}`]);
    return Number(/flow_count=(\d+)/.exec(text)?.[1]);
  }

  /** A process in the host's namespace, which ends with the host. */
  daemon(...argv: readonly string[]): Daemon {
    const made = new Daemon(this.namespace.within(...argv), this.env);
    this.#daemons.push(made);
    return made;
  }

  /** The same, started again when it falls. */
  lastingDaemon(...argv: readonly string[]): Daemon {
    const made = new Daemon(this.namespace.within(...argv), this.env, { comesAgain: true });
    this.#daemons.push(made);
    return made;
  }

  /** How often one of its daemons fell and was started again. */
  get falls(): number {
    return this.#daemons.reduce((sum, { falls }) => sum + falls, 0);
  }

  /** What should run and does not. */
  get deaths(): readonly string[] {
    return this.#daemons.flatMap((each) => each.death ?? []).map((text) => `${this.name}: ${text}`);
  }

  get switchCpuSeconds(): number {
    return this.#switch?.cpuSeconds ?? 0;
  }

  async #start(): Promise<void> {
    const { namespace } = this;
    await namespace.script("sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
    await run(["ovsdb-tool", "create", this.#at("conf.db"), schema], this.env);
    const quiet = ["--no-chdir", "-vconsole:off", "-vsyslog:off"];
    this.daemon(
      "ovsdb-server",
      `--remote=p${this.database}`,
      `--unixctl=${this.#at("db.ctl")}`,
      ...quiet,
      this.#at("conf.db"),
    );
    await this.vsctl("--no-wait", "init", "--", "set", "open_vswitch", ".", `external_ids:system-id=${this.name}`);
    const control = `--unixctl=${this.#at("switch.ctl")}`;
    this.#switch = this.daemon("ovs-vswitchd", this.database, "--enable-dummy", "--disable-system", control, ...quiet);
    await this.vsctl("add-br", "br-ul", "--", "set", "bridge", "br-ul", "datapath_type=netdev", "fail_mode=standalone");
    await this.vsctl(
      ...["add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev", "fail_mode=secure"],
      "other_config:disable-in-band=true",
    );
    await namespace.script(
      `ip address add ${tunnelAddress(this.number)}/16 dev br-ul`,
      "ip link set br-ul up",
      "ethtool -K br-ul tx off > /dev/null",
    );
    this.#database = await SwitchDatabase.open(this.directory);
  }

  /** Joins the uplinks of two hosts. */
  async cableTo(other: Host): Promise<void> {
    const veth = ["link", "add", uplink, "type", "veth", "peer", "name", uplink, "netns", other.namespace.pid];
    await this.namespace.exec("ip", ...veth);
    for (const host of [this, other]) {
      await host.namespace.script(`ip link set ${uplink} up`, `ethtool -K ${uplink} tx off > /dev/null`);
      await host.vsctl("add-port", "br-ul", uplink);
    }
    await this.reaches(other);
  }

  /** Joins it to what all stand on; a bridge leads to the physical network. */
  async standOn(ground: Ground): Promise<void> {
    await ground.cable(this.number, this.namespace);
    const kind = ["--", "set", "bridge", physicalBridge, "datapath_type=netdev", "fail_mode=standalone"];
    await this.vsctl(
      ...["add-port", "br-ul", uplink, "--", "add-br", physicalBridge, ...kind],
      ...["--", "add-port", physicalBridge, wire],
    );
  }

  async reaches(other: Host): Promise<void> {
    await until("the underlay", 20_000, async () => {
      const words = ["ping", "-c", "1", "-W", "1", tunnelAddress(other.number)];
      return this.namespace.exec(...words).then(
        () => true,
        () => undefined,
      );
    });
  }

  /** Adds interfaces without a machine behind them, each of which names its port. */
  async plugDummies(ports: readonly PlannedPort[]): Promise<void> {
    for (let at = 0; at < ports.length; at += step) {
      const some = ports.slice(at, at + step);
      await this.#database?.addDummies(some.map((port) => ({ name: nameOf(port), port: ifaceId(port) })));
    }
  }

  /** A guest with its address and a default route; its interface is there and names no port yet. */
  async makeGuest(port: PlannedPort): Promise<Guest> {
    const name = nameOf(port);
    const inside = await Namespace.make();
    this.#guests.push(inside);
    await this.namespace.script(
      `ip link add ${name} type veth peer name eth0 address ${macOf(port)} mtu ${guestMtu} netns ${inside.pid}`,
      `ip link set ${name} up`,
      `ethtool -K ${name} tx off > /dev/null`,
    );
    const prefix = cidrOf(port.network).split("/")[1];
    await inside.script(
      "echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6",
      "ethtool -K eth0 tx off > /dev/null",
      "ip link set eth0 up",
      `ip address add ${addressOf(port)}/${prefix} dev eth0`,
      `ip route add default via ${gatewayOf(port.network)}`,
      "sysctl -q -w net.ipv4.tcp_tw_reuse=1 net.ipv4.ip_local_port_range='10000 60999'",
    );
    await this.#database?.add(name);
    return { port, namespace: inside, host: this };
  }

  /** Says which port a guest's interface is of. */
  async plug({ port }: Guest): Promise<void> {
    await this.#database?.name(nameOf(port), ifaceId(port));
  }

  async removeGuest({ port, namespace }: Guest): Promise<void> {
    await this.#database?.remove(nameOf(port));
    this.#guests.splice(this.#guests.indexOf(namespace), 1);
    await namespace.end();
  }

  async end(): Promise<void> {
    this.#database?.[Symbol.dispose]();
    for (const daemon of this.#daemons.toReversed()) await daemon.end();
    for (const guest of this.#guests) await guest.end();
    await this.namespace.end();
  }
}

export interface Guest {
  readonly port: PlannedPort;
  readonly namespace: Namespace;
  readonly host: Host;
}

/** What an interface names: the same in both systems. */
export const ifaceId = ({ number }: PlannedPort): string =>
  `00000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}`;

/** So many hosts on one underlay: two, joined by a cable, or one; or up to three that stand on a ground. */
export async function startHosts(count: HostCount, directory: string, ground?: Ground): Promise<readonly Host[]> {
  const hosts: Host[] = [];
  try {
    for (let number = 1; number <= count; number += 1)
      hosts.push(await Host.start(number, join(directory, hostName(number))));
    const [first, ...others] = hosts;
    if (ground !== undefined) for (const host of hosts) await host.standOn(ground);
    for (const other of others) {
      if (ground === undefined) await first?.cableTo(other);
      else await first?.reaches(other);
    }
    return hosts;
  } catch (error) {
    for (const host of hosts) await host.end();
    throw error;
  }
}

export type HostCount = 1 | 2 | 3;
