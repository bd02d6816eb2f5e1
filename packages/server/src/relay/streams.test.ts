/** One stream message by message: what opens it, what ends it, and that its end is not that of a newer one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, silentLog } from "@selvage/base";
import { Host } from "@selvage/model";
import { makeHost, put } from "@selvage/model/testing";
import { type FromAgent, type FromServer, projectionFingerprint, readFromServer } from "@selvage/sync";
import { MemoryHostStates } from "../host-states.ts";
import { Peers } from "./peers.ts";
import { Relay } from "./relay.ts";
import { type StreamEnd, Streams } from "./streams.ts";
import { Log } from "./testing/world.ts";

const peer = { hostId: "host-1", fingerprint: "f" };
const hello: FromAgent = {
  type: "hello",
  protocols: [1],
  agent: "test",
  tunnel_ip: "198.18.0.1",
  projection: projectionFingerprint,
  held: [],
  more: false,
};

interface Opened {
  readonly received: FromServer[];
  readonly say: (message: FromAgent) => void;
  readonly end: StreamEnd;
  readonly isClosed: () => boolean;
}

function serve() {
  const log = new Log();
  const clock = new ManualClock();
  const host = makeHost({ id: "host-1", name: "h1", tunnel_ip: "198.18.0.1", certificate_fingerprint: "f" });
  log.append([put(Host, host), put(Host, makeHost({ id: "host-2", name: "h2", key: 2, tunnel_ip: "198.18.0.2" }))]);
  const hosts = new MemoryHostStates({ now: () => clock.now() });
  const relay = new Relay(log, { schedule: (flush) => flush() });
  const peers = new Peers(log.replica);
  const streams = new Streams({ writer: log, relay, peers, hosts, clock, log: silentLog });
  const open = (): Opened => {
    const received: FromServer[] = [];
    let closed = false;
    const channel = {
      send: (text: string) => void received.push(readFromServer(text)),
      backlog: 0,
      close: () => {
        closed = true;
      },
    };
    const end = streams.open(peer, channel);
    return { received, end, isClosed: () => closed, say: (message) => end.message(JSON.stringify(message)) };
  };
  return { log, clock, hosts, streams, open };
}

const settled = (): Promise<void> => new Promise((next) => setImmediate(next));
const refusalOf = ({ received }: Opened) => received.flatMap((each) => (each.type === "refused" ? [each.code] : []))[0];

test("a hello is answered with a welcome and the whole; the host is alive from then on", async () => {
  const { hosts, streams, open } = serve();
  const stream = open();
  assert.equal(hosts.alive("host-1"), false);
  stream.say(hello);
  await settled();
  assert.deepEqual(
    stream.received.map(({ type }) => type),
    ["welcome", "changes"],
  );
  assert.deepEqual([hosts.alive("host-1"), streams.size], [true, 1]);
  stream.end.closed();
  assert.deepEqual([hosts.alive("host-1"), streams.size], [false, 0]);
});

test("the end of an older stream is not the end of the newer", async () => {
  const { hosts, streams, open } = serve();
  const older = open();
  older.say(hello);
  await settled();
  const newer = open();
  newer.say(hello);
  await settled();
  assert.deepEqual([refusalOf(older), older.isClosed()], ["Superseded", true]);
  older.end.closed();
  assert.deepEqual([hosts.alive("host-1"), streams.size, refusalOf(newer)], [true, 1, undefined]);
});

test("what is held may come in parts, and the answer comes after the last", async () => {
  const { log, open } = serve();
  const revision = log.replica.revision;
  const stream = open();
  stream.say({ ...hello, held: [["port", "gone", 1]], more: true });
  stream.say({ type: "held", held: [["host", "host-1", revision]], more: true });
  await settled();
  assert.equal(stream.received.length, 0);
  stream.say({ type: "held", held: [["network", "gone", 1]], more: false });
  await settled();
  const changes = stream.received.flatMap((each) => (each.type === "changes" ? [each] : []));
  assert.deepEqual(
    changes.map(({ puts, removes, reset }) => ({ puts, removes, reset })),
    [
      {
        puts: [],
        removes: [
          { kind: "port", id: "gone" },
          { kind: "network", id: "gone" },
        ],
        reset: false,
      },
    ],
  );
});

test("an inventory that does not end is cut off, and of one host one is taken at a time, however many streams it opens", async () => {
  const { clock, hosts, open } = serve();
  const endless = open();
  endless.say({ ...hello, held: [["port", "gone", 1]], more: true });
  for (let second = 0; second < 12; second += 1) {
    clock.advance(5_000);
    endless.say({ type: "held", held: [], more: true });
  }
  assert.deepEqual([refusalOf(endless), endless.isClosed()], ["ProtocolViolation", true]);
  const many = Array.from({ length: 20 }, () => {
    const stream = open();
    stream.say({ ...hello, held: [["port", "gone", 1]], more: true });
    return stream;
  });
  assert.deepEqual(
    many.map(({ isClosed }) => isClosed()),
    many.map((_, at) => at < many.length - 1),
  );
  many.at(-1)?.say({ type: "held", held: [], more: false });
  await settled();
  assert.deepEqual([refusalOf(many[19] ?? endless), hosts.alive("host-1")], [undefined, true]);
});

test("silence, garbage, a second hello, an early ack and one of what was never sent end the stream", async () => {
  const { clock, open } = serve();
  const silent = open();
  clock.advance(10_000);
  const garbage = open();
  garbage.end.message("{");
  const early = open();
  early.say({ type: "ack", revision: 0 });
  const twice = open();
  twice.say(hello);
  await settled();
  twice.say(hello);
  const ahead = open();
  ahead.say(hello);
  await settled();
  ahead.say({ type: "ack", revision: 1_000 });
  for (const stream of [silent, garbage, early, twice, ahead]) {
    assert.deepEqual([refusalOf(stream), stream.isClosed()], ["ProtocolViolation", true]);
  }
});

test("a tunnel address that is new is written, and one that is another host's refuses the stream", async () => {
  const { log, open } = serve();
  const moved = open();
  moved.say({ ...hello, tunnel_ip: "2001:DB8::0:7" });
  await settled();
  assert.equal(log.replica.get(Host, "host-1")?.tunnel_ip, "2001:db8::7");
  for (const tunnel_ip of ["198.18.0.2", "nowhere"]) {
    const wrong = open();
    wrong.say({ ...hello, tunnel_ip });
    await settled();
    assert.deepEqual([refusalOf(wrong), wrong.isClosed()], ["FieldInvalid", true]);
  }
  assert.equal(log.replica.get(Host, "host-1")?.tunnel_ip, "2001:db8::7");
});
