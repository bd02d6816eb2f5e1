/** A conversation's first packet and its answer, run through what present intent makes of every host that they meet. */
import type { ReasonCode } from "@selvage/base";
import type { Outcome, Visit } from "@selvage/datapath";
import { cidrContains, cidrOf, Host, ipOf, keyOf, type Network, Port, Router, Subnet, type View } from "@selvage/model";
import { decode, encode, whoHas } from "@selvage/packet";
import {
  ArpAnswer,
  Deliver,
  NdAnswer,
  Neighbour,
  ProviderOut,
  type PuntKind,
  physicalNetworkOf,
  serviceAddresses,
  serviceIngress,
  serviceMac,
  Turn,
} from "@selvage/pipeline";
import { buildHost, type Intent, type Meeting, MetHosts, partInTurns, type TracedHost } from "./host.ts";
import { follow, type Hop } from "./journey.ts";
import { nextHop } from "./next-hop.ts";
import { answering, answerTo, type Ends, opening, type Probe, type Question, type Sender } from "./question.ts";
import { networkLeftBy, outsideMac, Wires } from "./wires.ts";

/** `ask`: who has the next hop's address; told of where nobody answers. `forward`: the packet. `reply`: the answer to it. */
export type Direction = "ask" | "forward" | "reply";

/** How one direction ended. */
export type Ending =
  | { readonly kind: "delivered"; readonly port: Port; readonly frame: Uint8Array }
  /** It is out on a physical network, where nobody of ours has it. */
  | { readonly kind: "outside"; readonly wire: string; readonly hop: Hop; readonly frame: Uint8Array }
  /** A router answered it itself, or the host's services do, or an agent does: what it was handed over for. */
  | { readonly kind: "answered"; readonly by: "router" | "services" }
  | { readonly kind: "answered"; readonly by: "agent"; readonly service: PuntKind }
  /** `told`: what the router's host tells the sender of it, by ICMP. */
  | {
      readonly kind: "dropped";
      readonly reason: ReasonCode;
      readonly hop: Hop;
      readonly visit: Visit | undefined;
      readonly told?: PuntKind;
    }
  /** It was not sent, for `why`, a clause; `port` is whose machine did not. */
  | { readonly kind: "unsent"; readonly port: Port; readonly why: string }
  /** Nothing more is known of it; `text` is a sentence. */
  | { readonly kind: "lost"; readonly text: string };

export interface Leg {
  readonly direction: Direction;
  readonly from: Sender;
  readonly hops: readonly Hop[];
  readonly ending: Ending;
}

/** What is to be known besides: that a host is not as present intent has it. */
export interface Note {
  readonly host?: Host;
  readonly text: string;
}

export interface Conversation {
  readonly question: Question;
  readonly legs: readonly Leg[];
  readonly notes: readonly Note[];
  /** Hosts that it met. */
  readonly hosts: readonly string[];
  /** Whether the packet was delivered, or answered, and so was the answer where there is one. */
  readonly isDelivered: boolean;
}

/** Runs a question. `turn` is waited for before each host, so that others have theirs. Throws EncodeError for a packet that there cannot be. */
export function trace(intent: Intent, question: Question, turn: () => Promise<void>): Promise<Conversation> {
  const { view } = intent;
  const meeting = meetingOf(question);
  return traceAmong(view, question, async (host) => {
    await turn();
    return buildHost(host, await partInTurns(intent, host, meeting, turn), view.revision);
  });
}

/** Runs a question among hosts, each made by `build` when it is met first. */
export async function traceAmong(
  view: View,
  question: Question,
  build: (host: Host) => Promise<TracedHost>,
): Promise<Conversation> {
  const { from, to, probe, source, destination } = question;
  const hosts = new MetHosts(view, build);
  const run = new Run(view, hosts);
  const make = (ends: Ends): Uint8Array => opening(probe, ends);
  const forward =
    from.kind === "port"
      ? await run.send("forward", from.port, source, destination, make)
      : await run.come("forward", from.network, source, destination, to, make);
  const isThere = arrivedAt(forward, to);
  const reply = isThere ? await answerLeg(run, question, forward) : undefined;
  const isDelivered = isThere && (reply === undefined || isBack(from, reply));
  const legs = [forward, ...(reply === undefined ? [] : [reply])];
  return { question, legs, notes: run.notes, hosts: hosts.hosts, isDelivered };
}

/** Whether a packet arrived where it was to. What was sent to an address arrived at whoever has it. */
function arrivedAt({ from, ending }: Leg, to: Port | undefined): boolean {
  if (ending.kind === "delivered") return to === undefined || ending.port.id === to.id;
  return ending.kind === "answered" || (ending.kind === "outside" && from.kind === "port" && to === undefined);
}

const isBack = (to: Sender, { ending }: Leg): boolean =>
  to.kind === "port" ? ending.kind === "delivered" && ending.port.id === to.port.id : ending.kind === "outside";

/** The answer, from whoever got the packet, to what came to him; undefined: there is none, or it was seen already. */
async function answerLeg(
  run: Run,
  { from, probe, destination, source }: Question,
  { ending }: Leg,
): Promise<Leg | undefined> {
  if (ending.kind !== "delivered" && ending.kind !== "outside") return undefined;
  const arrived = asArrived(probe, source, destination, ending.frame);
  const answer = answerTo(arrived.probe);
  if (answer === undefined) return undefined;
  const make = (ends: Ends): Uint8Array => answering(answer, ends);
  const leg =
    ending.kind === "delivered"
      ? await run.send("reply", ending.port, arrived.destination, arrived.source, make)
      : await run.back(ending, from, arrived.destination, arrived.source, make);
  if (isBack(from, leg) && (leg.ending.kind === "delivered" || leg.ending.kind === "outside")) {
    const back = asArrived(answer, destination, source, leg.ending.frame);
    if (back.source !== destination || back.probe.sourcePort !== probe.destinationPort) {
      const text = `The answer comes from ${back.source}, and ${destination} was asked: whoever asked does not take it for his.`;
      run.notes.push({ text });
    }
  }
  return leg;
}

/** A packet with the ends that it has where it arrived, which may be others than those with which it was sent. */
function asArrived(probe: Probe, source: string, destination: string, frame: Uint8Array) {
  const decoded = decode(frame);
  const { ipv4, ipv6, tcp, udp } = decoded.ok ? decoded.packet : {};
  const ip = ipv4 ?? ipv6;
  const ports = tcp ?? udp;
  return {
    source: ip?.src ?? source,
    destination: ip?.dst ?? destination,
    probe: ports === undefined ? probe : { ...probe, sourcePort: ports.src, destinationPort: ports.dst },
  };
}

/** What a question's packets can meet. */
export function meetingOf({ from, to, source, destination }: Question): Meeting {
  const ports = [...(from.kind === "port" ? [from.port.id] : []), ...(to === undefined ? [] : [to.id])];
  return { addresses: new Set([source, destination]), ports: new Set(ports) };
}

class Run {
  readonly #view: View;
  readonly #hosts: MetHosts;
  readonly #wires: Wires;
  readonly notes: Note[] = [];

  constructor(view: View, hosts: MetHosts) {
    this.#view = view;
    this.#hosts = hosts;
    this.#wires = new Wires(view, hosts);
  }

  /** Sends one packet as the machine of a port would: it asks for its next hop first. */
  async send(
    direction: "forward" | "reply",
    port: Port,
    source: string,
    destination: string,
    make: (ends: Ends) => Uint8Array,
  ): Promise<Leg> {
    const from: Sender = { kind: "port", port };
    const unsent = (why: string): Leg => ({ direction, from, hops: [], ending: { kind: "unsent", port, why } });
    const hostName = port["binding:host_id"];
    if (hostName === "") return unsent("it is bound to no host");
    const at = await this.#hosts.named(hostName);
    if (at === undefined) return unsent("it is bound to a host that has not been added");
    const hop = nextHop(this.#view, port, destination);
    if (hop.kind === "none") return unsent(hop.text);
    const asked = await this.#resolve(at, port, source, hop.address);
    if (typeof asked !== "string") return asked;
    const frame = make({ sourceMac: port.mac_address, destinationMac: asked, source, destination });
    const hops = await follow(this.#hosts, this.#wires, at, { from: "port", port: port.id }, frame);
    return { direction, from, hops, ending: this.#endingOf(port.id, hops) };
  }

  /** Sends the answer of whoever outside got a packet. */
  back(
    { hop, wire }: Extract<Ending, { kind: "outside" }>,
    to: Sender,
    source: string,
    destination: string,
    make: (ends: Ends) => Uint8Array,
  ): Promise<Leg> {
    const network = networkLeftBy(this.#view, hop.trace);
    if (network === undefined) throw new Error(`a packet left by ${wire}, on which there is no network`);
    return this.come("reply", network, source, destination, to.kind === "port" ? to.port : undefined, make);
  }

  /** Sends one packet as somebody outside would, to a port's machine or to an address that a network of ours has there. */
  async come(
    direction: "forward" | "reply",
    network: Network,
    source: string,
    destination: string,
    to: Port | undefined,
    make: (ends: Ends) => Uint8Array,
  ): Promise<Leg> {
    const from: Sender = { kind: "outside", network };
    const lost = (text: string): Leg => ({ direction, from, hops: [], ending: { kind: "lost", text } });
    const hop = this.#hopInto(network, destination, to);
    if (hop === undefined)
      return lost(
        `${destination} is of no subnet of ${wordFor(network)}, and no router that has a gateway there leads to it.`,
      );
    if (hop !== destination)
      this.notes.push({ text: `Whoever is outside is taken to have a route to ${destination} by ${hop}.` });
    const held = await this.#wires.holder(network, hop);
    if (held === undefined) return lost(`No host answers for ${hop} on ${wordFor(network)}.`);
    const { wire, mac: destinationMac } = held;
    const ends = { sourceMac: outsideMac, destinationMac, source, destination };
    const frame = make({ ...ends, ...(wire.vlan === undefined ? {} : { vlan: wire.vlan }) });
    const hops = await follow(this.#hosts, this.#wires, held.host, { from: "wire", wire: wire.name }, frame);
    return { direction, from, hops, ending: this.#endingOf(wire.name, hops) };
  }

  /** The next hop from outside to an address: itself, where it is of the network there, or the gateway of the router behind which its port is. */
  #hopInto(network: Network, destination: string, to: Port | undefined): string | undefined {
    const target = ipOf(destination);
    const subnets = this.#view.by(Subnet.index.network_id, network.id);
    if (subnets.some(({ cidr }) => cidrContains(cidrOf(cidr), target))) return destination;
    const behind = to === undefined ? [] : this.#view.by(Port.index.routedNetwork, to.network_id);
    const gateways = behind
      .flatMap(({ router_id }) => this.#view.get(Router, router_id ?? "") ?? [])
      .sort((one, other) => one.key - other.key)
      .flatMap(({ id }) => this.#view.by(Port.index.gateway_of, id))
      .filter(({ network_id }) => network_id === network.id)
      .flatMap(({ fixed_ips }) => fixed_ips.map(({ ip_address }) => ip_address));
    return gateways.find((address) => address.includes(":") === destination.includes(":"));
  }

  /** The MAC of a next hop, asked for as the machine does; or the question's own leg, where it gets no answer. */
  async #resolve(at: TracedHost, from: Port, source: string, address: string): Promise<string | Leg> {
    const question = encode(whoHas({ eth: { src: from.mac_address }, source, target: address }));
    const hops = await follow(this.#hosts, this.#wires, at, { from: "port", port: from.id }, question);
    const sender: Sender = { kind: "port", port: from };
    const [first] = hops;
    const isService = Object.values(serviceAddresses).some((each) => each[4] === address || each[6] === address);
    const held = first?.trace.visits.find(({ table, row }) => table === Neighbour.name && row?.action !== "moving")?.row
      ?.args.mac;
    const known = isService ? serviceMac : held;
    const dropped = first?.trace.outcomes.some(({ kind }) => kind === "drop") === true;
    if (typeof known === "string" && !dropped) return known;
    // Asked around: who has it at the moment is for the machines to say, and one of those that may is taken.
    const [holder] = dropped ? [] : this.#view.by(Port.index.pairAddress, keyOf(from.network_id, address));
    const pair = holder?.allowed_address_pairs.find(({ ip_address }) => ip_address === address);
    if (holder !== undefined && pair !== undefined) {
      const text = `${address} moves between the ports that have it as an address pair; it is taken to be at one of them.`;
      this.notes.push({ text });
      return pair.mac_address;
    }
    if (dropped || first === undefined)
      return { direction: "ask", from: sender, hops, ending: this.#endingOf(from.id, hops) };
    const text = `Nobody is known to have ${address}; it is asked around, for a port that may send from any address may have it.`;
    return { direction: "ask", from: sender, hops: [untilAround(first)], ending: { kind: "lost", text } };
  }

  /** How a frame ended that came in by `ingress`, of all that became of its copies: where it arrived, before where it did not. */
  #endingOf(ingress: string, hops: readonly Hop[]): Ending {
    const all = hops.flatMap((hop) => hop.trace.outcomes.map((outcome) => ({ hop, outcome })));
    const find = <K extends Outcome["kind"]>(kind: K) =>
      all.flatMap(({ hop, outcome }) =>
        outcome.kind === kind ? [{ hop, outcome: outcome as Extract<Outcome, { kind: K }> }] : [],
      );
    const followed = new Set(hops.map(({ sent }) => sent));
    for (const { hop, outcome } of find("output")) {
      if (followed.has(outcome.frame)) continue;
      if (outcome.port === serviceIngress) return { kind: "answered", by: "services" };
      // A router's own word goes back by where the packet came in, and is delivered by no table; what a machine asks itself is turned.
      const isOwn = !hop.trace.visits.some(
        ({ table, row }) =>
          table === Deliver.name || table === ProviderOut.name || (table === Turn.name && row !== undefined),
      );
      if (outcome.port === ingress && isOwn) return { kind: "answered", by: "router" };
      const { frame, port: name } = outcome;
      if (physicalNetworkOf(name) !== undefined) return { kind: "outside", wire: name, hop, frame };
      const port = this.#view.get(Port, name);
      if (port !== undefined) return { kind: "delivered", port, frame };
    }
    const [punt] = find("punt");
    const drops = find("drop");
    const [drop] = drops;
    if (drop !== undefined) {
      const { hop, outcome } = drop;
      const visit = hop.trace.visits.findLast(({ table }) => table === outcome.table);
      return {
        kind: "dropped",
        reason: outcome.reason,
        hop,
        visit,
        ...(punt === undefined ? {} : { told: punt.outcome.punt }),
      };
    }
    if (punt !== undefined) return { kind: "answered", by: "agent", service: punt.outcome.punt };
    const [tunnel] = find("tunnel");
    if (tunnel !== undefined) return { kind: "lost", text: "It left for a host that is not there." };
    return { kind: "lost", text: "No copy of it was sent to anybody else." };
  }
}

/** What a question met before it was asked around: to whom its copies go is not what was asked. */
function untilAround(hop: Hop): Hop {
  const { visits } = hop.trace;
  const at = visits.findIndex(({ table }) => table === ArpAnswer.name || table === NdAnswer.name);
  return { ...hop, trace: { visits: visits.slice(0, at + 1), outcomes: [] } };
}

/** The name of a port for people, or its id. */
export const wordFor = ({ id, name }: Pick<Port, "id" | "name">): string => (name === "" ? id : name);

/** The hosts by id, for whoever wants to say how they are. */
export const hostsOf = (view: View, { hosts }: Conversation): readonly Host[] =>
  hosts.flatMap((id) => view.get(Host, id) ?? []);
