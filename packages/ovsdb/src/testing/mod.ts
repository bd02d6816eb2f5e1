/** What tests of this client and of its users share: a real ovsdb-server of their own, and a peer in memory that a test plays. */

export type { ScriptedPeer } from "./peer.ts";
export { scriptedPeer } from "./peer.ts";
export type { OvsdbServer } from "./server.ts";
export { startOvsdbServer, VSWITCH_SCHEMA } from "./server.ts";
