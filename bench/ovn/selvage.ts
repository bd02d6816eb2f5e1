/**
 * Selvage without its API: each host's engine (`@selvage/compiler`) and driver (`@selvage/datapath`) as its agent runs them, told of intent directly; what is
 * plugged in, the switch says. OVN is likewise asked beneath Neutron.
 */
import { join } from "node:path";
import {
  type Change,
  FloatingIp,
  Host as HostResource,
  leaseSizes,
  NatLease,
  Network,
  Port,
  Router,
  SecurityGroup,
  SecurityGroupRule,
  type SecurityGroupRule as SecurityGroupRuleObject,
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
  makeRouter,
  makeSecurityGroup,
  makeSecurityGroupRule,
  makeSecurityGroupSet,
  makeSubnet,
  put,
  remove,
  testId,
} from "@selvage/model/testing";
import { Agent } from "./agent.ts";
import { Ground, outsideAddress } from "./ground.ts";
import { type Host, type HostCount, ifaceId, startHosts } from "./hosts.ts";
import {
  addressOf,
  cidrOf,
  floatingOf,
  gatewayMac,
  gatewayOf,
  guestMtu,
  hostName,
  macOf,
  outerAddress,
  outerCidr,
  type Plan,
  type PlannedPort,
  type PlannedRule,
  tunnelAddress,
} from "./plan.ts";
import type { Side } from "./side.ts";

export class SelvageSide implements Side {
  readonly name = "Selvage";
  readonly hosts: readonly Host[];
  readonly ground: Ground | undefined;
  readonly #agents: readonly Agent[];
  readonly #sets = new Map<string, SecurityGroupSet>();
  #rules = 0;

  private constructor(hosts: readonly Host[], ground: Ground | undefined) {
    this.hosts = hosts;
    this.ground = ground;
    this.#agents = hosts.map((host) => new Agent(host, ground === undefined ? "alone" : "on ground"));
  }

  static async start(count: HostCount, directory: string, stand?: "on ground"): Promise<SelvageSide> {
    const ground = stand === undefined ? undefined : await Ground.make(join(directory, "selvage-ground"));
    const side = new SelvageSide(await startHosts(count, join(directory, "selvage"), ground), ground);
    try {
      for (const agent of side.#agents) await agent.open();
      return side;
    } catch (error) {
      await side.end();
      throw error;
    }
  }

  async build(plan: Plan): Promise<void> {
    const changes: Change[] = [];
    for (let number = 1; number <= plan.hosts; number += 1) {
      const [name, id] = [hostName(number), testId("host", number)];
      const physical_networks = plan.outside === undefined ? [] : ["public"];
      const host = makeHost({ id, name, key: number, tunnel_ip: tunnelAddress(number), physical_networks });
      changes.push(put(HostResource, host));
    }
    const router = makeRouter();
    changes.push(put(Router, router));
    for (let network = 1; network <= plan.networks; network += 1) changes.push(...networkChanges(network, router.id));
    for (const [at, group] of plan.groups.entries()) {
      const id = testId("security group", at + 1);
      changes.push(put(SecurityGroup, makeSecurityGroup({ id, name: group.name })));
      const set = makeSecurityGroupSet({ id: testId("set", at + 1), key: at + 1, groups: [id] });
      this.#sets.set(group.name, set);
      changes.push(put(SecurityGroupSet, set));
      changes.push(put(SecurityGroupRule, this.#ruleOf({ security_group_id: id, direction: "egress" })));
      changes.push(...group.rules.map((rule) => this.#ruleChange(id, rule)));
    }
    changes.push(...plan.ports.map((port) => this.#portChange(port)));
    if (plan.outside !== undefined) changes.push(...outsideChanges(plan, plan.outside.floating));
    await this.#tell(changes);
  }

  #ruleOf(partial: Partial<SecurityGroupRuleObject>): SecurityGroupRuleObject {
    this.#rules += 1;
    return makeSecurityGroupRule({ id: testId("rule", this.#rules), key: this.#rules, ...partial });
  }

  #ruleChange(group: string, { tcp, fromMembers }: PlannedRule): Change {
    const [min, max] = tcp ?? [null, null];
    const rule = this.#ruleOf({
      security_group_id: group,
      protocol: tcp === undefined ? null : "tcp",
      port_range_min: min,
      port_range_max: max,
      remote_group_id: fromMembers ? group : null,
    });
    return put(SecurityGroupRule, rule);
  }

  #portChange(port: PlannedPort): Change {
    const set = port.group === undefined ? undefined : this.#setOf(port.group);
    return put(
      Port,
      makePort({
        id: ifaceId(port),
        key: port.number,
        network_id: testId("network", port.network),
        mac_address: macOf(port),
        fixed_ips: [{ subnet_id: testId("subnet", port.network), ip_address: addressOf(port) }],
        security_groups: set?.groups ?? [],
        security_group_set: set?.key ?? 0,
        "binding:host_id": hostName(port.host),
      }),
    );
  }

  #setOf(group: string): SecurityGroupSet {
    const set = this.#sets.get(group);
    if (set === undefined) throw new RangeError(`there is no group ${group}`);
    return set;
  }

  #tell(changes: readonly Change[]): Promise<readonly number[]> {
    return Promise.all(this.#agents.map((agent) => agent.change(changes)));
  }

  async add(port: PlannedPort): Promise<void> {
    await this.#tell([this.#portChange(port)]);
  }

  async remove(port: PlannedPort): Promise<void> {
    await this.#tell([remove(Port, ifaceId(port))]);
  }

  async addRule(group: string, rule: PlannedRule): Promise<void> {
    await this.#tell([this.#ruleChange(String(this.#setOf(group).groups[0]), rule)]);
  }

  /** One port more, with the rows and the ms of each host, one after the other. */
  async timedAdd(port: PlannedPort): Promise<readonly { readonly rows: number; readonly ms: number }[]> {
    return this.#timed([this.#portChange(port)]);
  }

  /** One rule more, likewise. */
  async timedRule(
    group: string,
    rule: PlannedRule,
  ): Promise<readonly { readonly rows: number; readonly ms: number }[]> {
    return this.#timed([this.#ruleChange(String(this.#setOf(group).groups[0]), rule)]);
  }

  async #timed(changes: readonly Change[]) {
    const all = [];
    for (const agent of this.#agents) all.push(await agent.timed(changes));
    return all;
  }

  /** Rows of a host, from 1. */
  rowsOf(host: number): number {
    return this.#agents[host - 1]?.rows.length ?? 0;
  }

  deaths(): readonly string[] {
    const refused = this.#agents.filter(({ refusals }) => refusals > 0);
    return [
      ...this.hosts.flatMap((host) => host.deaths),
      ...refused.map(({ refusals }) => `the switch refused a part of ${refusals} changes`),
    ];
  }

  async end(): Promise<void> {
    for (const agent of this.#agents) await agent.close();
    for (const host of this.hosts) await host.end();
    await this.ground?.end();
  }
}

/**
 * The router's gateway, floating addresses, and for each host a block of ports: as large as the server makes it for one that has used up smaller ones, for these benches
 * open connections by the thousand.
 */
function outsideChanges({ hosts }: Plan, floating: readonly PlannedPort[]): readonly Change[] {
  const network = makeExternalNetwork();
  const subnet = makeSubnet({
    ...{ id: testId("external subnet", 1), network_id: network.id, cidr: outerCidr, gateway_ip: outsideAddress },
    ...{ allocation_pools: [], enable_dhcp: false },
  });
  const changes = [
    put(Network, network),
    put(Subnet, subnet),
    put(Port, makeGateway({ fixed_ips: [{ subnet_id: subnet.id, ip_address: outerAddress }] })),
    ...floating.map((port) =>
      put(
        FloatingIp,
        makeFloatingIp({
          ...{ id: testId("floating ip", port.number), floating_ip_address: floatingOf(port) },
          ...{ port_id: ifaceId(port), fixed_ip_address: addressOf(port) },
        }),
      ),
    ),
  ];
  for (let host = 1; host <= hosts; host += 1) {
    const block = { first: host * leaseSizes.largest, size: leaseSizes.largest, address: outerAddress };
    const lease = makeNatLease({ id: testId("lease", host), host_id: testId("host", host), ...block });
    changes.push(put(NatLease, lease));
  }
  return changes;
}

function networkChanges(number: number, routerId: string): readonly Change[] {
  const network = makeNetwork({
    id: testId("network", number),
    mtu: guestMtu,
    "provider:segmentation_id": number,
  });
  const gateway = gatewayOf(number);
  const subnet = makeSubnet({
    id: testId("subnet", number),
    network_id: network.id,
    cidr: cidrOf(number),
    gateway_ip: gateway,
    allocation_pools: [],
  });
  const door = makePort({
    id: testId("interface", number),
    key: 0x800000 + number,
    network_id: network.id,
    mac_address: gatewayMac(number),
    fixed_ips: [{ subnet_id: subnet.id, ip_address: gateway }],
    router_id: routerId,
    port_security_enabled: false,
  });
  return [put(Network, network), put(Subnet, subnet), put(Port, door)];
}
