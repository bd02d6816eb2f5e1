/** Tunnels, TCP options and log lines: tcpdump's reading of a packet in a packet, the critical bit, the segment size. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex, Reader, Writer } from "./bytes.ts";
import { type Geneve, readGeneve, writeGeneve } from "./overlay.ts";
import { decode, encode, type PacketSpec } from "./packet.ts";
import { summary } from "./summary.ts";
import { tcpdump } from "./testing/pcap.ts";
import { mssOf, mssOption, TcpFlag } from "./transport.ts";

const eth = { src: "fa:16:3e:00:00:01", dst: "fa:16:3e:00:00:02" };
const inner = encode({
  eth,
  ipv4: { src: "10.0.0.1", dst: "10.0.0.2" },
  icmp: { kind: "echo-request", id: 7, sequence: 0 },
});
const outer = {
  eth: { src: "02:00:00:00:00:01", dst: "02:00:00:00:00:02" },
  ipv4: { src: "192.0.2.1", dst: "192.0.2.2" },
} as const;

const geneve = (hex: string): Geneve => readGeneve(new Reader(fromHex(hex.replaceAll(" ", ""), "hex"), "geneve"));

test("tcpdump and the summary find the packet in the packet", () => {
  const vxlan: PacketSpec = { ...outer, udp: { src: 50000, dst: 4789 }, vxlan: { vni: 0xabcdef }, payload: inner };
  const tunnel: PacketSpec = {
    ...outer,
    udp: { src: 50000, dst: 6081 },
    geneve: { vni: 42, options: [{ class: 0x0102, type: 0, critical: true, data: Uint8Array.of(0, 0, 0, 5) }] },
    payload: inner,
  };
  const frames = [vxlan, tunnel].map(encode);
  const lines = tcpdump(frames);
  assert.match(
    lines[0] ?? "",
    /VXLAN, flags \[I\] \(0x08\), vni 11259375 .*10\.0\.0\.1 > 10\.0\.0\.2: ICMP echo request, id 7, seq 0/,
  );
  assert.match(lines[1] ?? "", /Geneve, Flags \[C\], vni 0x2a, .*10\.0\.0\.1 > 10\.0\.0\.2: ICMP echo request/);
  const ping = "fa:16:3e:00:00:01 > fa:16:3e:00:00:02 ip 10.0.0.1 > 10.0.0.2: icmp echo-request id 7 seq 0, length 0";
  const [first, second] = frames.map((frame) => summary(decode(frame)));
  assert.equal(
    first,
    `02:00:00:00:00:01 > 02:00:00:00:00:02 ip 192.0.2.1.50000 > 192.0.2.2.4789: vxlan vni 11259375 [${ping}]`,
  );
  assert.equal(
    second,
    `02:00:00:00:00:01 > 02:00:00:00:00:02 ip 192.0.2.1.50000 > 192.0.2.2.6081: geneve vni 42 options 0x102/0! [${ping}]`,
  );
  const decoded = decode(frames[1] ?? inner);
  assert.ok(decoded.ok);
  assert.deepEqual(decoded.packet.payload, inner);
});

test("Geneve refuses another version, options that overrun, and a critical option that the header hides", () => {
  assert.deepEqual(geneve("00 00 6558 000000 00"), { vni: 0, protocol: 0x6558, oam: false, options: [] });
  assert.throws(() => geneve("40 00 6558 000000 00"), { name: "Fault", reason: "version" });
  assert.throws(() => geneve("01 00 6558 000000 00"), { name: "Fault", reason: "truncated" });
  assert.throws(() => geneve("01 00 6558 000000 00 0102 00 01"), { name: "Fault", reason: "length" });
  assert.throws(() => geneve("01 00 6558 000000 00 0102 80 00"), { name: "Fault", reason: "value" });
  assert.equal(geneve("01 40 6558 000000 00 0102 80 00").options[0]?.critical, true);
  const options = Array.from({ length: 8 }, () => ({ class: 0, type: 0, critical: false, data: new Uint8Array(124) }));
  assert.throws(() => writeGeneve(new Writer(), { vni: 0, options }), { name: "EncodeError", field: "geneve.options" });
});

test("VXLAN without its I bit has no network", () => {
  const bytes = encode({ ...outer, udp: { src: 1, dst: 4789 }, vxlan: { vni: 5 } });
  bytes[42] = 0;
  const decoded = decode(bytes, { checksums: "ignore" });
  assert.deepEqual(decoded.ok ? undefined : decoded.malformed, { layer: "vxlan", reason: "value", offset: 42 });
});

test("the segment size is found among other options, and lies are not followed", () => {
  const options = Uint8Array.of(1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, ...mssOption(1460));
  assert.equal(mssOf(options), 1460);
  assert.equal(mssOf(mssOption(0)), 0);
  assert.equal(mssOf(Uint8Array.of(0, 2, 4, 5)), undefined);
  assert.equal(mssOf(Uint8Array.of(8, 0, 2, 4)), undefined);
  assert.equal(mssOf(Uint8Array.of(2, 5, 1, 1)), undefined);
  assert.equal(mssOf(Uint8Array.of(1, 1, 1, 2)), undefined);
  const syn = encode({ ...outer, tcp: { src: 1, dst: 2, flags: TcpFlag.syn, options: mssOption(1400) } });
  assert.match(
    tcpdump([syn])[0] ?? "",
    /Flags \[S\], cksum 0x[0-9a-f]+ \(correct\), seq 0, win 0, options \[mss 1400\], length 0/,
  );
});

test("log lines name what is wrong, and a guest's words cannot break out of theirs", () => {
  const line = (spec: PacketSpec): string => summary(decode(encode(spec)));
  const { src, dst } = eth;
  assert.equal(
    line({ eth: { ...eth, vlan: { id: 0 } }, arp: { op: 1, sha: src, spa: "10.0.0.1", tha: dst, tpa: "10.0.0.2" } }),
    `${src} > ${dst} vlan 0 arp who-has 10.0.0.2 tell 10.0.0.1`,
  );
  assert.equal(
    line({
      eth,
      ipv4: { src: "10.0.0.1", dst: "10.0.0.2" },
      icmp: { kind: "unreachable", code: 4, length: 0, mtu: 1400 },
    }),
    `${src} > ${dst} ip 10.0.0.1 > 10.0.0.2: icmp unreachable code 4 mtu 1400, length 0`,
  );
  const named = line({
    eth,
    ipv4: { src: "0.0.0.0", dst: "255.255.255.255" },
    udp: { src: 68, dst: 67 },
    dhcp: { op: "request", xid: 0, chaddr: src, options: { messageType: "discover", hostName: 'a"\n\u009b31m' } },
  });
  assert.ok(named.endsWith(' name "a\\"\\n\\u009b31m"'), named);
  assert.equal(summary(decode(new Uint8Array(3))), "malformed ethernet: truncated at byte 0");
  const cut = encode({ eth, ipv4: { src: "10.0.0.1", dst: "10.0.0.2" }, udp: { src: 1, dst: 2 } });
  cut[39] = 7;
  assert.equal(
    summary(decode(cut)),
    `${src} > ${dst} ip 10.0.0.1 > 10.0.0.2: proto 17, length 8, malformed udp: length at byte 38`,
  );
});
