import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { derive, type EngineRow, query } from "./derivation.ts";
import { Engine } from "./engine.ts";
import { Host } from "./resources/host.ts";
import { Network } from "./resources/network.ts";
import { Port } from "./resources/port.ts";
import { makeHost, makeNetwork, makePort, put, testId, testMac } from "./testing/mod.ts";
import type { Change } from "./view.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

function bytesInUse(): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const key = query("key", (view, id) => view.get(Network, id)?.["provider:segmentation_id"]);
const tunnel = query("tunnel", (view, name) => view.by(Host.index.name, name)[0]?.tunnel_ip);

/** Reads as the apps of a remote port do, and yields nothing: what is left is the engine's own. */
const readers = ["unicast", "neighbour", "location", "guard", "flood", "tunnel"].map((name) =>
  derive<typeof Port, EngineRow>(name, Port, (port, view) => {
    view.ask(key, port.network_id);
    view.ask(tunnel, port["binding:host_id"]);
    return [];
  }),
);

const indexes = [Port.index.networkHost, Host.index.name];

const ports = 20_000;
const hosts = 200;

/** Bytes a port that the engine takes for itself: index entries, nodes and edges, without objects and rows. */
function ownBytes(): number {
  const changes: Change[] = [put(Network, makeNetwork())];
  for (let number = 0; number < hosts; number += 1) {
    changes.push(put(Host, makeHost({ id: testId("host", number), name: `h${number}`, key: number })));
  }
  const remote: Change[] = [];
  for (let number = 0; number < ports; number += 1) {
    const host = `h${number % hosts}`;
    remote.push(
      put(Port, makePort({ id: testId("port", number), mac_address: testMac(number), "binding:host_id": host })),
    );
  }
  const engine = new Engine<EngineRow>({ derivations: readers, indexes });
  engine.apply(changes, 1);
  const before = bytesInUse();
  engine.apply(remote, 2);
  const after = bytesInUse();
  assert.equal(engine.sizes.entries, ports + hosts);
  assert.equal(engine.sizes.edges, 2 * readers.length * ports + engine.sizes.queries);
  assert.equal(engine.view.get(Port, testId("port", ports - 1))?.mac_address, testMac(ports - 1));
  assert.equal(remote.length, ports);
  return (after - before) / ports;
}

test("six apps of two reads each cost less than 256 bytes a remote port, beside its object and rows", () => {
  const bytes = ownBytes();
  assert.ok(bytes > 6 * 20, `six entries take 20 bytes each, yet ${bytes} were measured`);
  assert.ok(bytes < 256, `${bytes} bytes`);
});
