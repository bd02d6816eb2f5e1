/** The face of `explain`: a packet run through what present intent makes of the hosts that it meets, and that told to whoever asked. */
export type { Intent } from "./host.ts";
export { addressesOf, sourceFor } from "./next-hop.ts";
export { echo, type Probe, type Question, smallest } from "./question.ts";
export {
  type Sight,
  Teller,
  type ToldEnding,
  type ToldHop,
  type ToldLeg,
  type ToldNearRule,
  type ToldObject,
  type ToldRow,
  type ToldStep,
  type ToldTrace,
} from "./telling.ts";
export { type Conversation, hostsOf, trace } from "./trace.ts";
