/**
 * The lab's physical networks: those that were asked for, each with some hosts on it; and `public`, to which every host has a wire, with a machine on it that
 * nobody manages and a far address behind it (documentation ranges of RFC 5737 and RFC 3849), to which what leaves goes and from which what comes in comes.
 */
import { attempt, ipBatch, run } from "./command.ts";
import { LabError } from "./failure.ts";
import { UNDERLAY_MTU } from "./underlay.ts";

/** The physical network's name, as operators map it to a bridge on each host. */
export const PHYSICAL_NETWORK = "public";
/** The namespace of the machine that is outside; `lab exec` knows it by this name. */
export const OUTSIDE = "outside";

/** What the outside is to tenants: where they go out by, and the range of which they may have addresses. */
export const OUTSIDE_RANGES = {
  ipv4: { cidr: "203.0.113.0/24", gateway: "203.0.113.1", far: "198.51.100.1" },
  ipv6: { cidr: "2001:db8:ff::/64", gateway: "2001:db8:ff::1", far: "2001:db8:fa::1" },
} as const;

/** Hosts with lower numbers than this have an address of their own there; the range holds no more. */
const operatorHosts = 55;

/** A host's own addresses on the physical network, by which its operator's programs reach what is there: no tenant's, for they end the range. */
export function operatorAddresses(hostNumber: number): readonly string[] {
  if (hostNumber >= operatorHosts) return [];
  return [`203.0.113.${200 + hostNumber}/24`, `2001:db8:ff::200:${hostNumber.toString(16)}/64`];
}

/** The lab's own bridge that is the physical network, and the interface to it, outside and on each host: both bear its name. */
const WIRE = PHYSICAL_NETWORK;

/** The bridge on each host that leads to a physical network. */
export const bridgeTo = (network: string): string => `br-${network}`;
const PHYSICAL_BRIDGE = bridgeTo(WIRE);

const plugOf = (name: string, network: string = WIRE): string => `${network.slice(0, 3)}-${name}`;

/** Names that something else has: `br-int` and the uplink on each host, the underlay's bridge (host.ts), and what Linux lets no interface be called. */
const reservedNames: ReadonlySet<string> = new Set(["int", "uplink", "underlay", "all", "default"]);

/**
 * Which of the fabric's hosts have which physical networks besides `public`, as `up --wires` says it: `left=h1+h2,right=h3`. By host's name.
 * Throws LabError `setting`.
 */
export function parseWires(text: string, fabric: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  const seen = new Set([WIRE.slice(0, 3)]);
  for (const [network = "", hosts = "", ...more] of text.split(",").map((part) => part.split("="))) {
    const names = hosts.split("+");
    if (!/^[a-z][a-z0-9]{2,7}$/.test(network) || more.length > 0 || names.some((name) => !/^h[0-9]+$/.test(name)))
      throw new LabError("setting", `wires: "${text}" is not understood`, "write it like left=h1+h2,right=h3");
    if (reservedNames.has(network))
      throw new LabError(
        "setting",
        `wires: the name ${network} is the lab's own`,
        "call the physical network otherwise",
      );
    const stranger = names.find((name) => !fabric.includes(name));
    if (stranger !== undefined)
      throw new LabError(
        "setting",
        `wires: there is no host ${stranger}`,
        `the fabric has ${fabric.length}: see --hosts`,
      );
    if (seen.has(network.slice(0, 3)))
      throw new LabError("setting", `wires: ${network} begins as another does`, "let them differ in three letters");
    seen.add(network.slice(0, 3));
    for (const name of names) found.set(name, [...(found.get(name) ?? []), network]);
  }
  return found;
}

/** Throws LabError `setting` where a host that is there already would have other wires than it has: they come with the host. */
export function refuseRewiring(
  wires: ReadonlyMap<string, readonly string[]>,
  hosts: readonly { readonly name: string; readonly wires?: readonly string[] }[],
): void {
  for (const { name, wires: had = [] } of hosts) {
    const wished = wires.get(name);
    if (wished === undefined || [...wished].sort().join() === [...had].sort().join()) continue;
    throw new LabError(
      "setting",
      `wires: ${name} is there already, with ${had.length === 0 ? "none" : had.join(", ")}`,
      "wires are for new hosts: add some by --hosts, or begin anew with ./selvage down --purge",
    );
  }
}

/** Makes the lab's bridge that is a physical network, in the namespace this runs in; harmless when it is there. */
export async function makeWire(network: string): Promise<void> {
  // Hosts come side by side.
  const added = await attempt(["ip", "link", "add", network, "type", "bridge"]);
  if (added.code !== 0) await run(["ip", "link", "show", network]);
  await ipBatch([
    `link set ${network} type bridge stp_state 0 mcast_snooping 0`,
    `link set ${network} mtu ${UNDERLAY_MTU} addrgenmode none up`,
  ]);
}

/** Makes the physical network and the machine outside in the namespace this runs in; harmless when they are there. */
export async function makeOutside(): Promise<void> {
  if ((await attempt(["ip", "link", "show", WIRE])).code === 0) return;
  const { ipv4, ipv6 } = OUTSIDE_RANGES;
  const outer = plugOf(OUTSIDE);
  await makeWire(WIRE);
  await ipBatch([
    `netns add ${OUTSIDE}`,
    `link add ${outer} type veth peer name ${WIRE} netns ${OUTSIDE}`,
    `link set ${outer} master ${WIRE} addrgenmode none up`,
  ]);
  await run(["ip", "netns", "exec", OUTSIDE, "sh", "-c", forwarding]);
  await ipBatch(
    [
      "link set lo up",
      `addr add ${ipv4.gateway}/24 dev ${WIRE}`,
      `addr add ${ipv6.gateway}/64 dev ${WIRE} nodad`,
      `addr add ${ipv4.far}/32 dev lo`,
      `addr add ${ipv6.far}/128 dev lo nodad`,
      `link set ${WIRE} up`,
    ],
    OUTSIDE,
  );
  await run(["ethtool", "-K", outer, "tx", "off"]);
  await run(["ip", "netns", "exec", OUTSIDE, "ethtool", "-K", WIRE, "tx", "off"]);
}

/** It routes, and hears who says that an address moved (arp_accept, Linux ip-sysctl). */
const forwarding = [
  "echo 1 > /proc/sys/net/ipv4/ip_forward",
  "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
  "echo 1 > /proc/sys/net/ipv4/conf/all/arp_accept",
].join("; ");

/** Gives a host's namespace its interface to a physical network. */
export async function wireTo(network: string, host: string): Promise<void> {
  const outer = plugOf(host, network);
  await ipBatch([
    `link add ${outer} mtu ${UNDERLAY_MTU} type veth peer name ${network} mtu ${UNDERLAY_MTU} netns ${host}`,
    `link set ${outer} master ${network} addrgenmode none up`,
  ]);
  await ipBatch([`link set ${network} addrgenmode none up`], host);
  await run(["ethtool", "-K", outer, "tx", "off"]);
  await run(["ip", "netns", "exec", host, "ethtool", "-K", network, "tx", "off"]);
  // As the uplink's: the switch alone answers for what comes by it.
  const quiet = `echo 1 > /proc/sys/net/ipv4/conf/${network}/arp_ignore`;
  await run(["ip", "netns", "exec", host, "sh", "-c", quiet]);
}

/** Gives a host its own addresses on the physical network, on the bridge that leads to it. */
export async function settleOperator(host: string, hostNumber: number): Promise<void> {
  await ipBatch(
    [
      ...operatorAddresses(hostNumber).map(
        (address) => `addr replace ${address} dev ${PHYSICAL_BRIDGE}${address.includes(":") ? " nodad" : ""}`,
      ),
      `link set ${PHYSICAL_BRIDGE} up`,
    ],
    host,
  );
  await run(["ip", "netns", "exec", host, "ethtool", "-K", PHYSICAL_BRIDGE, "tx", "off"]);
}
