/** One lab host: a network namespace with its own ovsdb-server, ovs-vswitchd (userspace datapath, ovs-vswitchd.conf.db(5)) and agent. */

import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { attempt, ipBatch, run } from "./command.ts";
import { LabError } from "./failure.ts";
import { bridgeTo, makeWire, PHYSICAL_NETWORK, settleOperator, wireTo } from "./outside.ts";
import { type Supervised, supervise } from "./supervise.ts";
import { UNDERLAY_MTU } from "./underlay.ts";

/** The bridge of the lab's namespace that joins the hosts' uplinks. */
export const UNDERLAY_BRIDGE = "underlay";
/** The bridge on each host that owns the tunnel address: the userspace datapath routes its tunnels only through a bridge of its own. */
export const UPLINK_BRIDGE = "br-ul";
/** The bridge on each host that machines plug into and that the agent programs. */
export const INTEGRATION_BRIDGE = "br-int";

const UPLINK = "uplink";
const SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema";

/** What a host is made from. */
export interface HostPlan {
  /** `h1`, `h2`, … : the name of its namespace and its name to the server. */
  readonly name: string;
  /** Counts from 1; gives its MAC address. */
  readonly number: number;
  readonly tunnelIp: string;
  readonly tunnelPrefix: number;
  /** The physical networks that it has besides `public`. */
  readonly wires: readonly string[];
  /** Its own folder: the switch's database and sockets, the agent's data. */
  readonly directory: string;
  /** The agent to keep running inside; none when absent (a bare host for tests of the switch alone). */
  readonly agent?: AgentPlan;
}

/** The processes of one host's agent. */
export interface AgentPlan {
  /** Runs once before each start when the agent has no identity yet; `undefined` when there is nothing to do. */
  readonly join?: () => Promise<void>;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Resolves when the agent serves. */
  readonly settle?: () => Promise<void>;
  /** Keeps the network of the host's services, in its namespace. */
  readonly services: readonly string[];
}

/** Where things of a host are. */
export interface HostPaths {
  readonly run: string;
  readonly database: string;
  readonly databaseSocket: string;
  readonly switchControl: string;
  readonly agent: string;
}

/** The files of a host inside its folder. */
export function hostPaths(directory: string): HostPaths {
  return {
    run: join(directory, "run"),
    database: join(directory, "conf.db"),
    databaseSocket: join(directory, "run", "db.sock"),
    switchControl: join(directory, "run", "vswitchd.ctl"),
    agent: join(directory, "agent"),
  };
}

/** A running host. */
export interface LabHost {
  readonly plan: HostPlan;
  readonly paths: HostPaths;
  readonly database: Supervised;
  readonly vswitch: Supervised;
  readonly agent: Supervised | undefined;
  /** What keeps the network of the host's services. */
  readonly services: Supervised | undefined;
  /** Runs ovs-vsctl against this host's database and gives its output. */
  vsctl(...words: readonly string[]): Promise<string>;
  stop(): Promise<void>;
}

export interface HostOutput {
  readonly onLine: (source: string, line: string) => void;
  readonly onEvent: (event: string) => void;
}

function macOf(hostNumber: number): string {
  const octets = [0x02, 0x5e, 0x17, (hostNumber >> 16) & 255, (hostNumber >> 8) & 255, hostNumber & 255];
  return octets.map((octet) => octet.toString(16).padStart(2, "0")).join(":");
}

/** A command that runs inside a host's network namespace. */
export function inHost(name: string, argv: readonly string[]): readonly string[] {
  return ["ip", "netns", "exec", name, ...argv];
}

/** Makes the lab's underlay bridge in the namespace this runs in; harmless when it is there. */
export async function makeUnderlay(): Promise<void> {
  const there = await attempt(["ip", "link", "show", UNDERLAY_BRIDGE]);
  if (there.code === 0) return;
  await ipBatch([
    "link set lo up",
    `link add ${UNDERLAY_BRIDGE} type bridge`,
    `link set ${UNDERLAY_BRIDGE} type bridge stp_state 0 mcast_snooping 0`,
    `link set ${UNDERLAY_BRIDGE} mtu ${UNDERLAY_MTU} addrgenmode none up`,
  ]);
}

/** The physical networks that a host has. */
const networksOf = ({ wires }: HostPlan): readonly string[] => [PHYSICAL_NETWORK, ...wires];

async function wire(plan: HostPlan): Promise<void> {
  const { name } = plan;
  const known = await attempt(["ip", "netns", "list"]);
  const there = known.stdout.split("\n").some((line) => line.split(" ")[0] === name);
  if (there) return;
  const outer = `ul-${name}`;
  await ipBatch([
    `netns add ${name}`,
    `link add ${outer} mtu ${UNDERLAY_MTU} type veth peer name ${UPLINK} mtu ${UNDERLAY_MTU} netns ${name}`,
    `link set ${outer} master ${UNDERLAY_BRIDGE} addrgenmode none up`,
  ]);
  await ipBatch(["link set lo up", `link set ${UPLINK} addrgenmode none up`], name);
  for (const network of networksOf(plan)) {
    await makeWire(network);
    await wireTo(network, name);
  }
  await run(["ethtool", "-K", outer, "tx", "off"]);
  await run(inHost(name, ["ethtool", "-K", UPLINK, "tx", "off"]));
  // The uplink belongs to the switch: without this its own kernel interface, too, would answer ARP for the tunnel address, with a MAC
  // address at which no tunnel ends (arp_ignore, Linux ip-sysctl).
  await run(inHost(name, ["sh", "-c", `echo 1 > /proc/sys/net/ipv4/conf/${UPLINK}/arp_ignore`]));
}

/** Where the services of a host are reached. */
const servicesNamespace = (host: string): string => `svc-${host}`;

/** Has them reached for as long as the host is there; nobody waits for it. */
function keepServices(host: string, agent: AgentPlan, output: HostOutput): Supervised {
  const namespace = servicesNamespace(host);
  return supervise({
    name: `${host}/services`,
    argv: inHost(host, ["nsenter", `--net=/run/netns/${namespace}`, ...agent.services]),
    env: agent.env,
    prepare: async () => {
      const there = await attempt(["ip", "netns", "list"]);
      if (there.stdout.split("\n").some((line) => line.split(" ")[0] === namespace)) return;
      await run(["ip", "netns", "add", namespace]);
    },
    onLine: (line) => output.onLine(`${host}/services`, line),
    onEvent: output.onEvent,
  });
}

async function waitFor(what: string, holds: () => Promise<boolean>, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new LabError("start-failed", `${what} did not come within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const START_TIMEOUT_MS = 120_000;

/**
 * Starts a host and resolves when its switch forwards on the underlay and its agent, if any, serves.
 * Must run inside the lab's namespaces, after `makeUnderlay`. What an earlier life of the host left in its folder is taken up.
 */
export async function startHost(plan: HostPlan, output: HostOutput): Promise<LabHost> {
  const paths = hostPaths(plan.directory);
  await mkdir(paths.run, { recursive: true, mode: 0o700 });
  await mkdir(paths.agent, { recursive: true, mode: 0o700 });
  await wire(plan);
  const remote = `unix:${paths.databaseSocket}`;
  const ovsEnv = {
    OVS_RUNDIR: paths.run,
    OVS_DBDIR: plan.directory,
    OVS_SYSCONFDIR: plan.directory,
    OVS_LOGDIR: plan.directory,
  };
  const vsctl = (...words: readonly string[]): Promise<string> =>
    run(["ovs-vsctl", `--db=${remote}`, "-t", "60", ...words]);
  const ready = async (control: string): Promise<boolean> =>
    (await attempt(["ovs-appctl", "-T", "5", "-t", control, "version"], { env: ovsEnv })).code === 0;

  const databaseControl = join(paths.run, "ovsdb.ctl");
  const database = supervise({
    name: `${plan.name}/database`,
    argv: inHost(plan.name, [
      "ovsdb-server",
      paths.database,
      `--remote=p${remote}`,
      "--no-chdir",
      "-vconsole:warn",
      "-vsyslog:off",
      `--unixctl=${databaseControl}`,
    ]),
    env: ovsEnv,
    prepare: async () => {
      await rm(paths.databaseSocket, { force: true });
      const usable = await attempt(["ovsdb-tool", "db-version", paths.database]);
      if (usable.code === 0) return;
      await rm(paths.database, { force: true });
      await rm(join(plan.directory, ".conf.db.~lock~"), { force: true });
      await run(["ovsdb-tool", "create", paths.database, SCHEMA]);
    },
    settle: async () => {
      await waitFor(`${plan.name}: ovsdb-server`, () => ready(databaseControl), START_TIMEOUT_MS);
      await vsctl(
        ...["--no-wait", "init"],
        ...[
          "--",
          "set",
          "Open_vSwitch",
          ".",
          `external_ids:system-id=${plan.name}`,
          `external_ids:hostname=${plan.name}`,
        ],
        ...["--", "--may-exist", "add-br", UPLINK_BRIDGE],
        ...["--", "set", "Bridge", UPLINK_BRIDGE, "datapath_type=netdev", "fail_mode=standalone"],
        `other_config:hwaddr=${macOf(plan.number)}`,
        ...["--", "set", "Interface", UPLINK_BRIDGE, `mtu_request=${UNDERLAY_MTU}`],
        ...["--", "--may-exist", "add-port", UPLINK_BRIDGE, UPLINK],
        ...["--", "set", "Interface", UPLINK, `mtu_request=${UNDERLAY_MTU}`],
        ...networksOf(plan).flatMap((network) => [
          ...["--", "--may-exist", "add-br", bridgeTo(network)],
          ...["--", "set", "Bridge", bridgeTo(network), "datapath_type=netdev", "fail_mode=standalone"],
          ...["--", "--may-exist", "add-port", bridgeTo(network), network],
          ...["--", "set", "Interface", network, `mtu_request=${UNDERLAY_MTU}`],
        ]),
        ...["--", "--may-exist", "add-br", INTEGRATION_BRIDGE],
        ...["--", "set", "Bridge", INTEGRATION_BRIDGE, "datapath_type=netdev", "fail_mode=secure"],
        "protocols=OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15",
        "other_config:disable-in-band=true",
      );
    },
    onLine: (line) => output.onLine(`${plan.name}/database`, line),
    onEvent: output.onEvent,
  });
  await database.ready();

  const address = `${plan.tunnelIp}/${plan.tunnelPrefix}`;
  const vswitch = supervise({
    name: `${plan.name}/switch`,
    argv: inHost(plan.name, [
      "ovs-vswitchd",
      remote,
      "--no-chdir",
      "-vconsole:warn",
      "-vsyslog:off",
      `--unixctl=${paths.switchControl}`,
    ]),
    env: ovsEnv,
    settle: async () => {
      await waitFor(`${plan.name}: ovs-vswitchd`, () => ready(paths.switchControl), START_TIMEOUT_MS);
      await vsctl("get", "Open_vSwitch", ".", "ovs_version"); // returns once the switch has taken the configuration up
      for (const bridge of [UPLINK_BRIDGE, ...networksOf(plan).map(bridgeTo)]) {
        const link = async (): Promise<boolean> =>
          (await attempt(["ip", "-n", plan.name, "link", "show", bridge])).code === 0;
        await waitFor(`${plan.name}: ${bridge}`, link, START_TIMEOUT_MS);
      }
      const nodad = plan.tunnelIp.includes(":") ? " nodad" : "";
      await ipBatch(
        [`addr replace ${address} dev ${UPLINK_BRIDGE}${nodad}`, `link set ${UPLINK_BRIDGE} up`],
        plan.name,
      );
      await run(inHost(plan.name, ["ethtool", "-K", UPLINK_BRIDGE, "tx", "off"]));
      await settleOperator(plan.name, plan.number);
    },
    onLine: (line) => output.onLine(`${plan.name}/switch`, line),
    onEvent: output.onEvent,
  });
  await vswitch.ready();

  let agent: Supervised | undefined;
  const agentPlan = plan.agent;
  if (agentPlan !== undefined) {
    agent = supervise({
      name: `${plan.name}/agent`,
      argv: inHost(plan.name, agentPlan.argv),
      env: agentPlan.env,
      ...(agentPlan.join === undefined ? {} : { prepare: agentPlan.join }),
      ...(agentPlan.settle === undefined ? {} : { settle: agentPlan.settle }),
      onLine: (line) => output.onLine(`${plan.name}/agent`, line),
      onEvent: output.onEvent,
    });
    await agent.ready();
  }
  const services = agentPlan === undefined ? undefined : keepServices(plan.name, agentPlan, output);

  return {
    plan,
    paths,
    database,
    vswitch,
    agent,
    services,
    vsctl,
    async stop() {
      await services?.stop(2_000);
      await agent?.stop(2_000);
      await vswitch.stop(2_000);
      await database.stop(2_000);
      for (const namespace of [plan.name, servicesNamespace(plan.name)])
        await attempt(["ip", "netns", "delete", namespace]);
    },
  };
}
