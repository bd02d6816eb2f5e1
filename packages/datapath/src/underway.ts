/** What a router was about to send on when it met no neighbour: read from the program's fields as any executor holds them, and the same for each. */
import { ipFrom, textOfIp } from "@selvage/model";
import { EthType, F, type Field, type PuntKind } from "@selvage/pipeline";
import { type Punt, underwayFields } from "./datapath.ts";

/** Where the Ethernet type stands in a frame without a tag, as routers have them. */
const typeAt = 12;

/** The part of a punt that says what its packet waits for; nothing for one that does not wait. */
export function waitsOf(kind: PuntKind, read: (field: Field) => bigint, frame: Uint8Array): Pick<Punt, "waits"> {
  if (kind !== "neighbour" || read(F.vrf) === 0n || frame.length < typeAt + 2) return {};
  const type = new DataView(frame.buffer, frame.byteOffset).getUint16(typeAt);
  const nextHop = textOfIp(ipFrom(type === EthType.ipv6 ? 6 : 4, read(F.nh)));
  const [srcPort = 0, srcSet = 0, scope = 0, hop = 0] = underwayFields.map((name) => Number(read(F[name])));
  return { waits: { nextHop, underway: { srcPort, srcSet, scope, hop } } };
}
