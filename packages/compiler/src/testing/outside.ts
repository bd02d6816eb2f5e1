/** An external network for the compiler's tests: its subnets, a router's gateway, floating IPs, forwarded ports, leases, and whoever is outside. */
import type { Speaker } from "@selvage/datapath/testing";
import {
  type Change,
  FloatingIp,
  LearnedNeighbour,
  NatLease,
  Network,
  Port,
  PortForwarding,
  Router,
  Subnet,
} from "@selvage/model";
import {
  makeExternalNetwork,
  makeFloatingIp,
  makeGateway,
  makeLearnedNeighbour,
  makeNatLease,
  makePortForwarding,
  makeSubnet,
  put,
  testId,
} from "@selvage/model/testing";
import type { TestFabric } from "./fabric.ts";
import type { Machine } from "./intent.ts";
import type { TestRouter } from "./routers.ts";

export const externalId = testId("external network", 1);
const [subnet4, subnet6] = [testId("external subnet", 1), testId("external subnet", 2)];

/** The outside's own router: the gateway of the external subnets. */
export const upstream: Speaker = { mac: "02:00:00:00:00:01", ip4: "203.0.113.1", ip6: "2001:db8:ff::1" };

/** Somebody far away, who is reached by it. */
export const stranger: Speaker = { mac: upstream.mac, ip4: "198.51.100.7", ip6: "2001:db8:f00::7" };

/** The network of 203.0.113.0/24 and 2001:db8:ff::/64. */
export const externalChanges = (network: Partial<Network> = {}): readonly Change[] => [
  put(Network, makeExternalNetwork(network)),
  put(
    Subnet,
    makeSubnet({
      id: subnet4,
      network_id: externalId,
      cidr: "203.0.113.0/24",
      gateway_ip: upstream.ip4,
      enable_dhcp: false,
    }),
  ),
  put(
    Subnet,
    makeSubnet({
      ...{ id: subnet6, network_id: externalId, ip_version: 6, cidr: "2001:db8:ff::/64" },
      ...{ gateway_ip: upstream.ip6, enable_dhcp: false },
    }),
  ),
];

/** The addresses of the n-th router out there: .10 and so on. */
export const gatewayOf = (number: number): { readonly ip4: string; readonly ip6: string } => ({
  ip4: `203.0.113.${9 + number}`,
  ip6: `2001:db8:ff::${(9 + number).toString(16)}`,
});

/** A router's gateway on the external network. */
export function gatewayChanges({ router }: TestRouter, options: Partial<Router> = {}): readonly Change[] {
  const { ip4, ip6 } = gatewayOf(router.key);
  const gateway = makeGateway({
    id: testId("gateway", router.key),
    key: 0xe00000 + router.key,
    gateway_of: router.id,
    fixed_ips: [
      { subnet_id: subnet4, ip_address: ip4 },
      { subnet_id: subnet6, ip_address: ip6 },
    ],
  });
  return [put(Router, { ...router, ...options }), put(Port, gateway)];
}

/** What every host of a fabric knows of who is upstream. */
export function meetUpstream(world: TestFabric): void {
  for (const { name } of world.hosts) {
    world.learn(
      name,
      [upstream.ip4, upstream.ip6].map((address) =>
        put(LearnedNeighbour, makeLearnedNeighbour({ address, mac: upstream.mac })),
      ),
    );
  }
}

/** A block of a router's address, leased to a host. */
export const leaseChange = (router: TestRouter, host: string, first: number, size = 64): Change =>
  put(
    NatLease,
    makeNatLease({
      ...{ id: testId(`lease ${router.router.key}`, first), router_id: router.router.id },
      ...{ host_id: hostIdOf(host), address: gatewayOf(router.router.key).ip4, first, size },
    }),
  );

const hostIdOf = (name: string): string => testId("host", Number(name.slice(1)));

/** An address that stands for a machine's. */
export const floatingChange = (number: number, { router }: TestRouter, machine: Machine): Change =>
  put(
    FloatingIp,
    makeFloatingIp({
      ...{ id: testId("floating ip", number), floating_ip_address: floatingAddress(number), router_id: router.id },
      ...{ port_id: machine.port.id, fixed_ip_address: machine.ip4 },
    }),
  );

export const floatingAddress = (number: number): string => `203.0.113.${100 + number}`;

/** An address whose ports stand for ports of several machines: `ports` gives the outer port, the machine and its port. */
export const forwardingChanges = (
  number: number,
  { router }: TestRouter,
  ports: readonly (readonly [
    outer: number,
    machine: Machine,
    inner: number,
    protocol: "tcp" | "udp",
    count?: number,
  ])[],
): readonly Change[] => [
  put(
    FloatingIp,
    makeFloatingIp({
      ...{ id: testId("floating ip", number), floating_ip_address: floatingAddress(number), router_id: router.id },
      ...{ port_id: null, fixed_ip_address: null },
    }),
  ),
  ...ports.map(([outer, machine, inner, protocol, count = 1], at) =>
    put(
      PortForwarding,
      makePortForwarding({
        ...{ id: testId(`forwarding ${number}`, at + 1), floatingip_id: testId("floating ip", number), protocol },
        ...{ external_first: outer, external_last: outer + count - 1 },
        ...{ internal_first: inner, internal_last: inner + count - 1 },
        ...{ internal_port_id: machine.port.id, internal_ip_address: machine.ip4 },
      }),
    ),
  ),
];

/** The MAC that a host speaks with on physical networks. */
export const macOfHost = (name: string): string => `06:53:00:00:00:0${name.slice(1)}`;
