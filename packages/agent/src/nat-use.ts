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

/**
 * Takes every lease that the host knows of and its own id, and the connections that its switch translates for each router; undefined: it cannot tell. A router's
 * connections count for the block in which new ones begin; which of them are left in others is not known until none is.
 */
export function natUse(
  leases: Iterable<NatLease>,
  hostId: string,
  translated: (routerId: string) => number | undefined,
): readonly Use[] {
  const use: Use[] = [];
  for (const lease of leases) {
    if (lease.host_id !== hostId) continue;
    const count = translated(lease.router_id);
    if (count === undefined || (!lease.current && count > 0)) continue;
    use.push({ lease: lease.id, used: told(count, lease.size) });
  }
  return use.sort((one, other) => other.used - one.used || (one.lease < other.lease ? -1 : 1)).slice(0, mostLeases);
}
