/**
 * What one port may take of what all ports of a host share: every executor of the program holds each port to the same numbers, so that what one guest
 * does takes nothing from another.
 */
import type { ReasonCode } from "@selvage/base";

/** Packets of a kind that a machine may send. */
export type LimitKind = "fragments" | "service";

export interface Limit {
  /** Packets a second. */
  readonly rate: number;
  /** Packets at once. */
  readonly burst: number;
  /** Why what is above them is dropped. */
  readonly reason: ReasonCode;
}

/** Fragments that a host's switch holds until their datagrams are whole: as many as Open vSwitch can (ovs-appctl(8), `dpctl/ipf-set-max-nfrags`). */
export const heldFragments = 5_000;

/**
 * What a port may send of each kind. Fragments of datagrams that never become whole are held for 15 seconds, so that one port holds at most
 * 15 × 60 + 200 of what a host can hold: four may flood at once, and the others still have theirs. 200 are four datagrams of 64 KiB.
 * To the host's services (metadata, names) it sends so many that a machine's start is never slowed.
 */
export const limits: Readonly<Record<LimitKind, Limit>> = {
  fragments: { rate: 60, burst: 200, reason: "fragment-rate" },
  service: { rate: 200, burst: 400, reason: "punt-rate" },
};

/**
 * What comes in by one physical network, of which all senders are one: it holds 15 × 120 + 200 fragments at most, so that with it two ports may flood at once and
 * the others still have theirs.
 */
export const wireLimits: Readonly<Record<"fragments", Omit<Limit, "reason">>> = {
  fragments: { rate: 120, burst: 200 },
};

/** Connections that are tracked for one port at once. */
export const connectionsOfPort = 20_000;
