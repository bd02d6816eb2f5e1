/** Neighbour solicitations answered for others' addresses, by real codecs: fixed, link-local, probes, and what must not be answered. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Port, Replica, Subnet } from "@selvage/model";
import { makePort, makeSubnet, put } from "@selvage/model/testing";
import { decode, encode, multicastMac, ndFault, type Packet, solicitedNode } from "@selvage/packet";
import { answerNd } from "./nd.ts";

const asker = { mac: "fa:16:3e:00:00:01", address: "2001:db8::11", local: "fe80::f816:3eff:fe00:1" };
const target = { mac: "fa:16:3e:00:00:02", address: "2001:db8::12", local: "fe80::f816:3eff:fe00:2" };

const view = new Replica();
view.apply(
  [
    put(Subnet, makeSubnet({ id: "six", network_id: "net", ip_version: 6, cidr: "2001:db8::/64", gateway_ip: null })),
    put(
      Subnet,
      makeSubnet({ id: "far", network_id: "other", ip_version: 6, cidr: "2001:db8:1::/64", gateway_ip: null }),
    ),
    ...[
      {
        id: "asker",
        key: 1,
        network_id: "net",
        mac_address: asker.mac,
        fixed_ips: [{ subnet_id: "six", ip_address: asker.address }],
      },
      {
        id: "target",
        key: 2,
        network_id: "net",
        mac_address: target.mac,
        fixed_ips: [{ subnet_id: "six", ip_address: target.address }],
      },
      {
        id: "gateway",
        key: 4,
        network_id: "net",
        mac_address: "fa:16:3e:00:00:04",
        router_id: "router",
        fixed_ips: [{ subnet_id: "six", ip_address: "2001:db8::1" }],
      },
      {
        id: "far",
        key: 3,
        network_id: "other",
        mac_address: "fa:16:3e:00:00:03",
        fixed_ips: [{ subnet_id: "far", ip_address: "2001:db8:1::13" }],
      },
    ].map((each) => put(Port, makePort(each))),
  ],
  1,
);

function ask(
  wanted: string,
  from: string = asker.local,
  more: { readonly hopLimit?: number; readonly srcPort?: number } = {},
) {
  const group = solicitedNode(wanted);
  const frame = encode({
    eth: { src: asker.mac, dst: multicastMac(group) },
    ipv6: { src: from, dst: group, ...(more.hopLimit === undefined ? {} : { hopLimit: more.hopLimit }) },
    icmpv6: {
      kind: "neighbor-solicitation",
      target: wanted,
      options: from === "::" ? [] : [{ kind: "source-link-layer", mac: asker.mac }],
    },
  });
  return answerNd(view, { kind: "nd", attachment: "asker", net: 1, vrf: 0, srcPort: more.srcPort ?? 1, frame });
}

function packetOf(answer: ReturnType<typeof ask>): Packet {
  assert.equal(answer.answer, "reply", JSON.stringify(answer));
  const decoded = decode((answer.answer === "reply" ? answer.frames[0] : undefined) ?? new Uint8Array());
  assert.ok(decoded.ok);
  return decoded.packet;
}

test("an address of another port is advertised to the asker: solicited, overriding, with its MAC", () => {
  for (const wanted of [target.address, target.local]) {
    const packet = packetOf(ask(wanted));
    assert.deepEqual([packet.eth.src, packet.eth.dst], [target.mac, asker.mac]);
    assert.deepEqual([packet.ipv6?.src, packet.ipv6?.dst, packet.ipv6?.hopLimit], [wanted, asker.local, 255]);
    assert.deepEqual(packet.icmpv6, {
      kind: "neighbor-advertisement",
      router: false,
      solicited: true,
      override: true,
      target: wanted,
      options: [{ kind: "target-link-layer", mac: target.mac }],
    });
    assert.equal(packet.ipv6 && packet.icmpv6 && ndFault(packet.ipv6, packet.icmpv6), undefined);
  }
});

test("an address of a router's interface is advertised as a router's, its link-local one too", () => {
  for (const wanted of ["2001:db8::1", "fe80::f816:3eff:fe00:4"]) {
    const { eth, icmpv6 } = packetOf(ask(wanted));
    assert.equal(eth.src, "fa:16:3e:00:00:04");
    assert.equal(icmpv6?.kind === "neighbor-advertisement" && icmpv6.router, true);
  }
});

test("the host's services have one MAC on every network, and are no routers", () => {
  for (const wanted of ["fe80::a9fe:a9fe", "fe80::a9fe:a9fc"]) {
    const { eth, icmpv6 } = packetOf(ask(wanted));
    assert.equal(eth.src, "02:5e:1f:00:a9:fe");
    assert.equal(icmpv6?.kind === "neighbor-advertisement" && icmpv6.router, false);
  }
});

test("a probe for an address that is taken is answered to all, unsolicited (RFC 4862)", () => {
  const packet = packetOf(ask(target.address, "::"));
  assert.deepEqual([packet.eth.dst, packet.ipv6?.dst], ["33:33:00:00:00:01", "ff02::1"]);
  assert.equal(packet.icmpv6?.kind === "neighbor-advertisement" && packet.icmpv6.solicited, false);
});

test("silence for one's own address, an unknown one, one of another network, an invalid question, a wrong key", () => {
  for (const answer of [
    ask(asker.address, "::"),
    ask(asker.local, "::"),
    ask("2001:db8::99"),
    ask("fe80::1"),
    ask("2001:db8:1::13"),
    ask(target.address, asker.local, { hopLimit: 64 }),
    ask(target.address, asker.local, { srcPort: 2 }),
  ]) {
    assert.equal(answer.answer, "silence");
  }
});
