/** The connection over a transport that the test holds in its hands: greeting, order, errors, backpressure, silence, the end. */
import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { describe, mock, test } from "node:test";
import { Connection, type ConnectionOptions } from "./connection.ts";
import { BatchError, BundleError, ConnectionClosedError, OpenFlowError, VersionError } from "./errors.ts";
import { type FlowMod, flowMod } from "./flow.ts";
import { Framer } from "./framing.ts";
import { decodeMessage, type Envelope, encodeMessage, type Message } from "./message.ts";
import { connectSocket, type Transport, type TransportEvents } from "./transport.ts";
import { Writer } from "./wire.ts";

/** The switch's end: what came, and a way to answer. */
class Peer {
  readonly received: Envelope[] = [];
  readonly transport: Transport;
  ended = 0;
  /** What `write` tells the connection. */
  room = true;
  events: TransportEvents | undefined;
  readonly #framer = new Framer();
  readonly #answer: (envelope: Envelope, peer: Peer) => void;

  constructor(answer: (envelope: Envelope, peer: Peer) => void) {
    this.#answer = answer;
    this.transport = {
      start: (events) => {
        this.events = events;
      },
      write: (bytes) => {
        this.#framer.push(bytes, (one) => {
          const envelope = decodeMessage(one);
          this.received.push(envelope);
          this.#answer(envelope, this);
        });
        return this.room;
      },
      close: () => {
        this.ended += 1;
      },
    };
  }

  say(message: Message, xid: number): void {
    const w = new Writer();
    encodeMessage(w, message, xid);
    this.events?.data(w.take());
  }

  refuse(xid: number): void {
    this.say({ kind: "error", type: 5, code: 1, experimenter: 0, data: new Uint8Array(0) }, xid);
  }

  kinds(): readonly string[] {
    return this.received.map(({ message }) => message.kind);
  }
}

/** Greets, and answers barriers and bundle steps; refuses flow-mods of priority 13, commits that hold one, and odd adds of priority 14. */
const obedient = ({ xid, message }: Envelope, peer: Peer) => {
  const refused = (flow: Message) => flow.kind === "flowMod" && flow.priority === 13;
  if (message.kind === "hello") peer.say({ kind: "hello", versions: [1, 4, 6] }, 0);
  if (message.kind === "barrierRequest") peer.say({ kind: "barrierReply" }, xid);
  if (message.kind === "echoRequest") peer.say({ kind: "echoReply", data: message.data }, xid);
  if (refused(message)) peer.refuse(xid);
  if (message.kind === "bundleAdd" && message.message.kind === "flowMod" && message.message.priority === 14)
    peer.refuse(xid);
  if (message.kind !== "bundleControl") return;
  const bad = peer.received.find((one) => one.message.kind === "bundleAdd" && refused(one.message.message));
  if (message.step === "commitRequest" && bad !== undefined) {
    peer.refuse(bad.xid);
    peer.say({ kind: "error", type: 17, code: 13, experimenter: 0, data: new Uint8Array(0) }, xid);
    return;
  }
  const replies = { openRequest: "openReply", commitRequest: "commitReply", discardRequest: "discardReply" } as const;
  const { step } = message;
  if (step in replies) peer.say({ ...message, step: replies[step as keyof typeof replies] }, xid);
};

const open = async (answer = obedient, options: ConnectionOptions = { keepAlive: null }) => {
  const peer = new Peer(answer);
  return { peer, connection: await Connection.open(peer.transport, options) };
};
const flows = (...priorities: readonly number[]): readonly FlowMod[] =>
  priorities.map((priority) => flowMod({ priority }));
const failed = (error: unknown, kind: typeof BatchError | typeof BundleError, requests: readonly Message[]) => {
  assert.ok(error instanceof kind);
  assert.deepEqual(
    error.failures.map(({ request }) => request),
    requests,
  );
  assert.ok(error.failures.every(({ code }) => code === "OFPFMFC_TABLE_FULL"));
  return true;
};

test("a switch without OpenFlow 1.5 is told so and refused", async () => {
  const peer = new Peer(({ message }, one) => {
    if (message.kind === "hello") one.say({ kind: "hello", versions: [1, 4] }, 0);
  });
  await assert.rejects(Connection.open(peer.transport), (error) => {
    assert.ok(error instanceof VersionError);
    assert.deepEqual(error.versions, [1, 4]);
    return true;
  });
  assert.deepEqual(peer.kinds(), ["hello", "error"]);
  assert.equal(peer.ended, 1);
});

test("a switch that refuses our hello, or hangs up, fails the opening", async () => {
  const refusing = new Peer(({ xid }, one) => one.refuse(xid));
  await assert.rejects(Connection.open(refusing.transport), OpenFlowError);
  const leaving = new Peer((_, one) => one.events?.closed());
  await assert.rejects(Connection.open(leaving.transport), ConnectionClosedError);
});

test("echo requests are answered at once with their own data and id", async () => {
  const { peer } = await open();
  peer.say({ kind: "echoRequest", data: new Uint8Array([9, 8]) }, 0xffff_ffff);
  assert.deepEqual(peer.received.at(-1), {
    xid: 0xffff_ffff,
    message: { kind: "echoReply", data: new Uint8Array([9, 8]) },
  });
});

test("what is sent goes out in order, a barrier behind it, and refusals come back with their messages", async () => {
  const { peer, connection } = await open();
  const first = flows(1, 13, 2);
  const second = flows(13, 3);
  const sent = [connection.send(first), connection.send(second)];
  await assert.rejects(connection.barrier(), (error) =>
    failed(
      error,
      BatchError,
      [first[1], second[0]].filter((x) => x !== undefined),
    ),
  );
  await Promise.all(sent);
  assert.deepEqual(peer.kinds(), ["hello", ...Array(5).fill("flowMod"), "barrierRequest"]);
  await connection.barrier();
});

test("a bundle opens, fills, is checked, commits; refused at commit or at an add it throws and nothing commits", async () => {
  const { peer, connection } = await open();
  await connection.bundle(flows(1, 2));
  const steps = () =>
    peer.received.map(({ message }) => (message.kind === "bundleControl" ? message.step : message.kind));
  assert.deepEqual(steps(), ["hello", "openRequest", "bundleAdd", "bundleAdd", "barrierRequest", "commitRequest"]);
  const atAdd = flows(1, 14);
  await assert.rejects(connection.bundle(atAdd), (error) => failed(error, BundleError, atAdd.slice(1)));
  assert.equal(steps().at(-1), "discardRequest");
  const atCommit = flows(13, 1);
  await assert.rejects(connection.bundle(atCommit), (error) => failed(error, BundleError, atCommit.slice(0, 1)));
  await assert.rejects(connection.bundle([flowMod({ priority: 70_000 })]), { name: "EncodeError" });
  assert.equal(steps().at(-1), "discardRequest");
  await connection.barrier();
});

test("when the transport is full nothing more is written until it drains", async () => {
  const { peer, connection } = await open();
  peer.room = false;
  const many = flows(...Array(4000).fill(1));
  const sent = connection.send(many);
  const barrier = connection.barrier();
  await new Promise(setImmediate);
  const before = peer.received.length;
  assert.ok(before > 100 && before < 2000, `${before} messages in the first write`);
  peer.room = true;
  peer.events?.drain();
  await Promise.all([sent, barrier]);
  assert.equal(peer.received.length, 1 + 4000 + 1);
});

test("an answer in parts is handed on part by part", async () => {
  const { connection } = await open(({ xid, message }, peer) => {
    obedient({ xid, message }, peer);
    if (message.kind !== "multipartRequest") return;
    const port = (name: string) => ({ port: 1, mac: 1, name, config: 0, state: 0, speed: null });
    peer.say({ kind: "multipartReply", more: true, answer: { of: "ports", ports: [port("a")] } }, xid);
    peer.say({ kind: "multipartReply", more: true, answer: { of: "ports", ports: [] } }, xid);
    peer.say({ kind: "multipartReply", more: false, answer: { of: "ports", ports: [port("b"), port("c")] } }, xid);
  });
  assert.deepEqual(
    (await connection.ports()).map(({ name }) => name),
    ["a", "b", "c"],
  );
});

test("a refused request throws with its name; an error for nobody reaches the listeners until they leave", async () => {
  const { peer, connection } = await open((envelope, one) => {
    obedient(envelope, one);
    if (envelope.message.kind === "featuresRequest") one.refuse(envelope.xid);
  });
  await assert.rejects(connection.request({ kind: "featuresRequest" }), {
    name: "OpenFlowError",
    code: "OFPFMFC_TABLE_FULL",
  });
  let errors = 0;
  const off = connection.on("error", () => {
    errors += 1;
  });
  peer.refuse(0xdead);
  off();
  peer.refuse(0xdead);
  assert.equal(errors, 1);
});

test("the end fails whoever waits, with the cause, and whoever comes later", async () => {
  const { peer, connection } = await open(({ message }, one) => {
    if (message.kind === "hello") one.say({ kind: "hello", versions: [6] }, 0);
  });
  const waiting = [connection.barrier(), connection.ports(), connection.bundle([])];
  const settled = Promise.allSettled(waiting);
  await new Promise(setImmediate);
  peer.events?.closed(new Error("wire cut"));
  for (const one of await settled) assert.ok(one.status === "rejected" && one.reason instanceof ConnectionClosedError);
  const cause = await connection.closed;
  assert.ok(cause.kind === "transport" && cause.error.message === "wire cut");
  for (const late of [connection.send(flows(1)), connection.barrier(), connection.post({ kind: "barrierRequest" })]) {
    await assert.rejects(late, /wire cut/);
  }
});

test("bytes that are not OpenFlow end the connection, and later ones are ignored", async () => {
  const { peer, connection } = await open();
  peer.events?.data(new Uint8Array([6, 12, 0, 9, 0, 0, 0, 0, 99]));
  const cause = await connection.closed;
  assert.equal(cause.kind, "protocol");
  assert.equal(peer.ended, 1);
  connection.close();
  assert.equal(peer.ended, 1);
});

describe("a silent switch", () => {
  /** A connection whose switch answers for as long as it is alive, under a clock that is moved by hand. */
  async function watched() {
    mock.timers.enable({ apis: ["setInterval"] });
    let now = 0;
    const clock = mock.method(performance, "now", () => now);
    let alive = true;
    const { peer, connection } = await open(
      (envelope, one) => {
        if (alive) obedient(envelope, one);
      },
      { keepAlive: { idle: 100, silence: 250 } },
    );
    return {
      peer,
      connection,
      pass: (milliseconds = 100) => {
        now += milliseconds;
        mock.timers.tick(100);
      },
      asked: () => peer.kinds().filter((kind) => kind === "echoRequest").length,
      dies: () => {
        alive = false;
      },
      isOpen: async () => {
        await new Promise(setImmediate);
        return (await Promise.race([connection.closed, Promise.resolve("open")])) === "open";
      },
      [Symbol.dispose]: () => {
        clock.mock.restore();
        mock.timers.reset();
      },
    };
  }

  test("is asked, and given up when it does not answer", async () => {
    using it = await watched();
    for (let i = 0; i < 5; i += 1) {
      it.pass();
      await new Promise(setImmediate);
    }
    assert.equal(it.asked(), 5);
    it.dies();
    for (let i = 0; i < 3; i += 1) it.pass();
    assert.deepEqual(await it.connection.closed, { kind: "silence", milliseconds: 300 });
  });

  test("is asked first by who stood still, and its answer that waits to be read counts", async () => {
    using it = await watched();
    it.dies();
    it.pass(10_000);
    assert.ok(await it.isOpen());
    assert.equal(it.asked(), 1);
    it.pass();
    it.peer.events?.data(new Uint8Array([6, 3, 0, 8, 0, 0, 0, 9]));
    assert.ok(await it.isOpen());
    it.pass(10_000);
    assert.ok(await it.isOpen());
    assert.equal(it.asked(), 2);
    it.pass();
    assert.deepEqual(await it.connection.closed, { kind: "silence", milliseconds: 10_100 });
  });
});

test("over TCP, and a refused connection is the system's error", async () => {
  const peers: Socket[] = [];
  const server = createServer((socket) => {
    peers.push(socket);
    const w = new Writer();
    encodeMessage(w, { kind: "hello", versions: [6] }, 0);
    socket.resume();
    socket.write(w.take());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const target = { host: "127.0.0.1", port: address.port };
  const connection = await Connection.open(await connectSocket(target));
  for (const peer of peers) peer.destroy();
  assert.ok(["peer", "transport"].includes((await connection.closed).kind));
  await new Promise((resolve) => {
    server.close(resolve);
  });
  await assert.rejects(connectSocket(target), { code: "ECONNREFUSED" });
});
