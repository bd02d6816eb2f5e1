/** The one registry of drop reasons: why a packet went nowhere; the number travels in 8 bits of a flow's cookie. */

/** Kind of object at which an operator looks first. */
export type ReasonKind = "port" | "network" | "host" | "packet" | "program";

/** One reason for dropping a packet. */
export interface DropReason {
  readonly code: string;
  /** 1 to 255, stable and never reused; 0 means "not a drop". */
  readonly number: number;
  readonly text: string;
  readonly kind: ReasonKind;
  /** What the operator can do. */
  readonly hint: string;
}

const reason = <const C extends string>(number: number, code: C, kind: ReasonKind, text: string, hint: string) => ({
  code,
  number,
  text,
  kind,
  hint,
});

/** Every reason, in order of number. Append at the end with the next number; a number is never given again: 21 was `own-copy`, which nothing gave. */
export const dropReasons = [
  reason(
    1,
    "anti-spoof-mac",
    "port",
    "the source MAC address is not the port's",
    "Add an allowed address pair with that MAC address, or disable port security on the port.",
  ),
  reason(
    2,
    "anti-spoof-ip",
    "port",
    "the source IP address is not the port's",
    "Add an allowed address pair with that IP address, or disable port security on the port.",
  ),
  reason(
    3,
    "arp-spoof",
    "port",
    "the ARP sender is not an address of the port",
    "Add an allowed address pair for the address that the guest announces.",
  ),
  reason(
    4,
    "dhcp-server-from-tenant",
    "port",
    "the port answered DHCP as a server would",
    "Only the subnet's own DHCP may answer; a guest that serves DHCP needs port security disabled.",
  ),
  reason(
    5,
    "ra-from-tenant",
    "port",
    "the port sent an IPv6 router advertisement",
    "Only the network's routers may advertise; a guest that routes needs port security disabled.",
  ),
  reason(
    6,
    "port-not-bound",
    "port",
    "the interface belongs to no port bound on this host",
    "Set binding:host_id of the port to this host, or correct the interface's iface-id.",
  ),
  reason(7, "port-admin-down", "port", "the port is administratively down", "Set admin_state_up of the port."),
  reason(
    8,
    "network-admin-down",
    "network",
    "the network is administratively down",
    "Set admin_state_up of the network.",
  ),
  reason(
    9,
    "tunnel-key-unknown",
    "host",
    "a tunnelled packet bears a key of no network present on this host",
    "Rare ones come from a network that just left; many mean that the sender's intent is old: compare the hosts' revisions.",
  ),
  reason(
    10,
    "tunnel-source",
    "host",
    "a tunnelled packet came from a host that has no port on that network",
    "Compare the sender's tunnel address with the list of hosts; an unknown sender is an intruder on the underlay.",
  ),
  reason(
    11,
    "no-fdb-entry",
    "network",
    "the destination MAC address belongs to no port of the network",
    "Check that the destination's port exists and that the guest uses the port's MAC address.",
  ),
  reason(
    12,
    "neighbour-unresolved",
    "network",
    "the MAC address of the next hop is not known",
    "Check that a port has the address that the packet is for, or that the provider's gateway answers.",
  ),
  reason(
    13,
    "tunnel-missing",
    "host",
    "there is no tunnel to the host of the destination",
    "Check that the other host reports a tunnel address and shares an encapsulation with this one.",
  ),
  reason(
    14,
    "ethertype-denied",
    "port",
    "the Ethernet type is not carried with port security",
    "Only ARP, IPv4 and IPv6 are carried; disable port security for anything else.",
  ),
  reason(
    15,
    "vlan-denied",
    "port",
    "the port sent a VLAN tag that it may not send",
    "Make the network vlan_transparent, or use a trunk with a subport of that VLAN.",
  ),
  reason(
    16,
    "nd-spoof",
    "port",
    "the neighbour discovery target is not an address of the port",
    "Add an allowed address pair for the address that the guest announces.",
  ),
  reason(
    17,
    "table-miss",
    "program",
    "no row of the table matched, and the program declares none for the rest",
    "This is a fault of the program: report it with the output of selvage status --json.",
  ),
  reason(
    18,
    "punt-rate",
    "port",
    "the port asks local services faster than it may",
    "Look at what the guest sends (DHCP, DNS, ARP); the limit is in the host's configuration.",
  ),
  reason(
    19,
    "mtu-exceeded",
    "network",
    "the packet is larger than the path carries and may not be fragmented",
    "Lower the guest's MTU to the network's, or let the guest receive the ICMP that says so.",
  ),
  reason(
    20,
    "source-multicast",
    "packet",
    "the source MAC address is a multicast address",
    "No sound guest sends this: look at the guest's network stack.",
  ),
  reason(
    22,
    "sg-default-deny-egress",
    "port",
    "no egress rule of the port's security groups lets it out",
    "Add an egress rule to one of the port's security groups, or put the port into a group that has one.",
  ),
  reason(
    23,
    "sg-default-deny-ingress",
    "port",
    "no ingress rule of the port's security groups lets it in",
    "Add an ingress rule to one of the receiving port's security groups, or put it into a group that has one.",
  ),
  reason(
    24,
    "ct-invalid",
    "packet",
    "it belongs to no connection and can open none",
    "Often one direction takes another way, or a connection has ended on one side only; malformed packets end here too.",
  ),
  reason(
    25,
    "ct-rule-revoked",
    "port",
    "the security group rule that let the connection in is gone",
    "This is what removing a rule, a group or a member is for; another rule that fits lets it go on as soon as its opener speaks.",
  ),
  reason(
    26,
    "router-admin-down",
    "network",
    "the router is administratively down",
    "Set admin_state_up of the router.",
  ),
  reason(
    27,
    "router-port-closed",
    "packet",
    "it is for a router's own address, which answers pings and nothing else",
    "Look at what the guest wants of its gateway: DNS, DHCP and metadata have other addresses.",
  ),
  reason(
    28,
    "ttl-expired",
    "packet",
    "it has passed as many routers as its sender allowed",
    "Normal for traceroute; else look for a routing loop, or for a guest that sends with a small TTL.",
  ),
  reason(
    29,
    "no-route",
    "network",
    "the router has no route to its destination",
    "Add an interface on the destination's network, an extra route or a gateway to the router.",
  ),
  reason(
    30,
    "address-scope",
    "network",
    "sender and receiver are in different address scopes",
    "Addresses of different scopes may clash and are not routed to each other: use subnets of pools in one scope.",
  ),
  reason(
    31,
    "loop-detected",
    "network",
    "it went through more than four routers",
    "Look at the extra routes of the routers: two of them point at each other.",
  ),
  reason(
    32,
    "fragment-rate",
    "port",
    "the port sends fragments of datagrams faster than it may",
    "Lower the guest's MTU to the network's, so that it sends whole packets; the limit keeps one guest from filling the memory in which all guests' fragments are put together.",
  ),
  reason(
    33,
    "connection-limit",
    "port",
    "the port has as many connections as a port may have",
    "Look at what opens them: a scan, a flood, or a busy server, whose port is better off in a stateless security group; old connections make room as they end.",
  ),
  reason(
    34,
    "physical-missing",
    "host",
    "this host has no way to the physical network",
    "Map the physical network to a bridge of this host (bridgeMappings), or bind the port on a host that has it.",
  ),
  reason(
    35,
    "vlan-unknown",
    "network",
    "it came from a physical network, untagged or on a VLAN, and no network here stands there",
    "Usual where no network stands on the wire yet, or the physical switch sends all VLANs; else compare the network's segmentation id with the switch's.",
  ),
  reason(
    36,
    "nat-no-translation",
    "network",
    "it would leave by an external network with an address that means nothing there",
    "Give the port a floating IP, enable the router's SNAT, or put both subnets into one address scope.",
  ),
  reason(
    37,
    "nat-no-port-block",
    "host",
    "this host has no lease of ports of the router's external address yet",
    "It lasts as long as the server takes to lease one; if it stays, the address has no free blocks: see selvage nat leases.",
  ),
  reason(
    38,
    "nat-exhausted",
    "host",
    "no port of the leased ones, or no room, is left for its connection",
    "Many connections to one destination: the lease grows by itself; give busy machines floating IPs.",
  ),
  reason(
    39,
    "nat-no-connection",
    "packet",
    "it came to a router's external address and belongs to no connection from inside",
    "Usual for scans and late answers; what must be reached from outside needs a floating IP or a port forwarding.",
  ),
  reason(
    40,
    "outside-unknown",
    "network",
    "it came for this host from an external network, and no address of ours is what it is for",
    "A floating IP or port forwarding that was there is gone, or an address is routed here that no network has.",
  ),
  reason(
    41,
    "metadata-denied",
    "port",
    "it asks the host's services (metadata, names) from an address that is not the port's own",
    "Have the machine ask from one of its port's fixed addresses, or from the link-local one of its MAC: an address pair says nothing of who asks.",
  ),
  reason(
    42,
    "source-link-local",
    "packet",
    "a router does not send on what comes from an address that means something on its own link alone (RFC 4291, section 2.5.6; RFC 3927, section 2.7)",
    "Have the machine send from an address of the network's subnet: one without has none but its link-local one; see that it got it by DHCP or from the router.",
  ),
  reason(
    43,
    "nat-not-here",
    "packet",
    "it came to a router's external address without a port, and belongs to no connection of this host",
    "Usual: answers to pings, ICMP errors and later fragments are given to each host that leases ports of the address, and one of them knows the connection. Only many on all of these hosts come unasked.",
  ),
] as const satisfies readonly DropReason[];

/** Code of a drop reason. */
export type ReasonCode = (typeof dropReasons)[number]["code"];

/** The reason of a code. */
export function reasonByCode(code: ReasonCode): DropReason & { readonly code: ReasonCode } {
  const found = codes.get(code);
  if (found === undefined) throw new RangeError(`No drop reason is called "${code}"`);
  return found;
}

/** The reason of a number read back from a switch, or undefined where no reason has it (0 included: not a drop). */
export function reasonByNumber(number: number): (DropReason & { readonly code: ReasonCode }) | undefined {
  return numbers.get(number);
}

/** Whether a text is the code of a reason. */
export function isReasonCode(text: string): text is ReasonCode {
  return allCodes.has(text);
}

const codes: ReadonlyMap<ReasonCode, (typeof dropReasons)[number]> = new Map(dropReasons.map((r) => [r.code, r]));
const numbers: ReadonlyMap<number, (typeof dropReasons)[number]> = new Map(dropReasons.map((r) => [r.number, r]));
const allCodes: ReadonlySet<string> = new Set(codes.keys());
