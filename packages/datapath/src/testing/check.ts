/** What a conformance check is, and how one is run: a fabric of its own, a deadline in place of a hang. */
import type { MakeFabric } from "./fabric.ts";
import { Late } from "./journal.ts";
import { World } from "./world.ts";

export interface Check {
  readonly name: string;
  readonly run: (world: World) => Promise<void>;
}

/** Runs one check on a fabric of its own. Throws what the check throws, or Late when it has not ended after `milliseconds`. */
export async function runCheck(check: Check, make: MakeFabric, milliseconds = 60_000): Promise<void> {
  const fabric = await make();
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Late(`'${check.name}' ends`, milliseconds)), milliseconds);
  try {
    await Promise.race([check.run(new World(fabric)), late.promise]);
  } finally {
    clearTimeout(timer);
    await fabric.dispose();
  }
}
