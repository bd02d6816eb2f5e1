/** `selvage up`: brings the fabric up with progress and shows what runs and what to try next. */

import { bringUp, type FabricReport, isAlive, openFabric, takeDown } from "@selvage/lab";
import { dataDirectory, runningMarks, selvageWords } from "../context.ts";
import { Exit } from "../exit.ts";
import { type Output, openProgress, printError, printJson, printTable, standardOutput } from "../format.ts";

export interface UpFlags {
  readonly hosts?: number;
  readonly port?: number;
  readonly underlay?: string;
  readonly wires?: string;
  readonly foreground?: boolean;
  readonly data?: string;
  readonly json?: boolean;
}

/** The report as programs get it. */
export function reportJson(report: FabricReport): unknown {
  return {
    datapath: report.datapath,
    why: report.why,
    url: report.url,
    auth_url: `${report.url}/identity/v3`,
    port: report.port,
    data: report.dataDirectory,
    hosts: hostRows(report),
    machines: machineRows(report),
    pings: report.pings.map(({ from, to, address, expected, ok, milliseconds }) => ({
      from,
      to,
      address,
      expected,
      ok,
      milliseconds,
    })),
    ok: report.pings.every((ping) => ping.ok),
  };
}

function hostRows(report: FabricReport) {
  return report.status.hosts.map((host) => ({
    name: host.name,
    tunnel_ip: host.tunnelIp,
    alive: host.alive,
    revision: host.inForce,
    machines: report.lab.machines.filter((machine) => machine.host === host.name).length,
  }));
}

function machineRows(report: FabricReport) {
  return report.lab.machines.map((machine) => ({
    name: machine.name,
    project: report.demo.find((project) => project.machines.some((one) => one.port === machine.name))?.name ?? null,
    host: machine.host,
    ipv4: machine.ipv4,
    ipv6: machine.ipv6[0] ?? null,
    port: machine.port,
  }));
}

function show(output: Output, report: FabricReport): void {
  output.text(`\ndatapath: ${report.datapath}   server: ${report.url}   data: ${report.dataDirectory}\n`);
  if (report.why !== null) output.text(`${report.why}\n`);
  output.text("\n");
  printTable(output, {
    columns: ["host", "tunnel", "state", "revision", "machines"],
    rows: hostRows(report).map((host) => [
      host.name,
      host.tunnel_ip,
      host.alive ? "alive" : "dead",
      host.revision,
      host.machines,
    ]),
  });
  output.text("\n");
  printTable(output, {
    columns: ["machine", "project", "host", "ipv4 (dhcp)", "ipv6"],
    rows: machineRows(report).map((machine) => [
      machine.name,
      machine.project,
      machine.host,
      machine.ipv4,
      machine.ipv6,
    ]),
  });
  output.text("\n");
  printTable(output, {
    columns: ["ping from", "to", "address", "expected", "seen"],
    rows: report.pings.map((ping) => [
      ping.from,
      ping.to,
      ping.address,
      ping.expected,
      ping.expected === "reached"
        ? ping.ok
          ? `reached${ping.milliseconds === null ? "" : ` in ${ping.milliseconds} ms`}`
          : "NO ANSWER"
        : ping.ok
          ? "silence"
          : "ANSWERED",
    ]),
  });
  const first = report.pings[0];
  const where = report.dataDirectory === dataDirectory(undefined) ? "" : ` --data ${report.dataDirectory}`;
  output.text("\nTry next:\n");
  if (first !== undefined && report.datapath === "ovs")
    output.text(`  ./selvage lab exec${where} ${first.from} -- ping -c 3 ${first.address}\n`);
  output.text(`  eval "$(./selvage env${where})" && openstack network list\n`);
  output.text(`  ./selvage status${where}\n`);
  output.text(`  ./selvage down${where}\n`);
}

async function stay(output: Output, data: string): Promise<number> {
  output.note("Ctrl-C stops the fabric.\n");
  const { record } = await openFabric(data);
  const asked = new Promise<"asked">((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve("asked"));
  });
  const died = new Promise<"died">((resolve) => {
    const timer = setInterval(() => {
      if (isAlive(record.server) && (record.lab === null || isAlive(record.lab.first))) return;
      clearInterval(timer);
      resolve("died");
    }, 500);
    void asked.then(() => clearInterval(timer));
  });
  const end = await Promise.race([asked, died]);
  const progress = openProgress(output);
  await takeDown({ dataDirectory: data, runningMarks, data: "keep", onStep: progress.step });
  progress.end();
  if (end === "asked") return Exit.ok;
  printError(output, "a part of the fabric ended by itself", `see ${data}/log`);
  return Exit.failed;
}

/** Runs `selvage up`. */
export async function up(flags: UpFlags, output: Output = standardOutput): Promise<number> {
  const data = dataDirectory(flags.data);
  const progress = openProgress(output);
  const forced = process.env.SELVAGE_DATAPATH;
  const report = await bringUp({
    dataDirectory: data,
    selvage: selvageWords,
    runningMarks,
    onStep: progress.step,
    onDetail: progress.detail,
    ...(flags.hosts === undefined ? {} : { hosts: flags.hosts }),
    ...(flags.port === undefined ? {} : { port: flags.port }),
    ...(flags.underlay === undefined ? {} : { underlay: flags.underlay }),
    ...(flags.wires === undefined ? {} : { wires: flags.wires }),
    ...(forced === undefined ? {} : { datapath: forced }),
  });
  progress.end();
  if (flags.json === true) printJson(output, reportJson(report));
  else show(output, report);
  const wrong = report.pings.filter((ping) => !ping.ok);
  if (wrong.length > 0) {
    const words = wrong.map(
      (ping) => `${ping.from} → ${ping.address}: ${ping.expected === "reached" ? "no answer" : "answered"}`,
    );
    printError(output, `the fabric runs, but not as it must: ${words.join("; ")}`, `logs: ${data}/log`);
    if (flags.foreground !== true) return Exit.failed;
  }
  return flags.foreground === true ? stay(output, data) : Exit.ok;
}
