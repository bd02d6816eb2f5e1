/** Random histories of intent for fast-check: steps that put, change, move and delete, each valid after those before it. */
import fc from "fast-check";
import type { AnyResource, ObjectOf } from "../resource.ts";
import { Attachment } from "../resources/facts.ts";
import { Host } from "../resources/host.ts";
import { Network } from "../resources/network.ts";
import { type FixedIp, Port } from "../resources/port.ts";
import { Subnet } from "../resources/subnet.ts";
import type { Change } from "../view.ts";
import {
  makeAttachment,
  makeHost,
  makeNetwork,
  makePort,
  makeSubnet,
  put,
  remove,
  testId,
  testMac,
} from "./objects.ts";

/** One entry of the log: what was done, in words for a failing test's report, and its changes. */
export interface Step {
  readonly name: string;
  readonly changes: readonly Change[];
}

export interface HistoryOptions {
  /** Most steps of a history (40 unless told). */
  readonly steps?: number;
  /** `whole`: a network goes with its subnets and ports. `dangling`: it may go before them, and they may come before it. */
  readonly references?: "whole" | "dangling";
  /** `clashing`: two ports of a network may bear one MAC or one address, as a faulty projection would show them. */
  readonly identities?: "unique" | "clashing";
  /** `host`: also attachments come and go, as one host's agent sees them. */
  readonly facts?: "none" | "host";
}

interface Throw {
  readonly kind: number;
  readonly pick: number;
  readonly value: number;
}

/** Histories as data: a list of steps that shrinks by leaving steps out. */
export function randomHistory(options: HistoryOptions = {}): fc.Arbitrary<readonly Step[]> {
  const roll = fc.record({ kind: fc.nat(99), pick: fc.nat(0xffff), value: fc.nat(0xffff) });
  return fc.array(roll, { maxLength: options.steps ?? 40, size: "max" }).map((rolls) => play(rolls, options));
}

/** All changes of a history as one list of what is there at its end, in an order drawn by `seed`. */
export function shuffled<T>(items: readonly T[], seed: number): readonly T[] {
  const result = [...items];
  let state = seed >>> 0;
  for (let last = result.length - 1; last > 0; last -= 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const chosen = Math.floor((state / 0x1_0000_0000) * (last + 1));
    const moved = result[last];
    const other = result[chosen];
    if (moved === undefined || other === undefined) continue;
    result[last] = other;
    result[chosen] = moved;
  }
  return result;
}

/** How a history opens, so that most of it has something to act on: a host, a network, a subnet, a port, another of each. */
const opening: readonly number[] = [0, 7, 15, 23, 0, 23, 7];

function play(rolls: readonly Throw[], options: HistoryOptions): readonly Step[] {
  const world = new World(options);
  const steps: Step[] = [];
  for (const [position, roll] of rolls.entries()) {
    const step = world.step({ ...roll, kind: opening[position] ?? roll.kind });
    if (step !== undefined) steps.push(step);
  }
  return steps;
}

/** The intent so far: knows what may come next. */
class World {
  readonly #options: HistoryOptions;
  readonly #hosts = new Map<string, Host>();
  readonly #networks = new Map<string, Network>();
  readonly #subnets = new Map<string, Subnet>();
  readonly #ports = new Map<string, Port>();
  readonly #attached = new Set<string>();
  #serial = 0;

  constructor(options: HistoryOptions) {
    this.#options = options;
  }

  step({ kind, pick, value }: Throw): Step | undefined {
    if (kind < 7) return this.#putHost(value);
    if (kind < 15) return this.#putNetwork(value);
    if (kind < 23) return this.#putSubnet(pick, value);
    if (kind < 50) return this.#putPorts(pick, value);
    if (kind < 62) return this.#movePort(pick, value);
    if (kind < 74) return this.#changePort(pick, value);
    if (kind < 79) return this.#changeNetwork(pick, value);
    if (kind < 82) return this.#changeHost(pick, value);
    if (kind < 88) return this.#attach(pick);
    if (kind < 95) return this.#deletePort(pick);
    if (kind < 97) return this.#deleteHost(pick);
    if (kind < 98) return this.#deleteSubnet(pick);
    return this.#deleteNetwork(pick);
  }

  #putHost(value: number): Step {
    const number = this.#next();
    const tunnel =
      value % 7 === 0 ? null : value % 5 === 0 ? `2001:db8::${number.toString(16)}` : `192.0.2.${number % 256}`;
    const host = makeHost({
      id: testId("host", number),
      name: `h${this.#hosts.size + 1}-${number}`,
      key: number,
      tunnel_ip: tunnel,
    });
    return this.#put(`host ${host.name} joins`, this.#hosts, Host, host);
  }

  #putNetwork(value: number): Step {
    const number = this.#next();
    const network = makeNetwork({
      id: testId("network", number),
      name: `n${number}`,
      mtu: 1400 + (value % 50),
      "provider:segmentation_id": number,
      admin_state_up: value % 8 !== 0,
    });
    return this.#put(`network ${network.name}`, this.#networks, Network, network);
  }

  #putSubnet(pick: number, value: number): Step | undefined {
    const network = this.#networkFor(pick);
    if (network === undefined) return undefined;
    const number = this.#next();
    const shared = { id: testId("subnet", number), network_id: network, enable_dhcp: value % 4 !== 0 };
    const net = number % 250;
    const subnet =
      value % 3 === 0
        ? makeSubnet({
            ...shared,
            ip_version: 6,
            cidr: `2001:db8:${net.toString(16)}::/64`,
            gateway_ip: `2001:db8:${net.toString(16)}::1`,
            allocation_pools: [{ start: `2001:db8:${net.toString(16)}::2`, end: `2001:db8:${net.toString(16)}::ffff` }],
          })
        : makeSubnet({
            ...shared,
            cidr: `10.${net}.0.0/16`,
            gateway_ip: value % 5 === 0 ? null : `10.${net}.0.1`,
            allocation_pools: [{ start: `10.${net}.0.2`, end: `10.${net}.255.254` }],
          });
    return this.#put(`subnet ${subnet.cidr}`, this.#subnets, Subnet, subnet);
  }

  #putPorts(pick: number, value: number): Step | undefined {
    const network = this.#networkFor(pick);
    if (network === undefined) return undefined;
    const ports = Array.from({ length: value % 9 === 0 ? 3 : 1 }, () => {
      const number = this.#next();
      return makePort({
        id: testId("port", number),
        name: `p${number}`,
        network_id: network,
        mac_address: this.#mac(number, value),
        fixed_ips: this.#addresses(network, number, value),
        "binding:host_id": this.#hostFor(value),
        port_security_enabled: value % 6 !== 0,
        key: number,
      });
    });
    for (const port of ports) this.#ports.set(port.id, port);
    return { name: `${ports.length} ports on ${network}`, changes: ports.map((port) => put(Port, port)) };
  }

  #movePort(pick: number, value: number): Step | undefined {
    const port = chosen(this.#ports, pick);
    if (port === undefined) return undefined;
    const host = this.#hostFor(value);
    return this.#put(`port ${port.name} moves to ${host || "no host"}`, this.#ports, Port, {
      ...port,
      "binding:host_id": host,
    });
  }

  #changePort(pick: number, value: number): Step | undefined {
    const port = chosen(this.#ports, pick);
    if (port === undefined) return undefined;
    const changed: Partial<Port>[] = [
      { name: `renamed ${value}` },
      { admin_state_up: !port.admin_state_up },
      { mac_address: this.#mac(this.#next(), value) },
      { fixed_ips: this.#addresses(port.network_id, this.#next(), value) },
      { port_security_enabled: !port.port_security_enabled },
      {},
    ];
    const part = changed[value % changed.length] ?? {};
    const next: Port = { ...port, ...part, revision_number: port.revision_number + 1 };
    return this.#put(`port ${port.name} changes ${Object.keys(part).join()}`, this.#ports, Port, next);
  }

  #changeNetwork(pick: number, value: number): Step | undefined {
    const network = chosen(this.#networks, pick);
    if (network === undefined) return undefined;
    const changed: Partial<Network>[] = [
      { mtu: 1300 + (value % 100) },
      { admin_state_up: !network.admin_state_up },
      { name: `renamed ${value}` },
    ];
    const next: Network = { ...network, ...changed[value % changed.length] };
    return this.#put(`network ${network.name} changes`, this.#networks, Network, next);
  }

  #changeHost(pick: number, value: number): Step | undefined {
    const host = chosen(this.#hosts, pick);
    if (host === undefined) return undefined;
    const address = value % 4 === 0 ? null : `198.51.100.${value % 256}`;
    const taken = [...this.#hosts.values()].some((other) => other.id !== host.id && other.tunnel_ip === address);
    if (taken && address !== null) return undefined;
    return this.#put(`host ${host.name} tunnels from ${address}`, this.#hosts, Host, { ...host, tunnel_ip: address });
  }

  #attach(pick: number): Step | undefined {
    const port = chosen(this.#ports, pick);
    if (port === undefined || this.#options.facts !== "host") return undefined;
    if (this.#attached.delete(port.id))
      return { name: `port ${port.name} unplugs`, changes: [remove(Attachment, port.id)] };
    this.#attached.add(port.id);
    return { name: `port ${port.name} plugs`, changes: [put(Attachment, makeAttachment({ id: port.id }))] };
  }

  #deletePort(pick: number): Step | undefined {
    const port = chosen(this.#ports, pick);
    if (port === undefined) return undefined;
    this.#ports.delete(port.id);
    return { name: `port ${port.name} goes`, changes: [remove(Port, port.id)] };
  }

  #deleteHost(pick: number): Step | undefined {
    const host = chosen(this.#hosts, pick);
    if (host === undefined) return undefined;
    this.#hosts.delete(host.id);
    const unbound = [...this.#ports.values()]
      .filter((port) => port["binding:host_id"] === host.name && this.#options.references !== "dangling")
      .map((port) => ({ ...port, "binding:host_id": "" }));
    for (const port of unbound) this.#ports.set(port.id, port);
    return {
      name: `host ${host.name} goes`,
      changes: [...unbound.map((port) => put(Port, port)), remove(Host, host.id)],
    };
  }

  #deleteSubnet(pick: number): Step | undefined {
    const subnet = chosen(this.#subnets, pick);
    if (subnet === undefined) return undefined;
    this.#subnets.delete(subnet.id);
    const bare = [...this.#ports.values()]
      .filter(
        (port) => this.#options.references !== "dangling" && port.fixed_ips.some((ip) => ip.subnet_id === subnet.id),
      )
      .map((port) => ({ ...port, fixed_ips: port.fixed_ips.filter((ip) => ip.subnet_id !== subnet.id) }));
    for (const port of bare) this.#ports.set(port.id, port);
    return {
      name: `subnet ${subnet.cidr} goes`,
      changes: [...bare.map((port) => put(Port, port)), remove(Subnet, subnet.id)],
    };
  }

  #deleteNetwork(pick: number): Step | undefined {
    const network = chosen(this.#networks, pick);
    if (network === undefined) return undefined;
    this.#networks.delete(network.id);
    if (this.#options.references === "dangling")
      return { name: `network ${network.name} goes alone`, changes: [remove(Network, network.id)] };
    const changes: Change[] = [];
    for (const port of [...this.#ports.values()].filter((each) => each.network_id === network.id)) {
      this.#ports.delete(port.id);
      changes.push(remove(Port, port.id));
    }
    for (const subnet of [...this.#subnets.values()].filter((each) => each.network_id === network.id)) {
      this.#subnets.delete(subnet.id);
      changes.push(remove(Subnet, subnet.id));
    }
    return { name: `network ${network.name} goes whole`, changes: [...changes, remove(Network, network.id)] };
  }

  #put<R extends AnyResource>(name: string, objects: Map<string, ObjectOf<R>>, resource: R, object: ObjectOf<R>): Step {
    objects.set(object.id, object);
    return { name, changes: [put(resource, object)] };
  }

  #next(): number {
    this.#serial += 1;
    return this.#serial;
  }

  /** A network that is there; when references may dangle, now and then one that will never come, or came and went. */
  #networkFor(pick: number): string | undefined {
    if (this.#options.references === "dangling" && pick % 5 === 0) return testId("network", pick % 40);
    return chosen(this.#networks, pick)?.id;
  }

  #hostFor(value: number): string {
    if (value % 4 === 0) return "";
    if (this.#options.references === "dangling" && value % 7 === 0) return `h-absent-${value % 3}`;
    return chosen(this.#hosts, value)?.name ?? "";
  }

  #mac(number: number, value: number): string {
    return testMac(this.#options.identities === "clashing" && value % 3 === 0 ? 1 + (value % 4) : number);
  }

  /** One address of each of the network's subnets; the n-th port takes the n-th address. */
  #addresses(network: string, number: number, value: number): readonly FixedIp[] {
    if (value % 10 === 0) return [];
    const host = this.#options.identities === "clashing" && value % 5 === 0 ? 10 + (value % 3) : 10 + number;
    return [...this.#subnets.values()]
      .filter((subnet) => subnet.network_id === network)
      .map((subnet) => {
        const prefix = subnet.cidr.slice(0, subnet.cidr.indexOf("/"));
        const address =
          subnet.ip_version === 6
            ? `${prefix}${host.toString(16)}`
            : prefix.replace(/0\.0$/, `${host >> 8}.${host & 255}`);
        return { subnet_id: subnet.id, ip_address: address };
      });
  }
}

function chosen<O>(objects: ReadonlyMap<string, O>, pick: number): O | undefined {
  return [...objects.values()][objects.size === 0 ? 0 : pick % objects.size];
}
