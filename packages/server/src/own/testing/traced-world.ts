/** Intent of two projects on two hosts, for tests of traces: written as it is, for what requests may write is not in question there. */
import {
  Host,
  Network,
  Port,
  Router,
  SecurityGroup,
  SecurityGroupRule,
  SecurityGroupSet,
  Subnet,
} from "@selvage/model";
import {
  makeHost,
  makeNetwork,
  makePort,
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

  host(name: string, number: number): void {
    const tunnel_ip = `192.0.2.${number}`;
    this.#transaction.put(Host, makeHost({ id: testId(`host ${name}`), name, key: number, tunnel_ip }));
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
