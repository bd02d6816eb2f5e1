/** Whole agents against the relay in memory: random histories with cut streams, slow hosts and restarts, and each failure by itself. */
import assert from "node:assert/strict";
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { defaultAgentSettings, HostAgent } from "@selvage/agent";
import { createMetrics, ManualClock, silentLog } from "@selvage/base";
import { derivationsFor, viewResources } from "@selvage/compiler";
import { type DatapathEvents, SimulatedDatapath } from "@selvage/datapath";
import { Attachment, type Change, Engine, Host, Network, Port, type StoredObject } from "@selvage/model";
import {
  makeHost,
  makeNetwork,
  makePort,
  makeSubnet,
  put,
  randomHistory,
  remove,
  type Step,
  withRouters,
} from "@selvage/model/testing";
import { decode, encode, multicastMac, solicitedNode } from "@selvage/packet";
import { type Row, rowText } from "@selvage/pipeline";
import { readFromServer } from "@selvage/sync";
import fc from "fast-check";
import { MemoryHostStates } from "../host-states.ts";
import { Peers } from "./peers.ts";
import { Relay } from "./relay.ts";
import { Streams } from "./streams.ts";
import { Wire } from "./testing/wire.ts";
import { Log, needBySpecification } from "./testing/world.ts";

/** One server's relay over a log, and hosts with agents, all in memory and on one clock. */
class World implements AsyncDisposable {
  log = new Log();
  readonly clock = new ManualClock();
  states: MemoryHostStates;
  peers = new Peers(this.log.replica);
  readonly agents = new Map<string, Site>();
  readonly directory: string;
  relay: Relay;
  streams: Streams;

  constructor(directory: string) {
    this.directory = directory;
    this.states = this.#nothingKnown();
    this.relay = new Relay(this.log, { schedule: (flush) => flush() });
    this.streams = this.#serve();
  }

  static async make(): Promise<World> {
    return new World(await mkdtemp(join(tmpdir(), "relay-")));
  }

  #nothingKnown(): MemoryHostStates {
    return new MemoryHostStates({ now: () => this.clock.now() });
  }

  #serve(): Streams {
    const { log: writer, peers, clock, relay, states: hosts } = this;
    return new Streams({ writer, relay, peers, hosts, clock, log: silentLog });
  }

  /** The server ends and another one takes its place. */
  restartServer(): void {
    this.streams.close();
    this.relay.close();
    // What hosts said went with the server's memory: they say it again.
    this.states = this.#nothingKnown();
    this.relay = new Relay(this.log, { schedule: (flush) => flush() });
    this.streams = this.#serve();
  }

  /** The server ends, and begins again over another store. */
  bringBack(log: Log): void {
    this.log = log;
    this.peers = new Peers(log.replica);
    this.restartServer();
  }

  append(...changes: readonly Change[]): void {
    this.log.append(
      changes.map(({ kind, id, object }) => {
        const host = kind === Host.kind && object !== null;
        return { kind, id, object: host ? ({ ...object, certificate_fingerprint: id } as StoredObject) : object };
      }),
    );
  }

  async site(host: Host): Promise<Site> {
    const site = new Site(this, host);
    this.agents.set(host.id, site);
    await site.start();
    return site;
  }

  /** Resolves when no message is under way and every agent that can has done what it has to. */
  async quiet(): Promise<void> {
    for (let rounds = 0; rounds < 3; rounds += 1) await new Promise((next) => setImmediate(next));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { agent } of this.agents.values()) await agent.close();
    this.streams.close();
    this.relay.close();
    await rm(this.directory, { recursive: true });
  }
}

/** A simulated switch has what every port needs: that it has not is said by hand. */
class Switch extends SimulatedDatapath {
  faults: DatapathEvents["faults"];

  override open(events: DatapathEvents): Promise<void> {
    this.faults = events.faults;
    return super.open(events);
  }
}

class Site {
  readonly #world: World;
  readonly host: Host;
  readonly datapath = new Switch();
  readonly wire: Wire;
  #agent: HostAgent | undefined;
  online = true;

  constructor(world: World, host: Host) {
    this.#world = world;
    this.host = host;
    const peer = { hostId: host.id, fingerprint: host.id };
    this.wire = new Wire(
      () => world.streams,
      peer,
      (text) => this.#mustNeed(text),
    );
  }

  get agent(): HostAgent {
    assert.ok(this.#agent, "started");
    return this.#agent;
  }

  get cachePath(): string {
    return join(this.#world.directory, this.host.id);
  }

  async start(): Promise<void> {
    this.#agent = await HostAgent.start({
      host: this.host,
      tunnelIp: `198.18.0.${this.host.key}`,
      datapath: this.datapath,
      dial: this.wire.dial,
      cachePath: this.cachePath,
      settings: defaultAgentSettings,
      clock: this.#world.clock,
      log: silentLog,
      metrics: await createMetrics(),
      random: () => 0.5,
    });
  }

  /** The process ends; its cache and its switch stay. */
  async restart(): Promise<void> {
    await this.agent.close();
    await this.start();
  }

  async rows(): Promise<readonly string[]> {
    const installed = await this.datapath.installed();
    // The program's own rows are on every switch.
    const constants = new Set((await new SimulatedDatapath().installed()).map(({ text }) => text));
    return installed.flatMap(({ row, text }) => (row === null || constants.has(text) ? [] : [rowText(row)])).sort();
  }

  /** The rows that a full recompute of the host's need by the definition yields. */
  expected(): readonly string[] {
    const { replica } = this.#world.log;
    const host = replica.get(Host, this.host.id);
    if (host === undefined) return [];
    const attached = [...this.agent.view.objects(Attachment)].map((each) => put(Attachment, each));
    const need = [...needBySpecification(replica, host)].map(([key, object]) => ({
      kind: key.split("|")[0] ?? "",
      id: object.id,
      object,
    }));
    const engine = new Engine<Row>({
      derivations: derivationsFor({ name: host.name }),
      resources: viewResources,
    });
    engine.apply([...need, ...attached], 1);
    return [...engine.rows()].map(rowText).sort();
  }

  /** Nothing that the host does not need ever goes over its wire, nor more of it than it may see. */
  #mustNeed(text: string): void {
    const message = readFromServer(text);
    if (message.type !== "changes") return;
    const host = this.#world.log.replica.get(Host, this.host.id);
    const need = host === undefined ? new Map() : needBySpecification(this.#world.log.replica, host);
    for (const { kind, object } of message.puts) assert.deepEqual(object, need.get(`${kind}|${object.id}`));
  }
}

type Fate = {
  readonly do: "cut" | "mend" | "slow" | "fast" | "restart" | "server" | "plug" | "switch";
  readonly pick: number;
};
const fates: fc.Arbitrary<readonly Fate[]> = fc.array(
  fc.record({
    do: fc.constantFrom("cut", "mend", "mend", "slow", "fast", "restart", "server", "plug", "plug", "plug", "switch"),
    pick: fc.nat(0xffff),
  }),
  { maxLength: 3 },
);

async function meet({ do: what, pick }: Fate, world: World): Promise<void> {
  const sites = [...world.agents.values()];
  const site = sites[pick % Math.max(1, sites.length)];
  if (what === "server") world.restartServer();
  if (site === undefined) return;
  switch (what) {
    case "cut":
      site.wire.cut();
      return;
    case "mend":
      site.wire.mend();
      return;
    case "slow":
      site.wire.slow = true;
      return;
    case "fast":
      site.wire.slow = false;
      return;
    case "restart":
      return site.restart();
    case "plug": {
      const ports = [...world.log.replica.objects(Port)];
      const port = ports[pick % Math.max(1, ports.length)];
      if (port === undefined) return;
      if (pick % 3 === 0) site.datapath.unplug(port.id);
      else site.datapath.plug(port.id, () => undefined);
      return;
    }
    case "switch":
      site.datapath.stop();
      site.datapath.start();
      return;
    case "server":
      return;
  }
}

/** Steps that say who is a host get an agent for it, up to three. */
async function play(world: World, step: Step): Promise<void> {
  world.append(...step.changes);
  for (const { kind, id } of step.changes) {
    const host = kind === Host.kind ? world.log.replica.get(Host, id) : undefined;
    if (host !== undefined && !world.agents.has(id) && world.agents.size < 3) await world.site(host);
  }
}

test("each host's switch holds what a full recompute of its need yields, whatever was cut, slow, restarted or gone", async () => {
  await fc.assert(
    fc.asyncProperty(
      withRouters(randomHistory({ steps: 25 })).chain((steps) =>
        fc.array(fates, { minLength: steps.length, maxLength: steps.length }).map((all) => ({ steps, all })),
      ),
      async ({ steps, all }) => {
        await using world = await World.make();
        for (const [at, step] of steps.entries()) {
          await play(world, step);
          for (const fate of all[at] ?? []) {
            await world.quiet();
            await meet(fate, world);
          }
        }
        // At last everything works, and everybody comes to hold what intent says now.
        for (const { wire } of world.agents.values()) {
          wire.mend();
          wire.slow = false;
        }
        for (let tries = 0; tries < 4; tries += 1) {
          await world.quiet();
          world.clock.advance(60_000);
          await world.quiet();
        }
        for (const site of world.agents.values()) {
          if (!world.log.replica.has(Host, site.host.id)) continue;
          assert.equal(site.agent.status.connected, true);
          assert.equal(site.agent.inStep, true);
          assert.deepEqual(await site.rows(), site.expected());
          const audit = site.agent.engine.audit();
          assert.deepEqual([audit.added, audit.removed, audit.modified], [[], [], []]);
          assert.equal(world.states.inForce(site.host.id), world.log.replica.revision);
          const up = [...world.states.of(site.host.id).portsUp].sort();
          const bound = [...world.log.replica.by(Port.index.host, site.host.name)].map(({ id }) => id);
          assert.deepEqual(up, bound.filter((id) => site.agent.view.has(Attachment, id)).sort());
        }
      },
    ),
    { numRuns: 120 },
  );
});

const h1 = makeHost({ id: "host-1", name: "h1", key: 1, tunnel_ip: "198.18.0.1" });
const h2 = makeHost({ id: "host-2", name: "h2", key: 2, tunnel_ip: "198.18.0.2" });
const network = makeNetwork({ id: "net-1" });
const subnet = makeSubnet({ id: "sub-1", network_id: "net-1" });
const portAt = (number: number, host: string, more: Partial<Port> = {}): Port =>
  makePort({
    id: `port-${number}`,
    key: number,
    network_id: "net-1",
    mac_address: `fa:16:3e:00:00:0${number}`,
    fixed_ips: [{ subnet_id: "sub-1", ip_address: `10.0.0.1${number}` }],
    "binding:host_id": host,
    ...more,
  });

async function twoHosts(): Promise<{ readonly world: World; readonly site: Site }> {
  const world = await World.make();
  world.append(put(Host, h1), put(Host, h2), put(Network, network), { kind: "subnet", id: subnet.id, object: subnet });
  world.append(put(Port, portAt(1, "h1")), put(Port, portAt(2, "h2")));
  const site = await world.site(h1);
  site.datapath.plug("port-1", () => undefined);
  await world.quiet();
  return { world, site };
}

test("a host's facts reach the server: alive, in force, ports up; and are taken back when they change", async () => {
  const { world, site } = await twoHosts();
  await using _ = world;
  const state = () => world.states.of("host-1");
  assert.equal(state().alive, true);
  assert.equal(state().inForce, world.log.replica.revision);
  assert.deepEqual([...state().portsUp], ["port-1"]);
  site.datapath.plug("stranger", () => undefined);
  site.datapath.plug("port-2", () => undefined);
  await world.quiet();
  assert.deepEqual(state().unbound, ["port-2", "stranger"], "a port that is bound elsewhere stays unbound here");
  assert.deepEqual([...state().portsUp], ["port-1"]);
  site.datapath.unplug("port-1");
  await world.quiet();
  assert.deepEqual([...state().portsUp], []);
  site.datapath.stop();
  await world.quiet();
  assert.deepEqual([state().problems, state().datapath], [["the switch is away"], "none"]);
  site.datapath.start();
  await world.quiet();
  assert.deepEqual([state().problems, state().datapath], [[], "simulated"]);
  site.wire.cut();
  assert.equal(state().alive, false);
});

test("a port without a connection-tracking zone is not up, its host says why, and it is up when it has one", async () => {
  const { world, site } = await twoHosts();
  await using _ = world;
  const state = () => world.states.of("host-1");
  site.datapath.faults?.(new Map([["port-1", "ct-zone-full"]]));
  await world.quiet();
  assert.deepEqual([[...state().portsUp], state().problems.length], [[], 1]);
  assert.match(state().problems[0] ?? "", /^port port-1: ct-zone-full: /);
  assert.deepEqual(site.agent.status.portsUp, []);
  world.restartServer();
  await world.quiet();
  world.clock.advance(60_000);
  await world.quiet();
  assert.deepEqual([state().problems.length, [...state().portsUp]], [1, []], "another server is told, too");
  site.datapath.faults?.(new Map());
  await world.quiet();
  assert.deepEqual([[...state().portsUp], state().problems], [["port-1"], []]);
});

test("what an audit found and mended reaches the server with its difference; what the agent itself changed does not", async () => {
  const { world, site } = await twoHosts();
  await using _ = world;
  assert.deepEqual(world.states.of("host-1").drift, []);
  const before = await site.rows();
  const [lost] = (await site.datapath.installed()).flatMap(({ row }) => (row?.table === "deliver" ? [row] : []));
  assert.ok(lost !== undefined);
  site.datapath.lose(lost);
  const at = new Date(world.clock.now()).toISOString();
  site.agent.audit();
  await world.quiet();
  assert.deepEqual(world.states.of("host-1").drift, [
    { at, what: "missing", row: lost.id, wanted: rowText(lost), found: null },
  ]);
  assert.deepEqual(await site.rows(), before);
  await site.restart();
  await world.quiet();
  assert.deepEqual(world.states.of("host-1").drift, [], "an agent tells of its own audits");
});

test("a change that means nothing to a host is in force there without a message", async () => {
  const { world, site } = await twoHosts();
  await using _ = world;
  const before = site.wire.received.length;
  world.append(put(Network, makeNetwork({ id: "elsewhere", "provider:segmentation_id": 9 })));
  await world.quiet();
  world.clock.advance(200);
  assert.equal(site.wire.received.length, before);
  assert.equal(world.states.inForce("host-1"), world.log.replica.revision);
});

test("without a server a restarted agent goes on from its cache and changes nothing on the switch", async () => {
  const { world, site } = await twoHosts();
  await using _ = world;
  const rows = await site.rows();
  assert.ok(rows.length > 10);
  site.wire.cut();
  const counted = counting(site.datapath);
  await site.restart();
  await world.quiet();
  assert.equal(site.agent.status.connected, false);
  assert.deepEqual(await site.rows(), rows);
  assert.deepEqual(counted.changes, [0], "one adoption, and nothing differed");
});

test("an agent that was killed in the middle of a line goes on from what stands before it", async () => {
  const { world, site } = await twoHosts();
  await using _ = world;
  const rows = await site.rows();
  site.wire.cut();
  await site.agent.close();
  await appendFile(site.cachePath, '0123456789abcdef {"type":"chan');
  await site.start();
  await world.quiet();
  assert.deepEqual(await site.rows(), rows);
});

test("a damaged cache is not believed: the switch is left alone until the server has told everything anew", async () => {
  const { world, site } = await twoHosts();
  await using _ = world;
  const rows = await site.rows();
  site.wire.cut();
  await site.agent.close();
  const text = await readFile(site.cachePath, "utf8");
  await writeFile(site.cachePath, text.replace("10.0.0.11", "10.0.0.99"));
  const counted = counting(site.datapath);
  await site.start();
  await world.quiet();
  assert.equal(site.agent.status.revision, null);
  assert.deepEqual([counted.changes, await site.rows()], [[], rows], "no view: the flows stay as they are");
  site.wire.mend();
  site.wire.received.length = 0;
  world.clock.advance(60_000);
  await world.quiet();
  const resets = site.wire.received.map(readFromServer).filter((each) => each.type === "changes");
  assert.equal(resets[0]?.puts.length, 6, "both hosts, the network, its subnet and its ports");
  assert.deepEqual(await site.rows(), rows);
});

test("what changed while a host was away is all that it is sent when it is back", async () => {
  const { world, site } = await twoHosts();
  await using _ = world;
  site.wire.cut();
  world.append(put(Port, portAt(3, "h2")));
  world.append(remove(Port, "port-2"));
  site.wire.received.length = 0;
  site.wire.mend();
  world.clock.advance(60_000);
  await world.quiet();
  const changes = site.wire.received.map(readFromServer).filter((each) => each.type === "changes");
  assert.deepEqual(
    changes.map(({ puts, removes, reset }) => ({ puts: puts.map(({ object }) => object.id), removes, reset })),
    [{ puts: ["port-3"], removes: [{ kind: "port", id: "port-2" }], reset: false }],
  );
  assert.deepEqual(await site.rows(), site.expected());
});

test("a row that the switch refuses is set aside alone, reported, and installed once it is right", async () => {
  const { world, site } = await twoHosts();
  await using _ = world;
  const refuse = { mac: "fa:16:3e:00:00:03" };
  refusing(site.datapath, (row) => JSON.stringify(row).includes(refuse.mac));
  world.append(put(Port, portAt(3, "h2")), put(Port, portAt(4, "h2")));
  await world.quiet();
  const texts = await site.rows();
  assert.equal(
    texts.some((text) => text.includes("fa:16:3e:00:00:04")),
    true,
    "the others go on",
  );
  assert.equal(
    texts.some((text) => text.includes(refuse.mac)),
    false,
  );
  assert.ok(world.states.of("host-1").problems.some((text) => text.includes("refused for a test")));
  assert.equal(world.states.inForce("host-1"), world.log.replica.revision);
  refuse.mac = "nothing";
  site.agent.audit();
  await world.quiet();
  assert.deepEqual(await site.rows(), site.expected());
  assert.deepEqual(world.states.of("host-1").problems, []);
});

test("a host that is removed, or whose certificate was replaced, is cut off at once", async () => {
  const { world, site } = await twoHosts();
  await using _ = world;
  world.log.append([put(Host, { ...h1, certificate_fingerprint: "another" })]);
  await world.quiet();
  assert.equal(site.agent.status.connected, false);
  assert.equal(world.states.of("host-1").alive, false);
  assert.match(site.wire.received.at(-1) ?? "", /"code":"HostRevoked".*"retry":false/);
  world.append(put(Host, h1));
  world.clock.advance(60_000);
  await world.quiet();
  assert.equal(site.agent.status.connected, true, "an operator's repair is found without a restart");
  world.log.append([remove(Port, "port-1"), remove(Host, "host-1")]);
  await world.quiet();
  assert.equal(site.agent.status.connected, false);
  assert.deepEqual(
    [world.states.of("host-1").heardAt, world.states.inForce("host-1")],
    [0, undefined],
    "and forgotten",
  );
});

test("a slow host gets less and newer, and is not behind when it has caught up", async () => {
  const { world, site } = await twoHosts();
  await using _ = world;
  site.wire.slow = true;
  site.wire.received.length = 0;
  for (let mtu = 1300; mtu < 1400; mtu += 1) world.append(put(Network, { ...network, mtu }));
  await world.quiet();
  assert.equal(site.wire.received.length, 0);
  assert.ok((world.states.inForce("host-1") ?? 0) < world.log.replica.revision);
  site.wire.slow = false;
  await world.quiet();
  assert.equal(site.wire.received.length, 1, "a hundred changes of one object are one");
  assert.equal(site.agent.view.get(Network, "net-1")?.mtu, 1399);
  assert.equal(world.states.inForce("host-1"), world.log.replica.revision);
});

test("a guest gets its lease, and learns of a neighbour, from its own host with no server there", async () => {
  const { world, site } = await twoHosts();
  await using _ = world;
  const frames: Uint8Array[] = [];
  site.datapath.plug("port-1", (frame) => frames.push(frame));
  await world.quiet();
  site.wire.cut();
  await site.restart();
  const mac = "fa:16:3e:00:00:01";
  site.datapath.receive(
    "port-1",
    encode({
      eth: { src: mac, dst: "ff:ff:ff:ff:ff:ff" },
      ipv4: { src: "0.0.0.0", dst: "255.255.255.255" },
      udp: { src: 68, dst: 67 },
      dhcp: { op: "request", xid: 1, chaddr: mac, options: { messageType: "discover" } },
    }),
  );
  const local = "fe80::f816:3eff:fe00:1";
  const target = "fe80::f816:3eff:fe00:2";
  const group = solicitedNode(target);
  site.datapath.receive(
    "port-1",
    encode({
      eth: { src: mac, dst: multicastMac(group) },
      ipv6: { src: local, dst: group },
      icmpv6: { kind: "neighbor-solicitation", target, options: [{ kind: "source-link-layer", mac }] },
    }),
  );
  await world.quiet();
  const [offer, advertisement] = frames
    .map((frame) => decode(frame))
    .map((each) => (each.ok ? each.packet : undefined));
  assert.deepEqual([offer?.dhcp?.options.messageType, offer?.dhcp?.yiaddr], ["offer", "10.0.0.11"]);
  assert.deepEqual(
    [advertisement?.icmpv6?.kind, advertisement?.eth.src],
    ["neighbor-advertisement", "fa:16:3e:00:00:02"],
  );
});

test("a server that starts anew is told everything again", async () => {
  const { world, site } = await twoHosts();
  await using _ = world;
  world.restartServer();
  assert.deepEqual([...world.states.of("host-1").portsUp], []);
  await world.quiet();
  world.clock.advance(60_000);
  await world.quiet();
  assert.deepEqual([...world.states.of("host-1").portsUp], ["port-1"]);
  assert.equal(world.states.inForce("host-1"), world.log.replica.revision);
  assert.equal(site.agent.status.connected, true);
});

test("a store that was brought back to an older state is followed there", async () => {
  const { world, site } = await twoHosts();
  await using _ = world;
  for (let mtu = 1300; mtu < 1310; mtu += 1) world.append(put(Network, { ...network, mtu }));
  world.append(put(Port, portAt(3, "h2")));
  await world.quiet();
  const older = new Log();
  const old = (object: Host): Change => put(Host, { ...object, certificate_fingerprint: object.id });
  older.append([old(h1), old(h2), put(Network, network), { kind: "subnet", id: subnet.id, object: subnet }]);
  older.append([put(Port, portAt(1, "h1"))]);
  world.bringBack(older);
  await world.quiet();
  world.clock.advance(60_000);
  await world.quiet();
  assert.equal(site.agent.status.connected, true);
  assert.equal(site.agent.status.revision, 2);
  assert.equal(site.agent.view.get(Network, "net-1")?.mtu, network.mtu);
  assert.deepEqual(await site.rows(), site.expected());
  assert.equal(world.states.inForce("host-1"), 2);
});

test("a switch that answers before it has told what is plugged in loses no row of what is", async () => {
  const { world, site } = await twoHosts();
  await using _ = world;
  const rows = await site.rows();
  site.wire.cut();
  await site.agent.close();
  const counted = counting(site.datapath);
  const open = site.datapath.open.bind(site.datapath);
  let tell = (): void => undefined;
  site.datapath.open = (events) => {
    tell = () => events.attachments([{ port: "port-1", name: "tap1" }]);
    return open({ ...events, attachments: () => undefined });
  };
  await site.start();
  await world.quiet();
  assert.deepEqual([counted.changes, await site.rows()], [[], rows]);
  tell();
  await world.quiet();
  assert.deepEqual([counted.changes, await site.rows()], [[0], rows]);
});

/** Counts what each adoption changed. */
function counting(datapath: SimulatedDatapath): { readonly changes: number[] } {
  const changes: number[] = [];
  const adopt = datapath.adopt.bind(datapath);
  datapath.adopt = async (rows) => {
    const adoption = await adopt(rows);
    changes.push(adoption.added + adoption.changed + adoption.removed);
    return adoption;
  };
  return { changes };
}

/** Refuses every step that holds a row that `bad` picks, whole, as a switch refuses a bundle. */
function refusing(datapath: SimulatedDatapath, bad: (row: Row) => boolean): void {
  const apply = datapath.apply.bind(datapath);
  datapath.apply = async (delta) => {
    const rows = [...delta.added, ...delta.modified.map(({ after }) => after)];
    if (rows.some(bad)) throw new Error("refused for a test");
    return apply(delta);
  };
}
