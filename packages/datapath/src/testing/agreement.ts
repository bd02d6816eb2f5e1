/** The same random frames and conversations on the simulated switches and on others: all that comes out, is punted or dropped must be the same. */
import assert from "node:assert/strict";
import {
  FabricVni,
  GuardMac,
  HoldersHere,
  HoldersThere,
  L2,
  RouterSolicitation,
  type Row,
  row,
  serviceAddresses,
  serviceMac,
} from "@selvage/pipeline";
import fc from "fast-check";
import { assertConversations } from "./agreement-conversations.ts";
import { assertOutside } from "./agreement-outside.ts";
import type { MakeFabric } from "./fabric.ts";
import {
  arpProbe,
  arpReply,
  arpRequest,
  dhcp6Solicit,
  dhcpDiscover,
  duplicateDetection,
  gratuitousArp,
  neighbourAdvertisement,
  neighbourSolicitation,
  routerSolicitation,
  udp,
  udpToAll,
} from "./frames.ts";
import { simulatedTestFabric } from "./simulated-fabric.ts";
import { hostKeyOf, type TestPort, testPort, vxlanNet } from "./topology.ts";
import { World } from "./world.ts";

const ports: readonly TestPort[] = [
  testPort(1, 1, 0),
  testPort(2, 1, 0),
  testPort(3, 1, 1),
  testPort(4, 1, 2),
  testPort(5, 2, 0),
  testPort(6, 2, 1),
  testPort(7, vxlanNet, 0),
  testPort(8, vxlanNet, 1),
  testPort(9, vxlanNet, 1),
];
/** Of the host's services: nobody here has a row that lets it ask them. */
const service = serviceAddresses.metadata;
/** A MAC that several ports may have, by an address pair of each. */
const sharedMac = "02:00:00:00:00:55";
/** Sends what it likes. */
const open = testPort(4, 1, 2);

const kinds = [
  "udp",
  "all",
  "ask",
  "reply",
  "announce",
  "probe",
  "solicit",
  "detect",
  "advertise",
  "dhcp",
  "dhcp6",
  "rs",
  "service",
  "other",
] as const;

interface Shot {
  readonly kind: (typeof kinds)[number];
  readonly from: number;
  readonly to: number;
  readonly version: 4 | 6;
  /** What is not as it should be: another's MAC or addresses in the sender's place, a VLAN tag, an address that nobody has. */
  readonly twist: "none" | "mac" | "addresses" | "tag" | "nobody" | "shared" | "flip";
  /** Where a flipped frame differs from a sound one, in the headers down to an ICMPv6 code, and in which bits. Never the byte of the IP version, at which not every switch looks. */
  readonly flip: readonly [at: number, bits: number];
}

const place = fc.nat(ports.length - 1);
const shots: fc.Arbitrary<Shot> = fc.record({
  kind: fc.constantFrom(...kinds),
  from: place,
  to: place,
  version: fc.constantFrom<4 | 6>(4, 6),
  twist: fc.constantFrom<Shot["twist"]>("none", "none", "none", "mac", "addresses", "tag", "nobody", "shared", "flip"),
  flip: fc.tuple(
    fc.nat(55).filter((at) => at !== 14),
    fc.integer({ min: 1, max: 255 }),
  ),
});

function portAt(at: number): TestPort {
  const port = ports[at];
  if (port === undefined) throw new RangeError(`no port ${at}`);
  return port;
}

function frameOf(shot: Shot, mark: number): Uint8Array {
  const { kind, version, twist } = shot;
  const own = portAt(shot.from);
  const asked = portAt(shot.to);
  const from = {
    ...own,
    ...(twist === "mac" ? { mac: asked.mac } : {}),
    ...(twist === "addresses" ? { ip4: asked.ip4, ip6: asked.ip6 } : {}),
  };
  const nobody = { mac: "02:00:00:00:00:77", ip4: "10.0.1.222", ip6: "2001:db8:1::222" };
  const to = twist === "nobody" ? nobody : twist === "shared" ? { ...asked, mac: sharedMac } : asked;
  const made: Readonly<Record<Shot["kind"], () => Uint8Array>> = {
    udp: () => udp(version, from, to, mark),
    all: () => udpToAll(version, from, mark),
    ask: () => arpRequest(from, to.ip4),
    reply: () => arpReply(from, to),
    announce: () => gratuitousArp(from),
    probe: () => arpProbe(from, to.ip4),
    solicit: () => neighbourSolicitation(from, to.ip6),
    detect: () => duplicateDetection(from, to.ip6),
    advertise: () => neighbourAdvertisement(from, to.ip6),
    dhcp: () => dhcpDiscover(from.mac, mark),
    dhcp6: () => dhcp6Solicit(from, from.ip6, mark),
    rs: () => routerSolicitation(from),
    service: () => udp(version, from, { mac: serviceMac, ip4: service[4], ip6: service[6] }, mark),
    other: () => otherThanIp(udp(version, from, to, mark)),
  };
  const frame = made[kind]();
  if (twist === "flip") frame[shot.flip[0] % frame.length] = (frame[shot.flip[0] % frame.length] ?? 0) ^ shot.flip[1];
  return twist === "tag"
    ? Buffer.concat([frame.subarray(0, 12), Uint8Array.of(0x81, 0, 0, mark % 2), frame.subarray(12)])
    : frame;
}

/** The frame with an EtherType of LLDP. */
function otherThanIp(frame: Uint8Array): Uint8Array {
  frame.set([0x88, 0xcc], 12);
  return frame;
}

const texts = (items: readonly unknown[]): readonly string[] =>
  items.map((item) => (item instanceof Uint8Array ? Buffer.from(item).toString("hex") : JSON.stringify(item))).sort();

/** Everything that a world has shown, in no order. */
async function shown(world: World) {
  const places = world.placesOf(ports);
  return {
    arrived: Object.fromEntries(ports.map((port) => [port.id, texts(world.arrived(port).all)])),
    punts: places.map((at) =>
      texts(
        world.heard(at).punts.all.map(({ kind, attachment, net, vrf, srcPort, frame }) => {
          return { kind, attachment, net, vrf, srcPort, frame: Buffer.from(frame).toString("hex") };
        }),
      ),
    ),
    drops: await Promise.all(
      places.map(async (at) => texts([...(await world.datapath(at).drops())].filter(([, count]) => count > 0))),
    ),
  };
}

/** What the ports have beside `rowsFor`: one is not guarded, all of two networks may bear one MAC more, and on one routers are asked for. */
function moreRows(here: number): readonly Row[] {
  const shared = [1, vxlanNet].flatMap((net) => {
    const holders = ports.filter((port) => port.net === net);
    if (!holders.some(({ host }) => host === here)) return [];
    const key = { net, ethDst: `${sharedMac}/ff:ff:ff:ff:ff:ff` };
    const others = new Set(holders.flatMap(({ host }) => (host === here ? [] : [hostKeyOf(host)])));
    return [
      row(L2, key, "holders", {}, "port"),
      row(FabricVni, key, "holders", {}, "port"),
      ...holders.flatMap(({ host, key: port }) =>
        host === here ? [row(HoldersHere, { net, mac: sharedMac, port }, "copy", { port })] : [],
      ),
      ...[...others].map((host) => row(HoldersThere, { net, mac: sharedMac, host }, "copy", { host })),
    ];
  });
  const unguarded = row(GuardMac, { srcPort: open.key }, "unguarded", {}, "any");
  return [...shared, row(RouterSolicitation, { net: 2 }, "answer"), ...(here === open.host ? [unguarded] : [])];
}

/** Builds the topology and sends the shots; then one more frame to each port, so that what was to come has come. */
async function play(world: World, all: readonly Shot[], arrivals: ReadonlyMap<string, number>): Promise<void> {
  await world.build(ports);
  for (const place of world.placesOf(ports))
    await world.datapath(place).adopt([...world.rows(place, ports), ...moreRows(place)]);
  for (const [at, shot] of all.entries()) await world.send(portAt(shot.from), frameOf(shot, 0x10000 + at));
  for (const port of ports) {
    const wanted = arrivals.get(port.id) ?? 0;
    await world.until(`${wanted} frames at ${port.id}`, async () => world.arrived(port).all.length >= wanted);
  }
  for (const port of ports) {
    for (const witness of ports) if (witness.net === port.net && witness !== port) await world.reaches(witness, port);
  }
}

/**
 * Sends `count` random frames, drawn by `seed`, through the simulated fabric and the one that `make` gives, and lets machines converse through random
 * security groups and a router, one chapter for every twenty-five, and with somebody outside, one for every seventy-five. Throws AssertionError where they differ, or Late when the other fabric does not bring
 * forth what the simulated one did.
 */
export async function assertAgreement(
  make: MakeFabric,
  { seed, count }: { readonly seed: number; readonly count: number },
): Promise<void> {
  await assertFrames(make, { seed, count });
  const chapters = Math.ceil(count / 25);
  for (const fragments of [false, true]) {
    await assertConversations(make, { seed, count: chapters, fragments });
    await assertOutside(make, { seed, count: Math.ceil(chapters / 3), fragments });
  }
}

async function assertFrames(
  make: MakeFabric,
  { seed, count }: { readonly seed: number; readonly count: number },
): Promise<void> {
  const all = fc.sample(shots, { seed, numRuns: count });
  const truth = new World(await simulatedTestFabric(4));
  await play(truth, all, new Map());
  const expected = await shown(truth);
  const witnesses = (port: TestPort): number => ports.filter((each) => each.net === port.net).length - 1;
  const arrivals = new Map(ports.map((port) => [port.id, truth.arrived(port).all.length - witnesses(port)]));
  const fabric = await make();
  try {
    const world = new World(fabric);
    await play(world, all, arrivals);
    const drops = JSON.stringify(expected.drops);
    // Counters of a switch come late; the comparison below says what differs if they do not come.
    await world
      .until("the same drops", async () => JSON.stringify((await shown(world)).drops) === drops)
      .catch((late: unknown) => late);
    assert.deepEqual(await shown(world), expected);
  } finally {
    await fabric.dispose();
  }
}
