/** Who is told where networks stand: hosts that have something on the network, or go out by it; and nobody of tunnelled ones, which say it themselves. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Change, Host, Network, Port, Segment } from "@selvage/model";
import {
  makeExternalNetwork,
  makeGateway,
  makeHost,
  makeNetwork,
  makePort,
  makeSegment,
  put,
  remove,
} from "@selvage/model/testing";
import { objectKey, Scopes } from "./scopes.ts";

/** A machine of `wide` is on h1, one of `inner` on h2, whose router goes out by `public`; h3 has the wire of the latter's second segment, h4 nothing. */
const intent: readonly Change[] = [
  ...["h1", "h2", "h3", "h4"].map((id, at) =>
    put(
      Host,
      makeHost({ id, name: id, key: at + 1, tunnel_ip: null, physical_networks: id === "h3" ? ["third"] : [] }),
    ),
  ),
  put(Network, makeExternalNetwork({ id: "public" })),
  put(Network, makeNetwork({ id: "wide", "provider:physical_network": "left", key: 0xf00001 })),
  put(Network, makeNetwork({ id: "inner", "provider:segmentation_id": 5 })),
  put(
    Segment,
    makeSegment({
      id: "public-1",
      network_id: "public",
      network_type: "flat",
      physical_network: "public",
      segmentation_id: null,
    }),
  ),
  put(Segment, makeSegment({ id: "public-2", network_id: "public", physical_network: "third", position: 1 })),
  put(Segment, makeSegment({ id: "wide-1", network_id: "wide" })),
  put(Segment, makeSegment({ id: "wide-2", network_id: "wide", physical_network: "right", position: 1 })),
  put(
    Segment,
    makeSegment({
      id: "inner-1",
      network_id: "inner",
      network_type: "geneve",
      physical_network: null,
      segmentation_id: 5,
    }),
  ),
  put(Port, makePort({ id: "a", network_id: "wide", "binding:host_id": "h1", key: 1 })),
  put(Port, makePort({ id: "b", network_id: "inner", "binding:host_id": "h2", key: 2 })),
  put(Port, makePort({ id: "if", network_id: "inner", router_id: "r", key: 3 })),
  put(Port, makeGateway({ id: "out", network_id: "public", gateway_of: "r", key: 4 })),
];

const told = (scopes: Scopes, host: string): readonly string[] =>
  ["public-1", "public-2", "wide-1", "wide-2", "inner-1"].filter((id) =>
    scopes.needs(host, objectKey(Segment.kind, id)),
  );

test("hosts are told the segments of the networks that they stand on or go out by, and no others", () => {
  const scopes = new Scopes();
  scopes.apply(intent, 1, () => undefined);
  assert.deepEqual(told(scopes, "h1"), ["wide-1", "wide-2"]);
  assert.deepEqual(told(scopes, "h2"), ["public-1", "public-2"]);
  assert.deepEqual(told(scopes, "h3"), ["public-1", "public-2"], "by the wire of any segment");
  assert.deepEqual(told(scopes, "h4"), []);
  const touched: string[] = [];
  scopes.apply([remove(Segment, "public-2")], 2, (host) => touched.push(host));
  assert.deepEqual(told(scopes, "h3"), [], "without it, it has no wire there");
  assert.equal(touched.includes("h1") || touched.includes("h4"), false);
});
