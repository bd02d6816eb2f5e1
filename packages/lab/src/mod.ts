/** The face of `lab`: setup of the machine, hosts in network namespaces with a switch each, the whole fabric up and down. */

export { LabError, type LabErrorCode } from "./failure.ts";
export {
  findCommand,
  missingTools,
  type Purpose,
  type SetupResult,
  type SystemTool,
  setUp,
  switchVersion,
} from "./setup.ts";
