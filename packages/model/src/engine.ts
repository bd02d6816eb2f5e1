/**
 * The engine: keeps what the derivations yield equal to what a full recompute would yield, by running again only those of
 * which something read has changed, and gives the difference (architecture, ideas 2 and 4; ENGINE.md).
 */
import { lastOfEach, nameOf, Touched } from "./batch.ts";
import type { Derivation, EngineRow } from "./derivation.ts";
import { Edges } from "./edges.ts";
import { NodeTable } from "./nodes.ts";
import { Queries } from "./queries.ts";
import { Reading } from "./reading.ts";
import { tagCount } from "./relation.ts";
import { Replica, type ReplicaObject, type ReplicaOptions } from "./replica.ts";
import type { StoredObject } from "./resource.ts";
import { ObjectShelf, type RowShelf } from "./row-shelf.ts";
import { distinctRows, FoldedRows, type Origin, type RowChanges, type RowConflict, type RowStore } from "./rows.ts";
import type { Change, Revision, View } from "./view.ts";

export interface EngineOptions<Row extends EngineRow> extends ReplicaOptions {
  /** All derivations of all apps; each needs a name of its own, and a kind or index has 32 at most. */
  readonly derivations: readonly Derivation<Row>[];
  /** Makes an empty shelf for the rows. Absent: they lie as the objects that they are. */
  readonly shelf?: () => RowShelf<Row>;
}

/** What a batch did to the rows in force: applied to the rows before it, it gives the rows after it. */
export interface Delta<Row extends EngineRow> extends RowChanges<Row> {
  readonly revision: Revision;
}

/** A derivation that threw (its rows are gone, its reads are kept so that the repair wakes it), or an object that has no keys. */
export interface Quarantined extends Origin {
  readonly error: Error;
}

/** Costs since the engine was made, in things done, never in time. */
export interface EngineCounters {
  readonly unitsRun: number;
  readonly queriesRun: number;
  readonly rowsTouched: number;
  /** Grows by `recompute` and `audit` alone. */
  readonly fullRecomputes: number;
}

/** What the engine holds; all 0 when every object is gone. */
export interface EngineSizes {
  readonly rows: number;
  readonly contributions: number;
  readonly edges: number;
  readonly queries: number;
  readonly entries: number;
  readonly nodes: number;
}

/** Why readers of a node wake: it is of this class, and changed. */
export type Cause = "object" | "presence" | "bucket" | "existence";

/** The derivations over one class of nodes: tag n is the n-th. */
interface Units<Row extends EngineRow> {
  readonly over: string;
  readonly derivations: Derivation<Row>[];
}

/** The name under which an object stands in quarantine whose index keys could not be made. */
const indexing = "indexing";

export class Engine<Row extends EngineRow> {
  readonly #options: EngineOptions<Row>;
  readonly #nodes = new NodeTable();
  readonly #replica: Replica;
  readonly #edges: Edges;
  readonly #reading: Reading;
  readonly #queries: Queries;
  readonly #rows: RowStore<Row>;
  readonly #units = new Map<number, Units<Row>>();
  readonly #quarantined = new Map<string, Quarantined>();
  readonly #woken = new Set<number>();
  #unitsRun = 0;
  #rowsTouched = 0;
  #fullRecomputes = 0;
  #applying = false;

  /** Throws when two derivations bear one name, or one is over a kind or index that is not kept. */
  constructor(options: EngineOptions<Row>) {
    this.#options = options;
    this.#replica = this.makeReplica(options, this.#nodes);
    this.#reading = new Reading(this.#replica, this.#nodes, () => this.#queries);
    this.#edges = new Edges(this.#nodes, (node) => this.#queries.unread(node));
    this.#queries = this.makeQueries(this.#nodes, this.#edges, this.#reading, (node, tag) => this.#wakeUnit(node, tag));
    const shelf = options.shelf?.() ?? new ObjectShelf<Row>();
    this.#rows = this.makeRows((node, tag) => this.#originOf(node, tag), shelf);
    const names = new Set([indexing]);
    for (const derivation of options.derivations) {
      if (names.has(derivation.name)) throw new Error(`two derivations are named ${derivation.name}`);
      names.add(derivation.name);
      this.#enrol(derivation);
    }
  }

  /** The intent and facts that the rows are derived from, read without being remembered. */
  get view(): View & Pick<Replica, "objects" | "revision" | "revisionOf" | "snapshot"> {
    return this.#replica;
  }

  get revision(): Revision {
    return this.#replica.revision;
  }

  get counters(): EngineCounters {
    return {
      unitsRun: this.#unitsRun,
      queriesRun: this.#queries.runs,
      rowsTouched: this.#rowsTouched,
      fullRecomputes: this.#fullRecomputes,
    };
  }

  get sizes(): EngineSizes {
    return {
      rows: this.#rows.size,
      contributions: this.#rows.contributions,
      edges: this.#edges.size,
      queries: this.#queries.size,
      entries: this.#replica.entries,
      nodes: this.#nodes.size,
    };
  }

  /** What failed and why, by `derivation(key)`. */
  get quarantined(): ReadonlyMap<string, Quarantined> {
    return this.#quarantined;
  }

  /**
   * Applies a batch as one: of several changes of an object the last holds, each derivation runs once at most. What a
   * derivation throws is put in quarantine, not thrown. Throws RangeError when `revision` is older than the engine's.
   */
  apply(changes: Iterable<Change>, revision: Revision): Delta<Row> {
    this.#refuseWhileApplying();
    this.#replica.advance(revision);
    return this.#settle(changes, revision);
  }

  /**
   * Applies a snapshot of intent as one batch: what it does not hold is removed, save facts, which are no part of it. What
   * stayed the same runs nothing. The revision may be older than the engine's: a store may have been restored.
   */
  load(objects: Iterable<ReplicaObject>, revision: Revision): Delta<Row> {
    this.#refuseWhileApplying();
    const changes = new Map<string, Change>();
    for (const { resource } of this.#replica.kinds) {
      if (resource.fact) continue;
      for (const { id } of this.#replica.objects(resource)) {
        changes.set(nameOf(resource.kind, id), { kind: resource.kind, id, object: null });
      }
    }
    for (const { kind, id, object } of objects) changes.set(nameOf(kind, id), { kind, id, object });
    this.#replica.rewind(revision);
    return this.#settle(changes.values(), revision);
  }

  #refuseWhileApplying(): void {
    if (this.#applying) throw new Error("a derivation may not apply changes");
  }

  #settle(changes: Iterable<Change>, revision: Revision): Delta<Row> {
    this.#applying = true;
    try {
      const touched = new Touched(this.#nodes);
      for (const change of lastOfEach(changes)) this.#load(change, revision, touched);
      this.#wakeAll(touched);
      this.#queries.settle();
      for (const unit of this.#woken) this.#runUnit(Math.floor(unit / tagCount), unit % tagCount);
      this.#woken.clear();
      this.#queries.evict();
      const rows = this.#rows.settle();
      this.#rowsTouched += rows.added.length + rows.removed.length + rows.modified.length;
      touched.release();
      return { revision, ...rows };
    } finally {
      this.#applying = false;
    }
  }

  /** The rows in force, in no particular order. */
  rows(): Iterable<Row> {
    return this.#rows.rows();
  }

  row(id: string): Row | undefined {
    return this.#rows.row(id);
  }

  /** Which derivations of which objects or keys yield the row that is in force under the id. */
  origins(id: string): readonly Origin[] {
    return this.#rows.origins(id);
  }

  /** All ids under which different rows stand now. */
  conflicts(): readonly RowConflict<Row>[] {
    return this.#rows.conflicts();
  }

  /** What a new engine makes of the same objects: the truth that `rows` must equal. Costs everything. */
  recompute(): Iterable<Row> {
    this.#fullRecomputes += 1;
    const fresh = new Engine<Row>(this.#options);
    fresh.apply(this.#replica.snapshot(), this.revision);
    return fresh.rows();
  }

  /** What would have to change for the rows to be what a full recompute yields: empty unless the engine is at fault. */
  audit(): Delta<Row> {
    const missing = new Map<string, Row>();
    for (const row of this.recompute()) missing.set(row.id, row);
    const removed: Row[] = [];
    const modified: { before: Row; after: Row }[] = [];
    for (const before of this.rows()) {
      const after = missing.get(before.id);
      missing.delete(before.id);
      if (after === undefined) removed.push(before);
      else if (after.body !== before.body) modified.push({ before, after });
    }
    return { revision: this.revision, added: [...missing.values()], removed, modified, conflicts: this.conflicts() };
  }

  /** Parts that a test may replace with faulty ones; called by the constructor, so they may use no field of their class. */
  protected makeReplica(options: ReplicaOptions, nodes: NodeTable): Replica {
    return new Replica(options, nodes);
  }

  protected makeQueries(...parts: ConstructorParameters<typeof Queries>): Queries {
    return new Queries(...parts);
  }

  protected makeRows(originOf: (node: number, tag: number) => Origin, shelf: RowShelf<Row>): RowStore<Row> {
    return new FoldedRows<Row>(originOf, shelf);
  }

  /** Whether a change of this class of nodes wakes those that read one. */
  protected wakes(_cause: Cause): boolean {
    return true;
  }

  /** What a failed derivation goes on reading. */
  protected readsOfFailed(reads: Set<number>): Set<number> {
    return reads;
  }

  #enrol(derivation: Derivation<Row>): void {
    const nodeClass =
      derivation.over === "object"
        ? this.#replica.slot(derivation.resource).objects
        : this.#replica.indexSlot(derivation.index).buckets;
    const over = derivation.over === "object" ? derivation.resource.kind : derivation.index.id;
    const units = this.#units.get(nodeClass) ?? { over, derivations: [] };
    this.#units.set(nodeClass, units);
    if (units.derivations.push(derivation) > tagCount)
      throw new RangeError(`more than ${tagCount} derivations over ${over}`);
  }

  /** Puts or removes one object. One whose keys cannot be made is taken for absent, and put in quarantine alone. */
  #load(change: Change, revision: Revision, touched: Touched): void {
    const subject = nameOf(change.kind, change.id);
    this.#release(indexing, subject);
    try {
      this.#replica.swap(change, revision, touched);
    } catch (thrown) {
      this.#replica.swap({ ...change, object: null }, revision, touched);
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      this.#quarantined.set(unitName(indexing, subject), {
        derivation: indexing,
        over: change.kind,
        key: change.id,
        error,
      });
    }
  }

  /** Wakes all that reads what the batch changed. Emptiness is that before and after the whole batch. */
  #wakeAll(touched: Touched): void {
    for (const [node, presentBefore] of touched.objects) {
      this.#wakeUnits(node);
      this.#wakeReaders("object", node);
      const presentAfter = this.#replica.objectAt(node) !== undefined;
      if (presentBefore !== presentAfter) this.#wakeReaders("presence", this.#reading.shadowOf(node));
    }
    for (const [node, sizeBefore] of touched.buckets) {
      this.#wakeReaders("bucket", node);
      if (sizeBefore > 0 === this.#replica.sizeOf(node) > 0) continue;
      this.#wakeUnits(node);
      this.#wakeReaders("existence", this.#reading.shadowOf(node));
    }
  }

  /** Wakes the derivations over the node itself. */
  #wakeUnits(node: number): void {
    const units = this.#units.get(this.#nodes.classOf(node));
    for (let tag = 0; tag < (units?.derivations.length ?? 0); tag += 1) this.#wakeUnit(node, tag);
  }

  #wakeReaders(cause: Cause, node: number): void {
    if (node < 0 || !this.wakes(cause)) return;
    this.#edges.eachReader(node, (reader, tag) => {
      if (this.#queries.isQuery(reader)) this.#queries.invalidate(reader);
      else this.#wakeUnit(reader, tag);
    });
  }

  #wakeUnit(node: number, tag: number): void {
    this.#woken.add(node * tagCount + tag);
  }

  #runUnit(node: number, tag: number): void {
    const derivation = this.#derivationOf(node, tag);
    const key = this.#nodes.keyOf(node);
    this.#release(derivation.name, key);
    const object = this.#replica.objectAt(node);
    if (derivation.over === "object" ? object === undefined : this.#replica.sizeOf(node) === 0) {
      this.#edges.replace(node, tag, new Set());
      this.#rows.contribute(node, tag, []);
      return;
    }
    this.#unitsRun += 1;
    const { outcome, reads } = this.#reading.run(node, (view) =>
      distinctRows(derivation.over === "key" ? derivation.run(key, view) : derivation.run(present(object), view)),
    );
    switch (outcome.kind) {
      case "value":
        this.#edges.replace(node, tag, reads);
        this.#rows.contribute(node, tag, outcome.value);
        return;
      case "failed":
        this.#edges.replace(node, tag, this.readsOfFailed(reads));
        this.#rows.contribute(node, tag, []);
        this.#quarantined.set(unitName(derivation.name, key), { ...this.#originOf(node, tag), error: outcome.error });
        return;
    }
  }

  /** Ends a quarantine; nearly always there is none, and no name is made. */
  #release(derivation: string, key: string): void {
    if (this.#quarantined.size > 0) this.#quarantined.delete(unitName(derivation, key));
  }

  #derivationOf(node: number, tag: number): Derivation<Row> {
    const derivation = this.#units.get(this.#nodes.classOf(node))?.derivations[tag];
    if (derivation === undefined) throw new Error(`node ${node} has no derivation ${tag}`);
    return derivation;
  }

  #originOf(node: number, tag: number): Origin {
    const over = this.#units.get(this.#nodes.classOf(node))?.over ?? "";
    return { derivation: this.#derivationOf(node, tag).name, over, key: this.#nodes.keyOf(node) };
  }
}

function unitName(derivation: string, key: string): string {
  return `${derivation}(${key})`;
}

function present(object: StoredObject | undefined): StoredObject {
  if (object === undefined) throw new Error("a derivation runs over objects that are there");
  return object;
}
