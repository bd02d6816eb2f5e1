/** A fabric in memory for tests: hosts that compile the same intent, each into a simulated switch, and machines that send and receive. */
import assert from "node:assert/strict";
import type { ReasonCode } from "@selvage/base";
import {
  type AttachedInterface,
  type Punt,
  type SimulatedDatapath,
  SimulatedFabric,
  type Trace,
} from "@selvage/datapath";
import { Attachment, type Change, Engine, Host, Port } from "@selvage/model";
import { put, remove } from "@selvage/model/testing";
import type { Row } from "@selvage/pipeline";
import { derivationsFor } from "../mod.ts";
import {
  hostName,
  hostsOf,
  type Intent,
  intentOf,
  type Machine,
  machineOf,
  type NetworkPlan,
  tunnelAddress,
} from "./intent.ts";
import { Policy, type PolicyPlan } from "./policy.ts";
import { type RouterPlan, routerOf, type TestNetwork, type TestRouter } from "./routers.ts";

/** How one frame ended, everywhere. */
export interface Journey {
  /** Names of the machines that got it (or what was made of it), in order, each as often as it got one. */
  readonly delivered: readonly string[];
  /** What each of them got. */
  readonly frames: readonly Uint8Array[];
  readonly punts: readonly Punt[];
  readonly drops: readonly ReasonCode[];
  /** Packets that the underlay carried for it. */
  readonly crossed: number;
}

interface MutableJourney {
  readonly delivered: string[];
  readonly frames: Uint8Array[];
  readonly punts: Punt[];
  readonly drops: ReasonCode[];
}

interface TestHost {
  readonly name: string;
  readonly engine: Engine<Row>;
  readonly datapath: SimulatedDatapath;
  attached: ReadonlySet<string>;
}

export class TestFabric {
  readonly #underlay: SimulatedFabric;
  readonly #hosts = new Map<string, TestHost>();
  readonly #machines = new Map<string, Machine>();
  #policy = new Policy();
  #networks: ReadonlyMap<string, TestNetwork> = new Map();
  #journey: MutableJourney = emptyJourney();
  #revision = 0;

  constructor({ hosts, connections }: Pick<FabricOptions, "hosts" | "connections">) {
    this.#underlay = new SimulatedFabric(connections === undefined ? {} : { connections });
    for (let n = 1; n <= hosts; n += 1) {
      const name = hostName(n);
      const datapath = this.#underlay.addHost(tunnelAddress(n), (trace) => this.#watch(trace));
      const engine = new Engine<Row>({ derivations: derivationsFor({ name }) });
      this.#hosts.set(name, { name, engine, datapath, attached: new Set() });
    }
  }

  async start(intent: Intent): Promise<void> {
    for (const host of this.#hosts.values()) {
      await host.datapath.open({
        attachments: (all) => this.#attach(host, all),
        punt: (punt) => this.#journey.punts.push(punt),
        ready: () => undefined,
        lost: (cause) => {
          throw cause;
        },
      });
    }
    for (const [name, machine] of intent.machines) this.#machines.set(name, machine);
    this.#policy = intent.policy;
    this.#networks = intent.networks;
    this.change(intent.changes);
    for (const { port, host } of intent.plugged) this.#plug(port, host);
  }

  host(name: string): TestHost {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new RangeError(`no host ${name}`);
    return host;
  }

  get hosts(): readonly TestHost[] {
    return [...this.#hosts.values()];
  }

  machine(name: string): Machine {
    const machine = this.#machines.get(name);
    if (machine === undefined) throw new RangeError(`no machine ${name}`);
    return machine;
  }

  /** Puts changes of intent into force on every host. Each is one revision. */
  change(changes: readonly Change[]): void {
    this.#revision += 1;
    for (const host of this.#hosts.values()) this.#apply(host, changes);
  }

  /** Changes a machine's port. */
  set(name: string, part: Partial<Port>): void {
    const { port, host } = this.machine(name);
    const next = { ...port, ...part };
    this.#machines.set(name, machineOf(name, next, part["binding:host_id"] ?? host));
    this.change([put(Port, next)]);
  }

  network(name: string): TestNetwork {
    const network = this.#networks.get(name);
    if (network === undefined) throw new RangeError(`no network ${name}`);
    return network;
  }

  /** Makes a router, or changes it. */
  route(plan: RouterPlan): TestRouter {
    const made = routerOf(plan, this.#networks);
    this.change(made.changes);
    return made;
  }

  /** Changes security groups: what the policy gives is one revision. */
  police(act: (policy: Policy) => readonly Change[]): void {
    this.change(act(this.#policy));
  }

  /** Gives a machine's port these security groups, or takes it from under any. */
  regroup(name: string, groups: readonly string[] | undefined): void {
    const { port, host } = this.machine(name);
    const { grouping, changes } = this.#policy.assign(port.id, groups);
    const next = { ...port, ...grouping };
    this.#machines.set(name, machineOf(name, next, host));
    this.change([...changes, put(Port, next)]);
  }

  /** Ids of a security group's rules, in the order of the plan. */
  rulesOf(group: string): readonly string[] {
    return this.#policy.rulesOf(group);
  }

  /** Plugs a machine's interface on a host, its own unless told. */
  plug(name: string, host = this.machine(name).host): void {
    this.#plug(this.machine(name).port.id, host);
  }

  unplug(name: string, host = this.machine(name).host): void {
    this.host(host).datapath.unplug(this.machine(name).port.id);
  }

  /** Sends a frame from a machine, on its own host unless told, and says how it ended. */
  send(name: string, frame: Uint8Array, host = this.machine(name).host): Journey {
    return this.#follow(() => this.host(host).datapath.receive(this.machine(name).port.id, frame));
  }

  /** Joins hosts to a physical network, all unless told: their switches have the wire, and intent knows it. */
  wire(physical: string, hosts: readonly string[] = [...this.#hosts.keys()]): void {
    const joined = hostsOf(this.#hosts.size).filter(({ name }) => hosts.includes(name));
    for (const host of joined) this.#underlay.join(host.tunnel_ip ?? "", physical);
    this.change(joined.map((host) => put(Host, { ...host, physical_networks: [physical] })));
  }

  /** Takes a host's wire away, as when it is lost. */
  unwire(physical: string, host: string): void {
    const number = Number(host.slice(1));
    this.#underlay.leave(tunnelAddress(number), physical);
  }

  /** Plugs a machine of nobody's into a physical network; what it gets is delivered under its name. Gives how it sends. */
  outside(physical: string, name: string): (frame: Uint8Array) => Journey {
    const send = this.#underlay.physical(physical).plug(name, (frame) => {
      this.#journey.delivered.push(name);
      this.#journey.frames.push(frame);
    });
    return (frame) => this.#follow(() => send(frame));
  }

  /** What the agent of a host learned, or forgot: facts of that host alone. */
  learn(host: string, changes: readonly Change[]): void {
    this.#apply(this.host(host), changes);
  }

  /** MACs that a physical network saw at two of its sockets. */
  moved(physical: string): readonly string[] {
    return this.#underlay.physical(physical).moved.map(({ mac }) => mac);
  }

  /** Puts a packet on the underlay, as from any address, and says how it ended. */
  inject(packet: {
    from: string;
    to: string;
    key: number;
    srcPort: number;
    dstPort: number;
    frame: Uint8Array;
  }): Journey {
    const { from, to, frame, ...header } = packet;
    const journey = this.#follow(() => this.#underlay.inject({ from, to, header, frame }));
    return { ...journey, crossed: journey.crossed - 1 };
  }

  /** Texts of all rows of a host, sorted; those of one app's tables when told. */
  rows(host: string, tables?: readonly { readonly name: string }[]): readonly Row[] {
    const names = tables === undefined ? undefined : new Set(tables.map(({ name }) => name));
    return [...this.host(host).engine.rows()]
      .filter((row) => names?.has(row.table) ?? true)
      .sort((one, other) => (one.id < other.id ? -1 : 1));
  }

  #follow(act: () => unknown): Journey {
    const journey = emptyJourney();
    this.#journey = journey;
    this.#underlay.forget();
    act();
    return { ...journey, crossed: this.#underlay.crossed.length };
  }

  #watch({ outcomes }: Trace): void {
    for (const outcome of outcomes) if (outcome.kind === "drop") this.#journey.drops.push(outcome.reason);
  }

  #plug(port: string, host: string): void {
    this.host(host).datapath.plug(port, (frame) => {
      const machine = [...this.#machines.values()].find((each) => each.port.id === port);
      this.#journey.delivered.push(machine?.name ?? port);
      this.#journey.frames.push(frame);
    });
  }

  /** What an agent does: interfaces are facts in its own view. */
  #attach(host: TestHost, all: readonly AttachedInterface[]): void {
    const now = new Set(all.map(({ port }) => port));
    const changes = [
      ...[...now].filter((id) => !host.attached.has(id)).map((id) => put(Attachment, { id })),
      ...[...host.attached].filter((id) => !now.has(id)).map((id) => remove(Attachment, id)),
    ];
    host.attached = now;
    this.#apply(host, changes);
  }

  /** The simulated switch applies before it returns its promise, so that a refusal is all that is left to wait for. */
  #apply(host: TestHost, changes: readonly Change[]): void {
    const delta = host.engine.apply(changes, this.#revision);
    assert.deepEqual([...host.engine.quarantined.keys()], [], "no derivation fails");
    host.datapath.apply(delta).catch((error: unknown) => {
      throw error;
    });
  }
}

const emptyJourney = (): MutableJourney => ({ delivered: [], frames: [], punts: [], drops: [] });

export interface FabricOptions {
  readonly hosts: number;
  readonly policy?: PolicyPlan;
  /** Connections that a port has at most, as many as on any host unless told. */
  readonly connections?: number;
}

/** Hosts `h1` to `hN` with the networks in force and their machines plugged. */
export async function fabric(options: FabricOptions, ...plans: readonly NetworkPlan[]): Promise<TestFabric> {
  const world = new TestFabric(options);
  await world.start(intentOf(hostsOf(options.hosts), plans, options.policy));
  return world;
}
