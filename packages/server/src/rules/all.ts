/** The resources of the Networking API, in the order in which `/v2.0/` lists them. */
import { networkRules } from "./network.ts";
import { portRules } from "./port.ts";
import type { ResourceRules } from "./rules.ts";
import { subnetRules } from "./subnet.ts";

/** A resource of which only the common part matters: its own object type is known to its own rules alone. */
export type AnyRules = ResourceRules;

// Each rules object is handed only objects of its own resource, by whoever looks it up here.
export const networkingRules: readonly AnyRules[] = [
  networkRules,
  subnetRules,
  portRules,
] as unknown as readonly AnyRules[];

/** The rules of a collection (`networks`), if it is one of ours. */
export function rulesOf(plural: string): AnyRules | undefined {
  return networkingRules.find((rules) => rules.resource.plural === plural);
}
