/** Makes sure that the system tools the lab and the tests need are there, by Debian's apt, without starting or enabling any service. */

import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { attempt } from "./command.ts";
import { LabError } from "./failure.ts";

/** A tool and the Debian package that brings it. */
export interface SystemTool {
  readonly command: string;
  readonly package: string;
}

const FABRIC_TOOLS: readonly SystemTool[] = [
  { command: "ovs-vswitchd", package: "openvswitch-switch" },
  { command: "ovsdb-server", package: "openvswitch-switch" },
  { command: "ovs-vsctl", package: "openvswitch-switch" },
  { command: "udhcpc", package: "udhcpc" },
  { command: "dhclient", package: "isc-dhcp-client" },
  { command: "ip", package: "iproute2" },
  { command: "ping", package: "iputils-ping" },
  { command: "ethtool", package: "ethtool" },
  { command: "unshare", package: "util-linux" },
  { command: "nsenter", package: "util-linux" },
  { command: "setpriv", package: "util-linux" },
];

const TEST_TOOLS: readonly SystemTool[] = [
  { command: "tcpdump", package: "tcpdump" },
  { command: "openstack", package: "python3-openstackclient" },
  // Real programs that ask for connections, and a machine that says that it has an address now.
  { command: "curl", package: "curl" },
  { command: "nmap", package: "nmap" },
  { command: "arping", package: "iputils-arping" },
  // What a machine learns of the routers around it.
  { command: "traceroute", package: "traceroute" },
  { command: "rdisc6", package: "ndisc6" },
  { command: "dig", package: "bind9-dnsutils" },
  { command: "tracepath", package: "iputils-tracepath" },
  // What announces routes, and whom they are announced to.
  { command: "vtysh", package: "frr" },
  // How much passes.
  { command: "iperf3", package: "iperf3" },
  // A machine with a kernel of its own, and what packs its first files.
  { command: "qemu-system-x86_64", package: "qemu-system-x86" },
  { command: "cpio", package: "cpio" },
  // For `systemd-analyze`, which checks our units; nothing of it is started.
  { command: "systemd-analyze", package: "systemd" },
];

/** What the tools are wanted for; `tests` asks for more than `fabric`. */
export type Purpose = "fabric" | "tests";

/** What `setup` found and did. */
export interface SetupResult {
  /** Packages that this call installed. */
  readonly installed: readonly string[];
  /** Tools that are there now, with their paths. */
  readonly tools: Readonly<Record<string, string>>;
}

const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const APT_INSTALL = fileURLToPath(new URL("apt-install.sh", import.meta.url));

/** Where a command is; searches the places of system tools too, since a user's PATH may lack the sbin ones. */
export function findCommand(command: string): string | undefined {
  for (const directory of [...(process.env.PATH ?? "").split(":"), ...SYSTEM_PATH.split(":")]) {
    if (directory === "") continue;
    const path = join(directory, command);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not in this one
    }
  }
  return undefined;
}

/** The tools for a purpose that this machine lacks. */
export function missingTools(purpose: Purpose): readonly SystemTool[] {
  const wanted = purpose === "tests" ? [...FABRIC_TOOLS, ...TEST_TOOLS] : FABRIC_TOOLS;
  return wanted.filter((tool) => findCommand(tool.command) === undefined);
}

function install(packages: readonly string[], say: (line: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(APT_INSTALL, packages, { stdio: ["ignore", "pipe", "pipe"] });
    const last: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        last.push(line);
        if (last.length > 12) last.shift();
        say(line);
      });
    }
    // The script puts the machine's policy back when it is told to end; so it is told, and waited for.
    const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
    process.once("SIGINT", forward);
    process.once("SIGTERM", forward);
    const over = (): void => {
      process.off("SIGINT", forward);
      process.off("SIGTERM", forward);
    };
    child.on("error", (cause) => {
      over();
      reject(new LabError("setup-failed", `apt could not be started: ${cause.message}`));
    });
    child.on("close", (code) => {
      over();
      if (code === 0) {
        resolve();
        return;
      }
      const words = last.filter((line) => /^(E|Err|W):/.test(line)).at(-1) ?? last.at(-1) ?? "no output";
      reject(
        new LabError(
          "setup-failed",
          `installing ${packages.join(" ")} failed: ${words}`,
          `check the network, then: apt-get update && apt-get install ${packages.join(" ")}`,
        ),
      );
    });
  });
}

/**
 * Installs what is missing; does nothing, and asks no network, when all is there. Idempotent.
 * @param say gets apt's lines as they come
 * @throws LabError `setup-failed` when there is no apt, no right to use it or it failed; what was changed for the time is put back.
 */
export async function setUp(purpose: Purpose, say: (line: string) => void): Promise<SetupResult> {
  const missing = missingTools(purpose);
  const packages = [...new Set(missing.map((tool) => tool.package))];
  if (packages.length > 0) {
    const byHand = `install by hand: ${packages.join(" ")}`;
    if (findCommand("apt-get") === undefined) {
      throw new LabError(
        "setup-failed",
        `missing: ${missing.map((tool) => tool.command).join(", ")}, and this machine has no apt-get`,
        byHand,
      );
    }
    if (process.getuid?.() !== 0) {
      throw new LabError(
        "setup-failed",
        `missing packages: ${packages.join(" ")}; only root may install them`,
        `run as root, or ${byHand}`,
      );
    }
    await install(packages, say);
    const still = missingTools(purpose);
    if (still.length > 0) {
      throw new LabError(
        "setup-failed",
        `still missing after the installation: ${still.map((tool) => tool.command).join(", ")}`,
        byHand,
      );
    }
  }
  const wanted = purpose === "tests" ? [...FABRIC_TOOLS, ...TEST_TOOLS] : FABRIC_TOOLS;
  return {
    installed: packages,
    tools: Object.fromEntries(wanted.map((tool) => [tool.command, findCommand(tool.command) ?? ""])),
  };
}

/** Version of the Open vSwitch that is installed, such as `3.1.0`; `undefined` when there is none. */
export async function switchVersion(): Promise<string | undefined> {
  const path = findCommand("ovs-vswitchd");
  if (path === undefined) return undefined;
  return /(\d+\.\d+\.\d+)/.exec((await attempt([path, "--version"])).stdout)?.[1];
}
