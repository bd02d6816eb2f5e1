/** The question who has an address on a link: ARP's (RFC 826) or neighbour discovery's (RFC 4861 section 7.2.2). */
import { multicastMac, solicitedNode } from "./address.ts";
import { ArpOp } from "./arp.ts";
import type { EthernetSpec } from "./ethernet.ts";
import type { PacketSpec } from "./packet.ts";

export interface WhoHas {
  /** The MAC of who asks, and the tag that the frame bears. */
  readonly eth: Omit<EthernetSpec, "dst" | "type">;
  /** Whom the answer is for; 0.0.0.0 says nothing of who asks (a probe, RFC 5227 section 1.1). */
  readonly source: string;
  readonly target: string;
}

/** What asks the whole link by ARP, and by neighbour discovery the group of the address. Throws EncodeError where `target` is no address. */
export function whoHas({ eth, source, target }: WhoHas): PacketSpec {
  const mac = eth.src;
  if (!target.includes(":"))
    return {
      eth: { ...eth, dst: "ff:ff:ff:ff:ff:ff" },
      arp: { op: ArpOp.request, sha: mac, spa: source, tha: "00:00:00:00:00:00", tpa: target },
    };
  const group = solicitedNode(target);
  return {
    eth: { ...eth, dst: multicastMac(group) },
    ipv6: { src: source, dst: group },
    icmpv6: { kind: "neighbor-solicitation", target, options: [{ kind: "source-link-layer", mac }] },
  };
}
