/**
 * The lab's outside: the physical network `public`, to which every host has a wire, and a machine on it that nobody manages, with a far address behind it
 * (documentation ranges of RFC 5737 and RFC 3849), to which what leaves goes and from which what comes in comes.
 */
import { attempt, ipBatch, run } from "./command.ts";
import { UNDERLAY_MTU } from "./underlay.ts";

/** The physical network's name, as operators map it to a bridge on each host. */
export const PHYSICAL_NETWORK = "public";
/** The bridge on each host that leads to it. */
export const PHYSICAL_BRIDGE = "br-public";
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

/** The lab's own bridge that is the physical network. */
const WIRE = "public";
/** The interface to it, outside and on each host. */
export const WIRE_INTERFACE = "public";

const plugOf = (name: string): string => `pub-${name}`;

/** Makes the physical network and the machine outside in the namespace this runs in; harmless when they are there. */
export async function makeOutside(): Promise<void> {
  if ((await attempt(["ip", "link", "show", WIRE])).code === 0) return;
  const { ipv4, ipv6 } = OUTSIDE_RANGES;
  const outer = plugOf(OUTSIDE);
  await ipBatch([
    `link add ${WIRE} type bridge`,
    `link set ${WIRE} type bridge stp_state 0 mcast_snooping 0`,
    `link set ${WIRE} mtu ${UNDERLAY_MTU} addrgenmode none up`,
    `netns add ${OUTSIDE}`,
    `link add ${outer} type veth peer name ${WIRE_INTERFACE} netns ${OUTSIDE}`,
    `link set ${outer} master ${WIRE} addrgenmode none up`,
  ]);
  await run(["ip", "netns", "exec", OUTSIDE, "sh", "-c", forwarding]);
  await ipBatch(
    [
      "link set lo up",
      `addr add ${ipv4.gateway}/24 dev ${WIRE_INTERFACE}`,
      `addr add ${ipv6.gateway}/64 dev ${WIRE_INTERFACE} nodad`,
      `addr add ${ipv4.far}/32 dev lo`,
      `addr add ${ipv6.far}/128 dev lo nodad`,
      `link set ${WIRE_INTERFACE} up`,
    ],
    OUTSIDE,
  );
  await run(["ethtool", "-K", outer, "tx", "off"]);
  await run(["ip", "netns", "exec", OUTSIDE, "ethtool", "-K", WIRE_INTERFACE, "tx", "off"]);
}

/** It routes, and hears who says that an address moved (arp_accept, Linux ip-sysctl). */
const forwarding = [
  "echo 1 > /proc/sys/net/ipv4/ip_forward",
  "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
  "echo 1 > /proc/sys/net/ipv4/conf/all/arp_accept",
].join("; ");

/** Gives a host's namespace its interface to the physical network. */
export async function wireToOutside(host: string): Promise<void> {
  const outer = plugOf(host);
  await ipBatch([
    `link add ${outer} mtu ${UNDERLAY_MTU} type veth peer name ${WIRE_INTERFACE} mtu ${UNDERLAY_MTU} netns ${host}`,
    `link set ${outer} master ${WIRE} addrgenmode none up`,
  ]);
  await ipBatch([`link set ${WIRE_INTERFACE} addrgenmode none up`], host);
  await run(["ethtool", "-K", outer, "tx", "off"]);
  await run(["ip", "netns", "exec", host, "ethtool", "-K", WIRE_INTERFACE, "tx", "off"]);
  // As the uplink's: the switch alone answers for what comes by it.
  const quiet = `echo 1 > /proc/sys/net/ipv4/conf/${WIRE_INTERFACE}/arp_ignore`;
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
