/** What the driver refuses, one class a cause; each names the rows. */
import { BatchError, BundleError, OpenFlowError } from "@selvage/openflow";

/** Rows that cannot be rendered: nothing was changed, and without them the rest can be applied. */
export class UnrenderableRows extends Error {
  override readonly name = "UnrenderableRows";
  /** Ids of the rows, with what is wrong with each. */
  readonly faults: ReadonlyMap<string, Error>;

  constructor(faults: ReadonlyMap<string, Error>) {
    const [first] = faults;
    super(`${faults.size} rows cannot be rendered, first: ${first?.[0]}: ${first?.[1].message}`);
    this.faults = faults;
  }
}

/** Rows that the switch refused: what is installed now is not known until the owner adopts. */
export class RefusedRows extends Error {
  override readonly name = "RefusedRows";
  readonly rows: readonly string[];

  constructor(rows: readonly string[], cause: Error) {
    super(`the switch refused ${rows.length === 0 ? "a change" : rows.slice(0, 3).join("; ")}: ${cause.message}`, {
      cause,
    });
    this.rows = rows;
  }
}

/** The switch is away, or nothing was adopted since it came. */
export class NotReady extends Error {
  override readonly name = "NotReady";
}

/** The switch is set up in a way that does not go with ours; an operator must decide. */
export class SwitchConflict extends Error {
  override readonly name = "SwitchConflict";
}

/** The refusals in an error of the connection; none where the error is of another kind. */
export function refusalsIn(error: Error): readonly OpenFlowError[] {
  if (error instanceof BatchError || error instanceof BundleError) return error.failures;
  return error instanceof OpenFlowError ? [error] : [];
}
