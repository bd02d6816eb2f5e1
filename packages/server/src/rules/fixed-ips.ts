/** The addresses that a port gets: one of each family where nobody names any, those that were asked for where they fit (Neutron's `ipam_pluggable_backend`). */
import { fail } from "@selvage/base";
import {
  cidrContains,
  cidrOf,
  type FixedIp,
  ipOf,
  keyOf,
  type Network as NetworkObject,
  Port,
  Subnet,
  type Subnet as SubnetObject,
} from "@selvage/model";
import { pickAddress } from "../allocate.ts";
import { automaticAddress, isAutomatic, makesAddresses } from "./automatic-addresses.ts";
import { seesNetwork } from "./network.ts";
import type { Writing } from "./rules.ts";
import { isHostAddress } from "./subnet.ts";

const fixedIpLimit = 5;

/** What a caller may say of one address: a subnet, an address, or both. */
export type WantedIp = Partial<FixedIp>;

const versions = [4, 6] as const;

/** What the subnets of one segment give: addresses, and of which families; those that the port makes there itself count. */
interface Given {
  readonly fixed: readonly FixedIp[];
  readonly families: readonly (4 | 6)[];
}

/**
 * One address of each family that the subnets are of, of those on which it does not make its own; all of one segment: the first that gives every family, else the
 * one that gives most, IPv4 before IPv6. Throws IpAddressGenerationFailure when no segment gives a family.
 */
export function defaultAddresses(
  writing: Writing,
  network: NetworkObject,
  owner: string,
  among: readonly SubnetObject[],
): readonly FixedIp[] {
  const known = versions.filter((version) => among.some((subnet) => subnet.ip_version === version));
  const all: Given[] = [];
  for (const subnets of bySegment(among)) {
    const given = givenOf(writing, owner, subnets);
    if (given.families.length === known.length) return given.fixed;
    all.push(given);
  }
  if (known.some((version) => all.every(({ families }) => !families.includes(version))))
    throw fail("IpAddressGenerationFailure", { net_id: network.id });
  // No segment gives both.
  return (all.find(({ families }) => families.includes(4)) ?? all[0])?.fixed ?? [];
}

/** Subnets of one segment each, with those of none. */
function bySegment(among: readonly SubnetObject[]): readonly (readonly SubnetObject[])[] {
  const segments = new Set(among.flatMap(({ segment_id }) => segment_id ?? []));
  if (segments.size === 0) return [among];
  return [...segments].map((id) => among.filter(({ segment_id }) => segment_id === null || segment_id === id));
}

function givenOf(writing: Writing, owner: string, subnets: readonly SubnetObject[]): Given {
  const isMade = (subnet: SubnetObject): boolean => makesAddresses(owner) && isAutomatic(subnet);
  const given = versions.map((version) => {
    const family = subnets.filter((subnet) => subnet.ip_version === version);
    const fixed = firstFree(
      writing,
      family.filter((subnet) => !isMade(subnet)),
      new Set(),
    );
    const isGiven = fixed !== undefined || (family.length > 0 && family.every(isMade));
    return { fixed: fixed ?? [], families: isGiven ? [version] : [] };
  });
  return { fixed: given.flatMap(({ fixed }) => fixed), families: given.flatMap(({ families }) => families) };
}

/** A free address of one of the subnets. Throws IpAddressGenerationFailure. */
export function anyAddress(writing: Writing, network: NetworkObject, subnets: readonly SubnetObject[]): FixedIp {
  const found = firstFree(writing, subnets, new Set());
  if (found === undefined) throw fail("IpAddressGenerationFailure", { net_id: network.id });
  return found;
}

function firstFree(
  writing: Writing,
  subnets: readonly SubnetObject[],
  taken: ReadonlySet<string>,
): FixedIp | undefined {
  for (const subnet of subnets) {
    const ip = pickAddress(writing.transaction, subnet, taken);
    if (ip !== undefined) return { subnet_id: subnet.id, ip_address: ip };
  }
  return undefined;
}

/** What a port has before it gets addresses. */
export interface Holder {
  readonly held: readonly FixedIp[];
  readonly mac: string;
  readonly owner: string;
  /** Subnets of its network that it may have addresses of. */
  readonly among: readonly SubnetObject[];
}

/** The addresses that a caller asked for, less those that the port makes itself; those that the port had already and that fit stay. */
export function addresses(
  writing: Writing,
  network: NetworkObject,
  asked: readonly WantedIp[],
  holder: Holder,
): readonly FixedIp[] {
  if (asked.length > fixedIpLimit) {
    throw fail("InvalidInput", { error_message: "Exceeded maximum amount of fixed ips per port" });
  }
  const { held } = holder;
  const wanted = asked.filter((each) => !makes(each, holder));
  const chosen: FixedIp[] = [];
  // What is named comes first, so that what is picked keeps clear of it; the reply keeps the order asked for.
  const named = wanted.map((each) =>
    each.ip_address === undefined ? undefined : exact(writing, network, each, holder),
  );
  for (const each of named) if (each !== undefined) claim(writing, chosen, each);
  const free = held.filter((each) => !chosen.some((other) => other.ip_address === each.ip_address));
  return wanted.map((each, index) => {
    const exactly = named[index];
    if (exactly !== undefined) return exactly;
    const subnet = subnetOf(writing, network, each.subnet_id, holder);
    const kept = free.findIndex((other) => other.subnet_id === subnet.id);
    const [again] = kept < 0 ? [] : free.splice(kept, 1);
    const taken = new Set(chosen.map((other) => other.ip_address));
    const picked = again ?? firstFree(writing, [subnet], taken);
    if (picked === undefined) throw fail("IpAddressGenerationFailureForSubnet", { subnet_id: subnet.id });
    chosen.push(picked);
    return picked;
  });
}

/** Whether what is asked for is an address that the port makes itself. Throws AllocationOnAutoAddressSubnet for another one there. */
function makes(wanted: WantedIp, { held, mac, owner, among }: Holder): boolean {
  if (!makesAddresses(owner)) return false;
  const { subnet_id, ip_address } = wanted;
  const subnet = among.find((each) =>
    subnet_id === undefined
      ? ip_address !== undefined && cidrContains(cidrOf(each.cidr), ipOf(ip_address))
      : each.id === subnet_id,
  );
  if (subnet === undefined || !isAutomatic(subnet)) return false;
  const has = (fixed: FixedIp): boolean => fixed.subnet_id === subnet.id && fixed.ip_address === ip_address;
  if (ip_address === undefined || has(automaticAddress(subnet, mac)) || held.some(has)) return true;
  throw fail("AllocationOnAutoAddressSubnet", { ip: ip_address, subnet_id: subnet.id });
}

/** Two entries of one request for one address are a conflict of the request with itself. */
function claim(writing: Writing, chosen: FixedIp[], wanted: FixedIp): void {
  const twice = chosen.some(
    (each) => keyOf(each.subnet_id, each.ip_address) === keyOf(wanted.subnet_id, wanted.ip_address),
  );
  if (twice) throw fail("IpAddressAlreadyAllocated", { ip: wanted.ip_address, subnet_id: wanted.subnet_id });
  writing.transaction.view.exists(Port.index.address, keyOf(wanted.subnet_id, wanted.ip_address));
  chosen.push(wanted);
}

function exact(writing: Writing, network: NetworkObject, wanted: WantedIp, holder: Holder): FixedIp {
  const text = String(wanted.ip_address);
  const ip = ipOf(text);
  if (wanted.subnet_id !== undefined) {
    const subnet = subnetOf(writing, network, wanted.subnet_id, holder);
    if (!isHostAddress(cidrOf(subnet.cidr), ip)) throw fail("InvalidIpForSubnet", { ip_address: text });
    return { subnet_id: subnet.id, ip_address: text };
  }
  const found = holder.among.find((subnet) => cidrContains(cidrOf(subnet.cidr), ip));
  if (found === undefined) throw fail("InvalidIpForNetwork", { ip_address: text });
  if (!isHostAddress(cidrOf(found.cidr), ip)) throw fail("InvalidIpForSubnet", { ip_address: text });
  return { subnet_id: found.id, ip_address: text };
}

function subnetOf(writing: Writing, network: NetworkObject, id: string | undefined, { among }: Holder): SubnetObject {
  if (id === undefined) {
    throw fail("InvalidInput", { error_message: "IP allocation requires subnet_id or ip_address" });
  }
  const { transaction, caller } = writing;
  const subnet = transaction.view.get(Subnet, id);
  if (subnet === undefined) throw fail("SubnetNotFound", { id });
  if (!among.some((each) => each.id === id)) {
    // One that the caller may not see is not there for it.
    if (!seesNetwork(transaction.view, caller, subnet.network_id)) throw fail("SubnetNotFound", { id });
    throw fail("InvalidInput", {
      error_message: `Failed to create port on network ${network.id}, because fixed_ips included invalid subnet ${id}`,
    });
  }
  return subnet;
}
