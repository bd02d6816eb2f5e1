/**
 * Keeps a switch equal to the rows that are wanted: a step is sent as soon as the switch has taken the one before, what came meanwhile folded into it, and each is
 * told of in its order when packets meet it. A row that the switch refuses is found by halving and set aside alone; the others go on (architecture, "Failing well").
 */
import type { Datapath, SwitchDifference } from "@selvage/datapath";
import type { Delta } from "@selvage/model";
import type { Row } from "@selvage/pipeline";
import { Fold } from "./fold.ts";

/** A row that the switch would not take, and its own words why. */
export interface RefusedRow {
  readonly row: Row;
  readonly reason: string;
}

export interface InstallerOptions<State> {
  readonly datapath: Pick<Datapath, "adopt" | "apply" | "installed">;
  /** The rows wanted now. */
  readonly rows: () => Iterable<Row>;
  /** What shall be told of this moment once its rows are in force. Called when a step begins. */
  readonly capture: () => State;
  /** All that was wanted when `state` was captured is in force, save what is set aside. */
  readonly inForce: (state: State) => void;
  /** An audit found what nobody asked for: so many rows missing, wrong or strange, and some of the differences in words. It is mended already. */
  readonly drift: (rows: number, differences: readonly SwitchDifference[]) => void;
  /** The switch failed a step as a whole. */
  readonly failed: (error: unknown) => void;
}

/** Whether the switch answers, and whether there is a view to make it equal to. */
type Gate = "waiting" | "open";

export class Installer<State> {
  readonly #options: InstallerOptions<State>;
  readonly #refused = new Map<string, RefusedRow>();
  #pending = new Fold();
  #switch: Gate = "waiting";
  #view: Gate = "waiting";
  /** `step`: pending changes; `adopt`: what is on the switch is not known; `audit`: it is to be looked at. */
  #due: "nothing" | "step" | "adopt" | "audit" = "adopt";
  /** Changes with each loss of the switch, and each failure: an answer from before it is worth nothing. */
  #epoch = 0;
  /** The switch failed a whole step: nothing is tried until something new is asked for. */
  #stalled = false;
  #running: Promise<void> | undefined;
  /** Settles when all steps so far have been told of. */
  #telling: Promise<void> | undefined;

  constructor(options: InstallerOptions<State>) {
    this.#options = options;
  }

  /** Rows that are set aside. */
  get refused(): readonly RefusedRow[] {
    return [...this.#refused.values()];
  }

  /** Whether all that is wanted is in force, save what is set aside. */
  get inStep(): boolean {
    return this.#due === "nothing" && this.#isIdle;
  }

  get #isIdle(): boolean {
    return this.#running === undefined && this.#telling === undefined;
  }

  /** There is a view: from now on the switch is made equal to it. Before, its flows are left alone. */
  begin(): void {
    this.#view = "open";
    this.#run();
  }

  /** The switch answers: whatever it holds is adopted. */
  ready(): void {
    this.#switch = "open";
    this.#due = "adopt";
    this.#stalled = false;
    this.#run();
  }

  lost(): void {
    this.#switch = "waiting";
    this.#due = "adopt";
    this.#epoch += 1;
  }

  /** Wanted rows have changed; also when by nothing, so that `inForce` is told. */
  push(delta: Pick<Delta<Row>, "added" | "removed" | "modified">): void {
    this.#pending.add(delta);
    if (this.#due === "nothing") this.#due = "step";
    this.#stalled = false;
    this.#run();
  }

  /** Compares the switch with what is wanted and repairs it; rows set aside are tried again. */
  audit(): void {
    if (this.#due === "nothing") this.#due = "audit";
    this.#stalled = false;
    this.#run();
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    while (!this.#isIdle) await (this.#running ?? this.#telling);
  }

  #run(): void {
    if (this.#running !== undefined || this.#switch === "waiting" || this.#view === "waiting") return;
    if (this.#due === "nothing" || this.#stalled) return;
    this.#running = this.#steps().finally(() => {
      this.#running = undefined;
      this.#run();
    });
  }

  /** Works until nothing is due or the switch fails. */
  async #steps(): Promise<void> {
    while (this.#due !== "nothing" && this.#switch === "open" && !this.#stalled) {
      const due = this.#due;
      const epoch = this.#epoch;
      const state = this.#options.capture();
      const pending = this.#pending;
      this.#pending = new Fold();
      this.#due = "nothing";
      const taken = Promise.withResolvers<void>();
      const met = due === "step" ? this.#step(pending, taken.resolve) : this.#adopt(due, pending);
      await Promise.race([taken.promise, this.#tell(due, met, epoch, state)]);
    }
  }

  /** Tells of a step when packets meet it and those before it are told of. Settles, without rejecting, when that is done or it failed. */
  #tell(due: "step" | "adopt" | "audit", met: Promise<void>, epoch: number, state: State): Promise<void> {
    const before = this.#telling;
    const telling = met
      .then(() => before)
      .then(() => {
        if (epoch === this.#epoch) this.#options.inForce(state);
      })
      .catch((error: unknown) => {
        if (epoch === this.#epoch) this.#fail(due, error);
        return before;
      })
      .finally(() => {
        if (this.#telling === telling) this.#telling = undefined;
      });
    this.#telling = telling;
    return telling;
  }

  /** What the switch holds is not known, of later steps as well: it is adopted. */
  #fail(due: "step" | "adopt" | "audit", error: unknown): void {
    this.#epoch += 1;
    this.#due = "adopt";
    if (due === "step") {
      this.#run();
      return;
    }
    // The switch refuses even what it has: its driver says when it is ready again, or a change or an audit tries again.
    this.#stalled = true;
    this.#options.failed(error);
  }

  async #step(pending: Fold, taken: () => void): Promise<void> {
    const delta = pending.difference((row) => this.#refused.get(row.id)?.row.body === row.body);
    for (const row of [...delta.removed, ...delta.added, ...delta.modified.map(({ after }) => after)]) {
      this.#refused.delete(row.id);
    }
    for (const id of pending.removedIds()) this.#refused.delete(id);
    if (delta.added.length + delta.removed.length + delta.modified.length > 0)
      await this.#options.datapath.apply(delta, taken);
    else taken();
  }

  async #adopt(due: "adopt" | "audit", pending: Fold): Promise<void> {
    const wanted = [...this.#options.rows()];
    const before = this.#refused.size;
    this.#refused.clear();
    try {
      const { added, changed, removed, differences = [] } = await this.#options.datapath.adopt(wanted);
      // What is the program's own is no row, and is missed all the same.
      const drifted = Math.max(added + changed + removed, differences.length);
      if (due === "audit" && before === 0 && pending.size === 0 && drifted > 0) {
        this.#options.drift(drifted, differences);
      }
    } catch (error) {
      if (this.#switch === "waiting") throw error;
      await this.#isolate(wanted);
    }
  }

  /** Installs all rows but those that the switch refuses. What is there and wanted is never taken away meanwhile. */
  async #isolate(wanted: readonly Row[]): Promise<void> {
    const { datapath } = this.#options;
    const bodies = new Map(
      (await datapath.installed()).flatMap(({ row }) => (row === null ? [] : [[row.id, row.body]])),
    );
    const good: Row[] = [];
    const candidates: Row[] = [];
    for (const row of wanted) (bodies.get(row.id) === row.body ? good : candidates).push(row);
    await datapath.adopt(good);
    const install = async (rows: readonly Row[]): Promise<void> => {
      if (rows.length === 0) return;
      try {
        await datapath.apply({ added: rows, removed: [], modified: [] });
        good.push(...rows);
      } catch (error) {
        if (this.#switch === "waiting") throw error;
        await datapath.adopt(good);
        const [only] = rows;
        if (rows.length === 1 && only !== undefined) {
          this.#refused.set(only.id, { row: only, reason: error instanceof Error ? error.message : String(error) });
          return;
        }
        const middle = Math.ceil(rows.length / 2);
        await install(rows.slice(0, middle));
        await install(rows.slice(middle));
      }
    };
    await install(candidates);
  }
}
