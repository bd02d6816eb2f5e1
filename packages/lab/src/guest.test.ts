/** Tests of the simulated machine's network stack: two guests on one wire, and a DHCP server spoken to in real bytes. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode, UdpPort } from "@selvage/packet";
import { type Guest, startGuest } from "./guest.ts";

const SERVER = "02:00:00:00:00:fe";

/** A wire with a DHCP server that gives 10.0.0.<last byte of the MAC>, and nothing else. */
function wire() {
  const guests = new Map<string, Guest>();
  const frames: Uint8Array[] = [];
  const serve = (frame: Uint8Array): void => {
    const decoded = decode(frame);
    if (!decoded.ok || decoded.packet.dhcp?.op !== "request") return;
    const { dhcp } = decoded.packet;
    const yiaddr = `10.0.0.${Number.parseInt(dhcp.chaddr.slice(-2), 16)}`;
    const messageType = dhcp.options.messageType === "discover" ? "offer" : "ack";
    if (messageType === "ack")
      assert.equal(dhcp.options.requestedAddress, yiaddr, "RFC 2131 4.3.2: a request in SELECTING names the offer");
    const reply = encode({
      eth: { src: SERVER, dst: dhcp.chaddr },
      ipv4: { src: "10.0.0.254", dst: yiaddr },
      udp: { src: UdpPort.dhcpServer, dst: UdpPort.dhcpClient },
      dhcp: {
        op: "reply",
        xid: dhcp.xid,
        chaddr: dhcp.chaddr,
        yiaddr,
        options: { messageType, serverId: "10.0.0.254", leaseTime: 600 },
      },
    });
    guests.get(dhcp.chaddr)?.receive(reply);
  };
  return {
    frames,
    join(mac: string, ipv6: readonly string[], dhcp = true): Guest {
      const guest = startGuest({
        mac,
        ipv6,
        dhcp,
        transmit: (frame) => {
          frames.push(frame);
          serve(frame);
          for (const [other, member] of guests) if (other !== mac) member.receive(frame);
        },
      });
      guests.set(mac, guest);
      return guest;
    },
  };
}

test("guests take their addresses by DHCP and reach each other by IPv4 and IPv6", async () => {
  const net = wire();
  const a = net.join("02:00:00:00:00:0b", ["fd00::b/64"]);
  const b = net.join("02:00:00:00:00:0c", ["fd00::c/64"]);
  assert.deepEqual([await a.leased(5_000), await b.leased(5_000)], ["10.0.0.11", "10.0.0.12"]);
  for (const [from, to] of [
    [a, "10.0.0.12"],
    [b, "10.0.0.11"],
    [a, "fd00::c"],
    [b, "fd00::b"],
  ] as const) {
    const took = await from.ping(to, 5_000);
    assert.equal(typeof took, "number", to);
  }
  const before = net.frames.length;
  assert.equal(typeof (await a.ping("10.0.0.12", 5_000)), "number");
  assert.equal(net.frames.length - before, 2, "a known neighbour is not asked for again");
  a.stop();
  b.stop();
});

test("a guest takes an address by DHCPv6 beside that of DHCP, answers for it, and is not ready before", async () => {
  const serverId = "000300010200000000fe";
  let asks = 0;
  const a = startGuest({
    mac: "02:00:00:00:00:0b",
    ipv6: [],
    dhcp: false,
    dhcp6: true,
    transmit: (frame) => {
      const decoded = decode(frame);
      if (!decoded.ok || decoded.packet.dhcpv6 === undefined || !("transactionId" in decoded.packet.dhcpv6)) return;
      const { type, transactionId, options } = decoded.packet.dhcpv6;
      asks += 1;
      if (type === "request") assert.equal(options.serverId, serverId, "RFC 8415 18.2.2: it names the server");
      const held = { address: "fd00::b", preferred: 60, valid: 60 };
      a.receive(
        encode({
          eth: { src: SERVER, dst: "02:00:00:00:00:0b" },
          ipv6: { src: "fe80::1", dst: decoded.packet.ipv6?.src ?? "::" },
          udp: { src: UdpPort.dhcpv6Server, dst: UdpPort.dhcpv6Client },
          dhcpv6: {
            type: type === "solicit" ? "advertise" : "reply",
            transactionId,
            options: { serverId, iaNa: [{ iaid: 1, t1: 0, t2: 0, addresses: [held] }] },
          },
        }),
      );
    },
  });
  assert.equal(a.isLeased, false);
  await a.leased(5_000);
  assert.deepEqual([a.isLeased, a.ipv4, a.ipv6, asks], [true, undefined, ["fd00::b"], 2]);
  a.stop();
});

test("an address that nobody has gives silence, and one without DHCP has no IPv4 address", async () => {
  const net = wire();
  const a = net.join("02:00:00:00:00:0b", ["fd00::b/64"]);
  const b = net.join("02:00:00:00:00:0c", ["fd00::c/64"], false);
  await a.leased(5_000);
  assert.equal(await b.leased(5_000), undefined);
  assert.deepEqual(await Promise.all([a.ping("10.0.0.12", 50), a.ping("fd00::d", 50), b.ping("10.0.0.11", 50)]), [
    undefined,
    undefined,
    undefined,
  ]);
  a.stop();
});

test("an echo from another source than the one asked is no answer", async () => {
  const a = startGuest({ mac: "02:00:00:00:00:0b", ipv6: ["fd00::b/64"], dhcp: false, transmit: () => undefined });
  const result = a.ping("fd00::c", 50);
  a.receive(
    encode({
      eth: { src: SERVER, dst: "02:00:00:00:00:0b" },
      ipv6: { src: "fd00::d", dst: "fd00::b" },
      icmpv6: { kind: "echo-reply", id: 1, sequence: 1 },
      payload: new Uint8Array(8),
    }),
  );
  assert.equal(await result, undefined);
});
