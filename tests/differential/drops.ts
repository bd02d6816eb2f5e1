/** Drops that simulated and real switches count, by host and reason, and how far the counts may be apart for what a real switch counts otherwise. */
import type { ReasonCode } from "@selvage/base";
import { Frame } from "@selvage/packet";
import { Quotation } from "@selvage/pipeline";
import type { SimulatedEnd } from "./simulated-side.ts";
import { hostCount, hostName } from "./topology.ts";

type Counts = ReadonlyMap<ReasonCode, number>;

/** How many more drops of a reason, or fewer, the real switch of a host may count. */
interface Slack {
  more(reason: ReasonCode): number;
  fewer(reason: ReasonCode): number;
}

/**
 * What a real switch counts otherwise. It credits what follows a measured length for both outcomes with each packet (ovs-actions(7), "check_pkt_larger"), so
 * that for each frame that is too large another drop may be counted too, and for each error of which it measures how much it quotes. Fragments that it gives
 * up (`abandoned`, by host, since it was started) go on behind whatever is tracked next, and are dropped as invalid. Of a datagram in fragments that is
 * dropped it need not count each. A packet of which was guessed by which next hop it went may have been dropped by another's reason.
 */
export function slacksOf(ends: readonly SimulatedEnd[], abandoned: readonly number[]): readonly Slack[] {
  const guesses = ends.filter(({ isGuess }) => isGuess).length;
  return Array.from({ length: hostCount }, (_, host) => {
    let twofold = 0;
    const pieces = new Map<ReasonCode, number>();
    for (const { entries } of ends) {
      for (const { host: at, frame, trace } of entries) {
        if (at !== host) continue;
        const drops = trace.outcomes.flatMap((outcome) => (outcome.kind === "drop" ? [outcome.reason] : []));
        twofold += drops.filter((reason) => reason === "mtu-exceeded").length;
        twofold += trace.visits.filter(({ table }) => table === Quotation.name).length;
        if (drops.length < 2 || !isFragment(frame)) continue;
        for (const reason of new Set(drops)) {
          const count = drops.filter((each) => each === reason).length - 1;
          pieces.set(reason, (pieces.get(reason) ?? 0) + count);
        }
      }
    }
    return {
      more: (reason) =>
        guesses + (reason === "mtu-exceeded" ? 0 : twofold) + (reason === "ct-invalid" ? (abandoned[host] ?? 0) : 0),
      fewer: (reason) => guesses + (pieces.get(reason) ?? 0),
    };
  });
}

const isFragment = (bytes: Uint8Array): boolean => {
  const frame = new Frame(bytes);
  return frame.has("ip_frag") && frame.get("ip_frag") !== 0;
};

/** Drops that the two sides count differently, and not for what `slacks` allow. */
export function miscounts(
  simulated: readonly Counts[],
  real: readonly Counts[],
  slacks: readonly Slack[],
): readonly string[] {
  return simulated.flatMap((expected, host) => {
    const found: Counts = real[host] ?? new Map();
    const slack = slacks[host];
    return [...new Set([...expected.keys(), ...found.keys()])].flatMap((reason) => {
      const [wanted, counted] = [expected.get(reason) ?? 0, found.get(reason) ?? 0];
      const isRight = counted >= wanted - (slack?.fewer(reason) ?? 0) && counted <= wanted + (slack?.more(reason) ?? 0);
      return isRight ? [] : [`${hostName(host)} ${reason}: ${wanted} simulated, ${counted} real`];
    });
  });
}
