/**
 * Selvage without its API: each host's engine (`@selvage/compiler`) and driver (`@selvage/datapath`) as its agent runs them, told of intent directly; what is
 * plugged in, the switch says. OVN is likewise asked beneath Neutron.
 */
import { join } from "node:path";
import { hostEngine } from "@selvage/compiler";
import { OvsDatapath } from "@selvage/datapath";
import {
  Attachment,
  type Change,
  Host as HostResource,
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
  makeAttachment,
  makeHost,
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
import type { Row } from "@selvage/pipeline";
import { isLocal, project } from "@selvage/sync";
import { type Host, ifaceId, startHosts } from "./hosts.ts";
import {
  addressOf,
  cidrOf,
  gatewayMac,
  gatewayOf,
  guestMtu,
  hostName,
  macOf,
  type Plan,
  type PlannedPort,
  type PlannedRule,
  tunnelAddress,
} from "./plan.ts";
import type { Side } from "./side.ts";

/** Rows that one host's engine changed. */
export interface RowChange {
  readonly host: string;
  readonly rows: number;
}

/** One host's agent: intent and what is plugged in go through one queue, in their order. */
class Agent {
  readonly #host: Host;
  readonly #engine: ReturnType<typeof hostEngine>;
  readonly #datapath: OvsDatapath;
  readonly #attached = new Set<string>();
  #queue: Promise<unknown> = Promise.resolve();
  #revision = 0;
  #failed: unknown;
  #isAdopted = false;
  /** Changes that the switch refused a part of: after each, everything was adopted again. */
  refusals = 0;

  constructor(host: Host) {
    this.#host = host;
    this.#engine = hostEngine({ name: host.name });
    const tunnelIp = tunnelAddress(host.number);
    this.#datapath = new OvsDatapath({ database: host.database, tunnelIp, datapathType: "netdev" });
  }

  async open(): Promise<void> {
    const ready = Promise.withResolvers<void>();
    await this.#datapath.open({
      attachments: (all) => {
        const now = new Set(all.map(({ port }) => port));
        const come = [...now]
          .filter((id) => !this.#attached.has(id))
          .map((id) => put(Attachment, makeAttachment({ id })));
        const gone = [...this.#attached].filter((id) => !now.has(id)).map((id) => remove(Attachment, id));
        this.#attached.clear();
        for (const id of now) this.#attached.add(id);
        // Whoever asks for something next hears of it.
        this.change([...come, ...gone]).catch((error: unknown) => {
          this.#failed = error;
        });
      },
      punt: () => undefined,
      ready: ready.resolve,
      lost: () => undefined,
    });
    await ready.promise;
    await this.#inTurn(() => this.#adopt());
  }

  async #adopt(): Promise<void> {
    await this.#datapath.adopt(this.#engine.rows());
    this.#isAdopted = true;
  }

  async #apply(delta: Parameters<OvsDatapath["apply"]>[0]): Promise<void> {
    try {
      await this.#datapath.apply(delta);
    } catch (error) {
      // The seam's contract: what was refused in part is adopted.
      this.refusals += 1;
      process.stderr.write(`  ${this.#host.name}: ${error instanceof Error ? error.message : String(error)}\n`);
      await this.#adopt();
    }
  }

  /** Takes changes of whole objects; resolves with the rows that changed when they are in force. */
  change(changes: readonly Change[]): Promise<number> {
    return this.#inTurn(async () => {
      if (this.#failed !== undefined) throw this.#failed;
      this.#revision += 1;
      const told = changes.map((change): Change => {
        const { kind, object } = change;
        if (object === null || kind === Attachment.kind) return change;
        const distance = isLocal(kind, object, this.#host.name) ? "near" : "far";
        return { ...change, object: project(kind, object, distance) };
      });
      const delta = this.#engine.apply(told, this.#revision);
      if (this.#isAdopted) await this.#apply(delta);
      return delta.added.length + delta.removed.length + delta.modified.length;
    });
  }

  /** The engine's share of a change alone, in ms, with the rows; the switch is told as well. */
  async timed(changes: readonly Change[]): Promise<{ readonly rows: number; readonly ms: number }> {
    const begin = performance.now();
    const rows = await this.change(changes);
    return { rows, ms: performance.now() - begin };
  }

  get rows(): readonly Row[] {
    return [...this.#engine.rows()];
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => undefined);
    return done;
  }

  close(): Promise<void> {
    return this.#inTurn(() => this.#datapath.close());
  }
}

export class SelvageSide implements Side {
  readonly name = "Selvage";
  readonly hosts: readonly Host[];
  readonly #agents: readonly Agent[];
  readonly #sets = new Map<string, SecurityGroupSet>();
  #rules = 0;

  private constructor(hosts: readonly Host[]) {
    this.hosts = hosts;
    this.#agents = hosts.map((host) => new Agent(host));
  }

  static async start(count: 1 | 2, directory: string): Promise<SelvageSide> {
    const side = new SelvageSide(await startHosts(count, join(directory, "selvage")));
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
      changes.push(put(HostResource, makeHost({ id, name, key: number, tunnel_ip: tunnelAddress(number) })));
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
  }
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
