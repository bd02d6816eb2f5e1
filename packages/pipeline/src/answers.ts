/** Steps that turn a question round into its answer: a ping (RFC 792, RFC 4443) and an ARP request (RFC 826). What follows them sends it. */
import { F, type Field } from "./fields.ts";
import { constant, contentsOf, type Step, set } from "./table.ts";

/** To an address of a router's own: the answer is from there, with its type, and bears the MACs the other way round. */
const ping = (address: Field, other: Field, type: Step): readonly Step[] => [
  set(F.nh, contentsOf(address)),
  set(address, contentsOf(other)),
  set(other, contentsOf(F.nh)),
  type,
  set(F.ttl, constant(64)),
  set(F.nhMac, contentsOf(F.ethSrc)),
  set(F.ethSrc, contentsOf(F.ethDst)),
  set(F.ethDst, contentsOf(F.nhMac)),
];

/** By family. */
export const pingAnswer = {
  4: ping(F.ip4Dst, F.ip4Src, set(F.icmpType, constant(0))),
  6: ping(F.ip6Dst, F.ip6Src, set(F.icmp6Type, constant(129))),
} as const;

/** `nh` has the address that is asked for, `nhMac` its MAC. */
export const arpAnswer: readonly Step[] = [
  set(F.arpOp, constant(2)),
  set(F.arpTha, contentsOf(F.arpSha)),
  set(F.arpTpa, contentsOf(F.arpSpa)),
  set(F.arpSha, contentsOf(F.nhMac)),
  set(F.arpSpa, contentsOf(F.nh)),
  set(F.ethDst, contentsOf(F.ethSrc)),
  set(F.ethSrc, contentsOf(F.nhMac)),
];
