/** How full the blocks of routers' ports are that this host was leased: as much as the server needs to give larger or smaller ones, and no more often than that changes. */
import type { NatLease } from "@selvage/model";
import { type Facts, mostLeases } from "@selvage/sync";

type Use = NonNullable<Facts["nat"]>[number];

/** Shares of a block that are told apart: empty, nearly empty, in use, nearly full. Told as a number in the midst of each, so that no connection more is news. */
function told(count: number, size: number): number {
  if (count === 0) return 0;
  if (count < size / 8) return 1;
  return count <= (size * 3) / 4 ? size / 2 : size;
}

/** What was found when the switch was looked at last: connections translated for each router; undefined: not counted. */
export interface NatLook {
  /** When the look began, monotonic ms. */
  readonly begun: number;
  readonly translated: (routerId: string) => number | undefined;
}

export class NatUse {
  /** Since when nothing begins in a block any more, by its lease. */
  #retired: ReadonlyMap<string, number> = new Map();

  /**
   * Takes every lease that the host knows of and its own id. A router's connections count for the block in which new ones begin; which of them are left in others is not
   * known until none is, and that is true only of a look that began when none could begin there any more. `inForce`: this moment, monotonic ms, when all that the leases say is in force.
   */
  of(leases: Iterable<NatLease>, hostId: string, look: NatLook, inForce?: number): readonly Use[] {
    const use: Use[] = [];
    const retired = new Map<string, number>();
    for (const lease of leases) {
      if (lease.host_id !== hostId) continue;
      const count = look.translated(lease.router_id);
      if (!lease.current) {
        const since = this.#retired.get(lease.id) ?? inForce;
        if (since !== undefined) retired.set(lease.id, since);
        if (count !== 0 || since === undefined || look.begun <= since) continue;
      }
      if (count !== undefined) use.push({ lease: lease.id, used: told(count, lease.size) });
    }
    this.#retired = retired;
    return use.sort((one, other) => other.used - one.used || (one.lease < other.lease ? -1 : 1)).slice(0, mostLeases);
  }
}
