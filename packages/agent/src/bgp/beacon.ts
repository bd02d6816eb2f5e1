/** Gives signs of life to BGP peers that ask for them: BFD's sockets, on a link (RFC 5881) and over several hops (RFC 5883). Nothing is begun here, so that a peer without BFD hears nothing. */
import { randomInt } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import type { Clock, Timer } from "@selvage/base";
import { type BfdPacket, BfdSession, decodeBfd, encodeBfd } from "./bfd.ts";

/** By destination: peers on the link, and others. */
export const bfdPorts = { link: 3784, hops: 4784 } as const;
/** Where signs come from (RFC 5881 section 4), and how far they go: receivers on the link take no other. */
const source = { first: 49_152, end: 65_536, ttl: 255, tries: 5 } as const;
/** Signs that must be missing. */
const multiplier = 3;
/** Milliseconds after which ports that could not be had, and sockets, are asked for again. */
const again = 10_000;

export interface BeaconOptions {
  /** How often, ms. */
  readonly interval: number;
  /** The address that signs come from, of its family; empty: as the system routes. */
  readonly source: string;
  readonly clock: Clock;
  readonly log: BeaconLog;
  readonly ports?: readonly number[];
}

/** Where it tells what it cannot do: the log of another thread, perhaps. */
export type BeaconLog = Readonly<
  Record<"debug" | "warn", (text: string, fields: Readonly<Record<string, unknown>>) => void>
>;

/** A peer by one port: it may ask by either. */
interface Conversation {
  readonly session: BfdSession;
  readonly socket: Socket;
  readonly port: number;
  readonly address: string;
  timer?: Timer;
}

/** A peer that may ask, and the socket by which it is answered: undefined while there is none to be had. */
interface Peer {
  readonly address: string;
  mouth: Promise<Socket | undefined>;
  retry?: Timer;
}

export class Beacon {
  readonly #options: BeaconOptions;
  readonly #ears: Socket[] = [];
  readonly #conversations = new Map<string, Conversation>();
  /** By address. */
  readonly #peers = new Map<string, Peer>();
  #retry: Timer | undefined;
  #closed = false;

  constructor(options: BeaconOptions) {
    this.#options = options;
  }

  /** From now on these addresses are answered, and no others. */
  tell(addresses: readonly string[]): void {
    if (this.#closed) return;
    const wanted = new Set(addresses);
    for (const address of [...this.#peers.keys()]) if (!wanted.has(address)) this.#forget(address);
    for (const address of wanted) if (!this.#peers.has(address)) this.#know(address);
    if (wanted.size > 0 && this.#ears.length === 0 && this.#retry === undefined) this.#listen();
  }

  /** Tells the peers that this end ends of its own will. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#retry?.cancel();
    for (const ear of this.#ears.splice(0)) ear.close();
    for (const address of [...this.#peers.keys()]) await this.#forget(address);
  }

  #listen(): void {
    const { clock, log, ports = Object.values(bfdPorts) } = this.#options;
    this.#retry = undefined;
    for (const type of ["udp4", "udp6"] as const)
      for (const port of ports) {
        const ear = createSocket({ type, ipv6Only: type === "udp6" });
        ear.on("message", (bytes, from) => void this.#heard(bytes, from.address, port));
        ear.on("error", (error) => {
          const at = this.#ears.indexOf(ear);
          if (at >= 0) this.#ears.splice(at, 1);
          ear.close();
          log.debug("BFD is not listened for", { type, port, error });
          if (this.#ears.length > 0 || this.#closed) return;
          log.warn("BGP peers have no signs of life of this host: a program has the ports of BFD", { error });
          this.#retry ??= clock.after(again, () => this.#listen());
        });
        this.#ears.push(ear);
        ear.bind(port);
      }
  }

  #know(address: string): void {
    const peer: Peer = { address, mouth: this.#mouth(address) };
    this.#peers.set(address, peer);
    void this.#watch(peer);
  }

  /** Asks for a peer's socket until there is one, or the peer is no more. */
  async #watch(peer: Peer): Promise<void> {
    const { clock, log } = this.#options;
    const { address } = peer;
    if ((await peer.mouth) !== undefined || this.#peers.get(address) !== peer) return;
    log.warn("a BGP peer has no signs of life of this host: there is no socket to be had", { address });
    peer.retry = clock.after(again, () => {
      peer.mouth = this.#mouth(address);
      void this.#watch(peer);
    });
  }

  /** A socket of a peer's own, whose port does not change; undefined where there is none to be had. */
  async #mouth(address: string): Promise<Socket | undefined> {
    const type = isIPv6(address) ? "udp6" : "udp4";
    const own = this.#options.source;
    const place = own !== "" && isIPv6(own) === isIPv6(address) ? { address: own } : {};
    for (let left = source.tries; left > 0; left -= 1) {
      const socket = createSocket(type);
      try {
        socket.bind({ ...place, port: randomInt(source.first, source.end) });
        await once(socket, "listening");
        socket.setTTL(source.ttl);
        socket.on("error", (error) => this.#options.log.debug("a sign of life was not sent", { address, error }));
        return socket;
      } catch (error) {
        socket.close();
        this.#options.log.debug("no socket for a peer's BFD", { address, error });
      }
    }
    return undefined;
  }

  async #heard(bytes: Uint8Array, from: string, port: number): Promise<void> {
    const { clock, interval } = this.#options;
    const packet = decodeBfd(bytes);
    const peer = packet === undefined ? undefined : this.#peers.get(from);
    if (packet === undefined || peer === undefined) return;
    const socket = await peer.mouth;
    if (socket === undefined || this.#peers.get(from) !== peer) return;
    const key = `${port} ${from}`;
    let conversation = this.#conversations.get(key);
    if (conversation === undefined) {
      const plan = { mine: randomInt(1, 2 ** 32), interval, multiplier, random: Math.random };
      conversation = { session: new BfdSession(plan), socket, port, address: from };
      this.#conversations.set(key, conversation);
    }
    const answer = conversation.session.take(packet, clock.monotonic());
    if (answer !== undefined) this.#say(conversation, answer);
    this.#go(conversation);
  }

  /** Says what is due, and looks again when something will be. */
  #go(conversation: Conversation): void {
    const { clock } = this.#options;
    conversation.timer?.cancel();
    const packet = conversation.session.due(clock.monotonic());
    if (packet !== undefined) this.#say(conversation, packet);
    const { next } = conversation.session;
    if (next === undefined) this.#conversations.delete(`${conversation.port} ${conversation.address}`);
    else conversation.timer = clock.after(next - clock.monotonic(), () => this.#go(conversation));
  }

  #say({ socket, port, address }: Conversation, packet: BfdPacket, then: () => void = () => undefined): void {
    socket.send(encodeBfd(packet), port, address, (error) => {
      if (error !== null) this.#options.log.debug("a sign of life was not sent", { address, error });
      then();
    });
  }

  async #forget(address: string): Promise<void> {
    const peer = this.#peers.get(address);
    this.#peers.delete(address);
    peer?.retry?.cancel();
    const socket = await peer?.mouth;
    if (socket === undefined) return;
    const theirs = [...this.#conversations].filter(([, conversation]) => conversation.socket === socket);
    for (const [key, conversation] of theirs) {
      conversation.timer?.cancel();
      this.#conversations.delete(key);
      const last = conversation.session.farewell();
      if (last !== undefined) await new Promise<void>((said) => this.#say(conversation, last, said));
    }
    socket.close();
  }
}
