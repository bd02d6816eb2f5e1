/** What hosts are on physical networks: the MAC that each speaks with, and who of them speaks for an address that is no machine's. */
import { Host, PeerDown, type QueryingView, type View } from "@selvage/model";
import { hashOf } from "./hash.ts";

/** The MAC of all that Selvage itself says from a host on any physical network, so that none is ever on two: locally administered, with the host's key. */
export const hostMac = (key: number): string =>
  `06:53:00:${[16, 8, 0].map((shift) => ((key >>> shift) & 0xff).toString(16).padStart(2, "0")).join(":")}`;

/** The host that speaks with a MAC on physical networks; undefined: it is none of theirs. */
export function hostOfMac(view: View, mac: string): Host | undefined {
  const key = Number.parseInt(mac.replaceAll(":", "").slice(6), 16);
  return hostMac(key) === mac ? view.by(Host.index.key, String(key))[0] : undefined;
}

/** A text's number among all; the last letters of alike texts reach all its bits. */
function scoreOf(text: string): number {
  const hash = hashOf(text);
  const mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b) >>> 0;
  return (mixed ^ (mixed >>> 13)) >>> 0;
}

/** Of several, the one that stands for a subject: the same everywhere, and another only when it goes or a better one comes (rendezvous hashing). */
export function elected<T extends { readonly id: string }>(subject: string, candidates: Iterable<T>): T | undefined {
  let best: T | undefined;
  let most = -1;
  for (const each of candidates) {
    const score = scoreOf(`${subject}|${each.id}`);
    if (score < most || (score === most && best !== undefined && best.id < each.id)) continue;
    best = each;
    most = score;
  }
  return best;
}

/** Of hosts those of the zones that are hinted at; all, where none is there or none is hinted at. */
export function preferred<T extends Pick<Host, "availability_zone">>(
  hosts: readonly T[],
  zones: readonly string[],
): readonly T[] {
  const there = hosts.filter(({ availability_zone }) => zones.includes(availability_zone));
  return there.length > 0 ? there : hosts;
}

/** The hosts that have a physical network and are not known to be away. */
export const hostsWith = (view: QueryingView, physical: string): readonly Host[] =>
  view.by(Host.index.physical, physical).filter((host) => !view.has(PeerDown, host.id));
