/** One lab machine: a network and a mount namespace plugged into a host's switch, with real DHCP clients (RFC 2131, RFC 8415), and IPv6 addresses set by hand where no client asks for them. */

import { EventEmitter, once } from "node:events";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { attempt, ipBatch, run } from "./command.ts";
import { INTEGRATION_BRIDGE, type LabHost } from "./host.ts";
import { type Supervised, supervise } from "./supervise.ts";

/** The name of the interface inside every machine. */
export const GUEST_INTERFACE = "eth0";

const DHCP_SCRIPT = fileURLToPath(new URL("dhcp-script.sh", import.meta.url));
const DHCP6_SCRIPT = fileURLToPath(new URL("dhcp6-script.sh", import.meta.url));

/** Where a machine's processes' words go. */
export interface MachineOutput {
  readonly onLine: (source: string, line: string) => void;
  readonly onEvent: (event: string) => void;
}

/** What a machine is made from: facts of its port. */
export interface MachinePlan {
  /** The port's id; goes into `external_ids:iface-id`. */
  readonly port: string;
  /** The port's name, for people. */
  readonly name: string;
  readonly host: string;
  readonly mac: string;
  /** IPv6 addresses with their prefix lengths, such as `fd00::5/64`. */
  readonly ipv6: readonly string[];
  /** Whether to ask for an IPv4 address by DHCP. */
  readonly dhcp: boolean;
  /** What to ask for by DHCPv6: an address of a subnet with this length of prefix, or names alone. Absent: nothing. */
  readonly dhcp6?: { readonly mode: "stateful" | "stateless"; readonly length: number };
}

/** Where a machine's namespaces and files are, inside the lab. */
export interface MachinePlaces {
  readonly namespace: string;
  /** Interface on the host's side, at most 15 characters (`IFNAMSIZ`). */
  readonly tap: string;
  readonly files: string;
}

/** The names that follow from a port's id. */
export function machinePlaces(port: string): MachinePlaces {
  const short = port.slice(0, 11);
  return {
    namespace: `m-${short}`,
    tap: `tap${short}`,
    files: `/run/machines/m-${short}`,
  };
}

/** The newest word of a machine's DHCP clients. */
export interface Lease {
  /** Whether each client has what it asks for. */
  readonly state: "bound" | "none";
  readonly address: string | undefined;
  /** By DHCPv6. */
  readonly address6: string | undefined;
}

/** A running machine. */
export interface LabMachine {
  readonly plan: MachinePlan;
  readonly places: MachinePlaces;
  readonly lease: Lease;
  readonly clients: readonly Supervised[];
  /** The process that keeps the mount namespace: such a namespace cannot be kept under a file everywhere (see `hold`). */
  readonly holder: Supervised;
  /** Resolves with the lease once there is one, or with what is known after the time. */
  leased(timeoutMs: number): Promise<Lease>;
  stop(): Promise<void>;
}

/** A command that runs inside a machine, for a caller inside the lab; `holder` is the process that keeps its mount namespace. */
function inMachine(places: MachinePlaces, holder: number | undefined, argv: readonly string[]): readonly string[] {
  return ["nsenter", `--net=/run/netns/${places.namespace}`, `--mount=/proc/${holder ?? 0}/ns/mnt`, "--", ...argv];
}

/** Makes the network namespace and gives the script that sets the mount namespace up. */
async function makeNamespaces(places: MachinePlaces): Promise<string> {
  await removeNamespaces(places);
  await mkdir(places.files, { recursive: true });
  await writeFile(join(places.files, "resolv.conf"), "");
  await run(["ip", "netns", "add", places.namespace]);
  const inside = [
    "umount -l /sys && mount -t sysfs sysfs /sys",
    'if [ ! -e /etc/resolv.conf ]; then target=$(readlink -m /etc/resolv.conf); case $target in /run/*) mkdir -p "$(dirname "$target")" && : > "$target" ;; esac; fi',
    `[ ! -e /etc/resolv.conf ] || mount --bind ${places.files}/resolv.conf /etc/resolv.conf`,
  ].join(" && ");
  return inside;
}

/**
 * Starts the process in which the machine's mount namespace lives. Binding the namespace to a file, as `unshare --mount=FILE` does, is
 * refused (EINVAL) by newer kernels whenever its number, dealt out per CPU, is below the binder's own: seen with Linux 6.18.
 */
async function hold(
  plan: MachinePlan,
  places: MachinePlaces,
  inside: string,
  output: MachineOutput,
): Promise<Supervised> {
  const ready = new EventEmitter();
  const holder = supervise({
    name: `machine ${plan.name}/holder`,
    argv: [
      ...["unshare", "--mount", "--propagation", "private", "nsenter", `--net=/run/netns/${places.namespace}`],
      ...["sh", "-c", `${inside} && echo ready && exec sleep infinity`],
    ],
    settle: async () => {
      await once(ready, "ready", { signal: AbortSignal.timeout(60_000) });
    },
    onLine: (line) => {
      if (line === "ready") ready.emit("ready");
      else output.onLine(`machine ${plan.name}`, line);
    },
    onEvent: output.onEvent,
  });
  await holder.ready();
  return holder;
}

/** A DHCP client of a machine, and what it is started with. */
interface Asked {
  readonly family: "dhcp" | "dhcp6";
  readonly argv: readonly string[];
}

/** Words that start the DHCPv6 client, which knows nothing of earlier leases. One that asks for names alone is done when it has them. */
const dhcp6Client = ({ mode, length }: NonNullable<MachinePlan["dhcp6"]>, files: string): readonly string[] => [
  ...(mode === "stateless" ? ["sh", "-c", '"$@" && exec sleep infinity', "sh"] : []),
  ...["dhclient", "-6", "-d", "-q", "-sf", DHCP6_SCRIPT, "-e", `SELVAGE_RESOLV_CONF=${join(files, "resolv.conf")}`],
  ...["-cf", "/dev/null", "-lf", join(files, "dhcp6.leases"), "-pf", join(files, "dhcp6.pid")],
  ...(mode === "stateless" ? ["-S"] : ["--address-prefix-len", String(length)]),
  GUEST_INTERFACE,
];

async function removeNamespaces(places: MachinePlaces): Promise<void> {
  await attempt(["ip", "netns", "delete", places.namespace]);
  await rm(places.files, { recursive: true, force: true });
}

/**
 * Plugs a machine into its host: the interface carries the port's id, so that the host's agent can bind it. Must run inside the lab.
 * Resolves when it is plugged; its address comes when the fabric answers (`leased`).
 */
export async function startMachine(plan: MachinePlan, host: LabHost, output: MachineOutput): Promise<LabMachine> {
  const places = machinePlaces(plan.port);
  const { tap, namespace } = places;
  await unplug(places, host);
  const holder = await hold(plan, places, await makeNamespaces(places), output);
  await ipBatch(
    [`link add ${tap} type veth peer name ${GUEST_INTERFACE} address ${plan.mac} netns ${namespace}`],
    host.plan.name,
  );
  const guest = (...argv: readonly string[]): Promise<string> => run(inMachine(places, holder.pid, argv));
  await guest(
    "sh",
    "-c",
    `cd /proc/sys/net/ipv6/conf/${GUEST_INTERFACE} && echo 0 > accept_dad && echo 0 > dad_transmits`,
  );
  await guest("ethtool", "-K", GUEST_INTERFACE, "tx", "off");
  await ipBatch(
    [
      "link set lo up",
      `link set ${GUEST_INTERFACE} up`,
      ...plan.ipv6.map((address) => `addr add ${address} dev ${GUEST_INTERFACE} nodad`),
    ],
    namespace,
  );
  await ipBatch([`link set ${tap} addrgenmode none up`], host.plan.name);
  await host.vsctl(
    ...["--may-exist", "add-port", INTEGRATION_BRIDGE, tap],
    ...["--", "set", "Interface", tap, `external_ids:iface-id=${plan.port}`],
    `external_ids:attached-mac="${plan.mac}"`,
    ...["external_ids:iface-status=active", "external_ids:selvage-lab=machine"],
  );

  const resolvConf = join(places.files, "resolv.conf");
  const asked: readonly Asked[] = [
    ...(plan.dhcp
      ? [
          {
            family: "dhcp",
            argv: [
              ...["udhcpc", "-f", "-i", GUEST_INTERFACE, "-s", DHCP_SCRIPT, "-t", "5", "-T", "1", "-A", "1"],
              ...["-O", "mtu", "-O", "staticroutes", "-O", "search"],
            ],
          } as const,
        ]
      : []),
    ...(plan.dhcp6 === undefined ? [] : [{ family: "dhcp6", argv: dhcp6Client(plan.dhcp6, places.files) } as const]),
  ];
  const heard = new Map<string, { readonly isBound: boolean; readonly address: string | undefined }>();
  const leaseNow = (): Lease => ({
    state: asked.length > 0 && asked.every(({ family }) => heard.get(family)?.isBound === true) ? "bound" : "none",
    address: heard.get("dhcp")?.address,
    address6: heard.get("dhcp6")?.address,
  });
  let waiting: ReadonlySet<(lease: Lease) => void> = new Set();
  const clients = asked.map(({ family, argv }) =>
    supervise({
      name: `machine ${plan.name}/${family}`,
      argv: () => inMachine(places, holder.pid, argv),
      env: { SELVAGE_RESOLV_CONF: resolvConf },
      onLine: (line) => {
        output.onLine(`machine ${plan.name}`, line);
        const [, spoke, event, address] = /^selvage-(dhcp6?) (\w+) (\S+)$/.exec(line) ?? [];
        if (spoke !== family) return;
        const isBound = event === "bound" || event === "renew";
        heard.set(family, { isBound, address: isBound && address !== "none" ? address : undefined });
        const lease = leaseNow();
        if (lease.state !== "bound") return;
        const woken = waiting;
        waiting = new Set();
        for (const wake of woken) wake(lease);
      },
      onEvent: output.onEvent,
    }),
  );

  return {
    plan,
    places,
    clients,
    holder,
    get lease() {
      return leaseNow();
    },
    leased(timeoutMs) {
      const lease = leaseNow();
      if (asked.length === 0 || lease.state === "bound") return Promise.resolve(lease);
      return new Promise((resolve) => {
        const wake = (now: Lease): void => {
          clearTimeout(timer);
          waiting = new Set([...waiting].filter((other) => other !== wake));
          resolve(now);
        };
        const timer = setTimeout(() => wake(leaseNow()), timeoutMs);
        waiting = new Set([...waiting, wake]);
      });
    },
    async stop() {
      await Promise.all(clients.map((client) => client.stop(500)));
      await holder.stop(0);
      await unplug(places, host);
    },
  };
}

async function unplug(places: MachinePlaces, host: LabHost): Promise<void> {
  await host.vsctl("--if-exists", "del-port", INTEGRATION_BRIDGE, places.tap);
  await attempt(["ip", "-n", host.plan.name, "link", "delete", places.tap]);
  await removeNamespaces(places);
}

/** Removes from a host's switch the machine ports that an earlier life left and nobody plans any more. */
export async function dropStalePorts(host: LabHost, planned: readonly string[]): Promise<void> {
  const listed = await host.vsctl("--bare", "--columns=name", "find", "Interface", "external_ids:selvage-lab=machine");
  const wanted = new Set(planned.map((port) => machinePlaces(port).tap));
  for (const tap of listed.split("\n").filter((line) => line !== "" && !wanted.has(line))) {
    await host.vsctl("--if-exists", "del-port", INTEGRATION_BRIDGE, tap);
  }
}
