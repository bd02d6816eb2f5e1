/** Hosts with real switches and the underlay between them, which is this process: packets are really sent, and what comes of each is told apart exactly. */
import type { ReasonCode } from "@selvage/base";
import type { Punt } from "@selvage/datapath";
import { uplinkBridge } from "@selvage/datapath/testing";
import { ipOf, textOfIp } from "@selvage/model";
import { decode, encode, type PacketSpec, UdpPort } from "@selvage/packet";
import { probeKey, type Row } from "@selvage/pipeline";
import { type Crossing, Ending } from "./ending.ts";
import { patchOf, RealHost } from "./real-host.ts";
import type { Entry } from "./simulated-side.ts";
import { hostCount, hostName, type Topology } from "./topology.ts";
import { RowNames, readTrace } from "./trace.ts";
import { tooLargeFor } from "./way.ts";
import { type ChosenPorts, type Heard, Wire } from "./wire.ts";
import { type WireName, wireOfIngress } from "./wires.ts";

const optionClass = 0xff53;
export const underlays = {
  4: { addresses: ["192.0.2.1", "192.0.2.2", "192.0.2.3"], stranger: "192.0.2.250" },
  6: { addresses: ["2001:db8:ffff::1", "2001:db8:ffff::2", "2001:db8:ffff::3"], stranger: "2001:db8:ffff::fa" },
} as const;
const macOf = (place: number): string => `02:5e:17:00:00:0${place + 1}`;
const strangerMac = "02:5e:17:00:00:fa";
/** Seconds for which a switch believes who is where on the underlay: longer than any run. */
const aging = "3600";

export class RealSide {
  readonly version: 4 | 6;
  readonly hosts: RealHost[] = [];
  #ending = new Ending();
  #names: readonly RowNames[] = [];
  #wire: Wire | undefined;
  /** Hosts that were fed something since they settled. */
  readonly #busy = new Set<RealHost>();
  traces = 0;
  /** Fragments that each host was left to wait for the others of: given up, they are dropped behind any later packet. */
  readonly #abandoned: number[] = Array.from({ length: hostCount }, () => 0);
  #plays = 0;

  private constructor(version: 4 | 6) {
    this.version = version;
  }

  /** Starts the hosts on an underlay of IPv4 or IPv6. Needs root and Open vSwitch. */
  static async start(version: 4 | 6): Promise<RealSide> {
    const side = new RealSide(version);
    try {
      for (const [place, address] of underlays[version].addresses.slice(0, hostCount).entries()) {
        const events = {
          delivered: (name: string, frame: Uint8Array) => side.#ending.delivered(place, name, frame),
          punted: (punt: Punt) => side.#ending.punted(place, punt),
          underlay: (frame: Uint8Array) => side.#carry(place, frame),
          emitted: (wire: WireName, frame: Uint8Array) => side.#emit(place, wire, frame),
        };
        side.hosts.push(await RealHost.start(place, address, macOf(place), events));
      }
      for (const host of side.hosts) await side.#meet(host);
      return side;
    } catch (error) {
      await side.dispose();
      throw error;
    }
  }

  /** A number for each topology that the switches are given. */
  nextPlay(): number {
    this.#plays += 1;
    return this.#plays;
  }

  /** Takes note of fragments that wait for others. */
  abandon(entries: readonly Entry[]): void {
    for (const { host, trace } of entries)
      for (const { kind } of trace.outcomes)
        if (kind === "held") this.#abandoned[host] = (this.#abandoned[host] ?? 0) + 1;
  }

  get abandoned(): readonly number[] {
    return this.#abandoned;
  }

  /** Of each host. */
  get rows(): readonly (readonly Row[])[] {
    return this.hosts.map((host) => [...host.rows]);
  }

  get addresses(): readonly string[] {
    return underlays[this.version].addresses;
  }

  /** A switch asks for its neighbours itself, and loses the packet that made it ask. */
  async #meet(host: RealHost): Promise<void> {
    await host.host.appctl("tnl/neigh/aging", aging);
    for (const [place, { address }] of this.hosts.entries())
      if (address !== host.address) await host.host.appctl("tnl/neigh/set", uplinkBridge, address, macOf(place));
  }

  /** Has all switches hold a topology. */
  async install(topology: Topology, change: "adopt" | "apply" | "later"): Promise<void> {
    this.#wire = new Wire(topology);
    await Promise.all(this.hosts.map((host) => host.install(topology, change)));
    await this.#settled();
    this.#names = this.hosts.map((host) => new RowNames(host.rows));
  }

  /** A frame into a wire of a host, and what becomes of it. */
  send(host: number, wire: number, frame: Uint8Array): Promise<Ending> {
    return this.#follow((ending) => {
      const sender = this.#at(host);
      this.#busy.add(sender);
      sender.send(wire, frame);
      return ending;
    });
  }

  /** A frame to a host by the wire of a physical network, and what becomes of it. */
  come(heard: Heard): Promise<Ending> {
    return this.#follow((ending) => {
      this.#give(heard);
      return ending;
    });
  }

  /** The ports with which connections have left, of each host. */
  chosenPorts(): Promise<readonly ChosenPorts[]> {
    return Promise.all(this.hosts.map((host) => host.chosenPorts()));
  }

  /** A packet on the underlay, from whomever it says, and what becomes of it. */
  inject(crossing: Crossing): Promise<Ending> {
    return this.#follow((ending) => {
      this.#reach(crossing.to, this.#outer(crossing));
      return ending;
    });
  }

  async #follow(act: (ending: Ending) => Ending): Promise<Ending> {
    this.#ending = new Ending();
    const ending = act(this.#ending);
    await this.#settled();
    return ending;
  }

  /** Frames that one host puts on the underlay make others busy in turn. */
  async #settled(): Promise<void> {
    for (let [host] = this.#busy; host !== undefined; [host] = this.#busy) {
      this.#busy.delete(host);
      await host.settled();
    }
  }

  /** Has the switches tell which rows a packet meets wherever it enters; `wireOf` gives the interface. */
  async explain(entries: readonly Entry[], wireOf: (entry: Entry) => number): Promise<Ending> {
    this.abandon(entries);
    const texts = await this.#trace(entries, wireOf);
    const explained = new Ending();
    for (const [at, { host, trace }] of entries.entries())
      readTrace(texts[at] ?? "", tooLargeFor(trace), host, this.#names[host] as RowNames, explained);
    this.traces += texts.length;
    return explained;
  }

  /** The switches' own words for the same. */
  async words(entries: readonly Entry[], wireOf: (entry: Entry) => number): Promise<readonly string[]> {
    const texts = await this.#trace(entries, wireOf);
    return entries.map((entry, at) => `${hostName(entry.host)}, ${comingFrom(entry, wireOf)}\n${texts[at]}`);
  }

  async #trace(entries: readonly Entry[], wireOf: (entry: Entry) => number): Promise<readonly string[]> {
    return Promise.all(entries.map((entry) => this.#at(entry.host).trace(comingFrom(entry, wireOf), entry.frame)));
  }

  /** A packet that is traced goes its way indeed (ovs-vswitchd(8): with a packet given there are side effects): that is waited for, and forgotten. */
  async forget(): Promise<void> {
    for (const host of this.hosts) this.#busy.add(host);
    await this.#settled();
    this.#ending = new Ending();
  }

  #at(place: number): RealHost {
    const host = this.hosts[place];
    if (host === undefined) throw new RangeError(`no host ${place}`);
    return host;
  }

  /** Packets dropped since the topology was installed, by reason, of each host. */
  drops(): Promise<readonly ReadonlyMap<ReasonCode, number>[]> {
    return Promise.all(this.hosts.map((host) => host.drops()));
  }

  #give({ host: place, wire, frame }: Heard): void {
    const host = this.#at(place);
    this.#busy.add(host);
    host.come(wire, frame);
  }

  #emit(from: number, wire: WireName, frame: Uint8Array): void {
    this.#ending.emitted(from, wire, frame);
    for (const heard of this.#wire?.heard(from, wire, frame) ?? []) this.#give(heard);
  }

  #carry(from: number, frame: Uint8Array): void {
    const crossing = crossingIn(frame);
    // The drivers look for the way to each other now and then: that is no packet of a machine's.
    if (crossing !== undefined && crossing.key !== probeKey) this.#ending.crossed(crossing);
    for (const host of this.hosts) {
      if (host.place === from) continue;
      this.#busy.add(host);
      host.receive(frame);
    }
  }

  #reach(address: string, frame: Uint8Array): void {
    const host = this.hosts.find((each) => each.address === address);
    if (host === undefined) return;
    this.#busy.add(host);
    host.receive(frame);
  }

  #outer({ by, from, to, key, srcPort, dstPort, srcSet, frame }: Crossing): Uint8Array {
    const claims = this.addresses.indexOf(from);
    // A switch learns the MAC of a tunnel's other end from what comes out of it, as from ARP: a forger with a MAC of its own would draw traffic to itself.
    const src = claims < 0 || from === to ? strangerMac : macOf(claims);
    const data = Buffer.alloc(12);
    data.writeUIntBE(dstPort, 0, 3);
    data.writeUIntBE(srcPort, 4, 3);
    data.writeUIntBE(srcSet, 8, 3);
    const eth = { src, dst: macOf(this.addresses.indexOf(to)) };
    const ip = this.version === 4 ? { ipv4: { src: from, dst: to } } : { ipv6: { src: from, dst: to } };
    const tunnel =
      by === "vxlan"
        ? { udp: { src: 50_000, dst: UdpPort.vxlan }, vxlan: { vni: key } }
        : {
            udp: { src: 50_000, dst: UdpPort.geneve },
            geneve: { vni: key, options: [{ class: optionClass, type: 1, critical: true, data }] },
          };
    return encode({ eth, ...ip, ...tunnel, payload: frame } as PacketSpec);
  }

  async dispose(): Promise<void> {
    for (const host of this.hosts) await host.dispose();
  }
}

/** What a frame of the underlay carries in a tunnel; undefined for any other. */
function crossingIn(frame: Uint8Array): Crossing | undefined {
  const read = decode(frame);
  if (!read.ok) return undefined;
  const { ipv4, ipv6, geneve, vxlan, payload } = read.packet;
  const [from = "", to = ""] = [ipv4?.src ?? ipv6?.src, ipv4?.dst ?? ipv6?.dst].map((each) =>
    textOfIp(ipOf(each ?? "")),
  );
  if (vxlan !== undefined)
    return { by: "vxlan", from, to, key: vxlan.vni, srcPort: 0, dstPort: 0, srcSet: 0, frame: payload };
  if (geneve === undefined) return undefined;
  const ours = geneve.options.find((option) => option.class === optionClass);
  const data = Buffer.from(ours?.data ?? new Uint8Array(12));
  const [dstPort, srcPort, srcSet] = [data.readUIntBE(0, 3), data.readUIntBE(4, 3), data.readUIntBE(8, 3)];
  return { by: "geneve", from, to, key: geneve.vni, srcPort, dstPort, srcSet, frame: payload };
}

function comingFrom(entry: Entry, wireOf: (entry: Entry) => number): string {
  if (entry.tunnel !== null) return tunnelled(entry.tunnel);
  const wire = wireOfIngress(entry.ingress);
  return `in_port=${wire === undefined ? `wire${wireOf(entry)}` : patchOf(wire)}`;
}

/** A packet out of a tunnel, as `ofproto/trace` is told of it (ovs-fields(7), "Tunnel Fields"). */
function tunnelled({ by, from, to, key, srcPort, dstPort, srcSet }: Crossing): string {
  const hex = (value: number): string => value.toString(16).padStart(6, "0");
  const v6 = from.includes(":") ? "ipv6_" : "";
  return [
    `in_port=selvage-${by}`,
    `tun_id=${key}`,
    `tun_${v6}src=${from}`,
    `tun_${v6}dst=${to}`,
    ...(by === "vxlan" ? [] : [`tun_metadata0=0x${hex(dstPort)}00${hex(srcPort)}00${hex(srcSet)}00`]),
  ].join(",");
}
