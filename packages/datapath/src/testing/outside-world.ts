/** What checks of the outside begin with: a router with a way out and machines behind it, others on a VLAN of the physical network, and somebody on the wire. */
import assert from "node:assert/strict";
import { checksum, decode, type Packet } from "@selvage/packet";
import { quotationNeed, type Row } from "@selvage/pipeline";
import type { Speaker } from "./frames.ts";
import { type GatewayPlan, gatewayRowsFor, hostMacOf, type PhysicalPlan, physicalRows } from "./outside-topology.ts";
import { onePort, policyRows, type TestMember, type TestRule } from "./policy-topology.ts";
import { routerRowsFor, testInterface } from "./router-topology.ts";
import { type TestPort, testPort } from "./topology.ts";
import type { Outsider, World } from "./world.ts";

/** Behind the router: two machines of one host, one of another. */
export const a = testPort(1, 1, 0);
export const b = testPort(2, 1, 0);
export const c = testPort(3, 1, 1);
/** On a VLAN of the physical network, two of one host. */
export const p = testPort(4, 5, 0);
export const q = testPort(5, 5, 1);
export const r = testPort(6, 5, 0);
export const inside = [a, b, c] as const;
export const standing = [p, q, r] as const;

export const vlanPlan: PhysicalPlan = { net: 5, vlan: 42 };
export const one = testInterface(1, 1);
/** The next router outside, and somebody behind it. */
export const internet: Speaker = { mac: "02:00:00:00:ee:01", ip4: "203.0.113.1", ip6: "2001:db8:ff::1" };
export const far: Speaker = { mac: internet.mac, ip4: "198.51.100.7", ip6: "2001:db8:77::7" };
export const routerId = "0000000a-0000-4000-8000-000000000001";
export const gateway: GatewayPlan = {
  net: 6,
  vrf: 1,
  router: routerId,
  address: { ip4: "203.0.113.10", ip6: "2001:db8:ff::10" },
  outside: internet,
  owner: 0,
  leases: [
    { host: 0, first: 1024, size: 1024 },
    { host: 1, first: 2048, size: 1024 },
  ],
};

/** Machines that may open connections to anybody, and let in what is asked of port 80 and pings. */
export const rulesOf = (sets: readonly number[]): readonly TestRule[] =>
  ([4, 6] as const).flatMap((version): readonly TestRule[] => [
    { number: 10 + version, direction: "egress", version, own: sets, service: "any" },
    { number: 20 + version, direction: "ingress", version, own: sets, service: { protocol: 6, ports: [onePort(80)] } },
  ]);

/** How a host's rows differ from what `outside` gives it. */
export interface OutsideOptions {
  readonly gateway?: Partial<GatewayPlan>;
  readonly policed?: readonly TestMember[];
}

/** All rows of one host. */
export function outsideRows(world: World, place: number, { gateway: more, policed = [] }: OutsideOptions = {}) {
  const plan = { ...gateway, ...more };
  const mine = standing.filter(({ host }) => host === place);
  const rows: readonly Row[] = [
    ...world.rows(place, [...inside, ...mine]),
    ...routerRowsFor(place, inside, world.addresses, { interfaces: [one] }),
    ...physicalRows(place, vlanPlan, mine),
    ...gatewayRowsFor(place, inside, world.addresses, plan),
    ...policyRows(place, policed, rulesOf(policed.map(({ set }) => set))),
  ];
  return [...new Map(rows.map((each) => [each.id, each])).values()];
}

/** Builds it on two hosts, and gives whoever is on the wire. */
export async function outside(world: World, options: OutsideOptions = {}): Promise<Outsider> {
  const ports: readonly TestPort[] = [...inside, ...standing];
  for (const place of [0, 1]) {
    await world.open(place);
    await world.join(place);
  }
  for (const port of ports) await world.plug(port);
  for (const place of [0, 1]) await world.datapath(place).adopt(outsideRows(world, place, options));
  return world.outside("internet");
}

/** As a host speaks on the wire for an address. */
export const spokenBy = (place: number, ip4: string, ip6 = "::"): Speaker => ({ mac: hostMacOf(place), ip4, ip6 });

/** What a frame says; its checksums are right. */
export function packetOf(frame: Uint8Array): Packet {
  const read = decode(frame);
  assert.ok(read.ok, read.ok ? "" : `${Buffer.from(frame).toString("hex")}: ${JSON.stringify(read.malformed)}`);
  return read.packet;
}

/** The frame with a tag of this VLAN. */
export const tagged = (frame: Uint8Array, vlan: number): Uint8Array =>
  Buffer.concat([frame.subarray(0, 12), Uint8Array.of(0x81, 0, vlan >> 8, vlan & 255), frame.subarray(12)]);

/** Does something, and gives the first frame on the wire from then on that is wanted. */
export async function leaving(
  world: World,
  { arrived }: Outsider,
  wanted: (packet: Packet) => boolean,
  what: string,
  act: () => Promise<void>,
): Promise<{ readonly frame: Uint8Array; readonly packet: Packet }> {
  const seen = arrived.all.length;
  await act();
  const frame = await arrived.first((each) => wanted(packetOf(each)), what, world.deadline, seen);
  return { frame, packet: packetOf(frame) };
}

/** As `leaving`, at a port of ours. */
export async function entering(
  world: World,
  port: TestPort,
  wanted: (packet: Packet) => boolean,
  what: string,
  act: () => void | Promise<void>,
): Promise<{ readonly frame: Uint8Array; readonly packet: Packet }> {
  const arrived = world.arrived(port);
  const seen = arrived.all.length;
  await act();
  const frame = await arrived.first((each) => wanted(packetOf(each)), what, world.deadline, seen);
  return { frame, packet: packetOf(frame) };
}

/** The error with zeros behind what it quotes, so many that a whole header is there. */
export function completed(frame: Uint8Array): Uint8Array {
  const whole = Buffer.concat([frame, new Uint8Array(quotationNeed - frame.length)]);
  whole.writeUInt16BE(whole.length - 14, 16);
  for (const [at, from, to] of [
    [24, 14, 34],
    [36, 34, whole.length],
  ] as const) {
    whole.writeUInt16BE(0, at);
    whole.writeUInt16BE(checksum(whole, from, to), at);
  }
  return whole;
}

/** What a frame says, though its checksum is that of more than it has. */
export function looselyOf(frame: Uint8Array): Packet {
  const read = decode(frame, { checksums: "ignore" });
  const packet = read.ok ? read.packet : read.before;
  return packet ?? assert.fail("no packet");
}
