/** What a port may send of a kind, by a bucket of tokens (OpenFlow 1.5.1, section 5.7.1: a band's rate and burst). */
import { type LimitKind, limits, physicalNetworkOf, wireLimits } from "@selvage/pipeline";

interface Bucket {
  /** Packets that may be sent now. */
  tokens: number;
  /** When that was worked out, milliseconds. */
  at: number;
}

/** Buckets of all ports of a switch, each full when its port first sends. */
export class Rates {
  readonly #now: () => number;
  readonly #buckets = new Map<string, Bucket>();

  /** `now`: a clock in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether one more packet of the kind, that came in there, is within the rate; counts it when it is. */
  admits(ingress: string, kind: LimitKind): boolean {
    const isWire = kind === "fragments" && physicalNetworkOf(ingress) !== undefined;
    const { rate, burst } = isWire ? wireLimits[kind] : limits[kind];
    const now = this.#now();
    const key = `${kind} ${ingress}`;
    const bucket = this.#buckets.get(key) ?? { tokens: burst, at: now };
    this.#buckets.set(key, bucket);
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) * rate) / 1000);
    bucket.at = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }
}
