/** ICMP errors that quote too little for a switch: completed, with checksums that are right. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { icmpError, tcp, udp } from "@selvage/datapath/testing";
import { checksum, decode } from "@selvage/packet";
import { quotationNeed } from "@selvage/pipeline";
import { completed } from "./icmp-inner.ts";

const router = { mac: "06:53:00:00:00:01", ip4: "203.0.113.10", ip6: "2001:db8::10" };
const far = { mac: "02:00:00:00:ee:01", ip4: "198.51.100.7", ip6: "2001:db8::7" };

test("an error is completed with zeros behind what it quotes, and says the same", () => {
  for (const about of [tcp(4, router, far, { src: 1100, dst: 80 }), udp(4, router, far, 7)]) {
    for (const bytes of [28, 36, 40]) {
      const error = icmpError(4, far, router, { type: 3, code: 4, about, bytes });
      const whole = completed(error) ?? assert.fail("it is an error");
      assert.equal(whole.length, quotationNeed);
      const read = decode(whole);
      assert.ok(read.ok, "its checksums are right");
      assert.equal(read.packet.ipv4?.dst, router.ip4);
      assert.equal(checksum(whole, 34, whole.length), 0);
      const quoted = Math.min(bytes, about.length - 14);
      assert.deepEqual([...whole.subarray(42, 42 + quoted)], [...error.subarray(42, 42 + quoted)]);
      assert.ok(whole.subarray(42 + quoted).every((byte) => byte === 0));
    }
  }
  assert.equal(completed(udp(4, far, router, 1)), undefined);
});

test("an error that quotes enough is as it was, without what padded the frame", () => {
  const about = udp(4, router, far, 7, 400);
  const error = icmpError(4, far, router, { type: 11, code: 0, about });
  assert.deepEqual(completed(Buffer.concat([error, new Uint8Array(9)])), Uint8Array.from(error));
});
