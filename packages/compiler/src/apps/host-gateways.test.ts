/** The addresses of hosts on an external network: each answers for its own, and what is announced by it finds its machine. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { arpRequest, ping, type Speaker, tcp } from "@selvage/datapath/testing";
import { HostGateway } from "@selvage/model";
import { makeHostGateway, put, testId } from "@selvage/model/testing";
import { decode, type Packet } from "@selvage/packet";
import { fabric } from "../testing/fabric.ts";
import { routedNet } from "../testing/intent.ts";
import {
  externalChanges,
  floatingAddress,
  floatingChange,
  gatewayChanges,
  macOfHost,
  meetUpstream,
  stranger,
  upstream,
} from "../testing/outside.ts";

function read(frame: Uint8Array | undefined): Packet {
  assert.ok(frame !== undefined, "a frame");
  const decoded = decode(frame);
  assert.ok(decoded.ok);
  return decoded.packet;
}

const addressesOf = (number: number) => ({ ip4: `203.0.113.${200 + number}`, ip6: `2001:db8:ff::2${number}` });

async function outside() {
  const world = await fabric({ hosts: 2 }, routedNet(1, "office", { a: "h1", y: "h2" }));
  world.wire("public");
  const send = world.outside("public", "out");
  world.change(externalChanges());
  const router = world.route({ number: 1, on: { office: 1 } });
  world.change(gatewayChanges(router));
  meetUpstream(world);
  for (const [at, { name }] of world.hosts.entries()) {
    const { ip4, ip6 } = addressesOf(at + 1);
    const own = { id: testId("host gateway", at + 1), host_id: testId("host", at + 1), addresses: [ip4, ip6] };
    // A host is told of its own alone.
    world.learn(name, [put(HostGateway, makeHostGateway(own))]);
  }
  return { world, router, send };
}

test("each host answers who asks for its address on the wire, with its MAC, and pings to it", async () => {
  const { send } = await outside();
  for (const [number, host] of [
    [1, "h1"],
    [2, "h2"],
  ] as const) {
    const { ip4, ip6 } = addressesOf(number);
    const asked = send(arpRequest(upstream, ip4));
    assert.deepEqual([asked.delivered, read(asked.frames[0]).arp?.sha], [["out"], macOfHost(host)]);
    const to: Speaker = { mac: macOfHost(host), ip4, ip6 };
    for (const version of [4, 6] as const) {
      const pinged = send(ping(version, "request", stranger, to, { id: 9 }));
      assert.deepEqual(pinged.delivered, ["out"], `IPv${version}`);
      const { eth, ipv4, ipv6 } = read(pinged.frames[0]);
      assert.deepEqual([eth.src, ipv4?.src ?? ipv6?.src], [macOfHost(host), version === 4 ? ip4 : ip6]);
    }
  }
});

test("a packet that was routed to a host's address reaches the machine behind a floating address there", async () => {
  const { world, router, send } = await outside();
  const y = world.machine("y");
  world.change([floatingChange(1, router, y)]);
  const to: Speaker = { mac: macOfHost("h2"), ip4: floatingAddress(1), ip6: "::" };
  const sent = send(tcp(4, stranger, to, { src: 40_000, dst: 22 }));
  assert.deepEqual([sent.delivered, sent.drops, sent.crossed], [["y"], [], 0]);
  assert.equal(read(sent.frames[0]).ipv4?.dst, y.ip4);
});

test("without the wire a host speaks for nothing", async () => {
  const { world, send } = await outside();
  world.unwire("public", "h1");
  assert.deepEqual(send(arpRequest(upstream, addressesOf(1).ip4)).delivered, []);
  assert.deepEqual(send(arpRequest(upstream, addressesOf(2).ip4)).delivered, ["out"]);
});
