/** The testing face of `lab`: labs of bare hosts, and what must be the same on the machine before and after. */

export { until } from "../waiting.ts";
export { type BareLab, type BareLabOptions, bareLab, whyNoLab } from "./bare-lab.ts";
export { type MachineSnapshot, machineSnapshot, processesNaming } from "./machine-snapshot.ts";
