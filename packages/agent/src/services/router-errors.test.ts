/** Errors that routers send, by real codecs: from which address and MAC, what they quote, and about what there must be none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostEngine } from "@selvage/compiler";
import type { Punt } from "@selvage/datapath";
import { type Change, Network, Port, Router, Subnet } from "@selvage/model";
import { makeNetwork, makePort, makeRouter, makeSubnet, put } from "@selvage/model/testing";
import { decode, encode, Frame, type Packet, type PacketSpec } from "@selvage/packet";
import type { RouterError } from "@selvage/pipeline";
import { answerRouterError } from "./router-errors.ts";

const guest = { mac: "fa:16:3e:00:00:01", ip4: "10.0.1.11", ip6: "2001:db8:1::11", local: "fe80::f816:3eff:fe00:1" };
const vip = { mac: "00:00:5e:00:01:07", ip4: "10.0.1.200" };
/** Router 1 joins office (1) and lab (2), router 2 lab and cellar (3): its interfaces by tunnel key. */
const one = { 1: "fa:16:3e:ff:01:01", 2: "fa:16:3e:ff:01:02" } as const;
const two = { 2: "fa:16:3e:ff:02:02", 3: "fa:16:3e:ff:02:03" } as const;
const onRouterOne = "fe80::f816:3eff:feff:101";

const networks = [1, 2, 3].flatMap((n): readonly Change[] => [
  put(Network, makeNetwork({ id: `net${n}`, "provider:segmentation_id": n, mtu: 1500 - 100 * n })),
  put(Subnet, makeSubnet({ id: `four${n}`, network_id: `net${n}`, cidr: `10.0.${n}.0/24`, gateway_ip: `10.0.${n}.1` })),
  put(
    Subnet,
    makeSubnet({
      id: `six${n}`,
      network_id: `net${n}`,
      ip_version: 6,
      cidr: `2001:db8:${n}::/64`,
      gateway_ip: `2001:db8:${n}::1`,
    }),
  ),
]);

const onNetwork = (n: number, last: number) => ({
  network_id: `net${n}`,
  fixed_ips: [
    { subnet_id: `four${n}`, ip_address: `10.0.${n}.${last}` },
    { subnet_id: `six${n}`, ip_address: `2001:db8:${n}::${last}` },
  ],
});
const interfaceOf = (router: number, n: number, last: number, mac_address: string): Change =>
  put(
    Port,
    makePort({
      id: `i${router}${n}`,
      key: router * 10 + n,
      mac_address,
      router_id: `r${router}`,
      ...onNetwork(n, last),
    }),
  );

const { view } = (() => {
  const engine = hostEngine({ name: "h1" });
  engine.apply(
    [
      ...networks,
      put(Router, makeRouter({ id: "r1", key: 1 })),
      put(Router, makeRouter({ id: "r2", key: 2 })),
      interfaceOf(1, 1, 1, one[1]),
      interfaceOf(1, 2, 1, one[2]),
      interfaceOf(2, 2, 2, two[2]),
      interfaceOf(2, 3, 1, two[3]),
      put(
        Port,
        makePort({
          id: "guest",
          key: 1,
          mac_address: guest.mac,
          allowed_address_pairs: [{ ip_address: vip.ip4, mac_address: vip.mac }],
          ...onNetwork(1, 11),
        }),
      ),
    ],
    1,
  );
  return engine;
})();

interface Met {
  readonly vrf?: number;
  readonly net?: number;
  readonly srcPort?: number;
  readonly attachment?: string;
}

const meet = (
  kind: RouterError,
  frame: Uint8Array,
  { vrf = 1, net = 1, srcPort = 1, attachment = "guest" }: Met = {},
) => answerRouterError(view, { kind, attachment, net, vrf, srcPort, frame } satisfies Punt & { kind: RouterError });

function packetOf(answer: ReturnType<typeof meet>): Packet {
  assert.equal(answer.answer, "reply", JSON.stringify(answer));
  const decoded = decode((answer.answer === "reply" ? answer.frames[0] : undefined) ?? new Uint8Array());
  assert.ok(decoded.ok, "every length and checksum is right");
  return decoded.packet;
}

const payload = (bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, (_, at) => at & 255);

/** What the guest sends to an address beyond its router. */
const sent = (version: 4 | 6, bytes = 32, more: { readonly ttl?: number; readonly dontFragment?: boolean } = {}) =>
  encode({
    eth: { src: guest.mac, dst: one[1] },
    ...(version === 4
      ? {
          ipv4: {
            src: guest.ip4,
            dst: "10.0.3.9",
            id: 77,
            ttl: more.ttl ?? 64,
            dontFragment: more.dontFragment ?? false,
          },
        }
      : { ipv6: { src: guest.ip6, dst: "2001:db8:3::9", hopLimit: more.ttl ?? 64 } }),
    udp: { src: 33_000, dst: 33_434 },
    payload: payload(bytes),
  } as PacketSpec);

/** What a router made of it before it found that it cannot send it: its own MAC, and one hop less. */
function sentOn(frame: Uint8Array, mac: string): Uint8Array {
  const made = new Frame(frame);
  made.setBits("eth_src", BigInt(`0x${mac.replaceAll(":", "")}`));
  made.set("ip_ttl", (made.get("ip_ttl") ?? 0) - 1);
  return made.toBytes();
}

test("each error has the type and code of its RFC, from the router's address on the guest's network, to the guest", () => {
  const wanted: readonly (readonly [RouterError, object, object])[] = [
    ["ttl-expired", { kind: "time-exceeded", code: 0, length: 0 }, { kind: "time-exceeded", code: 0, length: 0 }],
    ["no-route", { kind: "unreachable", code: 0, length: 0, mtu: 0 }, { kind: "unreachable", code: 0, length: 0 }],
    [
      "host-unreachable",
      { kind: "unreachable", code: 1, length: 0, mtu: 0 },
      { kind: "unreachable", code: 3, length: 0 },
    ],
    ["mtu-exceeded", { kind: "unreachable", code: 4, length: 0, mtu: 1300 }, { kind: "packet-too-big", mtu: 1300 }],
  ];
  for (const [kind, four, six] of wanted) {
    const net = kind === "host-unreachable" || kind === "mtu-exceeded" ? 2 : 1;
    for (const version of [4, 6] as const) {
      const packet = packetOf(meet(kind, sent(version), { net }));
      assert.deepEqual(packet.eth, { src: one[1], dst: guest.mac, type: version === 4 ? 0x0800 : 0x86dd });
      assert.deepEqual(packet.icmp ?? packet.icmpv6, version === 4 ? four : six);
      const ip = packet.ipv4 ?? packet.ipv6;
      assert.deepEqual([ip?.src, ip?.dst], version === 4 ? ["10.0.1.1", guest.ip4] : ["2001:db8:1::1", guest.ip6]);
    }
  }
});

test("what was for a router's own address is answered from that address, whichever interface it is of", () => {
  const to = (dst4: string, dst6: string): readonly PacketSpec[] => [
    { eth: { src: guest.mac, dst: one[1] }, ipv4: { src: guest.ip4, dst: dst4 }, udp: { src: 1, dst: 53 } },
    { eth: { src: guest.mac, dst: one[1] }, ipv6: { src: guest.ip6, dst: dst6 }, udp: { src: 1, dst: 53 } },
  ];
  for (const spec of [...to("10.0.1.1", "2001:db8:1::1"), ...to("10.0.2.1", "2001:db8:2::1")]) {
    const packet = packetOf(meet("port-unreachable", encode(spec)));
    assert.equal((packet.ipv4 ?? packet.ipv6)?.src, (spec.ipv4 ?? spec.ipv6)?.dst);
    assert.equal(packet.icmp?.kind === "unreachable" ? packet.icmp.code : 3, 3);
    assert.equal(packet.icmpv6?.kind === "unreachable" ? packet.icmpv6.code : 4, 4);
  }
  const local = encode({
    eth: { src: guest.mac, dst: one[1] },
    ipv6: { src: guest.local, dst: onRouterOne },
    udp: { src: 1, dst: 53 },
  });
  assert.equal(packetOf(meet("port-unreachable", local)).ipv6?.src, onRouterOne);
  const strange = encode({
    eth: { src: guest.mac, dst: one[1] },
    ipv6: { src: guest.local, dst: "2001:db8:ff::1" },
    udp: { src: 1, dst: 53 },
  });
  assert.equal(
    packetOf(meet("no-route", strange)).ipv6?.src,
    onRouterOne,
    "a link-local guest hears a link-local router",
  );
});

test("the packet is quoted as the router got it: the hop that it took is given back, and the checksum with it", () => {
  for (const version of [4, 6] as const) {
    for (const kind of ["host-unreachable", "mtu-exceeded"] as const) {
      const frame = sent(version);
      const quoted = packetOf(meet(kind, sentOn(frame, one[2]), { net: 2 })).payload;
      assert.deepEqual([...quoted], [...frame.subarray(14)]);
    }
    const frame = sent(version, 32, { ttl: 1 });
    assert.deepEqual([...packetOf(meet("ttl-expired", frame)).payload], [...frame.subarray(14)]);
  }
});

test("what pads a short frame is not quoted", () => {
  const frame = sent(4, 1);
  const padded = new Uint8Array(60);
  padded.set(frame);
  assert.deepEqual([...packetOf(meet("ttl-expired", padded)).payload], [...frame.subarray(14)]);
});

test("as much is quoted as there is room for: 576 bytes in all, and 1,280 of IPv6", () => {
  for (const [version, most, headers] of [
    [4, 576, 28],
    [6, 1280, 48],
  ] as const) {
    for (const bytes of [0, 100, 1_400]) {
      const frame = sent(version, bytes, { dontFragment: true });
      const { payload: quoted } = packetOf(meet("mtu-exceeded", sentOn(frame, one[2]), { net: 2 }));
      assert.equal(quoted.length, Math.min(frame.length - 14, most - headers));
      assert.deepEqual([...quoted], [...frame.subarray(14, 14 + quoted.length)]);
    }
  }
});

test("the MTU is that of the network which it could not leave by, whether it may be fragmented or not", () => {
  for (const dontFragment of [true, false]) {
    for (const [net, vrf] of [
      [2, 1],
      [3, 2],
    ] as const) {
      const { icmp } = packetOf(meet("mtu-exceeded", sent(4, 1_400, { dontFragment }), { net, vrf }));
      assert.equal(icmp?.kind === "unreachable" && icmp.mtu, 1500 - 100 * net);
      const { icmpv6 } = packetOf(meet("mtu-exceeded", sent(6, 1_400), { net, vrf }));
      assert.equal(icmpv6?.kind === "packet-too-big" && icmpv6.mtu, 1500 - 100 * net);
    }
  }
  assert.equal(meet("mtu-exceeded", sent(4), { net: 9 }).answer, "notice");
});

test("the second router speaks from its address on the network between, by the first one's MAC", () => {
  for (const version of [4, 6] as const) {
    const packet = packetOf(meet("ttl-expired", sentOn(sent(version, 32, { ttl: 2 }), one[2]), { vrf: 2, net: 2 }));
    assert.deepEqual(packet.eth, { src: one[1], dst: guest.mac, type: packet.eth.type });
    assert.equal((packet.ipv4 ?? packet.ipv6)?.src, version === 4 ? "10.0.2.2" : "2001:db8:2::2");
  }
});

test("an address that a port has by a pair is answered by the pair's MAC, also when the frame bears a router's", () => {
  const frame = encode({
    eth: { src: vip.mac, dst: one[1] },
    ipv4: { src: vip.ip4, dst: "10.0.3.9" },
    udp: { src: 1, dst: 2 },
  });
  assert.equal(packetOf(meet("no-route", frame)).eth.dst, vip.mac);
  assert.equal(packetOf(meet("host-unreachable", sentOn(frame, one[2]), { net: 2 })).eth.dst, vip.mac);
});

test("an upper layer that is damaged is quoted as it is", () => {
  const frame = sent(4);
  frame[38] = 0xff;
  frame[39] = 0xff;
  assert.deepEqual([...packetOf(meet("ttl-expired", frame)).payload], [...frame.subarray(14)]);
});

test("there is no error about errors, later fragments, groups, and sources that are not one machine", () => {
  const eth = { src: guest.mac, dst: one[1] };
  const four = { src: guest.ip4, dst: "10.0.3.9" };
  const six = { src: guest.ip6, dst: "2001:db8:3::9" };
  const never: readonly PacketSpec[] = [
    { eth, ipv4: four, icmp: { kind: "unreachable", code: 3, length: 0, mtu: 0 } },
    { eth, ipv4: four, icmp: { kind: "time-exceeded", code: 0, length: 0 } },
    ...[4, 5, 12].map((type): PacketSpec => ({ eth, ipv4: four, icmp: { kind: "other", type, code: 0, rest: 0 } })),
    { eth, ipv4: { ...four, protocol: 1, moreFragments: true }, payload: Uint8Array.of(3, 3, 0, 0, 0, 0, 0, 0) },
    { eth, ipv6: six, icmpv6: { kind: "unreachable", code: 0, length: 0 } },
    { eth, ipv6: six, icmpv6: { kind: "packet-too-big", mtu: 1280 } },
    { eth, ipv6: six, icmpv6: { kind: "parameter-problem", code: 0, pointer: 0 } },
    ...[100, 137].map((type): PacketSpec => ({ eth, ipv6: six, icmpv6: { kind: "other", type, code: 0, rest: 0 } })),
    { eth, ipv4: { ...four, protocol: 17, fragmentOffset: 1480 }, payload: payload(64) },
    {
      eth,
      ipv6: { ...six, protocol: 17, extensions: [{ kind: "fragment", offset: 1232, more: false, id: 1 }] },
      payload: payload(64),
    },
    { eth, ipv4: { ...four, dst: "10.0.2.255" }, udp: { src: 1, dst: 2 } },
    { eth, ipv4: { ...four, dst: "224.0.0.5" }, udp: { src: 1, dst: 2 } },
    { eth, ipv4: { ...four, dst: "255.255.255.255" }, udp: { src: 1, dst: 2 } },
    { eth: { ...eth, dst: "ff:ff:ff:ff:ff:ff" }, ipv4: four, udp: { src: 1, dst: 2 } },
    { eth, ipv6: { ...six, dst: "ff0e::1" }, udp: { src: 1, dst: 2 } },
    ...["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"].map(
      (src): PacketSpec => ({ eth, ipv4: { ...four, src }, udp: { src: 1, dst: 2 } }),
    ),
    ...["::", "::1", "ff02::1"].map((src): PacketSpec => ({ eth, ipv6: { ...six, src }, udp: { src: 1, dst: 2 } })),
    { eth: { ...eth, type: 0x88b5 }, payload: payload(46) },
  ];
  for (const spec of never) assert.equal(meet("ttl-expired", encode(spec)).answer, "silence", JSON.stringify(spec));
  const first = { eth, ipv4: { ...four, protocol: 17, moreFragments: true }, payload: payload(64) };
  const echo: PacketSpec = { eth, ipv4: four, icmp: { kind: "echo-request", id: 1, sequence: 1 } };
  const echo6: PacketSpec = { eth, ipv6: six, icmpv6: { kind: "echo-request", id: 1, sequence: 1 } };
  for (const spec of [first, echo, echo6]) packetOf(meet("ttl-expired", encode(spec)));
});

test("silence for an interface, a router or a family that is not known, and for bytes that are nothing", () => {
  for (const met of [{ srcPort: 2 }, { attachment: "fabric" }, { vrf: 9 }])
    assert.equal(meet("no-route", sent(4), met).answer, "silence");
  assert.equal(meet("no-route", Uint8Array.of(1, 2, 3)).answer, "silence");
  assert.equal(meet("no-route", sent(4).subarray(0, 30)).answer, "silence");
});
