/** Interfaces of the bridge's own that the driver makes when a row first names them: VXLAN's tunnels, and the way to the host's services (ovs-vswitchd.conf.db(5)). */
import type { Clock, Log } from "@selvage/base";
import { serviceIngress, vxlanIngress } from "@selvage/pipeline";
import type { Ports } from "./ports.ts";
import type { Session } from "./session.ts";

/** Milliseconds that a switch may take to make an interface. */
const patience = 5_000;

export interface WaysOptions {
  readonly session: Session;
  readonly ports: Ports;
  /** Whether the host has tunnels at all. */
  readonly tunnels: boolean;
  /** Names that rows have for interfaces. */
  readonly named: () => ReadonlySet<string>;
  readonly clock: Clock;
  readonly log: Log;
  readonly closing: AbortSignal;
}

/**
 * Has the interfaces made that rows name and that are not there; gives whether any was tried. Where one cannot be had, which is logged, the rows wait for it
 * as for any interface, and all others go on.
 */
export async function makeWays(options: WaysOptions): Promise<boolean> {
  const { session, ports, tunnels, named, clock, log, closing } = options;
  const missing = [
    ...(tunnels
      ? [{ name: vxlanIngress, add: session.addVxlan, lost: "VXLAN: its networks do not reach other hosts" }]
      : []),
    { name: serviceIngress, add: session.addService, lost: "the host's services: machines do not reach metadata" },
  ].filter(({ name }) => ports.numberOf(name) === undefined);
  if (missing.length === 0) return false;
  const names = named();
  const needed = missing.filter(({ name }) => names.has(name));
  for (const { add, lost } of needed) {
    const late = new AbortController();
    const timer = clock.after(patience, () => late.abort(new Error("the switch has not made it in time")));
    try {
      await add(AbortSignal.any([late.signal, closing]));
    } catch (error) {
      log.error(`there is no interface for ${lost}`, { error });
    } finally {
      timer.cancel();
    }
  }
  return needed.length > 0;
}
