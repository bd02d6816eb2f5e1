/** `selvage lab …`: machines plugged, unplugged and entered; hosts and their processes. */

import {
  askControl,
  at,
  deletedPorts,
  execInLab,
  findMachine,
  LabError,
  type MachineState,
  OUTSIDE,
  openFabric,
  openLab,
  outerPid,
  placeOf,
  plug,
  unplug,
} from "@selvage/lab";
import { dataDirectory } from "../context.ts";
import { Exit } from "../exit.ts";
import { describe } from "../failures.ts";
import { type Output, printError, printJson, printTable, standardOutput } from "../format.ts";

export interface LabFlags {
  readonly data?: string;
  readonly json?: boolean;
}

const LEASE_WAIT_MS = 60_000;

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name.localeCompare(b.name, "en", { numeric: true });
}

function machineJson(machine: MachineState) {
  const { port, name, host, mac, ipv4, ipv6, dhcp } = machine;
  return { port, name, host, mac, ipv4, ipv6, dhcp };
}

/** Runs `selvage lab plug PORT --host H`. Exit code 1 when the machine got no address in time. */
export async function labPlug(
  port: string,
  flags: LabFlags & { readonly host: string },
  output: Output = standardOutput,
): Promise<number> {
  const { paths } = await openLab(dataDirectory(flags.data));
  const { api } = await openFabric(dataDirectory(flags.data));
  const machine = await plug(api, paths.labSocket, port, flags.host, LEASE_WAIT_MS);
  const waits = machine.dhcp === "none";
  if (flags.json === true) printJson(output, machineJson(machine));
  else
    output.text(
      `${machine.name} is plugged into ${machine.host}: ${[machine.ipv4, ...machine.ipv6].filter((one) => one !== null).join(", ") || "no address"}\n`,
    );
  const bound = at(await api.ask("GET", `/v2.0/ports/${machine.port}`), "port");
  if (at(bound, "binding:vif_type") === "binding_failed") {
    printError(
      output,
      `${machine.name} cannot be bound to ${machine.host}: the host is shut, not heard from, or has no wire to the port's network`,
      "openstack network agent list; openstack network segment list --long",
    );
    return Exit.failed;
  }
  if (!waits) return Exit.ok;
  printError(
    output,
    `${machine.name} got no address by DHCP within ${LEASE_WAIT_MS / 1000} s; it keeps asking`,
    "./selvage status shows whether its host is alive",
  );
  return Exit.failed;
}

/** Runs `selvage lab unplug PORT`. */
export async function labUnplug(port: string, flags: LabFlags, output: Output = standardOutput): Promise<number> {
  const { paths } = await openLab(dataDirectory(flags.data));
  const { api } = await openFabric(dataDirectory(flags.data));
  const machine = await unplug(api, paths.labSocket, port);
  if (flags.json === true) printJson(output, machineJson(machine));
  else output.text(`${machine.name} is unplugged from ${machine.host}\n`);
  return Exit.ok;
}

/** Runs `selvage lab exec WHERE -- COMMAND…`, in a machine, a host or `outside`, and gives the command's exit code; 125 when it could not be run at all. */
export async function labExec(
  where: string,
  command: readonly string[],
  flags: LabFlags & { readonly inHost?: boolean },
  output: Output = standardOutput,
): Promise<number> {
  try {
    const { paths, lab } = await openLab(dataDirectory(flags.data));
    // The machine outside is a namespace of the lab's as a host's is.
    if (where === OUTSIDE) return await execInLab(lab.first.pid, { kind: "host", name: OUTSIDE }, command);
    const state = await askControl(paths.labSocket, { op: "state" });
    if (flags.inHost !== true) return await execInLab(lab.first.pid, placeOf(findMachine(state, where)), command);
    if (!state.hosts.some((host) => host.name === where)) {
      throw new LabError(
        "unknown-host",
        `the lab has no host "${where}"`,
        `its hosts: ${state.hosts.map((host) => host.name).join(", ")}`,
      );
    }
    return await execInLab(lab.first.pid, { kind: "host", name: where }, command);
  } catch (cause) {
    const { text, hint } = describe(cause);
    printError(output, text, hint);
    return Exit.exec;
  }
}

/** Runs `selvage lab hosts`. */
export async function labHosts(flags: LabFlags, output: Output = standardOutput): Promise<number> {
  const { paths, lab } = await openLab(dataDirectory(flags.data));
  const state = await askControl(paths.labSocket, { op: "state" });
  const pid = (inner: number | null | undefined): number | null =>
    inner === null || inner === undefined ? null : (outerPid(lab.first.pid, inner) ?? null);
  const hosts = state.hosts.toSorted(byName).map((host) => ({
    name: host.name,
    tunnel_ip: host.tunnelIp,
    machines: state.machines.filter((machine) => machine.host === host.name).length,
    ovsdb: `unix:${host.directory}/run/db.sock`,
    pids: { database: pid(host.database.pid), switch: pid(host.vswitch.pid), agent: pid(host.agent?.pid) },
    starts: { database: host.database.starts, switch: host.vswitch.starts, agent: host.agent?.starts ?? 0 },
  }));
  if (flags.json === true) printJson(output, { underlay: state.underlay, first_pid: lab.first.pid, hosts });
  else {
    printTable(output, {
      columns: ["host", "tunnel", "machines", "agent pid", "switch pid", "database pid", "ovsdb"],
      rows: hosts.map((host) => [
        host.name,
        host.tunnel_ip,
        host.machines,
        host.pids.agent,
        host.pids.switch,
        host.pids.database,
        host.ovsdb,
      ]),
    });
  }
  return Exit.ok;
}

/** The ports that were deleted under machines; null while there is no server to ask. */
async function deletedUnder(data: string, machines: readonly MachineState[]): Promise<ReadonlySet<string> | null> {
  try {
    const { api } = await openFabric(data);
    return await deletedPorts(
      api,
      machines.map(({ port }) => port),
    );
  } catch (cause) {
    if (cause instanceof LabError && cause.code === "not-running") return null;
    throw cause;
  }
}

/** Runs `selvage lab machines`. */
export async function labMachines(flags: LabFlags, output: Output = standardOutput): Promise<number> {
  const { paths } = await openLab(dataDirectory(flags.data));
  const machines = (await askControl(paths.labSocket, { op: "state" })).machines.toSorted(byName);
  const deleted = await deletedUnder(paths.root, machines);
  const isDeleted = (port: string): boolean | null => deleted?.has(port) ?? null;
  if (flags.json === true)
    printJson(output, {
      machines: machines.map((one) => ({ ...machineJson(one), port_deleted: isDeleted(one.port) })),
    });
  else {
    printTable(output, {
      columns: ["machine", "host", "ipv4", "ipv6", "mac", "port"],
      rows: machines.map((machine) => [
        machine.name,
        machine.host,
        machine.ipv4,
        machine.ipv6[0] ?? null,
        machine.mac,
        `${machine.port}${isDeleted(machine.port) === true ? " (port deleted)" : ""}`,
      ]),
    });
  }
  const gone = machines.filter(({ port }) => isDeleted(port) === true).map(({ name }) => name);
  if (gone.length > 0)
    output.note(
      `ports deleted: ${gone.join(", ")}; ./selvage lab unplug pulls such a machine out, ./selvage up all of them\n`,
    );
  return Exit.ok;
}
