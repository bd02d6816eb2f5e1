/** Quotas: what each project may have of what, checked in the transaction that makes one more (`neutron.quota`). */
import { fail, pythonList } from "@selvage/base";
import { type Index, Quota, type View } from "@selvage/model";
import type { ServerSettings } from "../settings.ts";
import { networkingRules } from "./all.ts";
import type { ResourceRules, Writing } from "./rules.ts";

/** No limit. */
export const unlimited = -1;

/** The default of each kind, in the order in which Neutron tells them. */
const defaults: ReadonlyMap<string, (settings: ServerSettings) => number> = new Map([
  ["network", (settings) => settings.quotaNetwork],
  ["subnet", (settings) => settings.quotaSubnet],
  ["subnetpool", (settings) => settings.quotaSubnetpool],
  ["port", (settings) => settings.quotaPort],
  ["router", (settings) => settings.quotaRouter],
  ["floatingip", (settings) => settings.quotaFloatingip],
  ["rbac_policy", (settings) => settings.quotaRbacPolicy],
  ["security_group", (settings) => settings.quotaSecurityGroup],
  ["security_group_rule", (settings) => settings.quotaSecurityGroupRule],
]);

/** A kind that a quota is of, and how many of them a project has. */
export interface Counted {
  readonly kind: string;
  readonly default: (settings: ServerSettings) => number;
  readonly used: (view: View, projectId: string) => number;
}

/** Every declared kind that has a quota. */
export const countedKinds: readonly Counted[] = Object.freeze(
  [...defaults].flatMap(([kind, byDefault]) => {
    const rules = networkingRules.find((each) => each.resource.kind === kind);
    const index = (rules?.resource.index as Readonly<Record<string, Index>> | undefined)?.project_id;
    if (index === undefined) return [];
    return [{ kind, default: byDefault, used: (view: View, projectId: string) => view.count(index, projectId) }];
  }),
);

const byKind: ReadonlyMap<string, Counted> = new Map(countedKinds.map((counted) => [counted.kind, counted]));

/** What a project may have of a kind: its own quota, or the default. */
export function limitOf(view: View, settings: ServerSettings, projectId: string, counted: Counted): number {
  const own = view.get(Quota, projectId)?.limits[counted.kind];
  return typeof own === "number" ? own : counted.default(settings);
}

/**
 * Throws OverQuota when the project may not have one more of the resource, or not what comes with it. What it has is counted by an index: constant time.
 */
export function checkQuota(writing: Writing, { resource, brings }: ResourceRules, projectId: string): void {
  checkRoom(writing, resource.kind, 1, projectId);
  if (brings !== undefined) checkRoom(writing, brings.kind, brings.count, projectId);
}

function checkRoom({ transaction, settings }: Writing, kind: string, more: number, projectId: string): void {
  const counted = byKind.get(kind);
  if (counted === undefined) return;
  const limit = limitOf(transaction.view, settings, projectId, counted);
  if (limit === unlimited || counted.used(transaction.view, projectId) + more <= limit) return;
  throw fail("OverQuota", { overs: pythonList([counted.kind]) });
}
