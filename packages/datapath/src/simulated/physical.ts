/** A physical network in memory: a wire with a learning bridge in it (IEEE 802.1Q, clause 8.7), to which hosts and machines outside are plugged. */

/** A frame on the wire, and who sent it. */
export interface WireFrame {
  readonly from: string;
  readonly frame: Uint8Array;
}

/** A MAC that was seen behind one socket and then behind another. */
export interface MovedMac {
  readonly mac: string;
  readonly from: string;
  readonly to: string;
}

export class PhysicalNetwork {
  readonly name: string;
  readonly #sockets = new Map<string, (frame: Uint8Array) => void>();
  /** Which socket a MAC is behind, VLAN by VLAN. */
  readonly #learnt = new Map<string, string>();
  readonly #crossed: WireFrame[] = [];
  readonly #moved: MovedMac[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** Plugs somebody in, whose frames go into the function given back. Throws when there is one of that name already. */
  plug(who: string, receive: (frame: Uint8Array) => void): (frame: Uint8Array) => void {
    if (this.#sockets.has(who)) throw new Error(`${who} is plugged into ${this.name} already`);
    this.#sockets.set(who, receive);
    return (frame) => this.#carry(who, frame);
  }

  unplug(who: string): void {
    this.#sockets.delete(who);
    for (const [key, socket] of this.#learnt) if (socket === who) this.#learnt.delete(key);
  }

  /** Everything that was sent since the last `forget`. */
  get crossed(): readonly WireFrame[] {
    return this.#crossed;
  }

  /** MACs that went from one socket to another since the last `forget`: for a network of ours there are none. */
  get moved(): readonly MovedMac[] {
    return this.#moved;
  }

  forget(): void {
    this.#crossed.length = 0;
    this.#moved.length = 0;
  }

  #carry(from: string, frame: Uint8Array): void {
    if (!this.#sockets.has(from)) return;
    this.#crossed.push({ from, frame });
    const vlan = vlanOf(frame);
    const source = macText(frame, 6);
    const before = this.#learnt.get(`${vlan} ${source}`);
    if (before !== undefined && before !== from) this.#moved.push({ mac: source, from: before, to: from });
    this.#learnt.set(`${vlan} ${source}`, from);
    const isGroup = ((frame[0] ?? 0) & 1) === 1;
    const known = isGroup ? undefined : this.#learnt.get(`${vlan} ${macText(frame, 0)}`);
    const receivers = known === undefined ? [...this.#sockets.keys()] : [known];
    for (const who of receivers) if (who !== from) this.#sockets.get(who)?.(frame);
  }
}

const macText = (frame: Uint8Array, at: number): string =>
  Array.from(frame.subarray(at, at + 6), (byte) => byte.toString(16).padStart(2, "0")).join(":");

/** The VLAN of a frame's tag; -1 without one. */
const vlanOf = (frame: Uint8Array): number =>
  frame[12] === 0x81 && frame[13] === 0 ? ((frame[14] ?? 0) & 15) * 256 + (frame[15] ?? 0) : -1;
