/** Which block a new subnet gets: the one that it names, or one of a pool (Networking v2.0, extensions `subnet_allocation`, `default-subnetpools`; neutron `subnet_alloc`). */
import { fail } from "@selvage/base";
import { type Cidr, cidrOf, Subnet, type Subnetpool as SubnetpoolObject, type View } from "@selvage/model";
import { addressScopeOf, checkPoolQuota, takeAny, takeFree } from "./pool-space.ts";
import type { Values, Writing } from "./rules.ts";
import { defaultPool, visiblePool } from "./subnetpool.ts";

const bad = (msg: string) => fail("BadRequest", { resource: "subnets", msg });

/** The block, taken from its pool where it is of one. Throws what stands against it. */
export function rangeOf(
  writing: Writing,
  values: Values,
): { readonly cidr: Cidr; readonly pool: SubnetpoolObject | undefined } {
  const version = values.ip_version === 6 ? 6 : 4;
  const cidr = typeof values.cidr === "string" ? cidrOf(values.cidr) : undefined;
  const length = values.prefixlen as number | undefined;
  if (cidr !== undefined && length !== undefined) throw bad("cidr and prefixlen must not be supplied together");
  const pool = poolOf(writing, version, values);
  if (pool === undefined) {
    if (cidr === undefined) throw bad("a subnetpool must be specified in the absence of a cidr");
    return { cidr, pool };
  }
  if (pool.ip_version !== version)
    throw bad(`Cannot allocate IPv${version} subnet from IPv${pool.ip_version} subnet pool`);
  if (cidr === undefined && values.allocation_pools !== undefined)
    throw bad("allocation_pools allowed only for specific subnet requests");
  return { cidr: take(writing, pool, String(values.project_id), cidr, length), pool };
}

function take(
  { transaction }: Writing,
  pool: SubnetpoolObject,
  projectId: string,
  cidr: Cidr | undefined,
  length: number | undefined,
): Cidr {
  const prefixlen = cidr?.length ?? length ?? Number(pool.default_prefixlen);
  const [min_prefixlen, max_prefixlen] = [Number(pool.min_prefixlen), Number(pool.max_prefixlen)];
  if (prefixlen > max_prefixlen) throw fail("MaxPrefixSubnetAllocationError", { prefixlen, max_prefixlen });
  if (prefixlen < min_prefixlen) throw fail("MinPrefixSubnetAllocationError", { prefixlen, min_prefixlen });
  checkPoolQuota(transaction.view, pool, projectId, prefixlen);
  if (cidr === undefined) {
    const taken = takeAny(transaction, pool.id, prefixlen);
    if (taken !== undefined) return taken;
    throw fail("SubnetAllocationError", { reason: `Insufficient prefix space to allocate subnet size /${prefixlen}` });
  }
  if (takeFree(transaction, pool.id, cidr)) return cidr;
  throw fail("SubnetAllocationError", {
    reason: "Cannot allocate requested subnet from the available set of prefixes",
  });
}

/** The pool that a request names, or the default one of its family where it asks for that; undefined where it asks for none. */
function poolOf(writing: Writing, version: 4 | 6, values: Values): SubnetpoolObject | undefined {
  const { view } = writing.transaction;
  const id = values.subnetpool_id;
  if (values.use_default_subnetpool === true) {
    if (typeof id === "string") throw bad("subnetpool_id and use_default_subnetpool cannot both be specified");
    const pool = defaultPool(view, writing.caller, version);
    if (pool === undefined) throw bad(`No default subnetpool found for IPv${version}`);
    return pool;
  }
  return typeof id === "string" ? visiblePool(view, writing.caller, id) : undefined;
}

/** Subnets of one family on a network are of one address scope, and where there is none of one pool, or of no pool. */
export function checkAffinity(view: View, networkId: string, version: 4 | 6, pool: SubnetpoolObject | undefined): void {
  const scope = addressScopeOf(view, networkId, version);
  if (scope !== undefined) {
    if (pool?.address_scope_id !== scope) throw fail("NetworkAddressScopeAffinityError");
    return;
  }
  const others = view.by(Subnet.index.network_id, networkId).filter((subnet) => subnet.ip_version === version);
  if (others.some((subnet) => subnet.subnetpool_id !== (pool?.id ?? null)))
    throw fail("NetworkSubnetPoolAffinityError");
}
