/**
 * Ports and what is there because of them: the sets of security groups that they have (pipeline design, section 4), and the leases of hosts that have ports behind
 * a router. Whatever puts or removes a port does it here, so that all of it changes in one transaction.
 */
import { keyOf, Port, type Port as PortObject, SecurityGroup, SecurityGroupSet, type View } from "@selvage/model";
import { pickSetKey } from "../allocate.ts";
import type { Transaction } from "../transaction.ts";
import { settlePort } from "./nat-leases.ts";

/** Owners whose ports are the platform's own: no rules are asked for them (Neutron's `is_port_trusted`). */
export const isPlatforms = (deviceOwner: string): boolean => deviceOwner.startsWith("network:");

/** Whether rules are asked of what a port sends and gets. */
const isPoliced = (port: Omit<PortObject, "security_group_set">): boolean =>
  port.port_security_enabled && port.router_id === null && !isPlatforms(port.device_owner);

const sameGroups = (one: PortObject, other: Omit<PortObject, "security_group_set">): boolean =>
  one.security_groups.join() === other.security_groups.join();

/** What of a port its rules do not say: it follows from the rest. */
type Derived = "security_group_set" | "dns_project";

/**
 * Puts a port with the set that its groups make, and with whose its name is. A port from before there were sets has none, and keeps none until what decides it changes.
 * Throws NumbersExhausted when every number of a set is taken.
 */
export function putPort(transaction: Transaction, said: Omit<PortObject, Derived>): PortObject {
  const port = { ...said, dns_project: said.dns_name === "" ? "" : said.project_id };
  const before = transaction.view.get(Port, port.id);
  const same = before !== undefined && sameGroups(before, port) && isPoliced(before) === isPoliced(port);
  if (same) {
    const kept = transaction.put(Port, { ...port, security_group_set: before.security_group_set });
    settlePort(transaction, before, kept);
    return kept;
  }
  const set = isPoliced(port) ? setOf(transaction, port.security_groups) : 0;
  const stored = transaction.put(Port, { ...port, security_group_set: set });
  if (before !== undefined && before.security_group_set !== set) release(transaction, before.security_group_set);
  settlePort(transaction, before, stored);
  return stored;
}

/** Removes a port, and its set when it was the last that had it. */
export function removePort(transaction: Transaction, port: PortObject): void {
  transaction.remove(Port, port.id);
  release(transaction, port.security_group_set);
  settlePort(transaction, port, undefined);
}

/** The number of the set of these groups, which is made where there is none. */
function setOf(transaction: Transaction, given: readonly string[]): number {
  const groups = [...given].sort();
  const [found] = transaction.view.by(SecurityGroupSet.index.combination, keyOf("groups", ...groups));
  if (found !== undefined) return found.key;
  const key = pickSetKey(transaction);
  transaction.put(SecurityGroupSet, {
    id: transaction.newId(),
    groups,
    stateful: groups.length === 0 || groups.some((id) => isStateful(transaction.view, id)),
    key,
  });
  return key;
}

const isStateful = (view: View, groupId: string): boolean => view.get(SecurityGroup, groupId)?.stateful ?? true;

function release(transaction: Transaction, set: number): void {
  if (set === 0 || transaction.view.exists(Port.index.set, String(set))) return;
  for (const { id } of transaction.view.by(SecurityGroupSet.index.key, String(set)))
    transaction.remove(SecurityGroupSet, id);
}
