/** A fabric where the machine refuses namespaces: server, agents, simulated switches and simulated machines, all in one process. */

import { access, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunningAgent } from "@selvage/agent";
import type { SimulatedDatapath } from "@selvage/datapath";
import {
  type ControlReplies,
  type ControlRequest,
  type HostState,
  type LabState,
  type MachineState,
  serveControl,
} from "./control.ts";
import { LabError } from "./failure.ts";
import type { Guest } from "./guest.ts";
import { emptyLab, type LabRecord, type RecordedHost, readLabRecord, writeLabRecord } from "./lab-record.ts";
import { type MachinePlan, machinePlaces } from "./machine.ts";
import { JOINED } from "./paths.ts";
import { announce, type ServeOptions, serve } from "./serve.ts";
import { DEFAULT_UNDERLAY } from "./underlay.ts";

interface SimulatedHost {
  readonly known: RecordedHost;
  readonly directory: string;
  readonly datapath: SimulatedDatapath;
  readonly agent: RunningAgent;
}

interface SimulatedMachine {
  readonly plan: MachinePlan;
  readonly guest: Guest;
}

/** A simulated fabric that runs. */
export interface SimulatedRun {
  close(): Promise<void>;
}

const ECHO_TIMEOUT_MS = 1_000;

/** Starts the server and brings back the hosts and machines that were recorded. */
export async function simulate(options: ServeOptions): Promise<SimulatedRun> {
  const recordPath = join(options.dataDir, "lab.json");
  const hostsPath = join(options.dataDir, "hosts");
  // All is loaded before the server gives up root: afterwards the program's own files may be out of reach.
  const { joinHost, startAgent } = await import("@selvage/agent");
  const { SimulatedFabric } = await import("@selvage/datapath");
  const { startGuest } = await import("./guest.ts");
  // Whoever waits for the ready file asks the control channel next: it is written when both are served.
  const { readyFile, ...listening } = options;
  const server = await serve(listening);
  let record: LabRecord = (await readLabRecord(recordPath)) ?? emptyLab(DEFAULT_UNDERLAY);
  let saved: Promise<void> = Promise.resolve();
  const save = (next: LabRecord): Promise<void> => {
    record = next;
    const write = (): Promise<void> => writeLabRecord(recordPath, record);
    saved = saved.then(write, write);
    return saved;
  };
  const fabric = new SimulatedFabric({ now: () => performance.now() });
  const hosts = new Map<string, SimulatedHost>();
  const starting = new Map<string, Promise<SimulatedHost>>();
  const machines = new Map<string, SimulatedMachine>();

  const startHost = async (known: RecordedHost, token: string | null): Promise<SimulatedHost> => {
    const directory = join(hostsPath, known.name);
    const dataDir = join(directory, "agent");
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    const joined = await access(join(directory, JOINED)).then(
      () => true,
      () => false,
    );
    if (!joined) {
      if (token === null || options.socket === undefined)
        throw new LabError("start-failed", `${known.name} has not joined and has no token`);
      await joinHost({ url: `unix:${options.socket}`, token, dataDir, tunnelIp: known.tunnelIp });
      await writeFile(join(directory, JOINED), "");
    }
    const datapath = fabric.addHost(known.tunnelIp);
    const agent = await startAgent({ dataDir, tunnelIp: known.tunnelIp, datapath });
    const host = { known, directory, datapath, agent };
    hosts.set(known.name, host);
    return host;
  };

  const ensureHost = (known: RecordedHost, token: string | null): Promise<SimulatedHost> => {
    const before = starting.get(known.name);
    // One that is brought back without a token, and had not joined, fails for that reason: with a token it is tried again.
    if (before !== undefined) return token === null ? before : before.catch(() => ensureHost(known, token));
    const now = startHost(known, token);
    starting.set(known.name, now);
    now.catch(() => starting.delete(known.name));
    return now;
  };

  const unplug = (port: string): boolean => {
    const machine = machines.get(port);
    if (machine === undefined) return false;
    machines.delete(port);
    machine.guest.stop();
    hosts.get(machine.plan.host)?.datapath.unplug(port);
    return true;
  };

  const plug = (plan: MachinePlan): SimulatedMachine => {
    const running = machines.get(plan.port);
    if (running !== undefined && JSON.stringify(running.plan) === JSON.stringify(plan)) return running;
    const host = hosts.get(plan.host);
    if (host === undefined)
      throw new LabError(
        "unknown-host",
        `the lab has no host "${plan.host}"`,
        `its hosts: ${[...hosts.keys()].join(", ")}`,
      );
    unplug(plan.port);
    const guest = startGuest({
      mac: plan.mac,
      ipv6: plan.ipv6,
      dhcp: plan.dhcp,
      dhcp6: plan.dhcp6?.mode === "stateful",
      transmit: (frame) => void host.datapath.receive(plan.port, frame),
    });
    host.datapath.plug(plan.port, (frame) => guest.receive(frame));
    const machine = { plan, guest };
    machines.set(plan.port, machine);
    return machine;
  };

  const hostState = ({ known, directory }: SimulatedHost): HostState => {
    const inside = { pid: null, starts: 1 };
    return { name: known.name, tunnelIp: known.tunnelIp, directory, database: inside, vswitch: inside, agent: inside };
  };

  const machineState = ({ plan, guest }: SimulatedMachine): MachineState => ({
    port: plan.port,
    name: plan.name,
    host: plan.host,
    mac: plan.mac,
    ipv4: guest.ipv4 ?? null,
    ipv6: [...plan.ipv6, ...guest.ipv6.filter((address) => !plan.ipv6.some((each) => each.startsWith(`${address}/`)))],
    dhcp: plan.dhcp || plan.dhcp6?.mode === "stateful" ? (guest.isLeased ? "bound" : "none") : "off",
    namespace: "",
    holder: null,
    tap: machinePlaces(plan.port).tap,
  });

  let settled = false;
  const state = (): LabState => ({
    settled,
    underlay: record.underlay,
    hosts: [...hosts.values()].map(hostState),
    machines: [...machines.values()].map(machineState),
  });

  const handle = async (request: ControlRequest): Promise<ControlReplies[ControlRequest["op"]]> => {
    switch (request.op) {
      case "state":
        return state();
      case "host": {
        const { name, number, tunnelIp, token } = request;
        const known = record.hosts.find((host) => host.name === name) ?? { name, number, tunnelIp };
        const host = await ensureHost(known, token);
        if (!record.hosts.includes(known)) await save({ ...record, hosts: [...record.hosts, known] });
        return hostState(host);
      }
      case "plug": {
        const machine = plug(request.machine);
        const others = record.machines.filter((other) => other.port !== request.machine.port);
        await save({ ...record, machines: [...others, request.machine] });
        await machine.guest.leased(request.waitMs);
        return machineState(machine);
      }
      case "unplug": {
        const removed = unplug(request.port);
        await save({ ...record, machines: record.machines.filter((other) => other.port !== request.port) });
        return { removed };
      }
      case "ping": {
        const machine = machines.get(request.port);
        if (machine === undefined) throw new LabError("unknown-machine", `no machine is plugged into ${request.port}`);
        for (let sent = 0; sent < request.count; sent += 1) {
          const milliseconds = await machine.guest.ping(request.address, ECHO_TIMEOUT_MS);
          if (milliseconds !== undefined) return { milliseconds: Math.round(milliseconds * 1000) / 1000 };
        }
        return { milliseconds: null };
      }
      case "stop":
        process.kill(process.pid, "SIGTERM");
        return { stopping: true };
    }
  };

  const control = await serveControl(join(options.dataDir, "lab.sock"), handle).catch(async (cause: unknown) => {
    await server.close();
    throw cause;
  });
  const restore = async (): Promise<void> => {
    await Promise.allSettled(
      record.hosts.map(async (known) => {
        await ensureHost(known, null);
        for (const plan of record.machines.filter((machine) => machine.host === known.name)) plug(plan);
      }),
    );
    settled = true;
  };
  void restore();
  announce(readyFile, server);

  return {
    async close() {
      control.close();
      for (const port of [...machines.keys()]) unplug(port);
      await Promise.all([...hosts.values()].map((host) => host.agent.close()));
      await server.close();
    },
  };
}
