/** Servers and agents of adjacent versions of the protocol: whichever is newer, the host gets what it needs; without a common version it is told so. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Dial, defaultAgentSettings, HostAgent } from "@selvage/agent";
import { createMetrics, ManualClock, silentLog } from "@selvage/base";
import { SimulatedDatapath } from "@selvage/datapath";
import { Host, Network, Port, type StoredObject } from "@selvage/model";
import { makeHost, makeNetwork, makePort, put } from "@selvage/model/testing";
import { readFromServer } from "@selvage/sync";
import { MemoryHostStates } from "../host-states.ts";
import { Peers } from "./peers.ts";
import { Relay } from "./relay.ts";
import { Streams } from "./streams.ts";
import { Wire } from "./testing/wire.ts";
import { Log } from "./testing/world.ts";

/** The fields that a server of version 1 knew; it refused any other. */
const firstFields: Readonly<Record<string, readonly string[]>> = {
  hello: ["type", "protocols", "agent", "tunnel_ip", "projection", "held", "more"],
  held: ["type", "held", "more"],
  ack: ["type", "revision"],
  facts: ["type", "datapath", "ports_up", "unbound", "quarantined"],
};

const host = makeHost({ id: "host-1", name: "h1", key: 1, tunnel_ip: "198.18.0.1" });
const net = makeNetwork({ id: "net-1" });
const port = makePort({ id: "port-1", network_id: "net-1", fixed_ips: [], "binding:host_id": "h1" });

interface Versions {
  readonly server: readonly number[];
  readonly agent: readonly number[];
}

/** A server and an agent whose programs know these versions; the server can be replaced by one of others. */
class Rig implements AsyncDisposable {
  readonly log = new Log();
  readonly clock = new ManualClock();
  readonly states = new MemoryHostStates({ now: () => this.clock.now() });
  readonly wire = new Wire(
    () => this.#streams,
    { hostId: host.id, fingerprint: "f" },
    (text) => this.sent.push(text),
  );
  readonly sent: string[] = [];
  readonly said: string[] = [];
  readonly datapath = new SimulatedDatapath();
  readonly directory: string;
  #server: readonly number[];
  #relay: Relay;
  #streams: Streams;
  #agent: HostAgent | undefined;

  private constructor(directory: string, server: readonly number[]) {
    this.directory = directory;
    this.#server = server;
    const known = { ...host, certificate_fingerprint: "f" } as StoredObject;
    this.log.append([{ kind: "host", id: host.id, object: known }, put(Network, net), put(Port, port)]);
    [this.#relay, this.#streams] = this.#serve();
  }

  static async make({ server, agent }: Versions): Promise<Rig> {
    const rig = new Rig(await mkdtemp(join(tmpdir(), "versions-")), server);
    await rig.start(agent);
    return rig;
  }

  #serve(): readonly [Relay, Streams] {
    const { log: writer, clock, states: hosts } = this;
    const relay = new Relay(writer, { schedule: (flush) => flush(), logId: "log-1", versions: this.#server });
    const peers = new Peers(writer.replica);
    return [relay, new Streams({ writer, relay, peers, hosts, clock, log: silentLog })];
  }

  /** The agent's end of the wire; behind it a server of version 1 alone refuses what that version did not know. */
  readonly #dial: Dial = (events) => {
    const link = this.wire.dial(events);
    return {
      send: (text) => {
        this.said.push(text);
        const message = JSON.parse(text) as { readonly type: string };
        const strange = Object.keys(message).find((name) => firstFields[message.type]?.includes(name) !== true);
        if (Math.max(...this.#server) > 1 || strange === undefined) return link.send(text);
        const refusal = { type: "refused", code: "ProtocolViolation", message: `bad message: ${strange}`, retry: true };
        queueMicrotask(() => events.message(JSON.stringify(refusal)));
      },
      close: () => link.close(),
    };
  };

  get agent(): HostAgent {
    assert.ok(this.#agent, "started");
    return this.#agent;
  }

  get cachePath(): string {
    return join(this.directory, "cache");
  }

  /** Starts an agent whose program knows these versions, in the place of the one before. */
  async start(versions: readonly number[]): Promise<void> {
    await this.#agent?.close();
    this.#agent = await HostAgent.start({
      host,
      tunnelIp: "198.18.0.1",
      datapath: this.datapath,
      datapathType: "netdev",
      physicalNetworks: ["public", "lan", "public"],
      dial: this.#dial,
      cachePath: this.cachePath,
      settings: defaultAgentSettings,
      clock: this.clock,
      log: silentLog,
      metrics: await createMetrics(),
      random: () => 0.5,
      versions,
    });
    await this.settle();
  }

  /** The server is replaced by a program that knows these versions. */
  async replaceServer(versions: readonly number[]): Promise<void> {
    this.#streams.close();
    this.#relay.close();
    this.#server = versions;
    [this.#relay, this.#streams] = this.#serve();
    await this.settle();
  }

  async settle(): Promise<void> {
    for (let round = 0; round < 6; round += 1) {
      for (let turn = 0; turn < 4; turn += 1) await new Promise((next) => setImmediate(next));
      this.clock.advance(11_000);
    }
  }

  /** Changes the network, and says whether the change came into force on the host's switch and was told to the server. */
  async follows(mtu: number): Promise<boolean> {
    this.log.append([put(Network, { ...net, mtu })]);
    await this.settle();
    return (
      this.agent.view.get(Network, net.id)?.mtu === mtu && this.states.inForce(host.id) === this.log.replica.revision
    );
  }

  get welcomes() {
    return this.sent.map(readFromServer).filter((message) => message.type === "welcome");
  }

  get resets(): readonly boolean[] {
    return this.sent.map(readFromServer).flatMap((message) => (message.type === "changes" ? [message.reset] : []));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent.close();
    this.#streams.close();
    this.#relay.close();
    await rm(this.directory, { recursive: true });
  }
}

const adjacent: readonly (Versions & { readonly spoken: number })[] = [
  { server: [1], agent: [1], spoken: 1 },
  { server: [1], agent: [1, 2], spoken: 1 },
  { server: [1, 2], agent: [1], spoken: 1 },
  { server: [1, 2], agent: [1, 2], spoken: 2 },
  { server: [1, 2], agent: [2, 3], spoken: 2 },
  { server: [2, 3], agent: [1, 2], spoken: 2 },
  { server: [1], agent: [1, 2, 3], spoken: 1 },
  { server: [1, 2, 3], agent: [1, 2, 3], spoken: 3 },
];

for (const { server, agent, spoken } of adjacent) {
  test(`a server of ${server.join(", ")} and an agent of ${agent.join(", ")} speak version ${spoken}, and changes come into force`, async () => {
    await using rig = await Rig.make({ server, agent });
    assert.equal(rig.agent.status.connected, true);
    assert.equal(rig.welcomes.at(-1)?.protocol, spoken);
    assert.equal(rig.welcomes.at(-1)?.log, spoken === 1 ? undefined : "log-1");
    assert.equal(await rig.follows(1400), true);
    // From version 3 on: which physical networks it has, in order and each once.
    const isTold = agent.includes(3) && Math.max(...server) > 1;
    assert.deepEqual(rig.log.replica.get(Host, host.id)?.physical_networks, isTold ? ["lan", "public"] : []);
    rig.datapath.plug(port.id, () => undefined);
    assert.equal(await rig.follows(1401), true);
    assert.deepEqual([...rig.states.of(host.id).portsUp], [port.id]);
    // From version 2 on: what the switch dropped, and what its datapath is.
    await rig.datapath.receive(port.id, new Uint8Array(60));
    await rig.agent.countDrops();
    await rig.settle();
    const dropped = rig.agent.status.drops;
    assert.equal(
      dropped.reduce((sum, { packets }) => sum + packets, 0),
      1,
    );
    const { drops, datapathType } = rig.states.of(host.id);
    assert.deepEqual([drops, datapathType], spoken === 1 ? [[], undefined] : [dropped, "netdev"]);
  });
}

for (const [server, agent] of [
  [[1], [2]],
  [[2, 3], [1]],
] as const) {
  test(`a server of ${server.join(", ")} refuses an agent of ${agent.join(", ")}, which comes again within a minute and is let in after the upgrade`, async () => {
    await using rig = await Rig.make({ server, agent });
    assert.equal(rig.agent.status.connected, false);
    assert.deepEqual(
      rig.sent.map(readFromServer).map((message) => (message.type === "refused" ? [message.code, message.retry] : [])),
      rig.sent.map(() => ["ProtocolVersionUnsupported", false]),
    );
    assert.ok(rig.sent.length <= 3, `${rig.sent.length} tries in 66 s`);
    await rig.replaceServer([1, 2]);
    rig.clock.advance(60_000);
    await rig.settle();
    assert.equal(rig.agent.status.connected, true);
  });
}

test("up and down again under an agent that stays: the server, then the agent, then the server back", async () => {
  await using rig = await Rig.make({ server: [1], agent: [1] });
  await rig.replaceServer([1, 2]);
  assert.equal(await rig.follows(1400), true);
  await rig.start([1, 2]);
  assert.equal(rig.welcomes.at(-1)?.protocol, 2);
  assert.equal(await rig.follows(1401), true);
  const before = rig.resets.length;
  await rig.start([1, 2]);
  // The agent before it has ended, and so written what it had to.
  assert.match(await readFile(rig.cachePath, "utf8"), /"log":"log-1"/);
  assert.deepEqual(rig.resets.slice(before), [false], "the log is known over a restart: nothing is sent again");
  await rig.replaceServer([1]);
  assert.equal(rig.agent.status.connected, true, "greeted in the words of version 1 after a refusal");
  assert.equal(await rig.follows(1402), true);
  await rig.start([1]);
  assert.equal(await rig.follows(1403), true);
});

test("an agent greets an older server twice at most before it is let in", async () => {
  await using rig = await Rig.make({ server: [1, 2], agent: [1, 2] });
  rig.said.length = 0;
  await rig.replaceServer([1]);
  const hellos = rig.said.filter((text) => text.includes('"type":"hello"'));
  assert.equal(hellos.length, 2);
  assert.deepEqual(
    hellos.map((text) => text.includes('"log":')),
    [true, false],
  );
});
