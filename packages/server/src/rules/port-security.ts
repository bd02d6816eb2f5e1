/**
 * What a port may speak for and what rules it is under: security groups, allowed address pairs, and neither without port security (Networking v2.0; extensions
 * `security-group`, `allowed-address-pairs`, `port-security`; neutron `Ml2Plugin._portsec_ext_port_*_processing`).
 */
import { fail } from "@selvage/base";
import {
  type AddressPair,
  canonicalIp,
  keyOf,
  type Port as PortObject,
  parseCidrLoose,
  textOfCidr,
} from "@selvage/model";
import type { Values, Writing } from "./rules.ts";
import { defaultGroup, visibleGroup } from "./security-group.ts";
import { isPlatforms } from "./security-group-sets.ts";

/** Neutron's `max_allowed_address_pair`. */
const pairLimit = 10;

/** The groups of a new port: those named, else its project's default one where rules are asked at all. */
export function groupsOf(
  writing: Writing,
  port: Pick<PortObject, "project_id" | "device_owner" | "port_security_enabled">,
  values: Values,
): readonly string[] {
  const named = values.security_groups as readonly string[] | undefined;
  if (named !== undefined) return checkedGroups(writing, named);
  if (!port.port_security_enabled || isPlatforms(port.device_owner)) return [];
  return [defaultGroup(writing, port.project_id).id];
}

/** Throws SecurityGroupNotFound for a group that the caller may not use, SecurityGroupConflict for stateful and stateless ones together. */
function checkedGroups({ transaction, caller }: Writing, ids: readonly string[]): readonly string[] {
  const groups = ids.map((id) => visibleGroup(transaction.view, caller, id));
  if (new Set(groups.map(({ stateful }) => stateful)).size > 1) {
    throw fail("SecurityGroupConflict", {
      reason: "Cannot apply both stateful and stateless security groups on the same port at the same time",
    });
  }
  return ids;
}

/** The pairs that a request names, whole: without a MAC address of its own, one has the port's. */
export function checkedPairs(given: unknown, mac: string): readonly AddressPair[] {
  // Converted by the declaration, which lets both members be missing.
  const pairs = (given ?? []) as readonly Partial<AddressPair>[];
  if (pairs.length > pairLimit) throw fail("AllowedAddressPairExhausted", { quota: pairLimit });
  const seen = new Set<string>();
  return pairs.map(({ ip_address, mac_address = mac }) => {
    if (ip_address === undefined) throw fail("AllowedAddressPairsMissingIP");
    const canonical = canonicalPrefix(ip_address);
    if (seen.has(keyOf(canonical, mac_address)))
      throw fail("DuplicateAddressPairInRequest", { mac_address, ip_address });
    seen.add(keyOf(canonical, mac_address));
    return { ip_address, mac_address };
  });
}

/** Throws HTTPBadRequest for what is neither an address nor a prefix. */
function canonicalPrefix(text: string): string {
  const isPrefix = text.includes("/");
  const prefix = isPrefix ? parseCidrLoose(text) : undefined;
  const canonical = prefix === undefined ? canonicalIp(text) : textOfCidr(prefix);
  if (canonical !== undefined) return canonical;
  const reason = `'${text}' is not a valid IP ${isPrefix ? "subnet" : "address"}`;
  throw fail("AttributeInvalid", { attribute: "allowed_address_pairs", reason }, { field: "allowed_address_pairs" });
}

/** Throws what stands against pairs and groups of a new port without port security. */
export function checkSecured(port: {
  readonly port_security_enabled: boolean;
  readonly allowed_address_pairs: readonly AddressPair[];
  readonly security_groups?: unknown;
}): void {
  if (port.port_security_enabled) return;
  if (port.allowed_address_pairs.length > 0) throw fail("AddressPairAndPortSecurityRequired");
  if (isFilled(port.security_groups)) throw fail("PortSecurityAndIPRequiredForSecurityGroups");
}

/** What a PUT makes of a port's groups and pairs; `mac`: the port's after it. */
export function securedUpdate(
  writing: Writing,
  before: PortObject,
  values: Values,
  mac: string,
): Pick<PortObject, "security_groups" | "allowed_address_pairs"> {
  const enabled = (values.port_security_enabled as boolean | undefined) ?? before.port_security_enabled;
  const named = values.security_groups as readonly string[] | undefined;
  const pairs = "allowed_address_pairs" in values ? checkedPairs(values.allowed_address_pairs, mac) : undefined;
  if (!enabled) {
    checkSecured({ port_security_enabled: false, allowed_address_pairs: pairs ?? before.allowed_address_pairs });
    if (isFilled(named)) throw fail("PortSecurityAndIPRequiredForSecurityGroups");
    if (named === undefined && before.security_groups.length > 0) throw fail("PortSecurityPortHasSecurityGroup");
  }
  return {
    security_groups: named === undefined ? before.security_groups : checkedGroups(writing, named),
    allowed_address_pairs: pairs ?? before.allowed_address_pairs,
  };
}

const isFilled = (groups: unknown): boolean => Array.isArray(groups) && groups.length > 0;
