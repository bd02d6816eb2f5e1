/**
 * Places for connections, shared fairly: a listener has so many, and where more come, the source that has most gives one up. Of a connection it is known who opened
 * it and whether it has said anything; no protocol is read.
 */
import type { Socket } from "node:net";

/** Who opens a connection: an IPv4 address, the 64 bits of IPv6 that are one link's (RFC 4291, section 2.5.4), or `local` for a unix socket. */
export function sourceOf(remoteAddress: string | undefined): string {
  if (remoteAddress === undefined) return "local";
  // IPv4 at a socket of both families (RFC 4291, section 2.5.5.2).
  const [mapped = remoteAddress] = /[0-9]+(\.[0-9]+){3}$/.exec(remoteAddress) ?? [];
  if (!mapped.includes(":")) return mapped;
  const [head = "", tail = ""] = mapped.split("::");
  const groups = (text: string): readonly string[] => (text === "" ? [] : text.split(":"));
  const zeros = Array<string>(Math.max(0, 8 - groups(head).length - groups(tail).length)).fill("0");
  return [...groups(head), ...zeros, ...groups(tail)].slice(0, 4).join(":");
}

export class Places {
  readonly #most: number;
  readonly #sources = new Map<Socket, string>();
  /** By source, each in the order in which they came. */
  readonly #held = new Map<string, Set<Socket>>();
  #ended = 0;

  /** `most`: connections at once. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Connections that have a place. */
  get taken(): number {
    return this.#sources.size;
  }

  /** Connections that were ended for want of a place, since the start. */
  get ended(): number {
    return this.#ended;
  }

  /** Gives a new connection a place until it closes. Where none is left one is destroyed, which may be the new one; gives whether that stays. */
  take(socket: Socket): boolean {
    const source = sourceOf(socket.remoteAddress);
    this.#sources.set(socket, source);
    this.#held.set(source, (this.#held.get(source) ?? new Set()).add(socket));
    socket.once("close", () => this.#leave(socket));
    if (this.taken <= this.#most) return true;
    const ended = this.#leastWorth(socket);
    this.#ended += 1;
    // At once, and not when it is closed: others come meanwhile.
    this.#leave(ended);
    ended.destroy();
    return ended !== socket;
  }

  #leave(socket: Socket): void {
    const source = this.#sources.get(socket);
    if (source === undefined) return;
    this.#sources.delete(socket);
    const held = this.#held.get(source);
    held?.delete(socket);
    if (held?.size === 0) this.#held.delete(source);
  }

  /**
   * Of the sources that have most: the connection that has waited longest without a word, but not the new one, which has had no time; else the new one where it is
   * of such a source, else the newest: what was spoken on for longer is worth more. Costs what there is, and is asked only when all places are taken.
   */
  #leastWorth(fresh: Socket): Socket {
    const all = [...this.#held.values()];
    const most = all.reduce((largest, { size }) => Math.max(largest, size), 0);
    const greedy = all.filter(({ size }) => size === most);
    for (const held of greedy) for (const socket of held) if (socket !== fresh && socket.bytesRead === 0) return socket;
    if (greedy.some((held) => held.has(fresh))) return fresh;
    return [...(greedy[0] ?? [])].at(-1) ?? fresh;
  }
}
