/**
 * Ports and the sets of security groups that they have: a set is there while some port has it (pipeline design, section 4). Whatever puts or removes a port does
 * it here, so that ports and sets change in one transaction.
 */
import { keyOf, Port, type Port as PortObject, SecurityGroup, SecurityGroupSet, type View } from "@selvage/model";
import { pickSetKey } from "../allocate.ts";
import type { Transaction } from "../transaction.ts";

/** Owners whose ports are the platform's own: no rules are asked for them (Neutron's `is_port_trusted`). */
export const isPlatforms = (deviceOwner: string): boolean => deviceOwner.startsWith("network:");

/** Whether rules are asked of what a port sends and gets. */
const isPoliced = (port: Omit<PortObject, "security_group_set">): boolean =>
  port.port_security_enabled && port.router_id === null && !isPlatforms(port.device_owner);

const sameGroups = (one: PortObject, other: Omit<PortObject, "security_group_set">): boolean =>
  one.security_groups.join() === other.security_groups.join();

/**
 * Puts a port with the set that its groups make. A port from before there were sets has none, and keeps none until what decides it changes.
 * Throws NumbersExhausted when every number of a set is taken.
 */
export function putPort(transaction: Transaction, port: Omit<PortObject, "security_group_set">): PortObject {
  const before = transaction.view.get(Port, port.id);
  const same = before !== undefined && sameGroups(before, port) && isPoliced(before) === isPoliced(port);
  if (same) return transaction.put(Port, { ...port, security_group_set: before.security_group_set });
  const set = isPoliced(port) ? setOf(transaction, port.security_groups) : 0;
  const stored = transaction.put(Port, { ...port, security_group_set: set });
  if (before !== undefined && before.security_group_set !== set) release(transaction, before.security_group_set);
  return stored;
}

/** Removes a port, and its set when it was the last that had it. */
export function removePort(transaction: Transaction, port: PortObject): void {
  transaction.remove(Port, port.id);
  release(transaction, port.security_group_set);
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
