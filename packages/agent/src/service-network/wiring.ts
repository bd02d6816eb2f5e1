/** The services' network on a host: one namespace, into which the switch's interface is taken; its addresses, its one way back, and nothing else (ip-netns(8), ip-link(8)). */
import { spawn } from "node:child_process";
import { access, writeFile } from "node:fs/promises";
import { serviceInterface } from "@selvage/datapath";
import { machinesMac, serviceAddresses, serviceMac } from "@selvage/pipeline";

/** What answers go to: never asked for, as its MAC is written down. */
const way = { 4: "169.254.169.1", 6: "fe80::a9fe:a901" } as const;
/** Every network carries packets of this size (RFC 8200, section 5), and no answer is larger. */
const mtu = 1280;

export interface WiringPlan {
  /** The namespace of the switch's interfaces: /proc/1/ns/net where that is the host's. */
  readonly hostNamespace: string;
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** Whether the interface stands where the switch has made it. Looks at /sys, which must be that of the switch's namespace. */
export const isOutside = (): Promise<boolean> => isThere(`/sys/class/net/${serviceInterface}`);

/** Whether it is in this namespace: what is under /proc/sys/net is the reader's. */
export const isInside = (): Promise<boolean> => isThere(`/proc/sys/net/ipv6/conf/${serviceInterface}`);

/**
 * Takes the interface from the switch's namespace into that of this process. Rejects when it cannot be had. One that is here already is what a switch in user
 * space has left that ended: it has made another.
 */
export async function takeIn({ hostNamespace }: WiringPlan): Promise<void> {
  if (await isInside()) await run(["ip", "link", "delete", "dev", serviceInterface]);
  const move = ["ip", "link", "set", "dev", serviceInterface, "netns", String(process.pid)];
  await run(["nsenter", `--net=${hostNamespace}`, ...move]);
}

/** Gives the interface, which is in this namespace, what belongs to it. Idempotent. */
export async function setUp(): Promise<void> {
  const name = serviceInterface;
  await run(
    ["ip", "-batch", "-"],
    ["link set lo up", `link set dev ${name} down`, `link set dev ${name} address ${serviceMac} addrgenmode none`],
  );
  // Routers are nobody's here, and addresses are as they are said (Linux, ip-sysctl).
  for (const [setting, value] of [
    ["accept_ra", "0"],
    ["accept_dad", "0"],
    ["dad_transmits", "0"],
    ["router_solicitations", "0"],
  ] as const)
    await writeFile(`/proc/sys/net/ipv6/conf/${name}/${setting}`, value);
  const addresses = Object.values(serviceAddresses);
  await run(
    ["ip", "-batch", "-"],
    [
      `link set dev ${name} up`,
      ...addresses.flatMap((each) => [
        `addr replace ${each[4]}/32 dev ${name}`,
        `addr replace ${each[6]}/128 dev ${name} nodad`,
      ]),
      `neigh replace ${way[4]} lladdr ${machinesMac} dev ${name} nud permanent`,
      `neigh replace ${way[6]} lladdr ${machinesMac} dev ${name} nud permanent`,
      `route replace default via ${way[4]} dev ${name} onlink mtu ${mtu}`,
      `route replace ::/0 via ${way[6]} dev ${name} onlink mtu ${mtu}`,
    ],
  );
}

const patience = 10_000;

/** Runs a program to its end; `lines` are its input. Rejects with its words when it fails. */
function run(argv: readonly string[], lines: readonly string[] = []): Promise<void> {
  const [file = "", ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ["pipe", "ignore", "pipe"], timeout: patience });
    let said = "";
    child.stderr.on("data", (bytes: Buffer) => {
      said += bytes.toString();
    });
    child.on("error", reject);
    // It may end before it has read its input: the exit code tells.
    child.stdin.on("error", () => undefined);
    child.on("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${argv.join(" ")}: ${said.trim() === "" ? `exit code ${code}` : said.trim()}`));
    });
    child.stdin.end(lines.map((line) => `${line}\n`).join(""));
  });
}
