/** Objects for tests, whole and valid: each maker fills in what the test does not care about. */

import type { AnyResource, ObjectOf } from "../resource.ts";
import type { AddressScope } from "../resources/address-scope.ts";
import type { BgpPeer, BgpSpeaker, HostGateway } from "../resources/bgp.ts";
import {
  type Attachment,
  type HeldAddress,
  type LearnedNeighbour,
  neighbourId,
  type PeerDown,
} from "../resources/facts.ts";
import type { FloatingIp, NdpProxy, PortForwarding } from "../resources/floating-ip.ts";
import type { Host } from "../resources/host.ts";
import type { Project } from "../resources/identity.ts";
import type { NatLease } from "../resources/nat-lease.ts";
import type { Network } from "../resources/network.ts";
import type { Port } from "../resources/port.ts";
import type { Router } from "../resources/router.ts";
import type { AddressGroup, SecurityGroup, SecurityGroupRule, SecurityGroupSet } from "../resources/security-group.ts";
import type { Segment } from "../resources/segment.ts";
import type { Subnet } from "../resources/subnet.ts";
import type { Subnetpool } from "../resources/subnetpool.ts";
import type { Change } from "../view.ts";

/** A fixed moment: tests never read a clock. */
export const epoch = "2026-01-01T00:00:00Z";

/** A UUID that says what it is: the same for the same name and number, different for different ones. */
export function testId(name: string, number = 0): string {
  let hash = 0;
  for (const character of name) hash = (Math.imul(hash, 31) + character.charCodeAt(0)) >>> 0;
  const tail = number.toString(16).padStart(12, "0");
  return `${hash.toString(16).padStart(8, "0")}-0000-4000-8000-${tail}`;
}

/** The n-th MAC address under OpenStack's prefix `fa:16:3e`. */
export function testMac(number: number): string {
  const octet = (shift: number) => ((number >>> shift) & 0xff).toString(16).padStart(2, "0");
  return `fa:16:3e:${octet(16)}:${octet(8)}:${octet(0)}`;
}

const project = "0123456789abcdef0123456789abcdef";

const standard = {
  project_id: project,
  name: "",
  description: "",
  revision_number: 0,
  created_at: epoch,
  updated_at: epoch,
} as const;

/** Of what can be tagged. */
const tagged = { ...standard, tags: [] } as const;

export function makeProject(partial: Partial<Project> = {}): Project {
  return { id: project, name: "demo", description: "", enabled: true, created_at: epoch, ...partial };
}

export function makeHost(partial: Partial<Host> = {}): Host {
  return {
    id: testId("host", 1),
    name: "h1",
    key: 1,
    tunnel_ip: "192.0.2.1",
    certificate_fingerprint: null,
    joined_at: null,
    physical_networks: [],
    description: null,
    admin_state_up: true,
    availability_zone: "nova",
    created_at: epoch,
    ...partial,
  };
}

export function makeNetwork(partial: Partial<Network> = {}): Network {
  return {
    ...tagged,
    id: testId("network", 1),
    admin_state_up: true,
    mtu: 1442,
    availability_zone_hints: [],
    port_security_enabled: true,
    "router:external": false,
    is_default: false,
    "provider:network_type": "geneve",
    "provider:physical_network": null,
    "provider:segmentation_id": 1,
    dns_domain: "",
    dns_zone: "openstacklocal.",
    key: null,
    ...partial,
  };
}

/** Of `10.0.0.0/24` unless told; a subnet of IPv6 names its `cidr`, `ip_version` and `gateway_ip`. */
export function makeSubnet(partial: Partial<Subnet> = {}): Subnet {
  return {
    ...tagged,
    id: testId("subnet", 1),
    network_id: testId("network", 1),
    ip_version: 4,
    cidr: "10.0.0.0/24",
    gateway_ip: "10.0.0.1",
    allocation_pools: [{ start: "10.0.0.2", end: "10.0.0.254" }],
    enable_dhcp: true,
    dns_nameservers: [],
    host_routes: [],
    ipv6_ra_mode: null,
    ipv6_address_mode: null,
    subnetpool_id: null,
    segment_id: null,
    ...partial,
  };
}

/** A VLAN of `left` unless told. */
export function makeSegment(partial: Partial<Segment> = {}): Segment {
  return {
    id: testId("segment", 1),
    network_id: testId("network", 1),
    name: null,
    description: null,
    physical_network: "left",
    network_type: "vlan",
    segmentation_id: 101,
    revision_number: 0,
    created_at: epoch,
    updated_at: epoch,
    position: 0,
    ...partial,
  };
}

export function makePort(partial: Partial<Port> = {}): Port {
  return {
    ...tagged,
    id: testId("port", 1),
    network_id: testId("network", 1),
    admin_state_up: true,
    mac_address: testMac(1),
    fixed_ips: [{ subnet_id: testId("subnet", 1), ip_address: "10.0.0.11" }],
    ip_allocation: "immediate",
    security_groups: [],
    security_group_set: 0,
    allowed_address_pairs: [],
    router_id: null,
    gateway_of: null,
    device_id: "",
    device_owner: "",
    port_security_enabled: true,
    "binding:host_id": "",
    failed_host: "",
    dns_name: "",
    dns_domain: "",
    dns_project: "",
    user_data: "",
    extra_dhcp_opts: [],
    "binding:profile": {},
    "binding:vnic_type": "normal",
    key: 1,
    ...partial,
  };
}

export function makeSecurityGroup(partial: Partial<SecurityGroup> = {}): SecurityGroup {
  return { ...tagged, id: testId("security group", 1), name: "web", stateful: true, ...partial };
}

/** Lets everything in over IPv4 unless told. */
export function makeSecurityGroupRule(partial: Partial<SecurityGroupRule> = {}): SecurityGroupRule {
  const { name: _name, ...unnamed } = standard;
  return {
    ...unnamed,
    id: testId("rule", 1),
    security_group_id: testId("security group", 1),
    direction: "ingress",
    ethertype: "IPv4",
    protocol: null,
    port_range_min: null,
    port_range_max: null,
    remote_group_id: null,
    remote_address_group_id: null,
    remote_ip_prefix: null,
    normalized_cidr: null,
    key: 1,
    ...partial,
  };
}

export function makeAddressGroup(partial: Partial<AddressGroup> = {}): AddressGroup {
  return { ...standard, id: testId("address group", 1), addresses: [], generation: 0, ...partial };
}

export function makeSecurityGroupSet(partial: Partial<SecurityGroupSet> = {}): SecurityGroupSet {
  return { id: testId("set", 1), groups: [testId("security group", 1)], stateful: true, key: 1, ...partial };
}

export function makeRouter(partial: Partial<Router> = {}): Router {
  return {
    ...tagged,
    id: testId("router", 1),
    admin_state_up: true,
    routes: [],
    enable_snat: true,
    enable_ndp_proxy: false,
    availability_zone_hints: [],
    key: 1,
    ...partial,
  };
}

/** A flat external network on `public` unless told; its key is the number of the physical network's first. */
export function makeExternalNetwork(partial: Partial<Network> = {}): Network {
  return makeNetwork({
    id: testId("external network", 1),
    mtu: 1500,
    "router:external": true,
    "provider:network_type": "flat",
    "provider:physical_network": "public",
    "provider:segmentation_id": null,
    key: 0xf00000,
    ...partial,
  });
}

/** The gateway of the first router on the first external network. */
export function makeGateway(partial: Partial<Port> = {}): Port {
  return makePort({
    id: testId("gateway", 1),
    project_id: "",
    network_id: testId("external network", 1),
    mac_address: testMac(0xe00001),
    fixed_ips: [{ subnet_id: testId("external subnet", 1), ip_address: "203.0.113.10" }],
    gateway_of: testId("router", 1),
    device_id: testId("router", 1),
    device_owner: "network:router_gateway",
    port_security_enabled: false,
    key: 0xe00001,
    ...partial,
  });
}

/** Stands for the first port's address by the first router. */
export function makeFloatingIp(partial: Partial<FloatingIp> = {}): FloatingIp {
  const { name: _name, ...unnamed } = tagged;
  return {
    ...unnamed,
    id: testId("floating ip", 1),
    floating_network_id: testId("external network", 1),
    floating_ip_address: "203.0.113.20",
    floating_port_id: testId("floating port", 1),
    router_id: testId("router", 1),
    port_id: testId("port", 1),
    fixed_ip_address: "10.0.0.11",
    dns_name: "",
    dns_domain: "",
    dns_project: "",
    ...partial,
  };
}

/** 8080 outside for 80 of the first port. */
export function makePortForwarding(partial: Partial<PortForwarding> = {}): PortForwarding {
  return {
    id: testId("port forwarding", 1),
    floatingip_id: testId("floating ip", 1),
    external_first: 8080,
    external_last: 8080,
    internal_first: 80,
    internal_last: 80,
    protocol: "tcp",
    internal_port_id: testId("port", 1),
    internal_ip_address: "10.0.0.11",
    description: "",
    ...partial,
  };
}

export function makeNdpProxy(partial: Partial<NdpProxy> = {}): NdpProxy {
  return {
    ...standard,
    id: testId("ndp proxy", 1),
    router_id: testId("router", 1),
    port_id: testId("port", 1),
    ip_address: "2001:db8::11",
    ...partial,
  };
}

/** The first host's first block of the first router's gateway address. */
export function makeNatLease(partial: Partial<NatLease> = {}): NatLease {
  return {
    id: testId("nat lease", 1),
    router_id: testId("router", 1),
    host_id: testId("host", 1),
    network_id: testId("external network", 1),
    address: "203.0.113.10",
    first: 1024,
    size: 1024,
    current: true,
    created_at: epoch,
    ...partial,
  };
}

/** A peer at 203.0.113.1 that wants no signature. */
export function makeBgpPeer(partial: Partial<BgpPeer> = {}): BgpPeer {
  return {
    id: testId("bgp peer", 1),
    project_id: project,
    name: "",
    peer_ip: "203.0.113.1",
    remote_as: 64513,
    auth_type: "none",
    signing_key: null,
    ...partial,
  };
}

/** One that announces IPv4 by the first external network to the first peer. */
export function makeBgpSpeaker(partial: Partial<BgpSpeaker> = {}): BgpSpeaker {
  return {
    id: testId("bgp speaker", 1),
    project_id: project,
    name: "",
    local_as: 64512,
    ip_version: 4,
    advertise_floating_ip_host_routes: true,
    advertise_tenant_networks: true,
    peers: [testId("bgp peer", 1)],
    networks: [testId("external network", 1)],
    ...partial,
  };
}

/** The first host's, on the first external network. */
export function makeHostGateway(partial: Partial<HostGateway> = {}): HostGateway {
  return {
    id: testId("host gateway", 1),
    network_id: testId("external network", 1),
    host_id: testId("host", 1),
    port_id: testId("port", 201),
    addresses: ["203.0.113.201"],
    ...partial,
  };
}

export function makeLearnedNeighbour(partial: Partial<LearnedNeighbour> = {}): LearnedNeighbour {
  const made = {
    network_id: testId("external network", 1),
    address: "203.0.113.1",
    mac: testMac(0xf00001),
    ...partial,
  };
  return { id: neighbourId(made.network_id, made.address), ...made };
}

/** Of the first port on the first network. */
export function makeHeldAddress(partial: Partial<HeldAddress> = {}): HeldAddress {
  const object = { network_id: testId("network", 1), address: "10.0.0.200", port_id: testId("port", 1), ...partial };
  return { mac: testMac(1), ...object, id: neighbourId(object.network_id, object.address) };
}

export function makePeerDown(partial: Partial<PeerDown> = {}): PeerDown {
  return { id: testId("host", 2), ...partial };
}

export function makeAddressScope(partial: Partial<AddressScope> = {}): AddressScope {
  return { id: testId("address scope", 1), project_id: project, name: "", ip_version: 4, key: 1, ...partial };
}

/** Of no scope unless told. */
export function makeSubnetpool(partial: Partial<Subnetpool> = {}): Subnetpool {
  return {
    ...tagged,
    id: testId("subnetpool", 1),
    name: "pool",
    prefixes: ["10.0.0.0/8"],
    ip_version: 4,
    default_prefixlen: "24",
    min_prefixlen: "8",
    max_prefixlen: "32",
    default_quota: null,
    is_default: false,
    address_scope_id: null,
    ...partial,
  };
}

/** What says that the port's interface is on this switch. */
export function makeAttachment(partial: Partial<Attachment> = {}): Attachment {
  return { id: testId("port", 1), ...partial };
}

/** The change that puts an object. */
export function put<R extends AnyResource>(resource: R, object: ObjectOf<R>): Change {
  return { kind: resource.kind, id: object.id, object };
}

/** The change that removes an object. */
export function remove(resource: { readonly kind: string }, id: string): Change {
  return { kind: resource.kind, id, object: null };
}
