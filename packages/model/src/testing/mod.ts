/** The model's testing face: whole objects, random histories and the engine's oracle, for the tests of every room. */
export { type HistoryOptions, randomHistory, type Step, shuffled } from "./history.ts";
export {
  epoch,
  makeAddressGroup,
  makeAddressScope,
  makeAttachment,
  makeExternalNetwork,
  makeFloatingIp,
  makeGateway,
  makeHost,
  makeLearnedNeighbour,
  makeNatLease,
  makeNdpProxy,
  makeNetwork,
  makePeerDown,
  makePort,
  makePortForwarding,
  makeProject,
  makeRouter,
  makeSecurityGroup,
  makeSecurityGroupRule,
  makeSecurityGroupSet,
  makeSubnet,
  makeSubnetpool,
  put,
  remove,
  testId,
  testMac,
} from "./objects.ts";
export { assertIncremental, replayDelta, textOfQuarantine, textOfRows } from "./oracle.ts";
export { withRouters } from "./router-history.ts";
