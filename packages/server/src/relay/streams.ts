/**
 * The hosts' streams between the transport and the relay: the greeting, the facts that come up, and the end of a stream whose host is
 * removed or whose certificate was replaced. Who is speaking comes from the certificate and never from a message.
 */
import { type Clock, fail, isError, type Log, type SelvageError, type Timer } from "@selvage/base";
import { canonicalIp, Host, type Revision } from "@selvage/model";
import type { Author, LoggedEntry } from "@selvage/store";
import { BadMessage, type Facts, type FromAgent, type Hello, maxHeld, readFromAgent } from "@selvage/sync";
import type { HostStates } from "../host-states.ts";
import type { Transaction } from "../transaction.ts";
import type { Writer } from "../writer.ts";
import type { LeaseKeeper } from "./lease-keeper.ts";
import type { Peer, Peers } from "./peers.ts";
import type { Relay } from "./relay.ts";
import type { Channel, Session } from "./session.ts";

export interface StreamsOptions {
  readonly writer: Pick<Writer, "replica" | "transact" | "onCommitted">;
  readonly relay: Relay;
  readonly peers: Peers;
  readonly hosts: HostStates;
  /** Absent: leased blocks stay as they are. */
  readonly leases?: LeaseKeeper;
  /** Called in the transaction that writes what a host said of itself. */
  readonly settled?: (transaction: Transaction, host: Host) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** What the transport tells of one stream. */
export interface StreamEnd {
  message(text: string): void;
  /** The host answered a ping. */
  heard(): void;
  /** Something that was sent has left. */
  drained(): void;
  closed(): void;
}

/** A host that says nothing for so long after it connected is cut off, ms. */
const greetingLimit = 10_000;
/** So long may it take, from its hello on, to name all that it holds, ms. */
const inventoryLimit = 60_000;
/** How often, at most, hosts that owe nothing are noted as having the newest revision in force, ms. */
const sweepInterval = 100;

export class Streams {
  readonly #options: StreamsOptions;
  readonly #open = new Map<string, Stream>();
  /** The newest of each host that has not greeted to the end: what it says that it holds is kept until then, for one at a time. */
  readonly #greeting = new Map<string, Stream>();
  readonly #stop: () => void;
  #sweep: Timer | undefined;

  constructor(options: StreamsOptions) {
    this.#options = options;
    this.#stop = options.writer.onCommitted((entry) => this.#committed(entry));
  }

  /** Hosts whose stream is open. */
  get size(): number {
    return this.#open.size;
  }

  /** Opens the stream of a host that the transport has identified; a newer stream of a host takes the older one's place. */
  open(peer: Peer, channel: Channel): StreamEnd {
    const { hostId } = peer;
    const isOver = (): void => {
      if (this.#greeting.get(hostId) === stream) this.#greeting.delete(hostId);
    };
    const stream = new Stream(this.#options, peer, channel, {
      greeted: () => {
        isOver();
        this.#open.set(hostId, stream);
        this.#sweepSoon();
      },
      ended: () => {
        isOver();
        if (this.#open.get(hostId) !== stream) return;
        this.#open.delete(hostId);
        this.#options.hosts.gone(hostId);
      },
    });
    this.#greeting.get(hostId)?.supersede();
    this.#greeting.set(hostId, stream);
    return stream;
  }

  close(): void {
    this.#stop();
    this.#sweep?.cancel();
  }

  #committed(entry: LoggedEntry): void {
    for (const { kind, id, object } of entry.changes) {
      if (kind !== Host.kind) continue;
      if (object === null) this.#options.peers.settle(id);
      this.#open.get(id)?.recheck();
      if (object === null) this.#options.hosts.forget(id);
    }
    this.#sweepSoon();
  }

  /** A host to which a change means nothing has it in force at once: told together for all hosts, a few times a second. */
  #sweepSoon(): void {
    this.#sweep ??= this.#options.clock.after(sweepInterval, () => {
      this.#sweep = undefined;
      for (const stream of this.#open.values()) stream.tellInForce();
    });
  }
}

interface Ends {
  readonly greeted: () => void;
  readonly ended: () => void;
}

class Stream implements StreamEnd {
  readonly #options: StreamsOptions;
  readonly #peer: Peer;
  readonly #channel: Channel;
  readonly #ends: Ends;
  #timer: Timer;
  #state: "silent" | "telling" | "greeting" | "up" | "ended" = "silent";
  /** What it says that it holds, while it says so. */
  #held: Hello["held"] = [];
  #hello: Hello | undefined;
  #session: Session | undefined;
  #told: Revision | undefined;

  constructor(options: StreamsOptions, peer: Peer, channel: Channel, ends: Ends) {
    this.#options = options;
    this.#peer = peer;
    this.#channel = channel;
    this.#ends = ends;
    this.#timer = this.#within(greetingLimit, "no hello came");
  }

  /** A newer stream of the host was opened before this one had greeted. */
  supersede(): void {
    this.#refuse(fail("ProtocolViolation", { reason: "a newer stream of this host was opened" }), true);
  }

  #within(ms: number, reason: string): Timer {
    return this.#options.clock.after(ms, () => this.#refuse(fail("ProtocolViolation", { reason }), true));
  }

  message(text: string): void {
    if (this.#state === "ended") return;
    try {
      this.#take(readFromAgent(text));
    } catch (error) {
      if (error instanceof BadMessage) this.#refuse(fail("ProtocolViolation", { reason: error.message }), true);
      else if (isError(error)) this.#refuse(error, true);
      else throw error;
    }
  }

  heard(): void {
    if (this.#state === "up") this.#options.hosts.report(this.#peer.hostId, {});
  }

  drained(): void {
    if (this.#session !== undefined) this.#options.relay.drained(this.#session);
  }

  closed(): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#timer.cancel();
    if (this.#session !== undefined) this.#options.relay.disconnect(this.#session);
    this.#ends.ended();
  }

  /** The host changed: whether it may still speak. */
  recheck(): void {
    if (this.#state !== "up") return;
    try {
      this.#options.peers.standing(this.#peer);
    } catch (error) {
      if (!isError(error)) throw error;
      this.#refuse(error, false);
    }
  }

  tellInForce(): void {
    const inForce = this.#session?.inForce;
    if (this.#state !== "up" || inForce === undefined || inForce === this.#told) return;
    this.#told = inForce;
    this.#options.hosts.report(this.#peer.hostId, { inForce });
  }

  #take(message: FromAgent): void {
    switch (message.type) {
      case "hello":
        if (this.#state !== "silent") throw new BadMessage("a second hello");
        this.#state = "telling";
        this.#timer.cancel();
        this.#timer = this.#within(inventoryLimit, "what it holds was not named to the end");
        this.#collect({ ...message, held: [] }, message);
        return;
      case "held":
        if (this.#hello === undefined || this.#state !== "telling") throw new BadMessage("held without hello");
        this.#collect(this.#hello, message);
        return;
      case "ack":
        if (this.#session === undefined) throw new BadMessage("ack before hello");
        if (!this.#session.acknowledge(message.revision)) {
          throw new BadMessage(`revision ${message.revision} is acknowledged, and was never sent`);
        }
        this.tellInForce();
        return;
      case "facts":
        if (this.#session === undefined) throw new BadMessage("facts before hello");
        this.#options.hosts.report(this.#peer.hostId, {
          portsUp: message.ports_up,
          unbound: message.unbound,
          datapath: message.datapath,
          problems: problemsOf(message),
          drift: message.drift ?? [],
          drops: message.drops ?? [],
          datapathType: message.datapath_type,
        });
        if (message.nat !== undefined) this.#options.leases?.used(this.#peer.hostId, message.nat);
    }
  }

  #collect(hello: Hello, { held, more }: Pick<Hello, "held" | "more">): void {
    this.#hello = hello;
    for (const each of held) this.#held.push(each);
    if (this.#held.length > maxHeld) throw new BadMessage(`more than ${maxHeld} objects held`);
    if (more) return;
    this.#state = "greeting";
    this.#timer.cancel();
    const whole = { ...hello, held: this.#held };
    this.#held = [];
    this.#greet(whole).catch((error: unknown) => {
      if (!isError(error)) this.#options.log.error("a host could not be greeted", { error, host: this.#peer.hostId });
      this.#refuse(isError(error) ? error : fail("Internal"), !isError(error));
    });
  }

  async #greet(hello: Hello): Promise<void> {
    await this.#settle(hello);
    if (this.#state !== "greeting") return;
    const { relay, peers, hosts } = this.#options;
    peers.standing(this.#peer);
    const session = relay.connect(this.#peer.hostId, hello, this.#channel);
    if (session === undefined) return;
    this.#session = session;
    this.#state = "up";
    hosts.report(this.#peer.hostId, {});
    this.#ends.greeted();
  }

  /** Writes what a greeting says of the host itself: that its next certificate is in use, where its tunnels end, and which physical networks it has. */
  async #settle(hello: Hello): Promise<void> {
    const { hostId, fingerprint } = this.#peer;
    const tunnel_ip = tunnelAddress(hello.tunnel_ip);
    const { writer, peers, log } = this.#options;
    const known = writer.replica.get(Host, hostId);
    const physical_networks = physicalNetworks(hello, known);
    const isKnown = known?.tunnel_ip === tunnel_ip && sameNames(known.physical_networks, physical_networks);
    if (peers.standing(this.#peer) === "present" && isKnown) return;
    const author: Author = { kind: "host", id: hostId, request_id: "sync" };
    try {
      await writer.transact(author, (transaction) => {
        const { view } = transaction;
        const host = view.get(Host, hostId);
        if (host === undefined) throw fail("HostUnknown", { id: hostId });
        const [other] = view.by(Host.index.tunnelIp, tunnel_ip);
        if (other !== undefined && other.id !== hostId) {
          const reason = `${tunnel_ip} is where the tunnels of host ${other.name} end`;
          throw fail("FieldInvalid", { field: "tunnel_ip", reason }, { field: "tunnel_ip" });
        }
        const standing = peers.standing(this.#peer);
        const settled = transaction.put(Host, {
          ...host,
          tunnel_ip,
          physical_networks: physicalNetworks(hello, host),
          certificate_fingerprint: standing === "next" ? fingerprint : host.certificate_fingerprint,
        });
        this.#options.settled?.(transaction, settled);
      });
      peers.settle(hostId);
    } catch (error) {
      // The store is gone: hosts go on being told what is known, and say this again with their next greeting.
      if (!isError(error, "StoreUnavailable", "StoreBusy")) throw error;
      log.warn("what a host said of itself could not be written", { host: hostId, error });
    }
  }

  #refuse(error: SelvageError, retry: boolean): void {
    if (this.#state === "ended") return;
    this.#options.log.warn("a host's stream was refused", {
      host: this.#peer.hostId,
      code: error.code,
      reason: error.message,
    });
    this.#channel.send(JSON.stringify({ type: "refused", code: error.code, message: error.message, retry }));
    this.#channel.close();
    this.closed();
  }
}

function tunnelAddress(text: string): string {
  const canonical = canonicalIp(text);
  if (canonical !== undefined) return canonical;
  throw fail("FieldInvalid", { field: "tunnel_ip", reason: `"${text}" is not an address` }, { field: "tunnel_ip" });
}

/** In order, each once; what it said before where it says nothing of them. */
function physicalNetworks(hello: Hello, known: Host | undefined): readonly string[] {
  return hello.physical_networks === undefined
    ? (known?.physical_networks ?? [])
    : [...new Set(hello.physical_networks)].sort();
}

const sameNames = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length && one.every((name, at) => name === other[at]);

function problemsOf({ datapath, quarantined }: Facts): readonly string[] {
  return [
    ...(datapath === "none" ? ["the switch is away"] : []),
    ...quarantined.map(({ unit, reason }) => `${unit}: ${reason}`),
  ];
}
