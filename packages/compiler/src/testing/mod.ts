/** What tests of other rooms take of the compiler's: a fabric in memory whose hosts compile the same intent, with an outside. */
export { fabric, type Journey, type TestFabric } from "./fabric.ts";
export { net, routedNet } from "./intent.ts";
export {
  externalChanges,
  floatingAddress,
  floatingChange,
  forwardingChanges,
  gatewayChanges,
  gatewayOf,
  leaseChange,
  macOfHost,
  meetUpstream,
  stranger,
  upstream,
} from "./outside.ts";
