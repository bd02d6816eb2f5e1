/** What is done to a finished frame before it is sent: tags, bits, lengths and types as no sound sender would have them (IEEE 802.3, clause 3). */
import { Frame, fieldBits } from "@selvage/packet";
import fc from "fast-check";
import { mostly } from "./draw.ts";
import { mtus } from "./topology.ts";

/** What is done to a finished frame. */
export type Damage =
  | { readonly do: "tag"; readonly protocol: number; readonly tci: number }
  | { readonly do: "cut"; readonly to: number }
  | { readonly do: "flip"; readonly at: number; readonly bits: number }
  | { readonly do: "pad"; readonly bytes: number }
  /** Brings it to the size of a full packet of some network, or so many bytes more. */
  | { readonly do: "fill"; readonly mtu: (typeof mtus)[number]; readonly more: -1 | 0 | 1 | 4 }
  | { readonly do: "set"; readonly field: (typeof settable)[number]; readonly value: 0 | 1 | "ones" }
  | { readonly do: "type"; readonly type: number }
  /** A length in the place of the type, which follows in a SNAP header (IEEE 802.2; RFC 1042). */
  | { readonly do: "snap"; readonly organization: number }
  /** A header of eight bytes behind that of IPv6 (RFC 8200, section 4), by its number; `word` stands where a fragment has its offset. */
  | { readonly do: "extend"; readonly header: number; readonly word: number };

const settable = [
  "eth_src",
  "eth_dst",
  "arp_op",
  "arp_spa",
  "arp_tpa",
  "arp_sha",
  "arp_tha",
  "ip_src",
  "ip_dst",
  "ip_ttl",
  "ip_dscp",
  "ip_ecn",
  "ipv6_src",
  "ipv6_dst",
  "ipv6_label",
  "tcp_src",
  "udp_src",
  "udp_dst",
  "icmp_type",
  "icmpv6_type",
  "icmpv6_code",
  "nd_target",
] as const;

/** Every kind of damage. */
export const damages: fc.Arbitrary<Damage> = fc.oneof(
  fc.record({
    do: fc.constant("tag" as const),
    protocol: mostly(0x8100, 0x88a8),
    tci: fc.constantFrom(0, 1, 0xfff, 0x2064, 0x1000, 0xffff),
  }),
  fc.record({ do: fc.constant("cut" as const), to: fc.integer({ min: 14, max: 90 }) }),
  fc.record({ do: fc.constant("flip" as const), at: fc.nat(80), bits: fc.integer({ min: 1, max: 255 }) }),
  fc.record({ do: fc.constant("pad" as const), bytes: fc.integer({ min: 1, max: 46 }) }),
  fc.record({
    do: fc.constant("fill" as const),
    mtu: fc.constantFrom(...mtus),
    more: fc.constantFrom<(-1 | 0 | 1 | 4)[]>(-1, 0, 1, 4),
  }),
  fc.record({
    do: fc.constant("set" as const),
    field: fc.oneof(fc.constant("ip_ttl" as const), fc.constantFrom(...settable)),
    value: fc.constantFrom<(0 | 1 | "ones")[]>(0, 1, "ones"),
  }),
  fc.record({ do: fc.constant("snap" as const), organization: mostly(0, 1) }),
  fc.record({
    do: fc.constant("extend" as const),
    header: fc.constantFrom(0, 43, 44, 50, 51, 59, 60, 135, 139, 140, 253),
    word: fc.constantFrom(0, 1, 8, 0xffff),
  }),
  fc.record({
    do: fc.constant("type" as const),
    type: fc.oneof(
      fc.constantFrom(0, 46, 0x05ff, 0x0600, 0x0800, 0x0806, 0x8035, 0x86dd, 0x8847, 0x88cc, 0x894f, 0x9100, 0xffff),
      fc.nat(0xffff),
    ),
  }),
);

/** A frame with the damage done to it; the given one stays as it is. */
export function damaged(frame: Uint8Array, damage: Damage): Uint8Array {
  switch (damage.do) {
    case "tag": {
      const { protocol, tci } = damage;
      const tag = Uint8Array.of(protocol >> 8, protocol & 255, tci >> 8, tci & 255);
      return Buffer.concat([frame.subarray(0, 12), tag, frame.subarray(12)]);
    }
    case "cut":
      return frame.subarray(0, Math.max(14, damage.to));
    case "flip": {
      const flipped = Uint8Array.from(frame);
      const at = damage.at % frame.length;
      flipped[at] = (flipped[at] ?? 0) ^ damage.bits;
      return flipped;
    }
    case "pad":
      return Buffer.concat([frame, new Uint8Array(damage.bytes)]);
    case "fill": {
      const filled = new Uint8Array(14 + damage.mtu + damage.more);
      filled.set(frame.subarray(0, filled.length));
      return filled;
    }
    case "set": {
      const held = new Frame(frame);
      const ones = (1n << BigInt(fieldBits[damage.field])) - 1n;
      held.setBits(damage.field, damage.value === "ones" ? ones : BigInt(damage.value));
      return held.toBytes();
    }
    case "snap": {
      const length = frame.length - 14 + 8;
      const header = Uint8Array.of(length >> 8, length & 255, 0xaa, 0xaa, 3, 0, 0, damage.organization);
      return Buffer.concat([frame.subarray(0, 12), header, frame.subarray(12)]);
    }
    case "extend": {
      const { header, word } = damage;
      if (frame.length < 54 || frame[12] !== 0x86 || frame[13] !== 0xdd) return frame;
      const length = (frame[18] ?? 0) * 256 + (frame[19] ?? 0) + 8;
      const extended = Buffer.concat([
        frame.subarray(0, 54),
        Uint8Array.of(frame[20] ?? 0, 0, word >> 8, word & 255, 0, 0, 0, 0),
        frame.subarray(54),
      ]);
      extended.set([(length >> 8) & 255, length & 255, header], 18);
      return extended;
    }
    case "type": {
      const typed = Uint8Array.from(frame);
      typed[12] = damage.type >> 8;
      typed[13] = damage.type & 255;
      return typed;
    }
  }
}
