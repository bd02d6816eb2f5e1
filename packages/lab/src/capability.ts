/** What this machine lets us do, found out by doing it: namespaces (unshare(2)), a veth pair, a tun device, a packet socket. */

import { attempt } from "./command.ts";
import { message } from "./supervise.ts";

/** The abilities that a lab with real switches needs. */
export const abilities = ["namespaces", "veth", "bridge", "tun", "packet-socket"] as const;
export type Ability = (typeof abilities)[number];

/** One ability and, where the machine refused, its words. */
export interface Probe {
  readonly ability: Ability;
  readonly works: boolean;
  readonly reason: string | null;
}

/** Which datapath this machine can run and why. */
export interface Capability {
  readonly datapath: "ovs" | "simulated";
  readonly probes: readonly Probe[];
  /** One line for people when the datapath is not the real one. */
  readonly why: string | null;
}

const UNSHARE = [
  "unshare",
  "--fork",
  "--pid",
  "--mount",
  "--net",
  "--kill-child",
  "--mount-proc",
  "--propagation",
  "private",
] as const;

/** Each try is a shell script that runs in namespaces of its own. */
const TRIES: Readonly<Record<Ability, string>> = {
  namespaces: "true",
  veth: "ip link add p0 type veth peer name p1",
  bridge: "ip link add b0 type bridge",
  tun: "ip tuntap add dev t0 mode tap",
  // The DHCP client is the one that needs it: it opens its socket before it asks, and gives up soon since nobody answers.
  "packet-socket":
    "ip link add p0 type veth peer name p1 && ip link set p0 up && ip link set p1 up || exit 1; " +
    "said=$(udhcpc -f -n -q -t 1 -T 1 -i p0 -s /bin/true 2>&1); " +
    'case $said in *socket*|*denied*|*permitted*) echo "$said" >&2; exit 1 ;; *discover*) exit 0 ;; *) echo "$said" >&2; exit 1 ;; esac',
};

async function probe(ability: Ability): Promise<Probe> {
  try {
    const result = await attempt([...UNSHARE, "sh", "-c", TRIES[ability]], { timeoutMs: 60_000 });
    if (result.code === 0) return { ability, works: true, reason: null };
    return { ability, works: false, reason: result.stderr.trim().split("\n")[0] || `exit code ${result.code}` };
  } catch (cause) {
    return { ability, works: false, reason: message(cause) };
  }
}

/**
 * Tries each ability in a namespace that vanishes with the try; nothing of the machine changes.
 * @param forced the word of `SELVAGE_DATAPATH`: `simulated` skips the tries, anything else does them
 * @param install called once namespaces were seen to work, before the tries that need tools which may have to be installed first
 */
export async function probeCapability(forced: string | undefined, install: () => Promise<void>): Promise<Capability> {
  if (forced === "simulated") {
    return { datapath: "simulated", probes: [], why: "SELVAGE_DATAPATH=simulated asks for the simulated datapath" };
  }
  const [first, ...others] = abilities;
  const basis = await probe(first);
  if (!basis.works) return refusal([basis]);
  await install();
  const probes = [basis, ...(await Promise.all(others.map(probe)))];
  return probes.every((one) => one.works) ? { datapath: "ovs", probes, why: null } : refusal(probes);
}

function refusal(probes: readonly Probe[]): Capability {
  const refused = probes.filter((one) => !one.works);
  return {
    datapath: "simulated",
    probes,
    why: `this machine refuses ${refused.map((one) => one.ability).join(", ")} (${refused[0]?.reason ?? "no reason given"}): the simulated datapath runs instead`,
  };
}
