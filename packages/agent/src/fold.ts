/** Differences of rows folded into one: what the switch holds of each row touched, and what is wanted instead. */
import type { Delta } from "@selvage/model";
import type { Row } from "@selvage/pipeline";

type RowDelta = Pick<Delta<Row>, "added" | "removed" | "modified">;

export class Fold {
  readonly #rows = new Map<string, { readonly before: Row | undefined; readonly after: Row | undefined }>();

  /** Rows touched. */
  get size(): number {
    return this.#rows.size;
  }

  /** Adds a difference that comes after all those before it. */
  add(delta: RowDelta): void {
    for (const row of delta.removed) this.#touch(row, undefined);
    for (const row of delta.added) this.#touch(undefined, row);
    for (const { before, after } of delta.modified) this.#touch(before, after);
  }

  /** The whole as one difference. Rows that `absent` picks are not on the switch and stay off it. */
  difference(absent: (row: Row) => boolean): RowDelta {
    const added: Row[] = [];
    const removed: Row[] = [];
    const modified: { before: Row; after: Row }[] = [];
    for (const touched of this.#rows.values()) {
      const before = touched.before !== undefined && absent(touched.before) ? undefined : touched.before;
      const after = touched.after !== undefined && absent(touched.after) ? undefined : touched.after;
      if (before === undefined && after !== undefined) added.push(after);
      if (before !== undefined && after === undefined) removed.push(before);
      if (before !== undefined && after !== undefined && before.body !== after.body) modified.push({ before, after });
    }
    return { added, removed, modified };
  }

  /** Ids that are wanted no more. */
  *removedIds(): Iterable<string> {
    for (const [id, { after }] of this.#rows) if (after === undefined) yield id;
  }

  #touch(before: Row | undefined, after: Row | undefined): void {
    const id = (after ?? before)?.id;
    if (id === undefined) return;
    const known = this.#rows.get(id);
    this.#rows.set(id, { before: known === undefined ? before : known.before, after });
  }
}
