/**
 * Queries: memoized functions of the view whose readers wake only when the answer differs. Settled before any derivation
 * runs, each at most once and never before what it reads, so that nobody sees half a change (ENGINE.md, section 2).
 */
import type { Query } from "./derivation.ts";
import type { Edges } from "./edges.ts";
import type { NodeTable } from "./nodes.ts";
import type { Answers, Outcome, Reading } from "./reading.ts";

/** Queries that ask each other in a circle: every one of them fails, with the same path whichever was asked first. */
export class QueryCycle extends Error {
  readonly path: readonly string[];
  constructor(path: readonly string[]) {
    super(`queries ask each other in a circle: ${path.join(" -> ")}`);
    this.name = "QueryCycle";
    this.path = path;
  }
}

/** `doubtful`: something below may have changed. `stale`: something that it read has. */
type Status = "fresh" | "doubtful" | "stale" | "checking" | "running";

interface State {
  readonly query: Query<unknown>;
  status: Status;
  outcome: Outcome<unknown> | undefined;
  /** Set while it runs, when it is found to be part of a circle: it fails whatever it then makes of that. */
  cycle: QueryCycle | undefined;
}

/** A query reads under this tag; its node has no other reader. */
const queryTag = 0;

export class Queries implements Answers {
  readonly #nodes: NodeTable;
  readonly #edges: Edges;
  readonly #reading: Reading;
  readonly #wakeUnit: (node: number, tag: number) => void;
  readonly #classes = new Map<Query<unknown>, number>();
  readonly #byClass = new Map<number, Query<unknown>>();
  readonly #names = new Set<string>();
  readonly #states = new Map<number, State>();
  readonly #unsettled = new Set<number>();
  readonly #unread = new Set<number>();
  /** Those that failed by a circle: they may keep each other read though nobody else reads them. */
  readonly #circular = new Set<number>();
  readonly #stack: number[] = [];
  #runs = 0;

  /** `wakeUnit` is told of each derivation that read a query whose answer changed. */
  constructor(nodes: NodeTable, edges: Edges, reading: Reading, wakeUnit: (node: number, tag: number) => void) {
    this.#nodes = nodes;
    this.#edges = edges;
    this.#reading = reading;
    this.#wakeUnit = wakeUnit;
  }

  /** Answers kept. */
  get size(): number {
    return this.#states.size;
  }

  /** How often any query has run. */
  get runs(): number {
    return this.#runs;
  }

  isQuery(node: number): boolean {
    return this.#states.has(node);
  }

  /** Throws when two different queries bear one name. */
  hold(query: Query<unknown>, key: string): number {
    let nodeClass = this.#classes.get(query);
    if (nodeClass === undefined) {
      if (this.#names.has(query.name)) throw new Error(`two queries are named ${query.name}`);
      this.#names.add(query.name);
      nodeClass = this.#nodes.addClass();
      this.#classes.set(query, nodeClass);
      this.#byClass.set(nodeClass, query);
    }
    return this.#nodes.hold(nodeClass, key);
  }

  answer(node: number): unknown {
    const state = this.#stateOf(node);
    if (state.status === "running" || state.status === "checking") throw this.#cycleAt(node);
    this.#refresh(node, state);
    const { outcome } = state;
    if (outcome === undefined) throw new Error(`query ${this.#nameOf(node)} has no answer`);
    if (outcome.kind === "failed") throw outcome.error;
    return outcome.value;
  }

  /** Something that the query at `node` read has changed. */
  invalidate(node: number): void {
    const state = this.#states.get(node);
    if (state === undefined) return;
    this.#doubt(node);
    state.status = "stale";
  }

  /** Brings every invalidated answer up to date. */
  settle(): void {
    for (const node of this.#unsettled) {
      const state = this.#states.get(node);
      if (state !== undefined) this.#refresh(node, state);
    }
    this.#unsettled.clear();
  }

  /** A node lost a reader: if it is a query's, its answer may be forgotten. */
  unread(node: number): void {
    if (this.#states.has(node)) this.#unread.add(node);
  }

  /** Forgets the answers that nobody reads any more, and those that only a circle of them does. */
  evict(): void {
    this.#forgetUnread();
    for (const node of this.#circular) {
      const circle = this.#queriesAbove(node);
      for (const member of circle ?? []) this.#edges.replace(member, queryTag, new Set());
    }
    this.#forgetUnread();
  }

  /** Whether a new answer is the old one. */
  protected same(query: Query<unknown>, before: Outcome<unknown> | undefined, after: Outcome<unknown>): boolean {
    if (before === undefined || before.kind !== after.kind) return false;
    if (before.kind === "failed" || after.kind === "failed") {
      return before.kind === "failed" && after.kind === "failed" && before.error.message === after.error.message;
    }
    return query.equal(before.value, after.value);
  }

  #refresh(node: number, state: State): void {
    if (state.status === "fresh") return;
    this.#stack.push(node);
    if (state.status === "doubtful") {
      state.status = "checking";
      for (const source of this.#edges.readsOf(node, queryTag)) {
        const below = this.#states.get(source);
        if (below === undefined) continue;
        // Its source is being settled further out: only running it shows whether they ask each other.
        if (below.status === "running" || below.status === "checking") state.status = "stale";
        else this.#refresh(source, below);
        if (statusOf(state) === "stale") break;
      }
    }
    if (statusOf(state) === "stale") this.#run(node, state);
    state.status = "fresh";
    this.#stack.pop();
  }

  #run(node: number, state: State): void {
    state.status = "running";
    state.cycle = undefined;
    this.#runs += 1;
    const key = this.#nodes.keyOf(node);
    const { outcome, reads } = this.#reading.run(node, (view) => state.query.run(view, key));
    this.#edges.replace(node, queryTag, reads);
    const before = state.outcome;
    // Set by #cycleAt while the query ran.
    const cycle = cycleOf(state);
    state.outcome = cycle === undefined ? outcome : { kind: "failed", error: cycle };
    if (state.outcome.kind === "failed" && state.outcome.error instanceof QueryCycle) this.#circular.add(node);
    else this.#circular.delete(node);
    if (this.#unchanged(state.query, before, state.outcome)) return;
    const readers: [number, number][] = [];
    this.#edges.eachReader(node, (reader, tag) => readers.push([reader, tag]));
    for (const [reader, tag] of readers) {
      const above = this.#states.get(reader);
      if (above === undefined) this.#wakeUnit(reader, tag);
      else if (above.status !== "running") above.status = "stale";
    }
  }

  /** An `equal` that throws cannot keep anybody asleep. */
  #unchanged(query: Query<unknown>, before: Outcome<unknown> | undefined, after: Outcome<unknown>): boolean {
    try {
      return this.same(query, before, after);
    } catch {
      return false;
    }
  }

  /** Marks the query and all queries that read it, by however many steps, as doubtful. */
  #doubt(first: number): void {
    const pending = [first];
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      const state = this.#states.get(node);
      if (state === undefined || this.#unsettled.has(node)) continue;
      this.#unsettled.add(node);
      if (state.status === "fresh") state.status = "doubtful";
      this.#edges.eachReader(node, (reader) => pending.push(reader));
    }
  }

  #stateOf(node: number): State {
    const known = this.#states.get(node);
    if (known !== undefined) return known;
    const query = this.#byClass.get(this.#nodes.classOf(node));
    if (query === undefined) throw new Error(`node ${node} is no query`);
    const state: State = { query, status: "stale", outcome: undefined, cycle: undefined };
    this.#states.set(node, state);
    this.#nodes.retain(node);
    return state;
  }

  /** The circle that closes at `node`; all that run in it will fail with it. Its path begins at its least name. */
  #cycleAt(node: number): QueryCycle {
    const members = this.#stack.slice(this.#stack.lastIndexOf(node));
    const names = members.map((member) => this.#nameOf(member));
    const least = names.reduce((best, name, position) => (name < (names[best] ?? "") ? position : best), 0);
    const path = [...names.slice(least), ...names.slice(0, least)];
    const cycle = new QueryCycle([...path, ...path.slice(0, 1)]);
    for (const member of members) {
      const state = this.#states.get(member);
      if (state?.status === "running") state.cycle = cycle;
    }
    return cycle;
  }

  #nameOf(node: number): string {
    return `${this.#byClass.get(this.#nodes.classOf(node))?.name ?? "?"}(${this.#nodes.keyOf(node)})`;
  }

  /** All queries that read this one, itself too; undefined when a derivation is among its readers. */
  #queriesAbove(first: number): ReadonlySet<number> | undefined {
    const found = new Set([first]);
    let unit = false;
    for (const node of found) {
      this.#edges.eachReader(node, (reader) => {
        if (this.#states.has(reader)) found.add(reader);
        else unit = true;
      });
      if (unit) return undefined;
    }
    return found;
  }

  /** Forgetting one may leave what it asked unread in turn. */
  #forgetUnread(): void {
    for (const node of this.#unread) {
      this.#unread.delete(node);
      if (!this.#states.has(node) || this.#edges.isRead(node)) continue;
      this.#edges.replace(node, queryTag, new Set());
      this.#states.delete(node);
      this.#circular.delete(node);
      this.#nodes.release(node);
    }
  }
}

/** Read anew: it may have been changed by a computation that ran since it was set. */
function statusOf(state: State): Status {
  return state.status;
}

function cycleOf(state: State): QueryCycle | undefined {
  return state.cycle;
}
