/** The datapath's testing face: the suite for all drivers, hosts with real switches, frames as machines send them, hand-made rows. */
export { nameOf, provenanceOf } from "../ovs/cookie.ts";
export { type RenderedFlow, Renderer } from "../ovs/render.ts";
export { assertAgreement } from "./agreement.ts";
export { assertConversations, type ConversationPlan } from "./agreement-conversations.ts";
export { type Check, runCheck } from "./check.ts";
export { datapathChecks, datapathConformance } from "./conformance.ts";
export { Conversation, connectionTurns, type Turn, turns } from "./conversation.ts";
export { type ForgedPacket, type MakeFabric, Recorder, type TestFabric, type TestHost } from "./fabric.ts";
export * from "./frames.ts";
export * from "./ip-frames.ts";
export { Journal, Late } from "./journal.ts";
export { OvsHosts, ovsTestFabric } from "./ovs-fabric.ts";
export { integrationBridge, Machine, OvsHost, type OvsHostPlan, uplinkBridge, Wire } from "./ovs-host.ts";
export * from "./policy-topology.ts";
export * from "./router-topology.ts";
export { simulatedTestFabric } from "./simulated-fabric.ts";
export { hostKeyOf, l2Row, rowsFor, type TestPort, testMtu, testPort, vxlanNet } from "./topology.ts";
export { delta, sameBytes, World } from "./world.ts";
