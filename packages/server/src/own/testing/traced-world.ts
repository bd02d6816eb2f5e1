/** Intent of two projects on two hosts, for tests of traces: written as it is, for what requests may write is not in question there. */
import {
  FloatingIp,
  Host,
  NatLease,
  Network,
  Port,
  PortForwarding,
  Router,
  SecurityGroup,
  SecurityGroupRule,
  SecurityGroupSet,
  Subnet,
} from "@selvage/model";
import {
  makeExternalNetwork,
  makeFloatingIp,
  makeGateway,
  makeHost,
  makeNatLease,
  makeNetwork,
  makePort,
  makePortForwarding,
  makeRouter,
  makeSecurityGroup,
  makeSecurityGroupRule,
  makeSecurityGroupSet,
  makeSubnet,
  testId,
  testMac,
} from "@selvage/model/testing";
import type { Transaction } from "../../transaction.ts";
import type { Writer } from "../../writer.ts";

interface PortPlan {
  readonly name: string;
  readonly project: string;
  readonly network: string;
  readonly host?: string;
  readonly groups?: readonly string[];
  /** The last part of its addresses. */
  readonly at: number;
  readonly port?: Partial<Port>;
}

interface GroupPlan {
  readonly name: string;
  readonly project: string;
  readonly stateful?: boolean;
  readonly rules: readonly Partial<SecurityGroupRule>[];
}

/** Writes intent in one transaction; each name is an id by `idOf`. */
export class TracedWorld {
  readonly #transaction: Transaction;
  #ports = 0;
  #rules = 0;
  #networks = 0;
  readonly #sets = new Map<string, number>();

  constructor(transaction: Transaction) {
    this.#transaction = transaction;
  }

  host(name: string, number: number, physical_networks: readonly string[] = []): void {
    const tunnel_ip = `192.0.2.${number}`;
    const id = testId(`host ${name}`);
    this.#transaction.put(Host, makeHost({ id, name, key: number, tunnel_ip, physical_networks }));
  }

  /** An external network on `public`, 203.0.113.0/24 and 2001:db8:ff::/64, with a gateway of the router at .10 and ::a, and a lease of it for each host. */
  outside(name: string, router: string, hosts: readonly string[]): void {
    const id = testId(`network ${name}`);
    const router_id = testId(`router ${router}`);
    this.#transaction.put(Network, makeExternalNetwork({ id, name, project_id: "" }));
    const subnet = { project_id: "", network_id: id, name: `${name}-subnet`, enable_dhcp: false };
    const v4 = { id: testId(`v4 ${name}`), cidr: "203.0.113.0/24", gateway_ip: "203.0.113.1" };
    const v6 = { id: testId(`v6 ${name}`), cidr: "2001:db8:ff::/64", gateway_ip: "2001:db8:ff::1" };
    this.#transaction.put(Subnet, makeSubnet({ ...subnet, ...v4 }));
    this.#transaction.put(Subnet, makeSubnet({ ...subnet, ...v6, ip_version: 6 }));
    const fixed_ips = [
      { subnet_id: v4.id, ip_address: "203.0.113.10" },
      { subnet_id: v6.id, ip_address: "2001:db8:ff::a" },
    ];
    const gateway_of = { gateway_of: router_id, device_id: router_id };
    this.#transaction.put(Port, makeGateway({ id: testId("gateway"), network_id: id, ...gateway_of, fixed_ips }));
    for (const [at, host] of hosts.entries()) {
      const lease = { id: testId(`lease ${host}`), router_id, host_id: testId(`host ${host}`), network_id: id };
      this.#transaction.put(NatLease, makeNatLease({ ...lease, first: 1024 * (at + 1) }));
    }
  }

  /** An address of an external network that stands for a port's first. */
  floating(address: string, project_id: string, network: string, router: string, port: string): void {
    const port_id = testId(`port ${port}`);
    const fixed = this.#transaction.view.get(Port, port_id)?.fixed_ips[0]?.ip_address ?? null;
    const own = { fixed_ips: [{ subnet_id: testId(`v4 ${network}`), ip_address: address }] };
    this.port({ name: address, project: "", network, at: 0, port: { ...own, device_owner: "network:floatingip" } });
    this.#transaction.put(
      FloatingIp,
      makeFloatingIp({
        ...{ id: testId(`floating ${address}`), project_id, floating_network_id: testId(`network ${network}`) },
        ...{
          floating_ip_address: address,
          floating_port_id: testId(`port ${address}`),
          router_id: testId(`router ${router}`),
          port_id,
          fixed_ip_address: fixed,
        },
      }),
    );
  }

  /** A port of TCP of an address of an external network that stands for one of a port's machine. */
  forwarding(
    address: string,
    project_id: string,
    network: string,
    router: string,
    port: string,
    outside: number,
    inside: number,
  ): void {
    const id = testId(`floating ${address}`);
    const inner = this.#transaction.view.get(Port, testId(`port ${port}`))?.fixed_ips[0]?.ip_address ?? "";
    const own = { fixed_ips: [{ subnet_id: testId(`v4 ${network}`), ip_address: address }] };
    this.port({ name: address, project: "", network, at: 0, port: { ...own, device_owner: "network:floatingip" } });
    this.#transaction.put(
      FloatingIp,
      makeFloatingIp({
        ...{ id, project_id, floating_network_id: testId(`network ${network}`), floating_ip_address: address },
        ...{ floating_port_id: testId(`port ${address}`), router_id: testId(`router ${router}`) },
        ...{ port_id: null, fixed_ip_address: null },
      }),
    );
    this.#transaction.put(
      PortForwarding,
      makePortForwarding({
        ...{ id: testId(`forwarding ${address}`), floatingip_id: id, internal_port_id: testId(`port ${port}`) },
        ...{ protocol: "tcp", external_first: outside, external_last: outside, internal_first: inside },
        internal_ip_address: inner,
      }),
    );
  }

  /** A network with both families: `10.0.N.0/24` and `2001:db8:N::/64` for the N-th. */
  network(name: string, project_id: string, network: Partial<Network> = {}): void {
    this.#networks += 1;
    const n = this.#networks;
    const id = testId(`network ${name}`);
    this.#transaction.put(
      Network,
      makeNetwork({ id, name, project_id, "provider:segmentation_id": 7000 + n, ...network }),
    );
    const subnet = { project_id, network_id: id, name: `${name}-subnet` };
    this.#transaction.put(
      Subnet,
      makeSubnet({ ...subnet, id: testId(`v4 ${name}`), cidr: `10.0.${n}.0/24`, gateway_ip: `10.0.${n}.1` }),
    );
    this.#transaction.put(
      Subnet,
      makeSubnet({
        ...subnet,
        id: testId(`v6 ${name}`),
        ip_version: 6,
        cidr: `2001:db8:${n}::/64`,
        gateway_ip: `2001:db8:${n}::1`,
      }),
    );
  }

  router(name: string, project_id: string, networks: readonly string[]): void {
    const id = testId(`router ${name}`);
    this.#transaction.put(Router, makeRouter({ id, name, project_id, key: 900 }));
    for (const network of networks)
      this.port({ name: `${name} on ${network}`, project: project_id, network, at: 1, port: { router_id: id } });
  }

  group({ name, project: project_id, stateful = true, rules }: GroupPlan): void {
    const id = testId(`group ${name}`);
    this.#transaction.put(SecurityGroup, makeSecurityGroup({ id, name, project_id, stateful }));
    for (const rule of rules) {
      this.#rules += 1;
      this.#transaction.put(
        SecurityGroupRule,
        makeSecurityGroupRule({
          id: testId("rule", this.#rules),
          key: this.#rules,
          project_id,
          security_group_id: id,
          ...rule,
        }),
      );
    }
  }

  port({ name, project: project_id, network, host = "", groups, at, port = {} }: PortPlan): void {
    this.#ports += 1;
    const subnets = [4, 6].flatMap(
      (version) => this.#transaction.view.get(Subnet, testId(`v${version} ${network}`)) ?? [],
    );
    const fixed_ips = subnets.map(({ id, cidr }) => ({
      subnet_id: id,
      ip_address: cidr.replace(/0\/24$/, String(at)).replace(/::\/64$/, `::${at.toString(16)}`),
    }));
    this.#transaction.put(
      Port,
      makePort({
        id: testId(`port ${name}`),
        name,
        project_id,
        network_id: testId(`network ${network}`),
        mac_address: testMac(this.#ports),
        key: this.#ports,
        fixed_ips,
        "binding:host_id": host,
        ...(groups === undefined ? {} : this.#grouping(groups)),
        ...port,
      }),
    );
  }

  #grouping(names: readonly string[]): Pick<Port, "security_groups" | "security_group_set"> {
    const security_groups = names.map((name) => testId(`group ${name}`)).sort();
    const combination = security_groups.join(" ");
    const held = this.#sets.get(combination);
    const security_group_set = held ?? this.#sets.size + 1;
    if (held === undefined) {
      this.#sets.set(combination, security_group_set);
      const stateful = security_groups.some((id) => this.#transaction.view.get(SecurityGroup, id)?.stateful);
      this.#transaction.put(
        SecurityGroupSet,
        makeSecurityGroupSet({
          id: testId("set", security_group_set),
          key: security_group_set,
          groups: security_groups,
          stateful,
        }),
      );
    }
    return { security_groups, security_group_set };
  }
}

/** Runs `make` on a world in one transaction. */
export async function writeWorld(writer: Writer, make: (world: TracedWorld) => void): Promise<void> {
  await writer.transact({ kind: "system", id: "test", request_id: "test" }, (transaction) =>
    make(new TracedWorld(transaction)),
  );
}
