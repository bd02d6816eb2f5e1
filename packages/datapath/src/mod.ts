/** The face of `datapath`: the seam and its drivers. */
export * from "./datapath.ts";
export { serviceInterface } from "./ovs/bridge.ts";
export { OvsDatapath } from "./ovs/driver.ts";
export { NotReady, RefusedRows, SwitchConflict, UnrenderableRows } from "./ovs/errors.ts";
export type { OvsDatapathOptions } from "./ovs/options.ts";
export { type Peer, PeerWatch, type PeerWatchOptions } from "./ovs/peer-watch.ts";
export { type BridgeMappings, bridgeMappings } from "./ovs/physical.ts";
export type { NearRule } from "./simulated/clauses.ts";
export { SimulatedDatapath, type SimulatedDatapathOptions } from "./simulated/datapath.ts";
export { SimulatedFabric, type UnderlayPacket } from "./simulated/fabric.ts";
export { Interpreter, type Outcome, type Trace, type Visit } from "./simulated/interpreter.ts";
export { type MovedMac, PhysicalNetwork, type WireFrame } from "./simulated/physical.ts";
export { AmbiguousRows } from "./simulated/tuple-space.ts";
export { isTranslating, translatingZone } from "./zone-kinds.ts";
