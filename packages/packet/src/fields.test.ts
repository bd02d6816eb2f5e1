/** Single fields: they agree with the decoded tree, setting them keeps every checksum right, and a solicitation becomes an advertisement. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ipv6Bytes, macBytes } from "./address.ts";
import { EncodeError } from "./bytes.ts";
import { EtherType } from "./ethernet.ts";
import { type FieldName, Fragment, Frame, fieldBits, fieldNames } from "./fields.ts";
import { decode, encode, type Packet, type PacketSpec } from "./packet.ts";
import { packets } from "./testing/arbitraries.ts";

const big = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
const mac = (text: string): bigint => big(macBytes(text));
const ip6 = (text: string): bigint => big(ipv6Bytes(text));

type ReadOnly = "eth_type" | "ip_proto" | "ip_frag" | "sctp_src" | "sctp_dst";
type Settable = Exclude<FieldName, ReadOnly>;
const readOnly: readonly string[] = ["eth_type", "ip_proto", "ip_frag", "sctp_src", "sctp_dst"] satisfies ReadOnly[];
const settable = fieldNames.filter((name): name is Settable => !readOnly.includes(name));

const eth = { src: "fa:16:3e:00:00:01", dst: "fa:16:3e:00:00:02" };

function good(bytes: Uint8Array): Packet {
  const decoded = decode(bytes);
  assert.ok(decoded.ok, JSON.stringify(decoded));
  return decoded.packet;
}

test("fields agree with the tree, and exactly those of present layers are there", () => {
  fc.assert(
    fc.property(packets, (packet) => {
      const frame = new Frame(encode(packet));
      const { arp, ipv4, ipv6, udp, tcp, icmp, icmpv6 } = packet;
      const ip = ipv4 ?? ipv6;
      assert.equal(frame.get("eth_src"), mac(packet.eth.src));
      assert.equal(frame.get("eth_type"), packet.eth.type);
      assert.equal(frame.get("vlan_vid"), packet.eth.vlan?.id);
      assert.equal(frame.get("vlan_pcp"), packet.eth.vlan?.priority);
      assert.equal(frame.get("arp_op"), arp?.op);
      assert.equal(frame.get("arp_tha"), arp && mac(arp.tha));
      assert.equal(frame.get("ip_proto"), ip?.protocol);
      assert.equal(frame.get("ip_ttl"), ipv4?.ttl ?? ipv6?.hopLimit);
      assert.equal(frame.get("ip_dscp"), ip?.dscp);
      assert.equal(frame.get("ip_ecn"), ip?.ecn);
      assert.equal(frame.get("ipv6_dst"), ipv6 && ip6(ipv6.dst));
      assert.equal(frame.get("ipv6_label"), ipv6?.flowLabel);
      if (udp !== undefined) assert.equal(frame.get("udp_src"), udp.src);
      if (tcp !== undefined) assert.deepEqual([frame.get("tcp_dst"), frame.get("tcp_flags")], [tcp.dst, tcp.flags]);
      // A first fragment has the fields of its upper layer, of which the tree says nothing.
      if (frame.get("ip_frag") === Fragment.first) return;
      assert.equal(frame.has("icmp_type"), icmp !== undefined);
      assert.equal(frame.has("icmpv6_code"), icmpv6 !== undefined);
      const target = icmpv6 !== undefined && "target" in icmpv6 ? icmpv6.target : undefined;
      assert.equal(frame.get("nd_target"), target === undefined ? undefined : ip6(target));
      assert.equal(
        frame.get("nd_override"),
        icmpv6?.kind === "neighbor-advertisement" ? Number(icmpv6.override) : undefined,
      );
    }),
    { numRuns: 600 },
  );
});

test("whatever is set is read back, nothing else that is independent changes, and checksums stay right", () => {
  fc.assert(
    fc.property(
      packets,
      fc.array(fc.tuple(fc.constantFrom(...settable), fc.bigInt({ min: 0n, max: (1n << 128n) - 1n })), {
        maxLength: 8,
      }),
      (packet, changes) => {
        const frame = new Frame(encode(packet));
        for (const [name, random] of changes) {
          const value = random & ((1n << BigInt(fieldBits[name])) - 1n);
          const there = frame.has(name);
          const before = frame.getBits("ip_proto");
          assert.equal(frame.setBits(name, value), there);
          assert.equal(frame.getBits("ip_proto"), before);
          if (there && name !== "nd_options_type") assert.equal(frame.getBits(name), value, name);
        }
        const decoded = decode(frame.toBytes());
        assert.ok(decoded.ok || decoded.malformed.reason !== "checksum", JSON.stringify(decoded));
      },
    ),
    { numRuns: 1500 },
  );
});

test("a frame of any bytes has the fields it has and never reaches beyond its end", () => {
  const mutation = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 6 });
  fc.assert(
    fc.property(packets, mutation, fc.nat(), (packet, changes, cut) => {
      const bytes = encode(packet);
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      const frame = new Frame(bytes.subarray(0, 14 + (cut % (bytes.length - 13))));
      const { length } = frame;
      for (const name of fieldNames) {
        const value = frame.getBits(name);
        assert.equal(value !== undefined, frame.has(name), name);
        if (value !== undefined) assert.ok(value >> BigInt(fieldBits[name]) === 0n);
      }
      for (const name of settable) frame.setBits(name, 0n);
      assert.equal(frame.length, length);
    }),
    { numRuns: 1000 },
  );
});

test("a solicitation is turned into its advertisement in place", () => {
  const ours = "fa:16:3e:aa:bb:cc";
  const asked = encode({
    eth: { src: eth.src, dst: "33:33:ff:00:00:02" },
    ipv6: { src: "2001:db8::1", dst: "ff02::1:ff00:2" },
    icmpv6: {
      kind: "neighbor-solicitation",
      target: "2001:db8::2",
      options: [{ kind: "source-link-layer", mac: eth.src }],
    },
  });
  const frame = new Frame(asked);
  const asker = frame.get("ipv6_src") ?? 0n;
  assert.equal(frame.get("nd_sll"), mac(eth.src));
  assert.equal(frame.has("nd_router"), false);
  assert.ok(frame.set("eth_dst", frame.get("eth_src") ?? 0n) && frame.set("eth_src", mac(ours)));
  assert.ok(frame.set("ipv6_dst", asker) && frame.set("ipv6_src", ip6("2001:db8::2")));
  assert.ok(frame.set("icmpv6_type", 136) && frame.set("nd_options_type", 2));
  assert.ok(
    frame.set("nd_tll", mac(ours)) &&
      frame.set("nd_router", 0) &&
      frame.set("nd_solicited", 1) &&
      frame.set("nd_override", 1),
  );
  const wanted: PacketSpec = {
    eth: { src: ours, dst: eth.src },
    ipv6: { src: "2001:db8::2", dst: "2001:db8::1" },
    icmpv6: {
      kind: "neighbor-advertisement",
      router: false,
      solicited: true,
      override: true,
      target: "2001:db8::2",
      options: [{ kind: "target-link-layer", mac: ours }],
    },
  };
  assert.deepEqual(frame.toBytes(), encode(wanted));
});

test("an ARP request is turned into its reply in place", () => {
  const frame = new Frame(
    encode({ eth, arp: { op: 1, sha: eth.src, spa: "10.0.0.1", tha: "00:00:00:00:00:00", tpa: "10.0.0.2" } }),
  );
  const [sha, spa, tpa] = [frame.get("arp_sha") ?? 0n, frame.get("arp_spa") ?? 0, frame.get("arp_tpa") ?? 0];
  assert.ok(
    frame.set("arp_op", 2) &&
      frame.set("arp_tha", sha) &&
      frame.set("arp_tpa", spa) &&
      frame.set("arp_spa", tpa) &&
      frame.set("arp_sha", mac(eth.dst)),
  );
  assert.deepEqual(good(frame.toBytes()).arp, { op: 2, sha: eth.dst, spa: "10.0.0.2", tha: eth.src, tpa: "10.0.0.1" });
});

test("fragments rewritten one by one still sum up when put together", () => {
  const whole = encode({
    eth,
    ipv4: { src: "10.0.0.1", dst: "10.0.0.2", id: 9 },
    udp: { src: 1000, dst: 2000 },
    payload: new Uint8Array(24).fill(7),
  });
  const body = good(whole);
  const udp = whole.subarray(34);
  const part = (fragmentOffset: number, end: number): Frame =>
    new Frame(
      encode({
        eth,
        ipv4: { ...body.ipv4!, fragmentOffset, moreFragments: end < udp.length },
        payload: udp.subarray(fragmentOffset, end),
      }),
    );
  const [first, later] = [part(0, 16), part(16, 32)];
  assert.deepEqual(
    [first.get("ip_frag"), later.get("ip_frag"), new Frame(whole).get("ip_frag")],
    [Fragment.first, Fragment.later, Fragment.none],
  );
  assert.deepEqual([first.get("udp_dst"), later.get("udp_dst")], [2000, undefined]);
  for (const frame of [first, later]) frame.set("ip_src", 0xc0000201);
  first.set("udp_src", 0);
  assert.equal(later.set("udp_src", 0), false);
  const joined = new Uint8Array(whole.length);
  joined.set(encode({ eth, ipv4: { ...body.ipv4!, src: "192.0.2.1", protocol: 17 }, payload: new Uint8Array(32) }));
  joined.set(first.toBytes().subarray(34), 34);
  joined.set(later.toBytes().subarray(34), 50);
  assert.deepEqual(good(joined).udp, { src: 0, dst: 2000 });
});

test("a packet on its way through a routing header is rewritten without touching the sum, which is for its last hop", () => {
  const hops = (left: number): PacketSpec => ({
    eth,
    ipv6: {
      src: "2001:db8::1",
      dst: "2001:db8::2",
      protocol: 17,
      extensions: [{ kind: "routing", data: Uint8Array.of(4, left, 0, 0, 0, 0) }],
    },
    payload: Uint8Array.of(0, 1, 0, 2, 0, 8, 0x12, 0x34),
  });
  const [under, arrived] = [new Frame(encode(hops(1))), new Frame(encode(hops(0)))];
  for (const frame of [under, arrived]) {
    assert.deepEqual([frame.get("ip_proto"), frame.get("udp_src"), frame.get("udp_dst")], [17, 1, 2]);
    frame.set("ipv6_dst", ip6("2001:db8::3"));
  }
  const sums = () => [under, arrived].map((frame) => [...frame.toBytes().subarray(-2)]);
  assert.deepEqual(sums(), [
    [0x12, 0x34],
    [0x12, 0x33],
  ]);
  for (const frame of [under, arrived]) frame.set("ipv6_src", ip6("2001:db8::3"));
  assert.deepEqual(sums(), [
    [0x12, 0x34],
    [0x12, 0x31],
  ]);
});

test("a UDP checksum that is absent stays absent", () => {
  const bytes = encode({ eth, ipv4: { src: "10.0.0.1", dst: "10.0.0.2" }, udp: { src: 1, dst: 2 } });
  bytes.fill(0, 40, 42);
  const frame = new Frame(bytes);
  frame.set("ip_dst", 0x0a000003);
  frame.set("udp_dst", 3);
  assert.deepEqual([...frame.toBytes().subarray(40, 42)], [0, 0]);
  assert.equal(good(frame.toBytes()).ipv4?.dst, "10.0.0.3");
});

test("tags are pushed and popped, VLAN 0 among them", () => {
  const bare = encode({
    eth,
    ipv4: { src: "10.0.0.1", dst: "10.0.0.2" },
    icmp: { kind: "echo-request", id: 0, sequence: 0 },
  });
  const frame = new Frame(bare);
  assert.equal(frame.popVlan(), false);
  frame.pushVlan(0);
  assert.deepEqual([frame.get("vlan_vid"), frame.get("icmp_type"), frame.length], [0, 8, bare.length + 4]);
  frame.set("vlan_vid", 4095);
  frame.set("vlan_pcp", 7);
  assert.deepEqual(good(frame.toBytes()).eth.vlan, { id: 4095, priority: 7, dropEligible: false });
  assert.throws(() => frame.pushVlan(1), EncodeError);
  assert.equal(frame.popVlan(), true);
  assert.deepEqual(frame.toBytes(), bare);
});

test("behind a second tag nothing is seen, with the first one and without it", () => {
  const once = new Frame(encode({ eth, ipv4: { src: "10.0.0.1", dst: "10.0.0.2", protocol: 6, ttl: 1 } }));
  once.pushVlan(1);
  const twice = new Uint8Array(once.length + 4);
  twice.set(once.toBytes());
  twice.copyWithin(16, 12, once.length);
  const frame = new Frame(twice);
  for (const vlan of [1, undefined]) {
    assert.deepEqual(
      [frame.get("vlan_vid"), frame.get("eth_type"), frame.get("ip_dst")],
      [vlan, EtherType.vlan, undefined],
    );
    frame.popVlan();
  }
  assert.equal(frame.popVlan(), false);
  assert.deepEqual(frame.toBytes(), once.toBytes());
});

test("values that are too wide are refused, and frames are independent of their source", () => {
  const bytes = encode({ eth, ipv4: { src: "10.0.0.1", dst: "10.0.0.2", protocol: 6, ttl: 1 } });
  const frame = new Frame(bytes);
  assert.throws(() => frame.set("ip_ttl", 256), EncodeError);
  assert.throws(() => frame.setBits("eth_src", 1n << 48n), EncodeError);
  assert.throws(() => frame.setBits("eth_src", -1n), EncodeError);
  const twin = frame.clone();
  frame.set("ip_ttl", 0);
  assert.deepEqual([frame.get("ip_ttl"), twin.get("ip_ttl"), bytes[22]], [0, 1, 1]);
  assert.throws(() => new Frame(new Uint8Array(13)), EncodeError);
});

test("of SCTP the ports are read, and its checksum is left alone when an address is set", () => {
  const payload = Uint8Array.of(0x12, 0x34, 0, 80, 0, 0, 0, 1, 0xde, 0xad, 0xbe, 0xef, 1, 0, 0, 4);
  for (const bytes of [
    encode({ eth, ipv4: { src: "10.0.0.1", dst: "10.0.0.2", protocol: 132 }, payload }),
    encode({ eth, ipv6: { src: "2001:db8::1", dst: "2001:db8::2", protocol: 132 }, payload }),
  ]) {
    const frame = new Frame(bytes);
    assert.deepEqual([frame.get("sctp_src"), frame.get("sctp_dst")], [0x1234, 80]);
    assert.ok(frame.set("ip_src", 0x0a000009) || frame.set("ipv6_src", ip6("2001:db8::9")));
    assert.deepEqual(frame.toBytes().subarray(-payload.length), payload);
    assert.ok(decode(frame.toBytes()).ok);
    assert.equal(new Frame(bytes.subarray(0, bytes.length - 5)).get("sctp_dst"), undefined, "its header is cut off");
  }
});
