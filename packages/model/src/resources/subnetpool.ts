/** Prefixes from which subnets are given, and what of them is free (Networking v2.0, `/v2.0/subnetpools`; extension `subnet_allocation`). */
import { type Cidr, cidrOf, textOfCidr, valueOfIp } from "../address/mod.ts";
import { computed, field, reference, taggedFields } from "../fields.ts";
import { keyOf, type ObjectOf, resource } from "../resource.ts";
import { boolean, cidr, integer, list, nonEmptyText, nullable, numeral, oneOf, text, uuid } from "../types.ts";

const { name: _name, ...unnamed } = taggedFields();

/** Whole numbers, but texts on the wire: a quirk that clients know. Absent in POST: 8 and 32, or 64 and 128; the default is the least. */
const prefixLength = field(numeral(0, 128), { create: "optional", update: "allowed", filter: true, sort: true });

export const Subnetpool = resource({
  kind: "subnetpool",
  plural: "subnetpools",
  fields: {
    ...unnamed,
    name: field(nonEmptyText(255), { create: "required", update: "allowed", filter: true, sort: true }),
    /** The fewest that say the same; of one family. They grow by PUT, and shrink by `remove_prefixes`. */
    prefixes: field(list(cidr()), { create: "required", update: "allowed" }),
    ip_version: field(oneOf([4, 6]), { filter: true, sort: true }),
    default_prefixlen: prefixLength,
    min_prefixlen: prefixLength,
    max_prefixlen: prefixLength,
    /** What one project may take of it: IPv4 addresses, or IPv6 prefixes of 64 bits. Null and 0: as much as there is. */
    default_quota: field(nullable(integer(0, Number.MAX_SAFE_INTEGER)), {
      create: "optional",
      update: "allowed",
      default: null,
      filter: true,
      sort: true,
    }),
    is_default: field(boolean(), {
      create: "optional",
      update: "allowed",
      writers: "admin",
      default: false,
      filter: true,
      sort: true,
    }),
    address_scope_id: reference(nullable(uuid()), "address_scope", "refuse", {
      create: "optional",
      update: "allowed",
      default: null,
      filter: true,
      sort: true,
      projected: "all",
    }),
    /** Whether an RBAC policy lets the project that asks use it. */
    shared: computed(boolean(), { create: "optional", writers: "admin", default: false, filter: true, sort: true }),
  },
  /** One for each family in the deployment. */
  unique: { default: (pool) => (pool.is_default ? [String(pool.ip_version)] : []) },
});
export type Subnetpool = ObjectOf<typeof Subnetpool>;

/**
 * One block of a pool that no subnet has, as large as it can be: with the blocks of the pool's subnets these are its prefixes. Kept beside the pool so that
 * giving and taking back a subnet reads a few blocks, however many subnets there are (Knowlton, "A fast storage allocator", CACM 8:10, 1965).
 */
export const FreePrefix = resource({
  kind: "free_prefix",
  plural: "free_prefixes",
  fields: {
    id: field(text(120)),
    subnetpool_id: reference(uuid(), "subnetpool", "cascade"),
    cidr: field(cidr()),
  },
  /** pool|length: its blocks of one size, in the order of their addresses. */
  indexes: { size: (free) => [keyOf(free.subnetpool_id, cidrOf(free.cidr).length)] },
});
export type FreePrefix = ObjectOf<typeof FreePrefix>;

/** The free block of a pool at a prefix. Ids stand in the order of the addresses. */
export function freePrefixOf(poolId: string, prefix: Cidr): FreePrefix {
  const first = valueOfIp(prefix.address).toString(16).padStart(32, "0");
  return { id: keyOf(poolId, `${first}/${prefix.length}`), subnetpool_id: poolId, cidr: textOfCidr(prefix) };
}
