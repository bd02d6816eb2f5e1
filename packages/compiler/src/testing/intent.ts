/** Small intents for the compiler's tests: a network with its subnets and named machines, in one line. */
import { type Change, type FixedIp, Host, Network, Port, Subnet } from "@selvage/model";
import { makeHost, makeNetwork, makePort, makeSubnet, put, testId, testMac } from "@selvage/model/testing";
import { Policy, type PolicyPlan } from "./policy.ts";
import type { TestNetwork } from "./routers.ts";

/** Where a machine is, and what of its port is not as usual. */
export interface MachinePlan {
  readonly host: string;
  readonly port?: Partial<Port>;
  /** Security groups that police it; it is not policed unless told. */
  readonly groups?: readonly string[];
  /** Whether its interface is plugged from the start: true unless told. */
  readonly plugged?: boolean;
}

export interface NetworkPlan {
  readonly name: string;
  /** Prefixes of 24 and 64 bits; a network without a family has no subnet of it. */
  readonly cidr4?: string;
  readonly cidr6?: string;
  readonly machines: Readonly<Record<string, string | MachinePlan>>;
  readonly network?: Partial<Network>;
  readonly subnet4?: Partial<Subnet>;
  readonly subnet6?: Partial<Subnet>;
}

/** A network with both families and a machine of each name on the host named beside it. */
export function net(
  name: string,
  machines: NetworkPlan["machines"],
  rest: Omit<Partial<NetworkPlan>, "name" | "machines"> = {},
): NetworkPlan {
  return { name, cidr4: "10.0.0.0/24", cidr6: "2001:db8::/64", machines, ...rest };
}

/** The n-th of networks that routers may join: 10.0.n.0/24 and 2001:db8:n::/64. */
export const routedNet = (
  n: number,
  name: string,
  machines: NetworkPlan["machines"],
  rest: Omit<Partial<NetworkPlan>, "name" | "machines"> = {},
): NetworkPlan => ({ name, cidr4: `10.0.${n}.0/24`, cidr6: `2001:db8:${n}::/64`, machines, ...rest });

/** A machine in a test: its port, and what frames of it bear. */
export interface Machine {
  readonly name: string;
  readonly port: Port;
  readonly mac: string;
  readonly ip4: string;
  readonly ip6: string;
  readonly host: string;
}

export interface Intent {
  readonly changes: readonly Change[];
  readonly machines: ReadonlyMap<string, Machine>;
  /** Ids of the ports whose interfaces are plugged from the start, with the host they are plugged on. */
  readonly plugged: readonly { readonly port: string; readonly host: string }[];
  readonly policy: Policy;
  /** By name. */
  readonly networks: ReadonlyMap<string, TestNetwork>;
}

/** Name and underlay address of the n-th host: h1 at 192.0.2.1, and so on. */
export const hostName = (n: number): string => `h${n}`;
export const tunnelAddress = (n: number): string => `192.0.2.${n}`;

export const hostsOf = (count: number): readonly Host[] =>
  Array.from({ length: count }, (_, at) =>
    makeHost({ id: testId("host", at + 1), name: hostName(at + 1), key: at + 1, tunnel_ip: tunnelAddress(at + 1) }),
  );

/** Everything that the plans say, with ids, keys and addresses counted up from 1 in their order. */
export function intentOf(
  hosts: readonly Host[],
  plans: readonly NetworkPlan[],
  policyPlan: PolicyPlan = { groups: {} },
): Intent {
  const { policy, changes: policyChanges } = Policy.from(policyPlan);
  const changes: Change[] = [...hosts.map((host) => put(Host, host)), ...policyChanges];
  const machines = new Map<string, Machine>();
  const plugged: { port: string; host: string }[] = [];
  const networks = new Map<string, TestNetwork>();
  for (const [at, plan] of plans.entries()) {
    const number = at + 1;
    const network = makeNetwork({
      id: testId("network", number),
      name: plan.name,
      "provider:segmentation_id": number,
      ...plan.network,
    });
    const subnets = subnetsOf(plan, network.id, number);
    networks.set(plan.name, { network, subnets });
    changes.push(put(Network, network), ...subnets.map((subnet) => put(Subnet, subnet)));
    for (const [name, planned] of Object.entries(plan.machines)) {
      const {
        host,
        port: partial = {},
        groups,
        plugged: isPlugged = true,
      } = typeof planned === "string" ? { host: planned } : planned;
      const key = machines.size + 1;
      const id = testId("port", key);
      const { grouping, changes: setChanges } = policy.assign(id, groups);
      const port = makePort({
        id,
        name,
        network_id: network.id,
        mac_address: testMac(key),
        key,
        fixed_ips: subnets.map((subnet) => addressIn(subnet, key)),
        "binding:host_id": host,
        ...grouping,
        ...partial,
      });
      changes.push(...setChanges, put(Port, port));
      machines.set(name, machineOf(name, port, host));
      if (isPlugged) plugged.push({ port: port.id, host });
    }
  }
  return { changes, machines, plugged, policy, networks };
}

/** The machine of a port: its first address of each family, or one that nobody has. */
export function machineOf(name: string, port: Port, host: string): Machine {
  const addresses = port.fixed_ips.map((each) => each.ip_address);
  return {
    name,
    port,
    mac: port.mac_address,
    ip4: addresses.find((each) => !each.includes(":")) ?? "0.0.0.0",
    ip6: addresses.find((each) => each.includes(":")) ?? "::",
    host,
  };
}

function subnetsOf(plan: NetworkPlan, network_id: string, number: number): readonly Subnet[] {
  const prefix4 = plan.cidr4?.replace(/\.0\/24$/, "");
  const prefix6 = plan.cidr6?.replace(/::\/64$/, "");
  return [
    ...(prefix4 === undefined
      ? []
      : [
          makeSubnet({
            id: testId("subnet", 2 * number),
            network_id,
            cidr: `${prefix4}.0/24`,
            gateway_ip: `${prefix4}.1`,
            ...plan.subnet4,
          }),
        ]),
    ...(prefix6 === undefined
      ? []
      : [
          makeSubnet({
            id: testId("subnet", 2 * number + 1),
            network_id,
            ip_version: 6,
            cidr: `${prefix6}::/64`,
            gateway_ip: `${prefix6}::1`,
            ...plan.subnet6,
          }),
        ]),
  ];
}

function addressIn(subnet: Subnet, key: number): FixedIp {
  const [prefix = ""] = subnet.cidr.split("/");
  const ip_address =
    subnet.ip_version === 4 ? prefix.replace(/\.0$/, `.${10 + key}`) : `${prefix}${(0x10 + key).toString(16)}`;
  return { subnet_id: subnet.id, ip_address };
}
