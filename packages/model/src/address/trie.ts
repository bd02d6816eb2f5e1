/** Longest-prefix match over IPv4 and IPv6: a binary trie whose nodes live in one Int32Array, with reuse of what is freed. */
import { type Cidr, networkOf } from "./cidr.ts";
import { bitsOf, type Ip, type IpVersion, type Words, wordsOfIp } from "./ip.ts";

/** Cells of a node: the child for a 0 bit, the child for a 1 bit (0: none), and 1 + the slot of its value (0: none). */
const cellsPerNode = 3;
const valueCell = 2;
const root4 = 1;
const root6 = 2;

/** A prefix that matched and what it holds. */
export interface Match<V> {
  readonly cidr: Cidr;
  readonly value: V;
}

/** A mutable map from prefixes to values that answers by longest prefix; a lookup costs at most 32 or 128 steps. */
export class PrefixTrie<V> {
  #cells = new Int32Array(64 * cellsPerNode);
  /** Nodes in use or freed; node 0 stands for "none". */
  #nodes = 3;
  readonly #freeNodes: number[] = [];
  readonly #values: (V | undefined)[] = [];
  readonly #freeSlots: number[] = [];
  #size = 0;

  /** How many prefixes it holds. */
  get size(): number {
    return this.#size;
  }

  /** How many nodes it holds, both roots included: what its memory grows with. */
  get nodeCount(): number {
    return this.#nodes - 1 - this.#freeNodes.length;
  }

  /** Puts a value at a prefix, in place of the one that it had. */
  insert(cidr: Cidr, value: V): void {
    const words = alignedWords(cidr.address);
    let node = rootOf(cidr.version);
    for (let depth = 0; depth < cidr.length; depth++) {
      const bit = bitAt(words, depth);
      const child = this.#cell(node, bit) || this.#newNode();
      this.#setCell(node, bit, child);
      node = child;
    }
    const held = this.#cell(node, valueCell);
    if (held > 0) {
      this.#values[held - 1] = value;
      return;
    }
    const slot = this.#freeSlots.pop() ?? this.#values.length;
    this.#values[slot] = value;
    this.#setCell(node, valueCell, slot + 1);
    this.#size++;
  }

  /** Takes a prefix out. Gives whether it was there. */
  remove(cidr: Cidr): boolean {
    const words = alignedWords(cidr.address);
    const path = [rootOf(cidr.version)];
    for (let depth = 0; depth < cidr.length; depth++) {
      const child = this.#cell(path[depth] ?? 0, bitAt(words, depth));
      if (child === 0) return false;
      path.push(child);
    }
    const node = path[cidr.length] ?? 0;
    const held = this.#cell(node, valueCell);
    if (held === 0) return false;
    this.#values[held - 1] = undefined;
    this.#freeSlots.push(held - 1);
    this.#setCell(node, valueCell, 0);
    this.#size--;
    for (let depth = cidr.length; depth > 0 && this.#isEmpty(path[depth] ?? 0); depth--) {
      this.#setCell(path[depth - 1] ?? 0, bitAt(words, depth - 1), 0);
      this.#freeNodes.push(path[depth] ?? 0);
    }
    return true;
  }

  /** What exactly this prefix holds. */
  get(cidr: Cidr): V | undefined {
    const words = alignedWords(cidr.address);
    let node = rootOf(cidr.version);
    for (let depth = 0; depth < cidr.length && node !== 0; depth++) node = this.#cell(node, bitAt(words, depth));
    return node === 0 ? undefined : this.#valueAt(node);
  }

  /** What the longest prefix that contains the address holds; undefined where none does. */
  lookup(ip: Ip): V | undefined {
    const length = this.#longest(ip);
    return length.held === 0 ? undefined : this.#values[length.held - 1];
  }

  /** As {@link lookup}, with the prefix that matched. */
  match(ip: Ip): Match<V> | undefined {
    const { held, depth } = this.#longest(ip);
    if (held === 0) return undefined;
    // A held slot always has a value of V, which may itself be undefined.
    return { cidr: networkOf(ip, depth), value: this.#values[held - 1] as V };
  }

  /** Every prefix that contains the address, the shortest first. */
  matches(ip: Ip): readonly Match<V>[] {
    const words = alignedWords(ip);
    const version: IpVersion = typeof ip === "number" ? 4 : 6;
    const found: Match<V>[] = [];
    let node = rootOf(version);
    for (let depth = 0; node !== 0; depth++) {
      const held = this.#cell(node, valueCell);
      // A held slot always has a value of V, which may itself be undefined.
      if (held > 0) found.push({ cidr: networkOf(ip, depth), value: this.#values[held - 1] as V });
      if (depth === bitsOf(version)) break;
      node = this.#cell(node, bitAt(words, depth));
    }
    return found;
  }

  #longest(ip: Ip): { readonly held: number; readonly depth: number } {
    const words = alignedWords(ip);
    const bits = typeof ip === "number" ? 32 : 128;
    const cells = this.#cells;
    let node = typeof ip === "number" ? root4 : root6;
    let held = 0;
    let longest = 0;
    for (let depth = 0; node !== 0; depth++) {
      const here = cells[node * cellsPerNode + valueCell] ?? 0;
      if (here > 0) {
        held = here;
        longest = depth;
      }
      if (depth === bits) break;
      node = cells[node * cellsPerNode + bitAt(words, depth)] ?? 0;
    }
    return { held, depth: longest };
  }

  #valueAt(node: number): V | undefined {
    const held = this.#cell(node, valueCell);
    return held === 0 ? undefined : this.#values[held - 1];
  }

  #isEmpty(node: number): boolean {
    return this.#cell(node, 0) === 0 && this.#cell(node, 1) === 0 && this.#cell(node, valueCell) === 0;
  }

  #newNode(): number {
    const freed = this.#freeNodes.pop();
    if (freed !== undefined) return freed;
    const node = this.#nodes++;
    if (this.#nodes * cellsPerNode > this.#cells.length) {
      const larger = new Int32Array(this.#cells.length * 2);
      larger.set(this.#cells);
      this.#cells = larger;
    }
    return node;
  }

  #cell(node: number, cell: number): number {
    return this.#cells[node * cellsPerNode + cell] ?? 0;
  }

  #setCell(node: number, cell: number, value: number): void {
    this.#cells[node * cellsPerNode + cell] = value;
  }
}

function rootOf(version: IpVersion): number {
  return version === 4 ? root4 : root6;
}

/** The address with its first bit at the top of the first word, for either version. */
function alignedWords(ip: Ip): Words {
  return typeof ip === "number" ? [ip, 0, 0, 0] : wordsOfIp(ip);
}

/** Bit `depth` of the address, 0 being the most significant. */
function bitAt(words: Words, depth: number): 0 | 1 {
  return (((words[depth >>> 5] ?? 0) >>> (31 - (depth & 31))) & 1) === 1 ? 1 : 0;
}
