/** Numbers of the actions on the wire (OpenFlow 1.5.1, section 7.2.6.1; the Nicira subtypes as ovs-actions(7) names the actions). */

/** Nicira's experimenter number, under which Open vSwitch's extensions go. */
export const niciraVendor = 0x0000_2320;

/** Standard action types. */
export const ActionType = {
  output: 0,
  pushVlan: 17,
  popVlan: 18,
  setQueue: 21,
  group: 22,
  setTtl: 23,
  decTtl: 24,
  setField: 25,
  copyField: 28,
  meter: 29,
  experimenter: 0xffff,
} as const;

/** Nicira action subtypes. */
export const NiciraAction = {
  resubmit: 1,
  popQueue: 5,
  note: 8,
  resubmitTable: 14,
  learn: 16,
  exit: 17,
  controller: 20,
  stackPush: 27,
  stackPop: 28,
  outputField: 32,
  conjunction: 34,
  ct: 35,
  nat: 36,
  controller2: 37,
  outputTruncated: 39,
  clone: 42,
  ctClear: 43,
  resubmitTableCt: 44,
  learn2: 45,
  checkPacketLarger: 49,
} as const;

/** Properties of the `controller` action. */
export const ControllerProperty = {
  maxLength: 0,
  controllerId: 1,
  reason: 2,
  userdata: 3,
  pause: 4,
  meter: 5,
} as const;

/** Flags of `ct`. */
export const CtFlag = { commit: 1, force: 2 } as const;

/** In `ct`, the table that means no recirculation. */
export const noRecirculation = 0xff;

/** Flags of `nat`. */
export const NatFlag = { source: 1, destination: 2, persistent: 4, hash: 8, random: 16 } as const;

/** Which parts of a `nat` range are present. */
export const NatRange = { ipv4Min: 1, ipv4Max: 2, ipv6Min: 4, ipv6Max: 8, portMin: 16, portMax: 32 } as const;

/** Bits of the header of a `learn` specification: number of bits below, source and destination kinds above. */
export const LearnHeader = {
  bits: 0x3ff,
  match: 0,
  load: 0x0800,
  output: 0x1000,
  target: 0x1800,
  immediate: 0x2000,
} as const;
