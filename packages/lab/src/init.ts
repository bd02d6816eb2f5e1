/** The lab's supervisor, inside its private namespaces: brings recorded hosts and machines up, keeps their processes alive, obeys the control channel. */

import { access, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type LineSink, logFile } from "./bounded-log.ts";
import { run } from "./command.ts";
import {
  type ControlReplies,
  type ControlRequest,
  type HostState,
  type LabState,
  type MachineState,
  type ProcessState,
  serveControl,
} from "./control.ts";
import { LabError } from "./failure.ts";
import { type AgentPlan, type HostPlan, hostPaths, inHost, type LabHost, makeUnderlay, startHost } from "./host.ts";
import { type LabRecord, type RecordedHost, readLabRecord, writeLabRecord } from "./lab-record.ts";
import { dropStalePorts, type LabMachine, type MachinePlan, startMachine } from "./machine.ts";
import { bridgeTo, makeOutside, PHYSICAL_NETWORK } from "./outside.ts";
import { dataPaths, hostDirectory, JOINED } from "./paths.ts";
import { message, type Supervised } from "./supervise.ts";
import { parseUnderlay } from "./underlay.ts";

/** How the lab starts agents; told by whoever starts the lab. */
export interface LabLaunch {
  readonly dataDirectory: string;
  /** The words before `agent run`: the pinned Node and the program; `null` for bare hosts without agents. */
  readonly selvage: readonly string[] | null;
  /** Where agents join and sync: a unix socket, since a host's namespace has no route to the server. */
  readonly serverSocket: string;
}

/** Servers, as hosts reach them, that agents ask for names of elsewhere; empty: none. */
const nameServers = process.env.SELVAGE_LAB_DNS_SERVERS ?? "";

const HOST_TIMEOUT_MS = 180_000;

function processState(supervised: Supervised): ProcessState {
  return { pid: supervised.pid ?? null, starts: supervised.starts };
}

const byName = (one: { readonly name: string }, other: { readonly name: string }): number =>
  one.name.localeCompare(other.name, "en", { numeric: true });

function hostState(host: LabHost): HostState {
  return {
    name: host.plan.name,
    tunnelIp: host.plan.tunnelIp,
    directory: host.plan.directory,
    database: processState(host.database),
    vswitch: processState(host.vswitch),
    agent: host.agent === undefined ? null : processState(host.agent),
  };
}

function machineState(machine: LabMachine): MachineState {
  const { plan, places, lease } = machine;
  return {
    port: plan.port,
    name: plan.name,
    host: plan.host,
    mac: plan.mac,
    ipv4: lease.address ?? null,
    ipv6: lease.address6 === undefined ? plan.ipv6 : [...plan.ipv6, lease.address6],
    dhcp: plan.dhcp || plan.dhcp6 !== undefined ? lease.state : "off",
    namespace: places.namespace,
    holder: machine.holder.pid ?? null,
    tap: places.tap,
  };
}

/** A running supervisor. */
export interface LabInit {
  stop(): Promise<void>;
}

/**
 * Runs the lab until it is stopped. Must be called inside fresh PID, mount and network namespaces with `/run` private (init.sh).
 * @param onStop called once, when the control channel asked to stop and everything has ended
 */
export async function startLabInit(launch: LabLaunch, onStop: () => void): Promise<LabInit> {
  const paths = dataPaths(launch.dataDirectory);
  await mkdir(paths.logs, { recursive: true, mode: 0o700 });
  await mkdir(paths.hosts, { recursive: true, mode: 0o700 });
  const logs = new Map<string, LineSink>();
  const write = (source: string, line: string): void => {
    const file = source.startsWith("machine ") ? "machines" : source.replaceAll("/", "-");
    const log = logs.get(file) ?? logFile(join(paths.logs, `${file}.log`));
    logs.set(file, log);
    log.write(`${line}\n`);
  };
  const lastEvents = new Map<string, string>();
  const event = (text: string): void => {
    lastEvents.set(text.split(/[/:]/)[0] ?? "", text);
    write("lab", `${new Date().toISOString()} ${text}`);
  };
  const output = { onLine: write, onEvent: event };

  const initial = await readLabRecord(paths.labRecord);
  if (initial === undefined) throw new LabError("data-dir", `${paths.labRecord} is missing`);
  let record: LabRecord = initial;
  const underlay = parseUnderlay(record.underlay);
  let saved: Promise<void> = Promise.resolve();
  // Writers come side by side: each write takes the record as it is then, one after another.
  const save = (next: LabRecord): Promise<void> => {
    record = next;
    const write = (): Promise<void> => writeLabRecord(paths.labRecord, record);
    saved = saved.then(write, write);
    return saved;
  };
  await run(["mount", "--make-rprivate", "/"]);
  await makeUnderlay();
  await makeOutside();

  const hosts = new Map<string, LabHost>();
  const machines = new Map<string, LabMachine>();
  const tokens = new Map<string, string>();
  let settled = false;
  let stopping: Promise<void> | undefined;

  // Whatever changes one host happens in order; hosts change side by side.
  const queues = new Map<string, Promise<unknown>>();
  const inOrder = <T>(host: string, work: () => Promise<T>): Promise<T> => {
    const before = queues.get(host) ?? Promise.resolve();
    const result = before.then(work, work);
    queues.set(
      host,
      result.catch(() => undefined),
    );
    return result;
  };

  const agentPlan = ({ name, tunnelIp, wires = [] }: RecordedHost, directory: string): AgentPlan | undefined => {
    const { selvage } = launch;
    if (selvage === null) return undefined;
    const data = hostPaths(directory).agent;
    const joined = join(directory, JOINED);
    return {
      join: async () => {
        const done = await access(joined).then(
          () => true,
          () => false,
        );
        if (done) return;
        const token = tokens.get(name);
        if (token === undefined)
          throw new LabError("start-failed", `${name} has not joined and has no token`, "run ./selvage up again");
        // The token goes by standard input: command lines are for all to see, and errors quote them.
        const words = [
          "agent",
          "join",
          "--no-config",
          `unix:${launch.serverSocket}`,
          "-",
          "--data",
          data,
          "--tunnel-ip",
          tunnelIp,
        ];
        await run(inHost(name, [...selvage, ...words]), { input: `${token}\n` });
        tokens.delete(name);
        await writeFile(joined, "");
      },
      argv: [
        ...selvage,
        ...["agent", "run", "--no-config", "--data", data, "--ovsdb", `unix:${hostPaths(directory).databaseSocket}`],
        // As the lab makes its bridges (host.ts).
        ...["--tunnel-ip", tunnelIp, "--datapath-type", "netdev"],
        ...["--bridge-mappings", [PHYSICAL_NETWORK, ...wires].map((each) => `${each}:${bridgeTo(each)}`).join()],
        ...(nameServers === "" ? [] : ["--dns-servers", nameServers]),
      ],
      services: [...selvage, "services", "run", "--data", data, "--switch-namespace", `/run/netns/${name}`],
      env: {},
    };
  };

  const ensureHost = (known: RecordedHost): Promise<LabHost> =>
    inOrder(known.name, async () => {
      const running = hosts.get(known.name);
      if (running !== undefined) return running;
      const directory = hostDirectory(paths, known.name);
      const agent = agentPlan(known, directory);
      const plan: HostPlan = {
        name: known.name,
        number: known.number,
        tunnelIp: known.tunnelIp,
        tunnelPrefix: underlay.prefix,
        wires: known.wires ?? [],
        directory,
        ...(agent === undefined ? {} : { agent }),
      };
      const host = await startHost(plan, output);
      const planned = record.machines.filter((machine) => machine.host === known.name).map((machine) => machine.port);
      await dropStalePorts(host, planned);
      hosts.set(known.name, host);
      event(`${known.name}: ready at ${known.tunnelIp}`);
      return host;
    });

  const ensureMachine = async (plan: MachinePlan): Promise<LabMachine> => {
    const host = hosts.get(plan.host);
    if (host === undefined) {
      const names = record.hosts.map((known) => known.name).join(", ");
      throw new LabError("unknown-host", `the lab has no host "${plan.host}"`, `its hosts: ${names}`);
    }
    const elsewhere = machines.get(plan.port);
    if (elsewhere !== undefined && elsewhere.plan.host !== plan.host) await removeMachine(plan.port);
    return inOrder(plan.host, async () => {
      const running = machines.get(plan.port);
      if (running !== undefined && JSON.stringify(running.plan) === JSON.stringify(plan)) return running;
      await running?.stop();
      machines.delete(plan.port);
      const machine = await startMachine(plan, host, output);
      machines.set(plan.port, machine);
      event(`machine ${plan.name} (${plan.port}): plugged into ${plan.host}`);
      return machine;
    });
  };

  const removeMachine = async (port: string): Promise<boolean> => {
    const machine = machines.get(port);
    if (machine === undefined) return false;
    return inOrder(machine.plan.host, async () => {
      if (machines.get(port) !== machine) return false;
      machines.delete(port);
      await machine.stop();
      event(`machine ${machine.plan.name} (${port}): unplugged`);
      return true;
    });
  };

  /** A host goes on trying by itself; whoever asked for it gets to know what keeps it. */
  const inTime = <T>(name: string, work: Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      const refuse = (): void => {
        const words = lastEvents.get(name) ?? "it gave no sign";
        const text = `${name} was not ready within ${HOST_TIMEOUT_MS / 1000} s; the last of it: ${words}`;
        reject(new LabError("start-failed", text, `its logs: ${paths.logs}`));
      };
      const timer = setTimeout(refuse, HOST_TIMEOUT_MS);
      work.then(resolve, reject).finally(() => clearTimeout(timer));
    });

  const state = (): LabState => ({
    settled,
    underlay: underlay.cidr,
    hosts: [...hosts.values()].map(hostState).sort(byName),
    machines: [...machines.values()].map(machineState).sort(byName),
  });

  const stop = (): Promise<void> => {
    stopping ??= (async () => {
      event("stopping");
      await Promise.all(
        [...machines.values()].flatMap((machine) => [
          ...machine.clients.map((client) => client.stop(300)),
          machine.holder.stop(0),
        ]),
      );
      await Promise.all([...hosts.values()].flatMap((host) => [host.agent?.stop(2_000), host.services?.stop(2_000)]));
      await Promise.all([...hosts.values()].map((host) => host.vswitch.stop(2_000)));
      await Promise.all([...hosts.values()].map((host) => host.database.stop(2_000)));
      await rm(paths.labSocket, { force: true });
      event("stopped");
      onStop();
    })();
    return stopping;
  };

  const handle = async (request: ControlRequest): Promise<ControlReplies[ControlRequest["op"]]> => {
    switch (request.op) {
      case "state":
        return state();
      case "host": {
        const { name, number, tunnelIp, token, wires = [] } = request;
        const asked: RecordedHost = { name, number, tunnelIp, ...(wires.length === 0 ? {} : { wires }) };
        if (token !== null) tokens.set(name, token);
        const known = record.hosts.find((host) => host.name === name);
        if (known === undefined) await save({ ...record, hosts: [...record.hosts, asked] });
        return hostState(await inTime(name, ensureHost(known ?? asked)));
      }
      case "plug": {
        const { machine: plan, waitMs } = request;
        const machine = await ensureMachine(plan);
        await save({ ...record, machines: [...record.machines.filter((other) => other.port !== plan.port), plan] });
        await machine.leased(waitMs);
        return machineState(machine);
      }
      case "unplug": {
        const removed = await removeMachine(request.port);
        await save({ ...record, machines: record.machines.filter((other) => other.port !== request.port) });
        return { removed };
      }
      case "ping":
        throw new LabError("protocol", "machines with namespaces of their own are entered, not asked");
      case "stop":
        void stop();
        return { stopping: true };
    }
  };

  const control = await serveControl(paths.labSocket, handle);
  control.on("error", (cause) => event(`control channel: ${message(cause)}`));
  event(`started, ${record.hosts.length} hosts and ${record.machines.length} machines recorded`);

  const restore = async (): Promise<void> => {
    await Promise.all(
      record.hosts.map(async (known) => {
        try {
          await ensureHost(known);
          for (const plan of record.machines.filter((machine) => machine.host === known.name))
            await ensureMachine(plan);
        } catch (cause) {
          event(`${known.name}: ${message(cause)}`);
        }
      }),
    );
    settled = true;
  };
  void restore();

  return { stop };
}
