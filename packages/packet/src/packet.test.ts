/** The whole codec: round trips of arbitrary packets, mutation and truncation, known captures, and tcpdump's opinion of our bytes. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EncodeError, fromHex } from "./bytes.ts";
import { checksum } from "./checksum.ts";
import { decode, encode, type Packet, type PacketSpec } from "./packet.ts";
import { summary } from "./summary.ts";
import { packets, specs } from "./testing/arbitraries.ts";
import { tcpdump } from "./testing/pcap.ts";

const bytesOf = (hex: string): Uint8Array => fromHex(hex.replaceAll(/\s/g, ""), "hex");

/** The packet in bytes that must be well formed. */
function good(bytes: Uint8Array): Packet {
  const decoded = decode(bytes);
  assert.ok(decoded.ok, summary(decoded));
  return decoded.packet;
}

function fault(bytes: Uint8Array): string {
  const decoded = decode(bytes);
  assert.ok(!decoded.ok, summary(decoded));
  return `${decoded.malformed.layer} ${decoded.malformed.reason} ${decoded.malformed.offset}`;
}

const eth = { src: "fa:16:3e:00:00:01", dst: "fa:16:3e:00:00:02" };
const ip4 = { src: "10.0.0.1", dst: "10.0.0.2" };
const ip6 = { src: "2001:db8::1", dst: "2001:db8::2" };

test("every packet comes back from its bytes unchanged", () => {
  fc.assert(
    fc.property(packets, (packet) => {
      assert.deepEqual(decode(encode(packet)), { ok: true, packet });
    }),
    { numRuns: 1500 },
  );
});

test("types and protocols that layers imply need not be said", () => {
  fc.assert(
    fc.property(specs, ({ spec, packet }) => {
      assert.deepEqual(encode(spec), encode(packet));
    }),
    { numRuns: 200 },
  );
});

test("whatever the bytes, decode answers, places its fault inside them, and writes back what it understood", () => {
  const mutation = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(packets, mutation, fc.option(fc.nat(), { nil: undefined }), (packet, changes, cut) => {
      const bytes = encode(packet);
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      const input = cut === undefined ? bytes : bytes.subarray(0, cut % (bytes.length + 1));
      for (const checksums of ["verify", "ignore"] as const) {
        const decoded = decode(input, { checksums });
        assert.ok(!summary(decoded).includes("\n"));
        if (!decoded.ok) {
          assert.ok(decoded.malformed.offset >= 0 && decoded.malformed.offset <= input.length);
          continue;
        }
        // Padding, ignored bits and the order of options may be lost, meaning may not.
        const again = encode(decoded.packet);
        assert.deepEqual(good(again), decoded.packet);
      }
    }),
    { numRuns: 3000 },
  );
});

test("random bytes behind a right Ethernet header never throw", () => {
  const types = fc.constantFrom(0x0800, 0x0806, 0x86dd, 0x8100);
  fc.assert(
    fc.property(types, fc.uint8Array({ maxLength: 200 }), (type, rest) => {
      const bytes = encode({ eth: { ...eth, type }, payload: rest });
      assert.equal(typeof decode(bytes).ok, "boolean");
    }),
    { numRuns: 2000 },
  );
});

test("a flipped bit that a checksum covers is found", () => {
  const covered = packets.filter((packet) => {
    const { icmp, icmpv6, tcp, udp } = packet;
    return (icmp ?? icmpv6 ?? tcp ?? udp) !== undefined;
  });
  fc.assert(
    fc.property(covered, fc.nat(), fc.integer({ min: 0, max: 7 }), (packet, where, bit) => {
      const bytes = encode(packet);
      const start = good(bytes).ipv4 === undefined ? bytes.length - 4 : (packet.eth.vlan === undefined ? 14 : 18) + 12;
      const at = start + (where % (packet.ipv4 === undefined ? 4 : 8));
      bytes[at] = bytes[at]! ^ (1 << bit);
      assert.equal(decode(bytes).ok, false);
    }),
    { numRuns: 300 },
  );
});

test("captured packets are read as what they are", () => {
  // RFC 1071-style IPv4 header example: the checksum 0xb861 of this header is well known.
  const header = bytesOf("45000073000040004011b861c0a80001c0a800c7");
  assert.equal(checksum(header, 0, 20), 0);

  const arp = bytesOf(
    "ffffffffffff 001122334455 0806 0001 0800 06 04 0001 001122334455 c0a80001 000000000000 c0a80002",
  );
  assert.deepEqual(good(arp), {
    eth: { src: "00:11:22:33:44:55", dst: "ff:ff:ff:ff:ff:ff", type: 0x0806 },
    arp: { op: 1, sha: "00:11:22:33:44:55", spa: "192.168.0.1", tha: "00:00:00:00:00:00", tpa: "192.168.0.2" },
    payload: new Uint8Array(0),
  });

  // A ping of Linux: echo request, id 1, sequence 1, 8 bytes of data, padded by the card to 60.
  const ping = encode({
    eth,
    ipv4: ip4,
    icmp: { kind: "echo-request", id: 1, sequence: 1 },
    payload: bytesOf("6162636465666768"),
  });
  const padded = new Uint8Array(60);
  padded.set(ping);
  assert.equal(
    Buffer.from(ping.subarray(14)).toString("hex"),
    "4500002400000000400166d70a0000010a00000208006668000100016162636465666768",
  );
  assert.deepEqual(good(padded), good(ping));
});

test("zero stands in every field that may be zero", () => {
  const zero: Packet = {
    eth: {
      src: "00:00:00:00:00:00",
      dst: "00:00:00:00:00:00",
      type: 0x0800,
      vlan: { id: 0, priority: 0, dropEligible: false },
    },
    ipv4: {
      src: "0.0.0.0",
      dst: "0.0.0.0",
      protocol: 1,
      ttl: 0,
      dscp: 0,
      ecn: 0,
      id: 0,
      dontFragment: false,
      moreFragments: false,
      fragmentOffset: 0,
      options: new Uint8Array(0),
    },
    icmp: { kind: "echo-reply", id: 0, sequence: 0 },
    payload: new Uint8Array(0),
  };
  assert.deepEqual(good(encode(zero)), zero);
  const unassigned: PacketSpec = { eth, ipv4: { ...ip4, protocol: 0 } };
  assert.equal(good(encode(unassigned)).ipv4?.protocol, 0);
  const ports = good(encode({ eth, ipv6: { src: "::", dst: "::", hopLimit: 0 }, udp: { src: 0, dst: 0 } }));
  assert.deepEqual([ports.ipv6?.hopLimit, ports.ipv6?.src, ports.udp], [0, "::", { src: 0, dst: 0 }]);
});

test("what lies and what is cut is refused, with its place, and the outer layers are kept", () => {
  const udp = encode({ eth, ipv4: ip4, udp: { src: 1, dst: 2 }, payload: bytesOf("0102") });
  const patched = (bytes: Uint8Array, at: number, ...values: number[]): Uint8Array => {
    const copy = bytes.slice();
    copy.set(values, at);
    return copy;
  };
  assert.equal(fault(udp.subarray(0, 13)), "ethernet truncated 12");
  assert.equal(fault(udp.subarray(0, 33)), "ipv4 truncated 14");
  assert.equal(fault(udp.subarray(0, -1)), "ipv4 truncated 16");
  assert.equal(fault(patched(udp, 14, 0x55)), "ipv4 version 14");
  assert.equal(fault(patched(udp, 14, 0x44)), "ipv4 length 14");
  assert.equal(fault(patched(udp, 22, 63)), "ipv4 checksum 24");
  assert.equal(fault(patched(udp, 38, 0, 7)), "udp length 38");
  assert.equal(fault(patched(udp, 38, 0, 11)), "udp truncated 38");
  assert.equal(fault(patched(udp, 42, 9)), "udp checksum 40");
  const decoded = decode(patched(udp, 42, 9));
  assert.equal(decoded.ok ? undefined : decoded.before?.ipv4?.dst, "10.0.0.2");
  assert.equal(decode(patched(udp, 42, 9), { checksums: "ignore" }).ok, true);
  // No checksum is none over IPv4, and a fault over IPv6.
  assert.equal(decode(patched(udp, 40, 0, 0)).ok, true);
  const udp6 = encode({ eth, ipv6: ip6, udp: { src: 1, dst: 2 } });
  assert.equal(fault(patched(udp6, 60, 0, 0)), "udp checksum 60");
  const tunnel6 = encode({ eth, ipv6: ip6, udp: { src: 1, dst: 4789 }, vxlan: { vni: 0 } });
  assert.equal(decode(patched(tunnel6, 60, 0, 0)).ok, true);
  assert.equal(fault(patched(tunnel6, 60, 0, 0, 0)), "vxlan value 62");
});

test("a UDP checksum that sums to zero goes out as all ones", () => {
  const spec = (value: number): PacketSpec => ({
    eth,
    ipv4: ip4,
    udp: { src: 1, dst: 2 },
    payload: Uint8Array.of(value >>> 8, value & 0xff),
  });
  const base = encode(spec(0));
  const sum = (base[40]! << 8) | base[41]!;
  const bytes = encode(spec(sum));
  assert.deepEqual([...bytes.subarray(40, 42)], [0xff, 0xff]);
  assert.equal(decode(bytes).ok, true);
  // Over IPv6 a 0 is refused even where it is what the sum comes to, for it says that there is no checksum.
  const spec6 = (value: number): PacketSpec => ({
    eth,
    ipv6: ip6,
    udp: { src: 1, dst: 2 },
    payload: Uint8Array.of(value >>> 8, value & 0xff),
  });
  const base6 = encode(spec6(0));
  const bytes6 = encode(spec6((base6[60]! << 8) | base6[61]!));
  assert.deepEqual([...bytes6.subarray(60, 62)], [0xff, 0xff]);
  bytes6.fill(0, 60, 62);
  assert.equal(fault(bytes6), "udp checksum 60");
});

test("what contradicts itself is not encoded", () => {
  const refused: readonly (readonly [string, PacketSpec])[] = [
    ["eth.type", { eth: { ...eth, type: 0x0806 }, ipv4: { ...ip4, protocol: 6 } }],
    ["eth.type", { eth }],
    ["ipv4.protocol", { eth, ipv4: ip4 }],
    ["ipv4.protocol", { eth, ipv4: { ...ip4, protocol: 6 }, udp: { src: 1, dst: 2 } }],
    ["ipv4.fragmentOffset", { eth, ipv4: { ...ip4, moreFragments: true }, udp: { src: 1, dst: 2 } }],
    ["ipv4.fragmentOffset", { eth, ipv4: { ...ip4, protocol: 17, fragmentOffset: 65528 }, payload: new Uint8Array(9) }],
    ["ipv4.ttl", { eth, ipv4: { ...ip4, protocol: 6, ttl: 256 } }],
    ["ipv4.src", { eth, ipv4: { ...ip4, protocol: 6, src: "10.0.0.256" } }],
    ["ipv4.length", { eth, ipv4: { ...ip4, protocol: 6 }, payload: new Uint8Array(65536) }],
    ["ipv6.flowLabel", { eth, ipv6: { ...ip6, protocol: 6, flowLabel: 1 << 20 } }],
    [
      "ipv6.extensions",
      {
        eth,
        ipv6: { ...ip6, extensions: [{ kind: "fragment", offset: 8, more: false, id: 0 }] },
        udp: { src: 1, dst: 2 },
      },
    ],
    ["eth.vlan.id", { eth: { ...eth, type: 1, vlan: { id: 4096 } } }],
    ["eth.src", { eth: { ...eth, src: "fa:16:3e:00:00", type: 1 } }],
    ["udp.dst", { eth, ipv4: ip4, udp: { src: 1, dst: 2 }, vxlan: { vni: 1 } }],
    ["vxlan.vni", { eth, ipv4: ip4, udp: { src: 1, dst: 4789 }, vxlan: { vni: 1 << 24 } }],
    ["payload", { eth, ipv6: ip6, icmpv6: { kind: "router-solicitation", options: [] }, payload: Uint8Array.of(1) }],
  ];
  for (const [field, spec] of refused) {
    assert.throws(
      () => encode(spec),
      (error) => error instanceof EncodeError && error.field === field,
      field,
    );
  }
});

test("IPv6 extension headers are stepped over, and upper layers of fragments and routed packets left alone", () => {
  const hop = { kind: "hop-by-hop", data: bytesOf("050200000000") } as const;
  const atomic = { kind: "fragment", offset: 0, more: false, id: 7 } as const;
  const whole = good(encode({ eth, ipv6: { ...ip6, extensions: [hop, atomic] }, udp: { src: 5, dst: 6 } }));
  assert.deepEqual([whole.ipv6?.extensions, whole.ipv6?.protocol, whole.udp], [[hop, atomic], 17, { src: 5, dst: 6 }]);
  const later = good(
    encode({ eth, ipv6: { ...ip6, protocol: 17, extensions: [{ ...atomic, offset: 1280 }] }, payload: bytesOf("00") }),
  );
  assert.deepEqual([later.ipv6?.protocol, later.udp, later.payload.length], [17, undefined, 1]);
  const routed = good(
    encode({ eth, ipv6: { ...ip6, protocol: 6, extensions: [{ kind: "routing", data: bytesOf("020100000000") }] } }),
  );
  assert.deepEqual([routed.ipv6?.protocol, routed.tcp], [6, undefined]);
  const mobility = bytesOf("3a01000000000000");
  const ended = good(encode({ eth, ipv6: { ...ip6, protocol: 135 }, payload: mobility }));
  assert.deepEqual([ended.ipv6?.extensions, ended.ipv6?.protocol, ended.payload], [[], 135, mobility]);
  // Fragments may not end beyond 65,535 bytes: the offsets are the largest that there are.
  const last = encode({ eth, ipv4: { ...ip4, protocol: 17, fragmentOffset: 65528 }, payload: new Uint8Array(7) });
  last[17] = 28;
  assert.equal(fault(Uint8Array.of(...last, 0)), "ipv4 length 20");
  const last6 = encode({
    eth,
    ipv6: { ...ip6, protocol: 17, extensions: [{ ...atomic, offset: 65528 }] },
    payload: new Uint8Array(7),
  });
  last6[19] = 16;
  assert.equal(fault(Uint8Array.of(...last6, 0)), "ipv6 length 56");
  const misplaced = encode({
    eth,
    ipv6: { ...ip6, protocol: 0, extensions: [atomic] },
    payload: bytesOf("3b00050200000000"),
  });
  assert.equal(fault(misplaced), "ipv6 value 62");
});

test("tcpdump finds no fault in what we encode", () => {
  const samples = fc.sample(packets, { seed: 20, numRuns: 800 });
  // Left out is what tcpdump takes apart and we fill with arbitrary bytes: options, inner frames, the bodies of errors.
  const clean = samples.filter((packet) => {
    const { ipv4, ipv6, tcp, udp, icmp, icmpv6, vxlan, geneve } = packet;
    const upper =
      tcp ?? udp ?? (icmp?.kind.startsWith("echo") ? icmp : icmpv6?.kind.startsWith("echo") ? icmpv6 : undefined);
    const bare =
      (ipv4?.options ?? tcp?.options ?? []).length === 0 &&
      (tcp?.options ?? []).length === 0 &&
      (ipv6?.extensions ?? []).length === 0;
    return upper !== undefined && bare && vxlan === undefined && geneve === undefined && packet.dhcpv6 === undefined;
  });
  assert.ok(clean.length > 60, `${clean.length}`);
  const lines = tcpdump(clean.map(encode));
  assert.equal(lines.length, clean.length);
  let verified = 0;
  for (const [n, line] of lines.entries()) {
    assert.doesNotMatch(
      line,
      /bad (udp )?cksum|wrong icmp|incorrect|truncated-ip|bad-len/i,
      `${line}\n${summary(clean[n]!)}`,
    );
    if (/sum ok|\(correct\)/.test(line)) verified++;
  }
  assert.ok(verified > 30, `tcpdump verified ${verified} checksums`);
});
