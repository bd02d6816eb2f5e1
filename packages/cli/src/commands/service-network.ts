/** `selvage services run`: keeps the network by which a host's machines reach its services, until it is told to end. */

import { join, resolve } from "node:path";
import { ServiceKeeper } from "@selvage/agent";
import { createLog, realClock } from "@selvage/base";
import { askedToEnd } from "@selvage/lab";
import { Exit } from "../exit.ts";

export interface ServicesFlags {
  readonly data: string;
  readonly switchNamespace: string;
}

/** Resolves when it has been told to end; machines have no services then. */
export async function servicesRun({ data, switchNamespace }: ServicesFlags): Promise<number> {
  const log = (await createLog({ clock: realClock })).child("services");
  const keeper = new ServiceKeeper({
    agent: join(resolve(data), "services.sock"),
    hostNamespace: resolve(switchNamespace),
    clock: realClock,
    log,
  });
  const running = keeper.run();
  await askedToEnd();
  keeper.close();
  await running;
  return Exit.ok;
}
