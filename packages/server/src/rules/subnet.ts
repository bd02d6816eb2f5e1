/** Subnets: gateway, pools, overlap and the ranges that DHCP can serve (Networking v2.0, `/v2.0/subnets`; neutron-lib `ipam_backend`). */
import { fail, pythonString } from "@selvage/base";
import {
  type AllocationPool,
  type Cidr,
  cidrContains,
  cidrOf,
  cidrsOverlap,
  firstIpOf,
  type HostRoute,
  type Ip,
  ipFrom,
  ipOf,
  isLoopbackIp,
  isMulticastIp,
  isUnspecifiedIp,
  keyOf,
  lastIpOf,
  Network,
  Port,
  parseIp,
  Segment,
  Subnet,
  type Subnet as SubnetObject,
  sizeOfCidr,
  textOfCidr,
  textOfIp,
  type View,
  valueOfIp,
  versionOf,
} from "@selvage/model";
import { spanOf } from "../allocate.ts";
import { anyOf, isAdmin, member, networkOwner, reader, shared } from "../api/policy.ts";
import { addAutomatic, makesAddresses, releaseSubnet } from "./automatic-addresses.ts";
import { widenGateways } from "./gateway.ts";
import { settleHostGateways } from "./host-gateways.ts";
import { visibleNetwork } from "./network.ts";
import { countOwn, leavePeers, type Peer, tellPeers, withPeers } from "./peer-routes.ts";
import { giveBack } from "./pool-space.ts";
import { type ResourceRules, taggedOf, type Values } from "./rules.ts";
import { sharedField, sharedObjects, sharingOf } from "./sharing.ts";
import { checkAffinity, rangeOf } from "./subnet-range.ts";

const nameServerLimit = 5;
const hostRouteLimit = 20;

/** Where IPv4 addresses stand in the pipeline's keys of 128 bits; as IPv6 the block is deprecated (RFC 4291, section 2.5.5.1). */
const ipv4InIpv6 = cidrOf("::/96");

/** The smallest subnet that DHCP serves: a client, a gateway, and the two that are nobody's. */
const longestDhcpPrefix = { 4: 30, 6: 126 } as const;

export const subnetRules: ResourceRules<typeof Subnet> = {
  resource: Subnet,
  standsOnNetwork: true,
  notFound: (id) => fail("SubnetNotFound", { id }),
  policy: {
    get: anyOf(isAdmin, reader, shared),
    // Later releases' rule: who merely shares a network does not shape it (the captured release let it, by mistake).
    create: anyOf(isAdmin, networkOwner),
    update: anyOf(isAdmin, member, networkOwner),
    delete: anyOf(isAdmin, member, networkOwner),
    attributes: { segment_id: { create: isAdmin, update: isAdmin } },
  },
  target: (view, object) => ({
    projectId: String(object.project_id),
    network: view.get(Network, String(object.network_id)),
    sharedWith: sharingOf(view, "network", String(object.network_id)),
  }),
  alsoVisible: function* (view, caller) {
    for (const network of sharedObjects(view, Network, "network", caller.projectId))
      yield* view.by(Subnet.index.network_id, network.id);
  },
  computed: {
    shared: ({ network_id }, world, caller) => sharedField("network")({ id: network_id }, world, caller),
  },
  create: (writing, values) => {
    const { transaction, caller } = writing;
    const network = visibleNetwork(transaction.view, caller, String(values.network_id));
    const version = values.ip_version === 6 ? 6 : 4;
    if (typeof values.cidr === "string") checkVersion("cidr", values.cidr, firstIpOf(cidrOf(values.cidr)), version);
    const { cidr, pool } = rangeOf(writing, values);
    const text = textOfCidr(cidr);
    checkNotIpv4Block("subnets", cidr);
    const dhcp = values.enable_dhcp === true;
    const modes = modesOf(values, version, cidr, dhcp);
    if (dhcp) checkDhcpRange(cidr);
    checkOverlap(transaction.view, network.id, text, cidr);
    const gateway = values.gateway_ip === undefined ? defaultGateway(cidr, modes) : gatewayOf(values, cidr, version);
    const pools = (values.allocation_pools as readonly AllocationPool[] | undefined) ?? defaultPools(cidr, gateway);
    checkPools(pools, text, cidr, version);
    checkGatewayOutside(gateway, pools);
    const nameServers = (values.dns_nameservers ?? []) as readonly string[];
    const routes = (values.host_routes ?? []) as readonly HostRoute[];
    const segment_id = (values.segment_id ?? null) as string | null;
    checkSegment(transaction.view, network.id, segment_id);
    checkNameServers("new subnet", nameServers);
    const peer = { network_id: network.id, segment_id, ip_version: version, gateway_ip: gateway } as const;
    checkRoutes(transaction.view, { ...peer, id: "new subnet" }, routes);
    checkAffinity(transaction.view, network.id, version, pool);
    transaction.put(Network, network);
    const standard = taggedOf(writing, values, 0);
    const subnet = transaction.put(Subnet, {
      ...standard,
      network_id: network.id,
      ip_version: version,
      cidr: text,
      gateway_ip: gateway,
      allocation_pools: pools,
      enable_dhcp: dhcp,
      dns_nameservers: nameServers,
      host_routes: withPeers(transaction.view, { ...peer, id: standard.id }, routes),
      ...modes,
      subnetpool_id: pool?.id ?? null,
      segment_id,
    });
    tellPeers(transaction, subnet);
    addAutomatic(transaction, subnet);
    widenGateways(writing, subnet);
    settleHostGateways(writing, network.id);
    return subnet;
  },
  update: (writing, before, values) => {
    const cidr = cidrOf(before.cidr);
    const version = before.ip_version;
    const after: SubnetObject = { ...before, ...values };
    if ("gateway_ip" in values) gatewayOf(values, cidr, version);
    if (typeof values.gateway_ip === "string" && values.gateway_ip !== before.gateway_ip)
      checkGatewayFree(writing.transaction.view, before);
    if (!after.enable_dhcp && (before.ipv6_ra_mode !== null || before.ipv6_address_mode !== null))
      throw fail("InvalidInput", { error_message: "Cannot disable enable_dhcp with ipv6 attributes set" });
    if ("allocation_pools" in values) checkPools(after.allocation_pools, before.cidr, cidr, version);
    if ("gateway_ip" in values || "allocation_pools" in values)
      checkGatewayOutside(after.gateway_ip, after.allocation_pools);
    if (after.enable_dhcp && !before.enable_dhcp) checkDhcpRange(cidr);
    if ("dns_nameservers" in values) checkNameServers(before.id, after.dns_nameservers);
    if ("host_routes" in values) checkRoutes(writing.transaction.view, after, after.host_routes);
    if (after.segment_id !== before.segment_id) checkSegmentChange(writing.transaction.view, before, after.segment_id);
    const earlier = after.gateway_ip === before.gateway_ip ? null : before.gateway_ip;
    const host_routes = withPeers(writing.transaction.view, after, after.host_routes, earlier);
    return writing.transaction.put(Subnet, { ...after, host_routes });
  },
  remove: (writing, subnet, precondition) => {
    const { transaction } = writing;
    releaseSubnet(transaction, subnet);
    precondition();
    giveBack(transaction, subnet);
    leavePeers(transaction, subnet);
    transaction.remove(Subnet, subnet.id);
    const network = transaction.view.get(Network, subnet.network_id);
    if (network !== undefined) transaction.put(Network, network);
  },
};

/** The segment is one of the network, and its other subnets have segments as well, or all none. Throws what stands against it. */
function checkSegment(view: View, network_id: string, segment_id: string | null): void {
  const others = view.by(Subnet.index.network_id, network_id);
  if (others.some((other) => (other.segment_id === null) !== (segment_id === null)))
    throw fail("SubnetsNotAllAssociatedWithSegments", { network_id });
  if (segment_id !== null) checkOfNetwork(view, network_id, segment_id);
}

function checkOfNetwork(view: View, network_id: string, segment_id: string): void {
  const segment = view.get(Segment, segment_id);
  if (segment === undefined) throw fail("SegmentNotFound", { segment_id });
  if (segment.network_id !== network_id) throw fail("NetworkIdsDontMatch", { subnet_network: network_id, segment_id });
}

/** A subnet of no segment becomes one of its network's only one; its network's others follow one by one. Throws what stands against it. */
function checkSegmentChange(view: View, { network_id, segment_id: before }: SubnetObject, after: string | null): void {
  if (before !== null || after === null) throw fail("SubnetSegmentAssociationChangeNotAllowed");
  if (view.count(Segment.index.network_id, network_id) > 1)
    throw fail("NoUpdateSubnetWhenMultipleSegmentsOnNetwork", { network_id });
  checkOfNetwork(view, network_id, after);
}

/** Whether an address may be given to a machine: inside, and neither the network's own address nor its broadcast. */
export function isHostAddress(cidr: Cidr, ip: Ip): boolean {
  if (!cidrContains(cidr, ip)) return false;
  const { first, last } = hostSpan(cidr);
  const value = valueOfIp(ip);
  return value >= first && value <= last;
}

function hostSpan(cidr: Cidr): { readonly first: bigint; readonly last: bigint } {
  const first = valueOfIp(firstIpOf(cidr));
  const last = valueOfIp(lastIpOf(cidr));
  if (sizeOfCidr(cidr) <= 2n) return { first, last };
  // IPv6 has no broadcast; its first address is every router's (RFC 4291, section 2.6.1).
  return { first: first + 1n, last: versionOf(firstIpOf(cidr)) === 4 ? last - 1n : last };
}

/** The first host address; where addresses come by SLAAC, the one that is every router's (RFC 4291, section 2.6.1), as Neutron has it; none in a subnet of a single address. */
function defaultGateway(cidr: Cidr, { ipv6_ra_mode, ipv6_address_mode }: Modes): string | null {
  if (ipv6_ra_mode === "slaac" || ipv6_address_mode === "slaac") return textOfIp(firstIpOf(cidr));
  if (sizeOfCidr(cidr) === 1n) return null;
  return textOfIp(ipFrom(versionOf(firstIpOf(cidr)), hostSpan(cidr).first));
}

function defaultPools(cidr: Cidr, gateway: string | null): readonly AllocationPool[] {
  const version = versionOf(firstIpOf(cidr));
  const { first, last } = hostSpan(cidr);
  const ip = gateway === null ? undefined : ipOf(gateway);
  const hole = ip === undefined || !cidrContains(cidr, ip) ? undefined : valueOfIp(ip);
  const spans =
    hole === undefined || hole < first || hole > last
      ? [[first, last] as const]
      : ([
          [first, hole - 1n],
          [hole + 1n, last],
        ] as const);
  return spans
    .filter(([start, end]) => start <= end)
    .map(([start, end]) => ({ start: textOfIp(ipFrom(version, start)), end: textOfIp(ipFrom(version, end)) }));
}

function gatewayOf(values: Values, cidr: Cidr, version: 4 | 6): string | null {
  const text = values.gateway_ip;
  if (typeof text !== "string") return null;
  const ip = ipOf(text);
  checkVersion("gateway_ip", text, ip, version);
  // One outside of the subnet is accepted, as Neutron does: an on-link route makes it reachable.
  if (cidrContains(cidr, ip) && version === 4 && !isHostAddress(cidr, ip)) {
    throw fail("InvalidInput", { error_message: "Gateway is not valid on subnet" });
  }
  return text;
}

type Modes = Pick<SubnetObject, "ipv6_ra_mode" | "ipv6_address_mode">;

/** Who tells machines their addresses. Throws InvalidInput for what does not go together, and for what nobody would do. */
function modesOf(values: Values, version: 4 | 6, cidr: Cidr, dhcp: boolean): Modes {
  const refuse = (error_message: string): never => {
    throw fail("InvalidInput", { error_message });
  };
  const modes = { ipv6_ra_mode: values.ipv6_ra_mode, ipv6_address_mode: values.ipv6_address_mode } as Modes;
  const set = Object.entries(modes).filter(([, mode]) => mode !== null);
  for (const [name] of set) if (version === 4) refuse(`${name} is not valid when ip_version is 4`);
  if (set.length === 0) return modes;
  const { ipv6_ra_mode, ipv6_address_mode } = modes;
  if (!dhcp) refuse("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False");
  if (ipv6_ra_mode !== null && ipv6_address_mode !== null && ipv6_ra_mode !== ipv6_address_mode) {
    refuse(
      `ipv6_ra_mode set to '${ipv6_ra_mode}' with ipv6_address_mode set to '${ipv6_address_mode}' is not valid. If both attributes are set, they must be the same value`,
    );
  }
  // What DHCPv6 gives may be of any prefix; what a machine makes itself has 64 bits of its own.
  if (cidr.length !== 64 && set.some(([, mode]) => mode !== "dhcpv6-stateful")) {
    refuse(
      `Invalid CIDR ${textOfCidr(cidr)} for IPv6 address mode. OpenStack uses the EUI-64 address format, which requires the prefix to be /64`,
    );
  }
  return modes;
}

/** A router that has the gateway's address keeps it. */
function checkGatewayFree(view: View, { id, gateway_ip }: SubnetObject): void {
  if (gateway_ip === null) return;
  const port = view.by(Port.index.address, keyOf(id, gateway_ip)).find((each) => !makesAddresses(each.device_owner));
  if (port !== undefined) throw fail("GatewayIpInUse", { ip_address: gateway_ip, port_id: port.id });
}

function checkVersion(attribute: string, text: string, ip: Ip, version: 4 | 6): void {
  if (versionOf(ip) === version) return;
  throw fail("InvalidInput", { error_message: `${attribute} '${text}' does not match the ip_version '${version}'` });
}

function checkDhcpRange(cidr: Cidr): void {
  const first = firstIpOf(cidr);
  const refuse = (message: string): never => {
    throw fail("InvalidInput", { error_message: message });
  };
  if (isMulticastIp(first)) refuse("Multicast IP subnet is not supported if enable_dhcp is True");
  if (isLoopbackIp(first)) refuse("Loopback IP subnet is not supported if enable_dhcp is True");
  if (isUnspecifiedIp(first))
    refuse(`First IP ${pythonString(textOfIp(first))} of network is not supported if enable_dhcp is True.`);
  const version = versionOf(first);
  if (sizeOfCidr(cidr) < 1n << BigInt((version === 4 ? 32 : 128) - longestDhcpPrefix[version])) {
    refuse("Subnet has a prefix length that is incompatible with DHCP service enabled");
  }
}

function checkOverlap(view: View, networkId: string, text: string, cidr: Cidr): void {
  const other = view.by(Subnet.index.network_id, networkId).find((subnet) => cidrsOverlap(cidrOf(subnet.cidr), cidr));
  if (other === undefined) return;
  throw fail("InvalidInput", {
    error_message: `Requested subnet with cidr: ${text} for network: ${networkId} overlaps with another subnet`,
  });
}

/** An IPv6 address there would be taken for the IPv4 address in its low 32 bits. */
export function checkNotIpv4Block(resource: string, cidr: Cidr): void {
  if (!cidrsOverlap(cidr, ipv4InIpv6)) return;
  const msg = `Invalid input for operation: ${textOfCidr(cidr)} overlaps ::/96, which is reserved for IPv4-compatible addresses (RFC 4291)`;
  throw fail("BadRequest", { resource, msg });
}

function checkPools(pools: readonly AllocationPool[], cidrText: string, cidr: Cidr, version: 4 | 6): void {
  const { first, last } = hostSpan(cidr);
  for (const pool of pools) {
    if (versionOf(ipOf(pool.start)) !== version || versionOf(ipOf(pool.end)) !== version) {
      throw fail("InvalidAllocationPool", { pool: textOfPool(pool) });
    }
    const span = spanOf(pool);
    if (span.last < span.first) throw fail("InvalidAllocationPool", { pool: textOfPool(pool) });
    if (span.first < first || span.last > last) {
      throw fail("OutOfBoundsAllocationPool", { pool: textOfPool(pool), subnet_cidr: cidrText });
    }
  }
  for (const [index, pool] of pools.entries()) {
    const span = spanOf(pool);
    const other = pools
      .slice(index + 1)
      .find((each) => spanOf(each).first <= span.last && span.first <= spanOf(each).last);
    if (other !== undefined) {
      throw fail("OverlappingAllocationPools", {
        pool_1: textOfPool(pool),
        pool_2: textOfPool(other),
        subnet_cidr: cidrText,
      });
    }
  }
}

function checkGatewayOutside(gateway: string | null, pools: readonly AllocationPool[]): void {
  if (gateway === null) return;
  const ip = ipOf(gateway);
  const pool = pools.find(
    (each) =>
      versionOf(ipOf(each.start)) === versionOf(ip) &&
      spanOf(each).first <= valueOfIp(ip) &&
      valueOfIp(ip) <= spanOf(each).last,
  );
  if (pool !== undefined) {
    throw fail("GatewayConflictWithAllocationPools", { ip_address: gateway, pool: textOfPool(pool) });
  }
}

function checkNameServers(subnet_id: string, nameServers: readonly string[]): void {
  if (nameServers.length > nameServerLimit)
    throw fail("DNSNameServersExhausted", { subnet_id, quota: nameServerLimit });
}

/** Routes to a subnet's peers come by themselves, one for each: they count for nothing. */
function checkRoutes(view: View, subnet: Peer, routes: readonly HostRoute[]): void {
  if (countOwn(view, subnet, routes) > hostRouteLimit)
    throw fail("HostRoutesExhausted", { subnet_id: subnet.id, quota: hostRouteLimit });
  for (const { destination, nexthop } of routes) {
    checkVersion("host_routes", destination, firstIpOf(cidrOf(destination)), subnet.ip_version);
    const ip = parseIp(nexthop);
    if (ip !== undefined) checkVersion("host_routes", nexthop, ip, subnet.ip_version);
  }
}

function textOfPool(pool: AllocationPool): string {
  return `${pool.start}-${pool.end}`;
}
