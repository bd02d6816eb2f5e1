/** Plugs machines into ports of the API and runs commands inside them: what `selvage lab plug|unplug|exec` do. */

import { spawn } from "node:child_process";
import { constants } from "node:os";
import { type Api, type ApiPort, findPort, subnetsOf } from "./api.ts";
import { attempt, type CommandResult } from "./command.ts";
import { askControl, type LabState, type MachineState } from "./control.ts";
import { LabError } from "./failure.ts";
import { enterLab, type LabPlace } from "./lab-process.ts";
import type { MachinePlan } from "./machine.ts";

async function planOf(api: Api, port: ApiPort, host: string): Promise<MachinePlan> {
  const subnets = await subnetsOf(api, port.networkId);
  const own = port.fixedIps.flatMap(({ subnetId, ip }) => {
    const subnet = subnets.find(({ id }) => id === subnetId);
    return subnet === undefined ? [] : [{ subnet, ip, length: subnet.cidr.split("/")[1] ?? "64" }];
  });
  const six = own.filter(({ subnet }) => subnet.version === 6);
  const givenByDhcp6 = six.filter(({ subnet }) => subnet.addressMode === "dhcpv6-stateful");
  const named = six.some(({ subnet }) => subnet.addressMode === "dhcpv6-stateless");
  const length = Number(givenByDhcp6[0]?.length ?? 64);
  const dhcp6 = givenByDhcp6.length > 0 ? "stateful" : named ? "stateless" : undefined;
  return {
    port: port.id,
    name: port.name === "" ? port.id : port.name,
    host,
    mac: port.mac,
    ipv6: six.filter((each) => !givenByDhcp6.includes(each)).map(({ ip, length }) => `${ip}/${length}`),
    dhcp: own.some(({ subnet }) => subnet.version === 4 && subnet.dhcp),
    ...(dhcp6 === undefined ? {} : { dhcp6: { mode: dhcp6, length } }),
  };
}

/**
 * Binds a port to a host, as an administrator, and plugs a machine into it there. Plugging it where it is changes nothing.
 * @param waitMs how long to wait for the machine's address
 * @throws LabError `unknown-machine`, `unknown-host`
 */
export async function plug(
  api: Api,
  socket: string,
  idOrName: string,
  host: string,
  waitMs: number,
): Promise<MachineState> {
  const state = await askControl(socket, { op: "state" });
  if (!state.hosts.some((known) => known.name === host)) {
    throw new LabError(
      "unknown-host",
      `the lab has no host "${host}"`,
      `its hosts: ${state.hosts.map((known) => known.name).join(", ")}`,
    );
  }
  const found = await findPort(api, idOrName);
  if (found.host !== host) await api.ask("PUT", `/v2.0/ports/${found.id}`, { port: { "binding:host_id": host } });
  // Its addresses may have come with its host.
  const port = found.host === host ? found : await findPort(api, found.id);
  return askControl(socket, { op: "plug", machine: await planOf(api, port, host), waitMs });
}

/** Finds a machine by its port's id or name. */
export function findMachine(state: LabState, idOrName: string): MachineState {
  const byId = state.machines.filter((machine) => machine.port === idOrName);
  const found = byId.length > 0 ? byId : state.machines.filter((machine) => machine.name === idOrName);
  const [only, second] = found;
  if (only === undefined) {
    const names = state.machines.map((machine) => machine.name).join(", ");
    throw new LabError(
      "unknown-machine",
      `no machine is plugged into "${idOrName}"`,
      names === "" ? "plug one: ./selvage lab plug PORT --host H" : `plugged: ${names}`,
    );
  }
  if (second !== undefined)
    throw new LabError("unknown-machine", `${found.length} machines are named "${idOrName}"`, "use the port's id");
  return only;
}

/** Pulls a machine out and unbinds its port, if the port is still there. */
export async function unplug(api: Api, socket: string, idOrName: string): Promise<MachineState> {
  const machine = findMachine(await askControl(socket, { op: "state" }), idOrName);
  await askControl(socket, { op: "unplug", port: machine.port });
  const port = await findPort(api, machine.port).catch((cause: unknown) => {
    if (cause instanceof LabError && cause.code === "unknown-machine") return undefined;
    throw cause;
  });
  if (port !== undefined && port.host !== "")
    await api.ask("PUT", `/v2.0/ports/${port.id}`, { port: { "binding:host_id": "" } });
  return machine;
}

/** The place of a machine for `enterLab`. */
export function placeOf(machine: MachineState): LabPlace {
  return { kind: "machine", namespace: machine.namespace, holder: machine.holder };
}

/** Runs a command in a room of the lab and gives its output. */
export function captureInLab(
  firstPid: number,
  place: LabPlace,
  argv: readonly string[],
  timeoutMs?: number,
): Promise<CommandResult> {
  return attempt(enterLab(firstPid, place, argv), timeoutMs === undefined ? {} : { timeoutMs });
}

/**
 * Runs a command in a room of the lab with this process's own terminal.
 * @returns its exit code; 128 and the signal's number when a signal ended it, as a shell says it
 */
export function execInLab(firstPid: number, place: LabPlace, argv: readonly string[]): Promise<number> {
  const [file = "", ...args] = enterLab(firstPid, place, argv);
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: "inherit" });
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
    // The terminal sends its signals to the command as well; ours only must not end us before it.
    const forward = (signal: NodeJS.Signals): void => {
      if (signal !== "SIGINT") child.kill(signal);
    };
    for (const signal of signals) process.on(signal, forward);
    child.on("error", (cause) =>
      reject(new LabError("command-missing", `nsenter could not be started: ${cause.message}`, "run ./selvage setup")),
    );
    child.on("exit", (code, signal) => {
      for (const name of signals) process.off(name, forward);
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}
