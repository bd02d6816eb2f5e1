/** Which ends of tunnels are new, as rows come, change and go; and what is sent to them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decode } from "@selvage/packet";
import { Neighbour, type Row, row, selvageProgram, TunnelOut } from "@selvage/pipeline";
import { Ports } from "./ports.ts";
import { Renderer } from "./render.ts";
import { actionsText } from "./text.ts";
import { probesTo, TunnelEnds } from "./tunnel-ends.ts";

const to = (host: number, address: string): Row =>
  row(TunnelOut, { host, encapsulation: 0 }, "geneve", { to: address });

test("an end is new when no row led there before, and known until the last that does has gone", () => {
  const ends = new TunnelEnds(new Renderer(selvageProgram));
  const other = row(Neighbour, { net: 1, nh: "192.0.2.9" }, "known", { mac: "02:00:00:00:00:09" });
  assert.deepEqual(ends.change([], [to(1, "192.0.2.1"), to(2, "2001:db8::2"), other]), ["192.0.2.1", "2001:db8::2"]);
  assert.deepEqual(ends.change([], [to(3, "192.0.2.1")]), []);
  assert.deepEqual(ends.change([to(1, "192.0.2.1")], []), []);
  assert.deepEqual(ends.all, ["192.0.2.1", "2001:db8::2"]);
  assert.deepEqual(ends.change([], [to(2, "2001:db8::3")]), ["2001:db8::3"], "a host has moved");
  assert.deepEqual(ends.all, ["192.0.2.1", "2001:db8::3"]);
  assert.deepEqual(ends.change([], [to(2, "2001:db8::3")]), [], "said again, it is not new");
  assert.deepEqual(ends.change([to(3, "192.0.2.1"), to(2, "2001:db8::3"), other], []), []);
  assert.deepEqual([ends.all, ends.rows], [[], []]);
});

test("a packet to each end bears the key of no network, by the tunnels' interface alone", () => {
  const sent = probesTo(["192.0.2.1", "2001:db8::2"], new Ports([], 3)).flatMap((message) =>
    message.kind === "packetOut" ? [message] : [],
  );
  assert.deepEqual(
    sent.map(({ actions }) => actionsText(actions)),
    [
      "set_field:0x0->tunnel_id,set_field:192.0.2.1->tun_dst,output:3",
      "set_field:0x0->tunnel_id,set_field:2001:db8::2->tun_ipv6_dst,output:3",
    ],
  );
  for (const { data } of sent) {
    const read = decode(data);
    assert.ok(read.ok && data.length === 60 && read.packet.eth.type === 0x88b5);
  }
  assert.deepEqual(probesTo(["192.0.2.1"], Ports.none), [], "a host without tunnels sends none");
});
