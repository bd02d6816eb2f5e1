/**
 * Dense integers for things that can be read (an object present or absent, an index bucket, a query's answer): interned
 * by class and key, counted by use, freed and given out again when nothing uses them (ENGINE.md, sections 1 and 6).
 */
import { grown } from "./relation.ts";

/** Left sides of a relation carry five bits of tag beside the node, so a node takes 26 bits. */
const maxNodes = 1 << 26;

/** One table of nodes; whoever shares it (replica, edges, queries) holds and releases what it needs. */
export class NodeTable {
  readonly #byKey: Map<string, number>[] = [];
  readonly #keys: (string | undefined)[] = [];
  readonly #free: number[] = [];
  #classes = new Int32Array(64);
  #uses = new Int32Array(64);
  #size = 0;

  /** A new class of nodes, numbered from 0. */
  addClass(): number {
    return this.#byKey.push(new Map()) - 1;
  }

  /** Nodes in use, of all classes. */
  get size(): number {
    return this.#size;
  }

  /** The node, or -1 when nobody holds one. */
  find(nodeClass: number, key: string): number {
    return this.#mapOf(nodeClass).get(key) ?? -1;
  }

  /** The node, made if need be, with one more use. Throws RangeError when 67 million are in use. */
  hold(nodeClass: number, key: string): number {
    const map = this.#mapOf(nodeClass);
    const known = map.get(key);
    if (known !== undefined) {
      this.retain(known);
      return known;
    }
    const node = this.#free.pop() ?? this.#keys.length;
    if (node >= maxNodes) throw new RangeError(`the engine is full: ${maxNodes} things are in use`);
    if (node >= this.#uses.length) {
      this.#uses = grown(this.#uses, node + 1);
      this.#classes = grown(this.#classes, node + 1);
    }
    this.#keys[node] = key;
    this.#classes[node] = nodeClass;
    this.#uses[node] = 1;
    this.#size += 1;
    map.set(key, node);
    return node;
  }

  retain(node: number): void {
    this.#uses[node] = this.usesOf(node) + 1;
  }

  /** One use less. At none the node is freed and its number may be given to something else. */
  release(node: number): void {
    const uses = this.usesOf(node) - 1;
    if (uses < 0) throw new Error(`node ${node} is released more often than it was held`);
    this.#uses[node] = uses;
    if (uses > 0) return;
    this.#mapOf(this.classOf(node)).delete(this.keyOf(node));
    this.#keys[node] = undefined;
    this.#free.push(node);
    this.#size -= 1;
  }

  usesOf(node: number): number {
    return this.#uses[node] ?? 0;
  }

  classOf(node: number): number {
    return this.#classes[node] ?? -1;
  }

  /** The node's key. Throws when the node is not in use. */
  keyOf(node: number): string {
    const key = this.#keys[node];
    if (key === undefined) throw new Error(`node ${node} is not in use`);
    return key;
  }

  /** The nodes of a class, oldest first. */
  nodesOf(nodeClass: number): Iterable<number> {
    return this.#mapOf(nodeClass).values();
  }

  #mapOf(nodeClass: number): Map<string, number> {
    const map = this.#byKey[nodeClass];
    if (map === undefined) throw new Error(`no class of nodes has number ${nodeClass}`);
    return map;
  }
}
