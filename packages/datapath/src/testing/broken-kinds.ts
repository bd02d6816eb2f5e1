/** How a datapath is made wrong for the suite's own tests: by one method of the driver, or by one table that is executed otherwise. */
import { type Action, type AnyTable, type Program, program, type Step, selvageProgram } from "@selvage/pipeline";
import type { Datapath } from "../datapath.ts";
import type { SimulatedDatapath, SimulatedDatapathOptions } from "../simulated/datapath.ts";
import type { MakeFabric } from "./fabric.ts";
import { simulatedTestFabric } from "./simulated-fabric.ts";

export interface BrokenDatapath {
  readonly name: string;
  /** The check that must fail, by its name. */
  readonly caughtBy: string;
  readonly make: MakeFabric;
}

export type Delta = Parameters<Datapath["apply"]>[0];

/** A fault of the driver: a class with one method replaced. */
export const driver = (
  name: string,
  caughtBy: string,
  Faulty: new (options: SimulatedDatapathOptions) => SimulatedDatapath,
): BrokenDatapath => ({
  name,
  caughtBy,
  make: () => simulatedTestFabric(4, { deadline: 60, make: (options) => new Faulty(options) }),
});

/** A fault of the switch: the program with one table replaced, as if it were executed wrongly. */
export function executor(name: string, caughtBy: string, table: string, part: Partial<AnyTable>): BrokenDatapath {
  const tables = selvageProgram.tables.map((each): AnyTable => (each.name === table ? { ...each, ...part } : each));
  const wrong: Program = program(selvageProgram.entry, tables);
  return { name, caughtBy, make: () => simulatedTestFabric(4, { deadline: 60, program: wrong }) };
}

/** Actions of a table of which some do other steps. */
export function actionsOf(table: string, changed: Readonly<Record<string, readonly Step[]>>): AnyTable["actions"] {
  const actions: Readonly<Record<string, Action>> = selvageProgram.byName.get(table)?.actions ?? {};
  return Object.fromEntries(
    Object.entries(actions).map(([name, action]) => [name, { ...action, steps: changed[name] ?? action.steps }]),
  );
}

/** Constants of a table without those of some ranks. */
export const constantsWithout = (table: string, ...ranks: readonly string[]): AnyTable["constants"] =>
  (selvageProgram.byName.get(table)?.constants ?? []).filter(({ rank }) => !ranks.includes(rank ?? ""));

/** The steps of an action or of a miss without those of a kind. */
export function stepsWithout(
  table: string,
  action: string | "miss",
  unwanted: (step: Step) => boolean,
): readonly Step[] {
  const declared = selvageProgram.byName.get(table);
  const steps: readonly Step[] = (action === "miss" ? declared?.miss : declared?.actions[action]?.steps) ?? [];
  return steps.filter((step) => !unwanted(step));
}
