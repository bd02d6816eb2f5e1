/**
 * Subnet pools: their prefixes, the sizes of what they give, their scope and who may take from them (Networking v2.0, `/v2.0/subnetpools`; extensions
 * `subnet_allocation`, `default-subnetpools`, `subnetpool-prefix-ops`; neutron `SubnetPoolReader`).
 */
import { fail } from "@selvage/base";
import {
  AddressScope,
  accessAsShared,
  bitsOf,
  type Cidr,
  cidrOf,
  cidrsOverlap,
  InvalidValue,
  mergeCidrs,
  Subnet,
  Subnetpool,
  type Subnetpool as SubnetpoolObject,
  textOfCidr,
  type View,
} from "@selvage/model";
import { invalidValue } from "../api/body.ts";
import { anyOf, type Caller, isAdmin, member, reader, shared } from "../api/policy.ts";
import { visibleScope } from "./address-scope.ts";
import { addFree, takeFree, without } from "./pool-space.ts";
import { type ResourceRules, taggedOf, type Values, type WriteAction, type Writing } from "./rules.ts";
import { isSharedWith, share, sharedField, sharedObjects, sharingOf } from "./sharing.ts";
import { checkNotIpv4Block } from "./subnet.ts";

/** The largest block that a pool gives unless it is told otherwise. */
const leastLength = { 4: 8, 6: 64 } as const;

const owner = anyOf(isAdmin, member);

export const subnetpoolRules: ResourceRules<typeof Subnetpool> = {
  resource: Subnetpool,
  notFound: (subnetpool_id) => fail("SubnetPoolNotFound", { subnetpool_id }),
  policy: {
    get: anyOf(isAdmin, reader, shared),
    create: owner,
    update: owner,
    delete: owner,
    attributes: { is_default: { create: isAdmin, update: isAdmin }, shared: { create: isAdmin } },
  },
  target: (view, object) => ({
    projectId: String(object.project_id),
    sharedWith: sharingOf(view, "subnetpool", String(object.id)),
  }),
  alsoVisible: (view, caller) => sharedObjects(view, Subnetpool, "subnetpool", caller.projectId),
  sharing: {
    actions: [accessAsShared],
    users: (view, pool) => view.by(Subnet.index.subnetpool_id, pool.id).map((subnet) => subnet.project_id),
    needed: (_pool, target) => `project_id=${target}`,
    check: checkScopeReaches,
  },
  computed: { shared: sharedField("subnetpool") },
  create: (writing, values) => {
    const { transaction } = writing;
    const prefixes = prefixesOf(values.prefixes as readonly string[]);
    const [{ version }] = prefixes;
    for (const prefix of prefixes) checkNotIpv4Block("subnetpools", prefix);
    const standard = taggedOf(writing, values, 0);
    if (values.is_default === true) checkNoDefault(transaction.view, version);
    const address_scope_id = values.address_scope_id as string | null;
    if (address_scope_id !== null) checkScope(writing, standard.id, address_scope_id, prefixes);
    const pool = transaction.put(Subnetpool, {
      ...standard,
      ...lengthsOf(values, version),
      prefixes: prefixes.map(textOfCidr),
      ip_version: version,
      default_quota: values.default_quota as number | null,
      is_default: values.is_default === true,
      address_scope_id,
    });
    for (const prefix of prefixes) addFree(transaction, pool.id, prefix);
    if (values.shared === true) share(writing, "subnetpool", pool);
    return pool;
  },
  update: (writing, before, values) => {
    const { transaction } = writing;
    checkScopeOwned(writing, before);
    const prefixes = "prefixes" in values ? grown(before, values.prefixes as readonly string[]) : cidrsOf(before);
    const after: SubnetpoolObject = { ...before, ...values, prefixes: prefixes.map(textOfCidr) };
    if (after.is_default && !before.is_default) checkNoDefault(transaction.view, before.ip_version);
    if (after.address_scope_id !== before.address_scope_id) checkScopeMove(transaction.view, before);
    if (after.address_scope_id !== null) checkScope(writing, before.id, after.address_scope_id, prefixes);
    lengthsOf({ ...after }, before.ip_version);
    for (const prefix of prefixes)
      for (const part of without(prefix, cidrsOf(before))) addFree(transaction, before.id, part);
    return transaction.put(Subnetpool, after);
  },
  remove: (writing, pool, precondition) => {
    if (writing.transaction.view.exists(Subnet.index.subnetpool_id, pool.id))
      throw fail("SubnetPoolDeleteError", { reason: "Subnet pool has existing allocations" });
    precondition();
    writing.transaction.remove(Subnetpool, pool.id);
  },
  actions: [
    prefixAction("add_prefixes", (writing, pool, given) => {
      const before = cidrsOf(pool);
      const after = prefixesOf([...pool.prefixes, ...given.map(textOfCidr)]);
      if (pool.address_scope_id !== null) checkScope(writing, pool.id, pool.address_scope_id, after);
      for (const prefix of mergeCidrs(given))
        for (const part of without(prefix, before)) addFree(writing.transaction, pool.id, part);
      return after;
    }),
    prefixAction("remove_prefixes", (writing, pool, given) => {
      const before = cidrsOf(pool);
      const after = before.flatMap((prefix) => without(prefix, given));
      if (after.length === 0) throw fail("EmptySubnetPoolPrefixList");
      const gone = before.flatMap((prefix) => without(prefix, after));
      for (const part of gone) if (!takeFree(writing.transaction, pool.id, part)) throw inUse();
      return mergeCidrs(after);
    }),
  ],
};

/** The pool if the caller may see it. Throws SubnetPoolNotFound, also for one that is another project's. */
export function visiblePool(view: View, caller: Caller, id: string): SubnetpoolObject {
  const pool = view.get(Subnetpool, id);
  if (pool === undefined || !sees(view, caller, pool)) throw fail("SubnetPoolNotFound", { subnetpool_id: id });
  return pool;
}

/** The deployment's default pool of a family, if there is one and the caller may see it. */
export function defaultPool(view: View, caller: Caller, version: 4 | 6): SubnetpoolObject | undefined {
  return view.by(Subnetpool.index.default, String(version)).find((pool) => sees(view, caller, pool));
}

function sees(view: View, caller: Caller, pool: SubnetpoolObject): boolean {
  return subnetpoolRules.policy.get(caller, subnetpoolRules.target(view, { ...pool }));
}

const inUse = () =>
  fail("IllegalSubnetPoolPrefixUpdate", { msg: "One or more the prefixes to be removed is in use by a subnet" });

/** `{"prefixes": [...]}` in, the pool's prefixes out. */
function prefixAction(
  name: string,
  change: (writing: Writing, pool: SubnetpoolObject, given: readonly Cidr[]) => readonly Cidr[],
): WriteAction<SubnetpoolObject> {
  return {
    name,
    method: "PUT",
    allowed: owner,
    read: (body) => {
      const { prefixes } = Subnetpool.fields;
      if (body.prefixes === undefined) throw fail("BodyKeyMissing", { resource: "prefixes" });
      try {
        return { prefixes: prefixes.type.parse(body.prefixes) };
      } catch (error) {
        if (error instanceof InvalidValue) throw invalidValue("prefixes", prefixes.type.name, body.prefixes, error);
        throw error;
      }
    },
    run: (writing, pool, values) => {
      checkScopeOwned(writing, pool);
      const after = change(writing, pool, (values.prefixes as readonly string[]).map(cidrOf)).map(textOfCidr);
      if (after.join() !== pool.prefixes.join()) writing.transaction.put(Subnetpool, { ...pool, prefixes: after });
      return { body: { prefixes: after } };
    },
  };
}

const cidrsOf = (pool: SubnetpoolObject): readonly Cidr[] => pool.prefixes.map(cidrOf);

/** The fewest prefixes that say the same. Throws when there is none, or they are of two families. */
function prefixesOf(given: readonly string[]): readonly [Cidr, ...Cidr[]] {
  const [first, ...rest] = mergeCidrs(given.map(cidrOf));
  if (first === undefined) throw fail("EmptySubnetPoolPrefixList");
  if (rest.some(({ version }) => version !== first.version)) throw fail("PrefixVersionMismatch");
  return [first, ...rest];
}

/** What an update makes of a pool's prefixes: they may only grow. */
function grown(pool: SubnetpoolObject, given: readonly string[]): readonly Cidr[] {
  const after = prefixesOf(given);
  if (cidrsOf(pool).some((prefix) => without(prefix, after).length > 0)) {
    throw fail("IllegalSubnetPoolPrefixUpdate", { msg: "Existing prefixes must be a subset of the new prefixes" });
  }
  return after;
}

/** The lengths that are said, and those that follow. Throws IllegalSubnetPoolPrefixBounds when they are not in order. */
function lengthsOf(values: Values, version: 4 | 6) {
  const longest = bitsOf(version);
  const said = (name: string): number | undefined =>
    values[name] === undefined ? undefined : Number(values[name] as string);
  const least = said("min_prefixlen") ?? leastLength[version];
  const greatest = said("max_prefixlen") ?? longest;
  const usual = said("default_prefixlen") ?? least;
  const check = (fine: boolean, type: string, length: number, base: string, bound: number): void => {
    if (fine) return;
    throw fail("IllegalSubnetPoolPrefixBounds", {
      prefix_type: type,
      prefixlen: length,
      base_prefix_type: base,
      base_prefixlen: bound,
    });
  };
  check(least <= greatest, "min_prefixlen", least, "max_prefixlen", greatest);
  check(greatest <= longest, "max_prefixlen", greatest, "ip_version_max", longest);
  check(usual >= least, "default_prefixlen", usual, "min_prefixlen", least);
  check(usual <= greatest, "default_prefixlen", usual, "max_prefixlen", greatest);
  return { min_prefixlen: String(least), max_prefixlen: String(greatest), default_prefixlen: String(usual) };
}

function checkNoDefault(view: View, version: 4 | 6): void {
  if (!view.exists(Subnetpool.index.default, String(version))) return;
  throw fail("InvalidInput", {
    error_message:
      "A default subnetpool for this IP family has already been set. Only one default may exist per IP family",
  });
}

/** A scope is of one family, and in it no address is in two pools. */
function checkScope(writing: Writing, subnetpool_id: string, scopeId: string, prefixes: readonly Cidr[]): void {
  const { view } = writing.transaction;
  const scope = visibleScope(view, writing.caller, scopeId);
  if (prefixes.some(({ version }) => version !== scope.ip_version)) {
    throw fail("IllegalSubnetPoolIpVersionAssociation", {
      subnetpool_id,
      address_scope_id: scope.id,
      ip_version: scope.ip_version,
    });
  }
  const others = view.by(Subnetpool.index.address_scope_id, scope.id).filter((pool) => pool.id !== subnetpool_id);
  const taken = others.some((pool) => cidrsOf(pool).some((held) => prefixes.some((each) => cidrsOverlap(held, each))));
  if (taken) throw fail("AddressScopePrefixConflict");
}

/** A pool in a scope that another project only shares is not for its owner to change. */
function checkScopeOwned({ transaction, caller }: Writing, pool: SubnetpoolObject): void {
  if (pool.address_scope_id === null || isAdmin(caller, { projectId: pool.project_id })) return;
  const scope = transaction.view.get(AddressScope, pool.address_scope_id);
  if (scope === undefined || scope.project_id === caller.projectId) return;
  throw fail("IllegalSubnetPoolUpdate", {
    reason: `subnetpool ${pool.id} cannot be updated when associated with shared address scope ${scope.id}`,
  });
}

/** Whether a pool may change its scope: not while one of its subnets stands on a network beside another pool's. */
function checkScopeMove(view: View, pool: SubnetpoolObject): void {
  const networks = new Set(view.by(Subnet.index.subnetpool_id, pool.id).map((subnet) => subnet.network_id));
  for (const network of networks) {
    const others = view.by(Subnet.index.network_id, network).filter(({ ip_version }) => ip_version === pool.ip_version);
    if (others.some((subnet) => subnet.subnetpool_id !== pool.id)) throw fail("NetworkAddressScopeAffinityError");
  }
}

/** A pool can only be given to whom its scope was given. */
function checkScopeReaches(view: View, pool: SubnetpoolObject, target: string): void {
  const scope = pool.address_scope_id === null ? undefined : view.get(AddressScope, pool.address_scope_id);
  if (scope === undefined || scope.project_id === target) return;
  if (isSharedWith(view, "address_scope", scope.id, target)) return;
  throw fail("InvalidInput", {
    error_message: `Failed to create RBAC policy on object ${pool.id} because address scope ${scope.id} is not shared with ${target}`,
  });
}
