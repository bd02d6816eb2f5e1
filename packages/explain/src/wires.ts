/**
 * What is beyond hosts' wires, as a trace takes it to be: whom the hosts do not answer for is out there and answers himself (RFC 826, RFC 4861), and his next hop
 * to an address of ours is who answers for it there, or the gateway of the router that has it.
 */
import { elected, hostMac, preferred, wireOn } from "@selvage/compiler";
import type { Trace } from "@selvage/datapath";
import {
  cidrContains,
  cidrOf,
  FloatingIp,
  Host,
  ipOf,
  keyOf,
  NdpProxy,
  Network,
  networkKeyOf,
  Port,
  Router,
  Subnet,
  segmentsOf,
  type View,
} from "@selvage/model";
import { decode, encode, Frame, whoHas } from "@selvage/packet";
import { NextHops, ProviderOut, physicalName, Route } from "@selvage/pipeline";
import type { MetHosts, TracedHost } from "./host.ts";

/** The MAC of whoever is out there. */
export const outsideMac = "02:00:00:00:00:01";

/** Where a network is on a host's wires. */
interface Wire {
  /** The interface that leads there. */
  readonly name: string;
  readonly vlan?: number;
}

/** The host that answers for an address, by which wire, and with which MAC. */
interface Holder {
  readonly host: TracedHost;
  readonly wire: Wire;
  readonly mac: string;
}

/** A frame as it comes in by another host's wire. */
export interface Arriving {
  readonly at: TracedHost;
  readonly wire: string;
  readonly frame: Uint8Array;
}

/** A next hop that a host asks for. */
interface Asked {
  readonly net: number;
  readonly address: string;
}

export class Wires {
  readonly #view: View;
  readonly #hosts: MetHosts;

  constructor(view: View, hosts: MetHosts) {
    this.#view = view;
    this.#hosts = hosts;
  }

  /** Where a network, by what packets bear as it, is on a host's wires. */
  wireOf({ engine: { view } }: TracedHost, net: number): Wire | undefined {
    const [network] = view.by(Network.index.key, String(net));
    const wire = network === undefined ? undefined : wireOn(view, network);
    if (wire === undefined) return undefined;
    return { name: physicalName(wire.physical), ...(wire.vlan === null ? {} : { vlan: wire.vlan }) };
  }

  /** Learns the next hop that a packet waited for. False: it waited for none that could be asked for. */
  async learn(at: TracedHost, trace: Trace): Promise<boolean> {
    const asked = askedBy(trace);
    const network = asked === undefined ? undefined : this.#view.by(Network.index.key, String(asked.net))[0];
    if (asked === undefined || network === undefined || this.wireOf(at, asked.net) === undefined) return false;
    const held = await this.holder(network, asked.address);
    await at.learn({ network_id: network.id, address: asked.address, mac: held?.mac ?? outsideMac });
    return true;
  }

  /** The host that answers on a network's wire for an address; undefined: none of ours does. */
  async holder(network: Network, address: string): Promise<Holder | undefined> {
    const named = this.#likely(network, address);
    const host = named === undefined ? undefined : await this.#hosts.of(named);
    const wire = host === undefined ? undefined : this.wireOf(host, networkKeyOf(network));
    if (host === undefined || wire === undefined) return undefined;
    const eth = { src: outsideMac, ...(wire.vlan === undefined ? {} : { vlan: { id: wire.vlan } }) };
    const question = encode(whoHas({ eth, source: outsideAddress(address), target: address }));
    const { outcomes } = host.datapath.receive(wire.name, question);
    // ARP is answered by the switch, neighbour discovery by the agent.
    const answers = outcomes.some(
      (outcome) =>
        (outcome.kind === "output" && outcome.port === wire.name) || (outcome.kind === "punt" && outcome.punt === "nd"),
    );
    return answers ? { host, wire, mac: hostMac(host.host.key) } : undefined;
  }

  /** Where a frame comes in that a host put on a wire: at the host whose MAC it bears, or that of a machine on that network; undefined: at none of ours. */
  async onward(trace: Trace, wire: string, frame: Uint8Array): Promise<Arriving | undefined> {
    const decoded = decode(frame);
    if (!decoded.ok) return undefined;
    const { dst, vlan } = decoded.packet.eth;
    const spoken = await this.#hosts.withMac(dst);
    if (spoken !== undefined) return { at: spoken, wire, frame };
    const network = networkLeftBy(this.#view, trace);
    if (network === undefined) return undefined;
    const [port] = this.#view.by(Port.index.networkMac, keyOf(network.id, dst));
    const at = port === undefined ? undefined : await this.#hosts.named(port["binding:host_id"]);
    const there = at === undefined ? undefined : this.wireOf(at, networkKeyOf(network));
    if (at === undefined || there === undefined) return undefined;
    return { at, wire: there.name, frame: vlan?.id === there.vlan ? frame : onVlan(frame, there.vlan) };
  }

  /** Of all hosts on a network's wires the one that can own an address: its machine's, or the one that speaks for addresses that are no machine's. */
  #likely(network: Network, address: string): Host | undefined {
    const [floating] = this.#view.by(FloatingIp.index.address, keyOf(network.id, address));
    const proxied = this.#view.by(NdpProxy.index.address, address)[0]?.port_id;
    const port = this.#view.get(Port, floating?.port_id ?? proxied ?? "");
    if (port !== undefined) return this.#view.by(Host.index.name, port["binding:host_id"])[0];
    const target = ipOf(address);
    const subnets = this.#view.by(Subnet.index.network_id, network.id);
    const segment = subnets.find(({ cidr }) => cidrContains(cidrOf(cidr), target))?.segment_id ?? null;
    const hosts = segmentsOf(this.#view, network)
      .filter(({ id }) => segment === null || id === segment)
      .flatMap(({ physical_network }) => this.#view.by(Host.index.physical, physical_network ?? ""));
    const router = floating?.router_id ?? this.#routerOf(subnets, address);
    return elected(address, preferred(hosts, this.#view.get(Router, router ?? "")?.availability_zone_hints ?? []));
  }

  /** The router whose address on one of the subnets it is. */
  #routerOf(subnets: readonly Subnet[], address: string): string | null {
    const [port] = subnets.flatMap(({ id }) => this.#view.by(Port.index.address, keyOf(id, address)));
    return port?.gateway_of ?? port?.router_id ?? null;
  }
}

/** The network on whose wire a packet left. */
export function networkLeftBy(view: View, { visits }: Trace): Network | undefined {
  const net = visits.findLast(({ table }) => table === ProviderOut.name)?.row?.key.net;
  return view.by(Network.index.key, String(net))[0];
}

/** A frame as it is on another segment of its network: whoever runs the physical networks joins them. */
function onVlan(frame: Uint8Array, vlan: number | undefined): Uint8Array {
  const there = new Frame(frame);
  there.popVlan();
  if (vlan !== undefined) there.pushVlan(vlan);
  return there.toBytes();
}

/** The next hop on a physical network that a packet waited for, and was dropped. */
function askedBy({ visits, outcomes }: Trace): Asked | undefined {
  for (const outcome of outcomes) {
    if (outcome.kind !== "punt" || outcome.punt !== "neighbour") continue;
    const hop = visits.findLast(({ table, row }) => row?.action === "via" && isRouting(table))?.row?.args.nh;
    const decoded = decode(outcome.frame);
    const target = decoded.ok ? (decoded.packet.ipv4?.dst ?? decoded.packet.ipv6?.dst) : undefined;
    const address = hop === undefined ? target : String(hop);
    if (address !== undefined) return { net: outcome.net, address };
  }
  return undefined;
}

const isRouting = (table: string): boolean => table === Route.name || table === NextHops.name;

/** Whom a question on a wire comes from: nobody that anybody has met. */
const outsideAddress = (address: string): string => (address.includes(":") ? "fe80::1" : "0.0.0.0");
