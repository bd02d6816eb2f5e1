/** Hosts with real switches as a fabric of the conformance suite: the underlay is a hub in this process, which sees and counts every packet. */
import { Connection, connectSocket, flowMod } from "@selvage/openflow";
import { decode, encode } from "@selvage/packet";
import type { Row } from "@selvage/pipeline";
import { probeKey, selvageProgram } from "@selvage/pipeline";
import { OvsDatapath } from "../ovs/driver.ts";
import type { OvsDatapathOptions } from "../ovs/options.ts";
import { Renderer } from "../ovs/render.ts";
import { PhysicalNetwork } from "../simulated/physical.ts";
import type { ForgedPacket, TestFabric, TestHost } from "./fabric.ts";
import { Journal } from "./journal.ts";
import { physicalNetwork } from "./outside-topology.ts";
import { OvsHost, uplinkBridge } from "./ovs-host.ts";

const genevePort = 6081;
const vxlanPort = 4789;
const underlays = {
  4: { addresses: ["192.0.2.1", "192.0.2.2", "192.0.2.3"], stranger: "192.0.2.250" },
  6: { addresses: ["2001:db8:ffff::1", "2001:db8:ffff::2", "2001:db8:ffff::3"], stranger: "2001:db8:ffff::fa" },
} as const;
/** The bridge of a host that leads to the physical network. */
const physicalBridge = "br-public";
const bridgeMappings = `${physicalNetwork}:${physicalBridge}`;
const macOf = (place: number): string => `02:5e:17:00:00:0${place + 1}`;
const strangerMac = "02:5e:17:00:00:fa";

/** Whether a frame of the underlay carries a tenant's: one that only looks for the way has the key of none. */
function isTunnelled(frame: Uint8Array): boolean {
  const read = decode(frame);
  if (!read.ok) return false;
  const { udp, geneve } = read.packet;
  return udp?.dst === vxlanPort || (udp?.dst === genevePort && geneve?.vni !== probeKey);
}

/** Hosts that are made once and serve one fabric after the other. */
export class OvsHosts {
  readonly hosts: readonly OvsHost[];
  readonly version: 4 | 6;
  crossed = 0;
  #physical = new PhysicalNetwork(physicalNetwork);

  private constructor(version: 4 | 6, hosts: OvsHost[]) {
    this.version = version;
    this.hosts = hosts;
  }

  /** Starts `count` hosts, three at most, on an underlay of IPv4 or IPv6. */
  static async start(version: 4 | 6, count = 3): Promise<OvsHosts> {
    const hosts: OvsHost[] = [];
    const made = new OvsHosts(version, hosts);
    try {
      for (const [place, address] of underlays[version].addresses.slice(0, count).entries()) {
        const underlay = (frame: Uint8Array) => made.#carry(place, frame);
        hosts.push(await OvsHost.start({ address, mac: macOf(place), underlay }));
      }
      for (const host of hosts) await made.#meet(host);
      return made;
    } catch (error) {
      await made.dispose();
      throw error;
    }
  }

  /** The switch asks for its neighbours itself, and loses the packet that made it ask: a test must not begin with that. */
  async #meet(host: OvsHost): Promise<void> {
    for (const [place, { plan }] of this.hosts.entries()) {
      if (plan !== host.plan) await host.appctl("tnl/neigh/set", uplinkBridge, plan.address, macOf(place));
    }
  }

  /** Starts a host's switch again. */
  async restart(host: OvsHost): Promise<void> {
    await host.startSwitch();
    await this.#meet(host);
  }

  #carry(from: number, frame: Uint8Array): void {
    if (isTunnelled(frame)) this.crossed += 1;
    for (const [place, host] of this.hosts.entries()) if (place !== from) host.receive(frame);
  }

  /** The physical network that hosts can be joined to. */
  get physical(): PhysicalNetwork {
    return this.#physical;
  }

  /** Joins a host to it. */
  async join(place: number): Promise<void> {
    const host = this.hosts[place];
    if (host === undefined) throw new RangeError(`no host ${place}`);
    let wire = "";
    const into = this.#physical.plug(host.plan.address, (frame) => host.send(wire, frame));
    wire = await host.plugPhysical(physicalBridge, into);
  }

  /** Begins with another one, on which nobody is. */
  forgetPhysical(): void {
    this.#physical = new PhysicalNetwork(physicalNetwork);
  }

  /** A driver for one of the hosts. */
  driver(place: number, options: Partial<OvsDatapathOptions> = {}): OvsDatapath {
    const host = this.hosts[place];
    if (host === undefined) throw new RangeError(`no host ${place}`);
    const { database, plan } = host;
    return new OvsDatapath({ database, tunnelIp: plan.address, datapathType: "netdev", ...options });
  }

  /**
   * A tunnelled packet from whomever it says. Who claims to be a host bears its MAC: a switch learns the MAC of a tunnel's other end from what comes out
   * of it, as from ARP, and would send to the forger from then on.
   */
  inject({ from, to, key, srcPort, dstPort, srcSet = 0, by = "geneve", frame }: ForgedPacket): void {
    const data = Buffer.alloc(12);
    data.writeUIntBE(dstPort, 0, 3);
    data.writeUIntBE(srcPort, 4, 3);
    data.writeUIntBE(srcSet, 8, 3);
    const place = this.hosts.findIndex(({ plan }) => plan.address === to);
    const claims = this.hosts.findIndex(({ plan }) => plan.address === from);
    const eth = { src: claims < 0 ? strangerMac : macOf(claims), dst: macOf(place) };
    const geneve = { vni: key, options: [{ class: 0xff53, type: 1, critical: true, data }] };
    const ports = { src: 50_000, dst: genevePort };
    const plain = { ...ports, dst: vxlanPort };
    const ip = { src: from, dst: to };
    const made = {
      geneve: () =>
        this.version === 4
          ? encode({ eth, ipv4: ip, udp: ports, geneve, payload: frame })
          : encode({ eth, ipv6: ip, udp: ports, geneve, payload: frame }),
      vxlan: () =>
        this.version === 4
          ? encode({ eth, ipv4: ip, udp: plain, vxlan: { vni: key }, payload: frame })
          : encode({ eth, ipv6: ip, udp: plain, vxlan: { vni: key }, payload: frame }),
    } as const;
    const outer = made[by]();
    this.hosts[place]?.receive(outer);
  }

  async dispose(): Promise<void> {
    for (const host of this.hosts) await host.dispose();
  }
}

class OvsTestHost implements TestHost {
  readonly host: OvsHost;
  readonly #hosts: OvsHosts;
  readonly #place: number;
  readonly #plugged = new Map<string, string>();
  datapath: OvsDatapath;

  constructor(hosts: OvsHosts, host: OvsHost, place: number) {
    this.#hosts = hosts;
    this.host = host;
    this.#place = place;
    this.datapath = hosts.driver(place, { bridgeMappings });
  }

  get address(): string {
    return this.host.plan.address;
  }

  async plug(port: string): Promise<Journal<Uint8Array>> {
    const arrived = new Journal<Uint8Array>();
    this.#plugged.set(port, await this.host.plugWire(port, (frame) => arrived.add(frame)));
    return arrived;
  }

  join(): Promise<void> {
    return this.#hosts.join(this.#place);
  }

  async unplug(port: string): Promise<void> {
    await this.host.unplug(this.#nameOf(port));
    this.#plugged.delete(port);
  }

  async send(port: string, frame: Uint8Array): Promise<void> {
    this.host.send(this.#nameOf(port), frame);
  }

  async reopen(): Promise<OvsDatapath> {
    await this.datapath.close();
    this.datapath = this.#hosts.driver(this.#place, { bridgeMappings });
    return this.datapath;
  }

  stop(): Promise<void> {
    return this.host.stopSwitch();
  }

  start(): Promise<void> {
    return this.#hosts.restart(this.host);
  }

  async lose(row: Row): Promise<void> {
    const renderer = new Renderer(selvageProgram);
    if (renderer.isClause(row)) return this.#loseClause(renderer, row);
    const cookie = renderer.cookieOf(row);
    await this.host.ofctl("del-flows", `cookie=0x${cookie.toString(16)}/-1`);
  }

  /** Takes one clause out of the flows that it is a part of. */
  async #loseClause(renderer: Renderer, row: Row): Promise<void> {
    const connection = await Connection.open(await connectSocket({ path: `${this.host.directory}/br-int.mgmt` }));
    try {
      for (const { table, match, conjunction } of renderer.clauses(row)) {
        const { priority, cookie } = renderer.clauseFlow(table, match, []);
        for await (const flow of connection.flowStats({ table })) {
          if (flow.cookie !== cookie) continue;
          const actions = flow.instructions
            .flatMap((each) => (each.kind === "apply" ? each.actions : []))
            .filter((each) => each.kind !== "conjunction" || each.id !== conjunction.id);
          const command = actions.length === 0 ? "deleteStrict" : "add";
          const instructions = [{ kind: "apply", actions } as const];
          await connection.send([flowMod({ command, table, match, priority, cookie, instructions })]);
        }
      }
      await connection.barrier();
    } finally {
      connection.close();
    }
  }

  /** Leaves the switch as a new one is: no machine, no rows. */
  async clear(): Promise<void> {
    await this.datapath.close();
    if (!this.host.isUp) await this.start();
    this.#plugged.clear();
    await this.host.clear();
  }

  #nameOf(port: string): string {
    const name = this.#plugged.get(port);
    if (name === undefined) throw new Error(`port ${port} is not plugged`);
    return name;
  }
}

/** A fabric on hosts that are running already; `dispose` clears them for the next. */
export async function ovsTestFabric(hosts: OvsHosts): Promise<TestFabric> {
  for (const host of hosts.hosts) {
    await host.vsctl(
      ...[
        "--may-exist",
        "add-br",
        "br-int",
        "--",
        "set",
        "bridge",
        "br-int",
        "datapath_type=netdev",
        "fail_mode=secure",
      ],
    );
  }
  const all = hosts.hosts.map((host, place) => new OvsTestHost(hosts, host, place));
  return {
    hosts: all,
    stranger: underlays[hosts.version].stranger,
    physical: hosts.physical,
    deadline: 5_000,
    inject: async (packet) => hosts.inject(packet),
    crossed: async () => hosts.crossed,
    dispose: async () => {
      for (const host of all) await host.clear();
      hosts.forgetPhysical();
    },
  };
}
