/** Datapaths that are wrong about the way to the host's services, each in one way. */
import { drop, goto, type Step } from "@selvage/pipeline";
import { actionsOf, type BrokenDatapath, constantsWithout, executor, stepsWithout } from "./broken-kinds.ts";

const served =
  "what a machine asks of the host's services comes to them under its port's number, and the answer to the machine";
const resolved = "every network answers who has the services' addresses, whatever rows there are";
const denied = "who asks the host's services from an address that its port has no row of is denied";
const nobodys =
  "what the services send to a number that is nobody's is dropped, and what they say to all is nobody's business";
const measured =
  "a port that asks the host's services above its rate loses what is too much, and another loses nothing";

const sets = (field: string) => (step: Step) => step.do === "set" && step.field.name === field;

export const brokenServices: readonly BrokenDatapath[] = [
  executor("asks the services by the machine's address", served, "metadata", {
    actions: actionsOf("metadata", { serve6: stepsWithout("metadata", "serve6", sets("ip6Src")) }),
  }),
  executor("leaves the number in the answer", served, "service_in", {
    actions: actionsOf("service_in", { restore4: stepsWithout("service_in", "restore4", sets("ip4Dst")) }),
  }),
  executor("leaves the router's MAC in the question", served, "metadata", {
    actions: actionsOf("metadata", { serve4: stepsWithout("metadata", "serve4", sets("ethDst")) }),
  }),
  executor("asks intent who has a service's address", resolved, "arp", {
    constants: constantsWithout("arp", "service"),
  }),
  executor("asks intent who has a service's address of IPv6", resolved, "nd", {
    constants: constantsWithout("nd", "service"),
  }),
  executor("leaves whoever is denied to the network", denied, "metadata", { miss: [goto("sender")] }),
  executor("drops what is nobody's for another reason", nobodys, "service_in", { miss: [drop("no-fdb-entry")] }),
  executor("drops what the services say to all", nobodys, "service_in", {
    constants: constantsWithout("service_in", "upkeep"),
  }),
  executor("lets a port ask as often as it likes", measured, "metadata", {
    actions: actionsOf("metadata", { serve4: stepsWithout("metadata", "serve4", ({ do: what }) => what === "limit") }),
  }),
];
