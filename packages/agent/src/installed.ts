/** What a host's switch holds, told as rows and objects of intent: a flow's cookie names its row, and the engine knows of what the row is. */
import { type IntentObject, intentOf } from "@selvage/compiler";
import type { Datapath } from "@selvage/datapath";
import type { Engine } from "@selvage/model";
import { type Row, rowText } from "@selvage/pipeline";

/** One row as the switch holds it. */
export interface InstalledFlow {
  /** Null: something in our tables that no row explains. */
  readonly table: string | null;
  readonly row: string | null;
  /** The objects that the row is of; none: it is the program's own, or nobody's. */
  readonly objects: readonly IntentObject[];
  readonly packets: number;
  /** In the switch's own words. */
  readonly text: string;
}

export interface InstalledFlows {
  readonly host: string;
  readonly flows: readonly InstalledFlow[];
}

/** Rows in the order of the program's tables. Throws what the switch throws. */
export async function flowsOf(
  host: string,
  datapath: Pick<Datapath, "installed" | "program">,
  engine: Pick<Engine<Row>, "origins">,
): Promise<InstalledFlows> {
  const numbers = new Map(datapath.program.tables.map(({ name, number }) => [name, number]));
  const flows = (await datapath.installed()).map(({ row, text, packets }): InstalledFlow => {
    if (row === null) return { table: null, row: null, objects: [], packets, text };
    return { table: row.table, row: rowText(row), objects: intentOf(engine.origins(row.id)), packets, text };
  });
  const numberOf = ({ table }: InstalledFlow): number => (table === null ? Infinity : (numbers.get(table) ?? Infinity));
  const order = (one: InstalledFlow, other: InstalledFlow): number => {
    const [first, second] = [numberOf(one), numberOf(other)];
    if (first !== second) return first < second ? -1 : 1;
    return (one.row ?? one.text) < (other.row ?? other.text) ? -1 : 1;
  };
  return { host, flows: flows.sort(order) };
}
