/** The resources of the Networking API, in the order in which `/v2.0/` lists them. */
import { networkRules } from "./network.ts";
import { portRules } from "./port.ts";
import { routerRules } from "./router.ts";
import { pathOf, type ResourceRules } from "./rules.ts";
import { subnetRules } from "./subnet.ts";

/** A resource of which only the common part matters: its own object type is known to its own rules alone. */
export type AnyRules = ResourceRules;

// Each rules object is handed only objects of its own resource, by whoever looks it up here.
export const networkingRules: readonly AnyRules[] = [
  networkRules,
  subnetRules,
  portRules,
  routerRules,
] as unknown as readonly AnyRules[];

const byPath: ReadonlyMap<string, AnyRules> = new Map(networkingRules.map((rules) => [pathOf(rules), rules]));

/** The rules of a collection as a URL names it (`networks`, `security-groups`), if it is one of ours. */
export function rulesOf(path: string): AnyRules | undefined {
  return byPath.get(path);
}
