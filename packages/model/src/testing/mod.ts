/** The model's testing face: whole objects and random histories for the tests of every room. */
export { type HistoryOptions, randomHistory, type Step, shuffled } from "./history.ts";
export {
  epoch,
  makeAttachment,
  makeHost,
  makeNetwork,
  makePort,
  makeProject,
  makeSubnet,
  put,
  remove,
  testId,
  testMac,
} from "./objects.ts";
