/** A conversation's first packet and its answer, run through what present intent makes of every host that they meet. */
import type { ReasonCode } from "@selvage/base";
import type { Outcome, Visit } from "@selvage/datapath";
import { Host, keyOf, Port, type View } from "@selvage/model";
import { ArpOp, encode, multicastMac, solicitedNode } from "@selvage/packet";
import {
  ArpAnswer,
  NdAnswer,
  Neighbour,
  type PuntKind,
  serviceAddresses,
  serviceIngress,
  serviceMac,
} from "@selvage/pipeline";
import { buildHost, type Intent, type Meeting, MetHosts, partInTurns, type TracedHost } from "./host.ts";
import { follow, type Hop } from "./journey.ts";
import { nextHop } from "./next-hop.ts";
import { answering, answerTo, type Ends, opening, type Question } from "./question.ts";

/** `ask`: who has the next hop's address; told of where nobody answers. `forward`: the packet. `reply`: the answer to it. */
export type Direction = "ask" | "forward" | "reply";

/** How one direction ended. */
export type Ending =
  | { readonly kind: "delivered"; readonly port: Port }
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
  readonly from: Port;
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
  const forward = await run.send("forward", from, source, destination, (ends) => opening(probe, ends));
  const legs: Leg[] = [forward];
  const answer = answerTo(probe);
  if (
    forward.ending.kind === "delivered" &&
    answer !== undefined &&
    (to === undefined || forward.ending.port.id === to.id)
  )
    legs.push(await run.send("reply", forward.ending.port, destination, source, (ends) => answering(answer, ends)));
  const [first, second] = legs.map(({ ending }) => ending.kind);
  const arrived = to === undefined || (forward.ending.kind === "delivered" && forward.ending.port.id === to.id);
  const isDelivered =
    first === "answered" || (first === "delivered" && arrived && (second === undefined || second === "delivered"));
  return { question, legs, notes: run.notes, hosts: hosts.hosts, isDelivered };
}

/** What a question's packets can meet. */
export function meetingOf({ from, to, source, destination }: Question): Meeting {
  return {
    addresses: new Set([source, destination]),
    ports: new Set([from.id, ...(to === undefined ? [] : [to.id])]),
  };
}

class Run {
  readonly #view: View;
  readonly #hosts: MetHosts;
  readonly notes: Note[] = [];

  constructor(view: View, hosts: MetHosts) {
    this.#view = view;
    this.#hosts = hosts;
  }

  /** Sends one packet as the machine of a port would: it asks for its next hop first. */
  async send(
    direction: "forward" | "reply",
    from: Port,
    source: string,
    destination: string,
    make: (ends: Ends) => Uint8Array,
  ): Promise<Leg> {
    const unsent = (why: string): Leg => ({ direction, from, hops: [], ending: { kind: "unsent", port: from, why } });
    const hostName = from["binding:host_id"];
    if (hostName === "") return unsent("it is bound to no host");
    const at = await this.#hosts.named(hostName);
    if (at === undefined) return unsent("it is bound to a host that has not been added");
    const hop = nextHop(this.#view, from, destination);
    if (hop.kind === "none") return unsent(hop.text);
    const asked = await this.#resolve(at, from, source, hop.address);
    if (typeof asked !== "string") return asked;
    const frame = make({ sourceMac: from.mac_address, destinationMac: asked, source, destination });
    const hops = await follow(this.#hosts, at, from.id, frame);
    return { direction, from, hops, ending: endingOf(this.#view, from, hops) };
  }

  /** The MAC of a next hop, asked for as the machine does; or the question's own leg, where it gets no answer. */
  async #resolve(at: TracedHost, from: Port, source: string, address: string): Promise<string | Leg> {
    const hops = await follow(this.#hosts, at, from.id, questionFor(from, source, address));
    const [first] = hops;
    const isService = Object.values(serviceAddresses).some((each) => each[4] === address || each[6] === address);
    const held = first?.trace.visits.find(({ table }) => table === Neighbour.name)?.row?.args.mac;
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
      return { direction: "ask", from, hops, ending: endingOf(this.#view, from, hops) };
    const text = `Nobody is known to have ${address}; it is asked around, for a port that may send from any address may have it.`;
    return { direction: "ask", from, hops: [untilAround(first)], ending: { kind: "lost", text } };
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

/** ARP's question (RFC 826), or neighbour discovery's (RFC 4861, 7.2.2). */
function questionFor(from: Port, source: string, address: string): Uint8Array {
  const mac = from.mac_address;
  if (!address.includes(":"))
    return encode({
      eth: { src: mac, dst: "ff:ff:ff:ff:ff:ff" },
      arp: { op: ArpOp.request, sha: mac, spa: source, tha: "00:00:00:00:00:00", tpa: address },
    });
  const group = solicitedNode(address);
  return encode({
    eth: { src: mac, dst: multicastMac(group) },
    ipv6: { src: source, dst: group },
    icmpv6: { kind: "neighbor-solicitation", target: address, options: [{ kind: "source-link-layer", mac }] },
  });
}

/** How a frame ended, of all that became of its copies: where it arrived, before where it did not. */
function endingOf(view: View, from: Port, hops: readonly Hop[]): Ending {
  const all = hops.flatMap((hop) => hop.trace.outcomes.map((outcome) => ({ hop, outcome })));
  const find = <K extends Outcome["kind"]>(kind: K) =>
    all.flatMap(({ hop, outcome }) =>
      outcome.kind === kind ? [{ hop, outcome: outcome as Extract<Outcome, { kind: K }> }] : [],
    );
  for (const { outcome } of find("output")) {
    if (outcome.port === from.id) return { kind: "answered", by: "router" };
    if (outcome.port === serviceIngress) return { kind: "answered", by: "services" };
    const port = view.get(Port, outcome.port);
    if (port !== undefined) return { kind: "delivered", port };
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

/** The hosts by id, for whoever wants to say how they are. */
export const hostsOf = (view: View, { hosts }: Conversation): readonly Host[] =>
  hosts.flatMap((id) => view.get(Host, id) ?? []);
