/** A real Open vSwitch for one test: its own database, sockets and network namespace (ovs-vswitchd(8), userspace datapath). */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const schema = "/usr/share/openvswitch/vswitch.ovsschema";
const binaries = [
  "/usr/sbin/ovs-vswitchd",
  "/usr/sbin/ovsdb-server",
  "/usr/bin/ovs-ofctl",
  "/usr/bin/ovs-vsctl",
  schema,
];

export interface Switch {
  /** The bridge's OpenFlow socket. */
  readonly socket: string;
  /** Runs `ovs-ofctl -O OpenFlow15 <command> <socket> …` and gives what it prints. */
  ofctl(command: string, ...args: readonly string[]): Promise<string>;
  /** Runs `ovs-appctl <args>` against the switch daemon. */
  appctl(...args: readonly string[]): Promise<string>;
  stop(): Promise<void>;
}

/**
 * Starts a switch with one bridge `br` and the given internal ports, numbered from 1.
 * Throws when Open vSwitch is not installed. Needs to be root, for the network namespace.
 */
export async function startSwitch(ports: readonly string[] = ["p1", "p2", "p3"]): Promise<Switch> {
  const missing = binaries.filter((path) => !existsSync(path));
  if (missing.length > 0) throw new Error(`Open vSwitch is not installed (${missing.join(", ")}): run ./selvage setup`);
  const directory = await mkdtemp(join(tmpdir(), "selvage-openflow-"));
  const env = {
    ...process.env,
    OVS_RUNDIR: directory,
    OVS_DBDIR: directory,
    OVS_SYSCONFDIR: directory,
    OVS_LOGDIR: directory,
  };
  const database = `unix:${join(directory, "db.sock")}`;
  const daemons: ChildProcess[] = [];
  const daemon = (file: string, args: readonly string[]) => {
    // The kernel ends the daemon if this process dies before it can.
    daemons.push(spawn("setpriv", ["--pdeathsig", "TERM", file, ...args], { env, cwd: directory, stdio: "ignore" }));
  };
  const stop = async () => {
    for (const child of daemons.reverse()) await ended(child);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await run("ovsdb-tool", ["create", join(directory, "conf.db"), schema], { env });
    const listen = [`--remote=p${database}`, "--no-chdir", "-vconsole:off", "-vsyslog:off", join(directory, "conf.db")];
    daemon("ovsdb-server", listen);
    // It retries until the database answers, and waits until the switch has done what it was told.
    const vsctl = (...args: readonly string[]) =>
      run("ovs-vsctl", [`--db=${database}`, "--retry", "--timeout=30", ...args], { env });
    await vsctl("--no-wait", "init");
    const quiet = ["--no-chdir", "--disable-system", "-vconsole:off", "-vsyslog:off"];
    const control = join(directory, "switch.ctl");
    daemon("unshare", ["-n", "ovs-vswitchd", database, ...quiet, `--unixctl=${control}`]);
    const bridge = ["--", "set", "bridge", "br", "datapath_type=netdev", "fail_mode=secure"];
    await vsctl("add-br", "br", ...bridge, "other_config:disable-in-band=true");
    for (const [index, port] of ports.entries()) {
      const request = `ofport_request=${index + 1}`;
      await vsctl("add-port", "br", port, "--", "set", "interface", port, "type=internal", request);
    }
    const socket = join(directory, "br.mgmt");
    return {
      socket,
      stop,
      ofctl: async (command, ...args) => {
        const all = ["-O", "OpenFlow15", command, `unix:${socket}`, ...args];
        return (await run("ovs-ofctl", all, { env, maxBuffer: 1 << 28 })).stdout;
      },
      appctl: async (...args) => (await run("ovs-appctl", ["-t", control, ...args], { env })).stdout,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Asks a daemon of ours to end, and waits until it did. */
function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGTERM");
  });
}
