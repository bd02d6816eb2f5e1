/**
 * Which machine here has an address that moves between ports (allowed address pairs), for routers: heard from who says so (gratuitous ARP, RFC 5227; unsolicited neighbour
 * advertisements, RFC 4861 section 7.2.6), and asked for. What is known is a fact in the host's own view; an address that was heard elsewhere is here no more.
 */
import type { Clock, Log, Metrics, Timer } from "@selvage/base";
import type { Datapath, Punt } from "@selvage/datapath";
import {
  type Change,
  type Delta,
  HeldAddress,
  keyOf,
  linkLocalOf,
  macOf,
  Network,
  neighbourId,
  networkKeyOf,
  Port,
  textOfIp,
  type View,
} from "@selvage/model";
import { decode, type NdOption } from "@selvage/packet";
import { Arp, isFabric, Nd, type Row, serviceMac } from "@selvage/pipeline";
import { type Answer, reply, silence } from "./answer.ts";
import type { KnownRows } from "./outside-errors.ts";
import { questionFrame } from "./wire.ts";

/** Milliseconds. Who does not answer is asked again after `first`, twice that, and so on; who has it anew after `fresh`. */
const pace = { first: 250, most: 10_000, fresh: 5_000 } as const;
/** Milliseconds in which an address moves once: two who both say that they have it cost no more than that. */
const steady = 200;
/** Questions without an answer after which a port has the address no more. */
const patience = 3;

const linkLocal = textOfIp(linkLocalOf(macOf(serviceMac)));

export interface HoldersOptions {
  readonly view: View;
  readonly rows: KnownRows;
  readonly datapath: Pick<Datapath, "send">;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Facts that are others now. */
  readonly learned: (changes: readonly Change[]) => void;
}

/** A port here that may have an address. */
interface Candidate {
  readonly portId: string;
  readonly networkId: string;
  readonly address: string;
  /** The address and what packets bear as its network. */
  readonly subject: string;
  unanswered: number;
  timer: Timer | undefined;
}

interface Held {
  readonly candidate: Candidate;
  readonly mac: string;
  /** By the monotonic clock. */
  readonly since: number;
}

/** The address of which the agent is to hear, of a row that says so; undefined for any other row. */
function heardBy({ table, action, key }: Row): string | undefined {
  if ((table !== Arp.name && table !== Nd.name) || action !== "heard") return undefined;
  return String(key.arpSpa ?? key.ndTarget);
}

export class Holders {
  readonly #options: HoldersOptions;
  /** By row. */
  readonly #candidates = new Map<string, Candidate>();
  /** Rows by subject: which ports here may have it. */
  readonly #rows = new Map<string, Set<string>>();
  /** By subject. */
  readonly #held = new Map<string, Held>();
  #closed = false;

  constructor(options: HoldersOptions) {
    this.#options = options;
    options.metrics.gauge({
      name: "moving_addresses_here",
      help: "Addresses of allowed address pairs that a machine of this host has",
      read: () => this.#held.size,
    });
  }

  /** Takes note of the rows that are wanted now: of their ports and addresses is asked. */
  changed({ added, removed }: Pick<Delta<Row>, "added" | "removed">): void {
    for (const { id } of removed) this.#forget(id);
    for (const row of added) {
      const address = heardBy(row);
      const [origin] = address === undefined ? [] : this.#options.rows.origins(row.id);
      const port = origin === undefined ? undefined : this.#options.view.get(Port, origin.key);
      const network = port === undefined ? undefined : this.#options.view.get(Network, port.network_id);
      if (address === undefined || port === undefined || network === undefined || this.#closed) continue;
      const subject = keyOf(networkKeyOf(network), address);
      const of = { portId: port.id, networkId: port.network_id, address, subject };
      const candidate: Candidate = { ...of, unanswered: 0, timer: undefined };
      this.#candidates.set(row.id, candidate);
      this.#rows.set(subject, (this.#rows.get(subject) ?? new Set()).add(row.id));
      this.#later(candidate, 0);
    }
  }

  /** What a machine said, here or, by the fabric, elsewhere. */
  serve({ attachment, net, frame }: Punt): Answer {
    const decoded = decode(frame, { checksums: "ignore" });
    if (!decoded.ok) return silence("the packet cannot be read");
    const { arp, icmpv6, eth } = decoded.packet;
    const target = icmpv6?.kind === "neighbor-advertisement" ? icmpv6.target : arp?.spa;
    if (target === undefined) return silence("it does not say who has an address");
    const said = icmpv6?.kind === "neighbor-advertisement" ? linkLayerOf(icmpv6.options) : arp?.sha;
    const candidates = this.#candidatesOf(net, target);
    if (isFabric(attachment)) {
      for (const candidate of candidates) {
        if (this.#held.get(candidate.subject)?.candidate !== candidate) continue;
        this.#lost(candidate.subject);
        // Whoever said so may have no right to: who had it is asked whether he still has.
        this.#later(candidate, pace.first);
      }
      return candidates.length > 0 ? reply([], "elsewhere") : silence("nobody here may have the address");
    }
    const candidate = candidates.find(({ portId }) => portId === attachment);
    if (candidate === undefined) return silence("it may not have the address");
    return this.#heard(candidate, said ?? eth.src);
  }

  /** Ends it; what is known stays in the switch. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const { timer } of this.#candidates.values()) timer?.cancel();
  }

  #candidatesOf(net: number, address: string): readonly Candidate[] {
    return [...(this.#rows.get(keyOf(net, address)) ?? [])].flatMap((id) => this.#candidates.get(id) ?? []);
  }

  #heard(candidate: Candidate, mac: string): Answer {
    const { clock } = this.#options;
    const held = this.#held.get(candidate.subject);
    const isOther = held?.candidate !== candidate || held.mac !== mac;
    const wait = held === undefined ? 0 : held.since + steady - clock.monotonic();
    candidate.unanswered = 0;
    if (isOther && wait > 0) {
      this.#later(candidate, wait);
      return silence("another had the address a moment ago");
    }
    if (isOther) this.#has({ candidate, mac, since: clock.monotonic() });
    this.#later(candidate, pace.fresh);
    return reply([], "learned");
  }

  /** Asks after so many milliseconds, and comes again. */
  #later(candidate: Candidate, wait: number): void {
    candidate.timer?.cancel();
    if (!this.#closed) candidate.timer = this.#options.clock.after(wait, () => this.#ask(candidate));
  }

  #ask(candidate: Candidate): void {
    const { datapath, log } = this.#options;
    const { portId, address, subject } = candidate;
    if (candidate.unanswered >= patience && this.#held.get(subject)?.candidate === candidate) this.#lost(subject);
    datapath
      .send(portId, questionFrame(serviceMac, linkLocal, address))
      .catch((error: unknown) => log.debug("a machine could not be asked for an address", { address, error }));
    this.#later(candidate, Math.min(pace.most, pace.first * 2 ** Math.min(candidate.unanswered, 10)));
    candidate.unanswered += 1;
  }

  #forget(row: string): void {
    const candidate = this.#candidates.get(row);
    if (candidate === undefined) return;
    const { subject } = candidate;
    candidate.timer?.cancel();
    this.#candidates.delete(row);
    const rows = this.#rows.get(subject);
    rows?.delete(row);
    if (rows?.size === 0) this.#rows.delete(subject);
    if (this.#held.get(subject)?.candidate === candidate) this.#lost(subject);
  }

  #has(held: Held): void {
    const { candidate, mac } = held;
    const { networkId: network_id, address, portId: port_id, subject } = candidate;
    this.#held.set(subject, held);
    const object: HeldAddress = { id: neighbourId(network_id, address), network_id, address, port_id, mac };
    this.#options.learned([{ kind: HeldAddress.kind, id: object.id, object }]);
  }

  #lost(subject: string): void {
    const held = this.#held.get(subject);
    if (held === undefined) return;
    this.#held.delete(subject);
    const { networkId, address } = held.candidate;
    this.#options.learned([{ kind: HeldAddress.kind, id: neighbourId(networkId, address), object: null }]);
  }
}

const linkLayerOf = (options: readonly NdOption[]): string | undefined =>
  options.flatMap((option) => (option.kind === "target-link-layer" ? [option.mac] : []))[0];
