/**
 * The free space of subnet pools: blocks as large as they can be, halved when a part is taken and joined again when it comes back (a buddy system: Knowlton,
 * "A fast storage allocator", CACM 8:10, 1965). The smallest block that fits is taken from, the lowest of these first, as Neutron's `SubnetAllocator` does.
 * Every step reads as many objects as an address has bits, however many subnets there are.
 */
import { fail } from "@selvage/base";
import {
  bitsOf,
  type Cidr,
  cidrCovers,
  cidrOf,
  FreePrefix,
  freePrefixOf,
  ipFrom,
  keyOf,
  networkOf,
  Subnet,
  type Subnet as SubnetObject,
  Subnetpool,
  type Subnetpool as SubnetpoolObject,
  subtractCidr,
  type View,
  valueOfIp,
} from "@selvage/model";
import type { Transaction } from "../transaction.ts";

type Changing = Pick<Transaction, "view" | "put" | "remove">;

/** Adds a block to a pool's free space. No part of it may be free already. */
export function addFree(transaction: Changing, poolId: string, prefix: Cidr): void {
  let block = prefix;
  while (block.length > 0) {
    const buddy = freePrefixOf(poolId, buddyOf(block));
    if (!transaction.view.has(FreePrefix, buddy.id)) break;
    transaction.remove(FreePrefix, buddy.id);
    block = networkOf(block.address, block.length - 1);
  }
  transaction.put(FreePrefix, freePrefixOf(poolId, block));
}

/** Takes exactly this block. Gives whether all of it was free; takes nothing otherwise. */
export function takeFree(transaction: Changing, poolId: string, prefix: Cidr): boolean {
  for (let length = prefix.length; length >= 0; length--) {
    const block = networkOf(prefix.address, length);
    const { id } = freePrefixOf(poolId, block);
    if (!transaction.view.has(FreePrefix, id)) continue;
    transaction.remove(FreePrefix, id);
    for (const rest of subtractCidr(block, prefix)) transaction.put(FreePrefix, freePrefixOf(poolId, rest));
    return true;
  }
  return false;
}

/** Takes a block of this length: the lowest of the smallest free block that is large enough. Gives undefined where there is none. */
export function takeAny(transaction: Changing, poolId: string, length: number): Cidr | undefined {
  for (let size = length; size >= 0; size--) {
    const [free] = transaction.view.by(FreePrefix.index.size, keyOf(poolId, size));
    if (free === undefined) continue;
    const prefix = networkOf(cidrOf(free.cidr).address, length);
    takeFree(transaction, poolId, prefix);
    return prefix;
  }
  return undefined;
}

/** Gives a subnet's block back to its pool, if it has one. */
export function giveBack(transaction: Changing, subnet: SubnetObject): void {
  if (subnet.subnetpool_id !== null) addFree(transaction, subnet.subnetpool_id, cidrOf(subnet.cidr));
}

/** What a pool counts a block as: IPv4 addresses, IPv6 prefixes of 64 bits (a fraction of one for longer ones). */
export function quotaUnits(version: 4 | 6, length: number): number {
  return 2 ** ((version === 4 ? 32 : 64) - length);
}

/** Throws SubnetPoolQuotaExceeded when a project would have more of a pool than it may. A quota of 0 is none, as in Neutron. */
export function checkPoolQuota(view: View, pool: SubnetpoolObject, projectId: string, length: number): void {
  const quota = pool.default_quota ?? 0;
  if (quota === 0) return;
  const version = pool.ip_version;
  let used = quotaUnits(version, length);
  for (let held = 0; held <= bitsOf(version); held++) {
    const key = keyOf(pool.id, projectId, held);
    if (view.exists(Subnet.index.pooled, key)) used += view.count(Subnet.index.pooled, key) * quotaUnits(version, held);
  }
  if (used > quota) throw fail("SubnetPoolQuotaExceeded");
}

/** The scope of the pools that a network's subnets of a family are from. They all are of one (`checkAffinity`). */
export function addressScopeOf(view: View, networkId: string, version: 4 | 6): string | undefined {
  for (const subnet of view.by(Subnet.index.network_id, networkId)) {
    if (subnet.ip_version !== version || subnet.subnetpool_id === null) continue;
    const scope = view.get(Subnetpool, subnet.subnetpool_id)?.address_scope_id;
    if (typeof scope === "string") return scope;
  }
  return undefined;
}

/** The parts of a prefix that none of the others covers, in order. */
export function without(prefix: Cidr, others: readonly Cidr[]): readonly Cidr[] {
  let parts: readonly Cidr[] = [prefix];
  for (const other of others) {
    if (other.version !== prefix.version) continue;
    if (cidrCovers(other, prefix)) return [];
    parts = parts.flatMap((part) => subtractCidr(part, other));
  }
  return parts;
}

/** The other half of the block that is twice as large. */
function buddyOf({ version, address, length }: Cidr): Cidr {
  const bit = 1n << BigInt(bitsOf(version) - length);
  return networkOf(ipFrom(version, valueOfIp(address) ^ bit), length);
}
