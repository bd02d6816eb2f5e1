/** The face of `lab`: setup of the machine, hosts in network namespaces with a switch each, the whole fabric up and down. */

export { agentSocket, askAgent, labAgentSocket } from "./agent-socket.ts";
export { type Api, ApiError, type ApiPort, at, deletedPorts, findPort, openApi } from "./api.ts";
export { LOG_LIMIT } from "./bounded-log.ts";
export { type Ability, abilities, type Capability, type Probe, probeCapability } from "./capability.ts";
export { askControl, type HostState, type LabState, type MachineState, type ProcessState } from "./control.ts";
export { type DemoMachine, type DemoPing, type DemoProject, demoPings, demoPlan, readDemoUsers } from "./demo.ts";
export { type DownOptions, type DownReport, takeDown } from "./down.ts";
export { bringUp, DEFAULT_HOSTS, DEFAULT_PORT, type FabricReport, type UpOptions } from "./fabric.ts";
export { LabError, type LabErrorCode } from "./failure.ts";
export {
  enterLab,
  type LabPlace,
  type LabProcess,
  labAlive,
  outerPid,
  settledLab,
  startLab,
  stopLab,
} from "./lab-process.ts";
export { OUTSIDE, OUTSIDE_RANGES, PHYSICAL_NETWORK } from "./outside.ts";
export { type DataPaths, DEFAULT_DATA_DIRECTORY, dataPaths, hostDirectory } from "./paths.ts";
export { captureInLab, execInLab, findMachine, placeOf, plug, unplug } from "./plugging.ts";
export { isAlive, type ProcessIdentity } from "./processes.ts";
export type { PingResult } from "./proof.ts";
export { type RunRecord, readRunRecord } from "./run-record.ts";
export { adminApi, adminPassword, openFabric, openLab, type RunningFabric, type RunningLab } from "./running.ts";
export { askedToEnd, boundedStandardError, type ServeOptions, serve } from "./serve.ts";
export { SERVER_UID } from "./server-process.ts";
export {
  findCommand,
  missingTools,
  type Purpose,
  type SetupResult,
  type SystemTool,
  setUp,
  switchVersion,
} from "./setup.ts";
export { type SimulatedRun, simulate } from "./simulate.ts";
export { askStatus, type DriftStatus, type DropStatus, type FabricStatus, type HostStatus } from "./status.ts";
export { message } from "./supervise.ts";
export { DEFAULT_UNDERLAY, parseUnderlay, type Underlay } from "./underlay.ts";
