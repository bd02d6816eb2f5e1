/**
 * Numbers and addresses that the server gives: keys on the wire, MACs, addresses of a pool. A free one is sought by
 * untracked probes and then read once through the tracked view, so that only the choice itself is a precondition
 * (uniqueness is checked by the transaction; a conflict chooses again).
 */
import { fail, randomBigintBelow } from "@selvage/base";
import {
  AddressScope,
  type AllocationPool,
  Host,
  hostKeys,
  type Index,
  type Ip,
  ipFrom,
  ipOf,
  keyOf,
  Network,
  Port,
  physicalKeys,
  portKeys,
  Router,
  routerKeys,
  ruleKeys,
  SecurityGroupRule,
  SecurityGroupSet,
  type StoredObject,
  type Subnet,
  scopeKeys,
  setKeys,
  textOfIp,
  type View,
  valueOfIp,
  versionOf,
} from "@selvage/model";

/** A random whole number from 0 up to but not including `limit`. */
export type Random = (limit: bigint) => bigint;

/** Uniform numbers from the system's generator. */
export const secureRandom: Random = randomBigintBelow;

/** Views for a choice: `hints` finds a candidate and leaves no trace, `view` makes the choice a precondition. */
export interface Choosing {
  readonly view: View;
  readonly hints: View;
  readonly random: Random;
}

interface Numbers {
  readonly first: number;
  readonly last: number;
}

export interface Span {
  readonly first: bigint;
  readonly last: bigint;
}

const randomTries = 12;

/**
 * Picks a number of the spans (disjoint) that `taken` does not know: uniformly at random, and when the spans are nearly
 * full the next free one after a random place. Gives undefined when all are taken.
 * Costs O(1) probes while the spans have room, and never more than there are numbers taken.
 */
export function pick(spans: readonly Span[], random: Random, taken: (n: bigint) => boolean): bigint | undefined {
  const size = spans.reduce((sum, span) => sum + (span.last - span.first + 1n), 0n);
  if (size <= 0n) return undefined;
  const at = (offset: bigint): bigint => {
    let rest = offset;
    for (const span of spans) {
      const length = span.last - span.first + 1n;
      if (rest < length) return span.first + rest;
      rest -= length;
    }
    throw new RangeError(`offset ${offset} is beyond the spans`);
  };
  for (let tries = 0; tries < randomTries; tries++) {
    const n = at(random(size));
    if (!taken(n)) return n;
  }
  const start = random(size);
  for (let step = 0n; step < size; step++) {
    const n = at((start + step) % size);
    if (!taken(n)) return n;
  }
  return undefined;
}

/** A free key for a network that stands on a physical one. Throws NoNetworkAvailable. */
export function pickPhysicalKey(choosing: Choosing, range: Numbers = physicalKeys): number {
  const key = pickKey(choosing, range, Network.index.key);
  if (key === undefined) throw fail("NoNetworkAvailable");
  return key;
}

/** A free port key. Throws NumbersExhausted. */
export const pickPortKey = (choosing: Choosing, range: Numbers = portKeys): number =>
  someKey(choosing, range, Port.index.key, "port key");

/** A free router key. Throws NumbersExhausted. */
export const pickRouterKey = (choosing: Choosing): number =>
  someKey(choosing, routerKeys, Router.index.key, "router key");

/** A free number for a security group rule. Throws NumbersExhausted. */
export const pickRuleKey = (choosing: Choosing): number =>
  someKey(choosing, ruleKeys, SecurityGroupRule.index.key, "security group rule key");

/** A free number for a combination of security groups. Throws NumbersExhausted. */
export const pickSetKey = (choosing: Choosing, range: Numbers = setKeys): number =>
  someKey(choosing, range, SecurityGroupSet.index.key, "security group set key");

/** A free number for an address scope. Throws NumbersExhausted. */
export const pickScopeKey = (choosing: Choosing): number =>
  someKey(choosing, scopeKeys, AddressScope.index.key, "address scope key");

/** A free host key. Throws NumbersExhausted. */
export const pickHostKey = (choosing: Choosing, range: Numbers = hostKeys): number =>
  someKey(choosing, range, Host.index.key, "host key");

/** A free MAC address of the prefix (`fa:16:3e`) on a network. Throws MacAddressGenerationFailure. */
export function pickMac(choosing: Choosing, networkId: string, prefix: string): string {
  const textOf = (n: bigint): string =>
    `${prefix}:${n
      .toString(16)
      .padStart(6, "0")
      .replace(/(..)(..)(..)/, "$1:$2:$3")}`;
  const free = pick([{ first: 0n, last: 0xffffffn }], choosing.random, (n) =>
    choosing.hints.exists(Port.index.networkMac, keyOf(networkId, textOf(n))),
  );
  if (free === undefined) throw fail("MacAddressGenerationFailure", { net_id: networkId });
  const mac = textOf(free);
  choosing.view.exists(Port.index.networkMac, keyOf(networkId, mac));
  return mac;
}

/** A free address of a subnet's pools, or undefined when there is none. `taken`: further ones not to give (of the same request). */
export function pickAddress(
  choosing: Choosing,
  subnet: Subnet,
  taken: ReadonlySet<string> = new Set(),
): string | undefined {
  const version = subnet.ip_version;
  const textOf = (n: bigint): string => textOfIp(ipFrom(version, n));
  const free = pick(subnet.allocation_pools.map(spanOf), choosing.random, (n) => {
    const text = textOf(n);
    return taken.has(text) || choosing.hints.exists(Port.index.address, keyOf(subnet.id, text));
  });
  if (free === undefined) return undefined;
  const address = textOf(free);
  choosing.view.exists(Port.index.address, keyOf(subnet.id, address));
  return address;
}

/** A pool as whole numbers. Throws AddressError when an end is no address. */
export function spanOf(pool: AllocationPool): Span {
  return { first: valueOfIp(ipOf(pool.start)), last: valueOfIp(ipOf(pool.end)) };
}

/** The address `offset` further than another of its version. */
export function ipAt(base: Ip, offset: bigint): Ip {
  return ipFrom(versionOf(base), valueOfIp(base) + offset);
}

function someKey<O extends StoredObject>(choosing: Choosing, range: Numbers, index: Index<O>, what: string): number {
  const key = pickKey(choosing, range, index);
  if (key === undefined) throw fail("NumbersExhausted", { what, size: range.last - range.first + 1 });
  return key;
}

function pickKey<O extends StoredObject>(choosing: Choosing, range: Numbers, index: Index<O>): number | undefined {
  const free = pick([{ first: BigInt(range.first), last: BigInt(range.last) }], choosing.random, (n) =>
    choosing.hints.exists(index, n.toString()),
  );
  if (free === undefined) return undefined;
  choosing.view.exists(index, free.toString());
  return Number(free);
}
