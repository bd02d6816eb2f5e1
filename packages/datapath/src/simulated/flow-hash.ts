/** Which flow a packet is of, and a number by which flows are spread over next hops. */
import { F, type Row } from "@selvage/pipeline";
import type { Packet } from "./packet.ts";

const flowFields = [
  F.ip4Src,
  F.ip4Dst,
  F.ip6Src,
  F.ip6Dst,
  F.ipProto,
  F.tcpSrc,
  F.tcpDst,
  F.udpSrc,
  F.udpDst,
  F.sctpSrc,
  F.sctpDst,
] as const;

/** What packets of one flow have in common: addresses, protocol and ports. */
export const flowOf = (packet: Packet): string => flowFields.map((field) => packet.read(field) ?? "").join("|");

/** Rendezvous hashing (Thaler, Ravishankar 1998): a member that comes or goes moves no flow but its own. */
export function heaviest(members: readonly Row[], flow: string): Row | undefined {
  let chosen: { readonly row: Row; readonly weight: number } | undefined;
  for (const row of members) {
    const weight = hashOf(`${flow}|${row.id}`);
    if (chosen === undefined || weight > chosen.weight) chosen = { row, weight };
  }
  return chosen?.row;
}

/** FNV-1a of 32 bits, with its bits mixed (murmur3's finalizer), for equal beginnings are usual here. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
