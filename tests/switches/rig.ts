/** Whole agents on real switches, told their intent by a stream in this process: for what only a switch and an agent together can show. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AgentSettings, type Dial, defaultAgentSettings, HostAgent } from "@selvage/agent";
import { createLog, createMetrics, type Metrics, realClock } from "@selvage/base";
import { Journal, type OvsHost, OvsHosts } from "@selvage/datapath/testing";
import { Host, Network, Port, Subnet } from "@selvage/model";
import { makeHost, makeNetwork, makePort, makeSubnet, testMac } from "@selvage/model/testing";
import { type Facts, isLocal, project, readFromAgent } from "@selvage/sync";

/** How long a fact may be waited for, ms. */
export const patience = 120_000;

/** A port of the one network, on the host of this place; its addresses are made of its number. */
export interface Guest {
  readonly id: string;
  readonly mac: string;
  readonly ip4: string;
  readonly ip6: string;
  readonly place: number;
}

export const guest = (number: number, place: number): Guest => ({
  id: `port-${number}`,
  mac: testMac(number),
  ip4: `10.0.0.${10 + number}`,
  ip6: `fd00::${10 + number}`,
  place,
});

/** One host: its switch, the agent that keeps it, and what the agent said. */
export interface Site {
  readonly host: OvsHost;
  readonly agent: HostAgent;
  readonly metrics: Metrics;
  /** What the agent told its server. */
  readonly facts: Journal<Omit<Facts, "type">>;
  /** The lines of its log. */
  readonly lines: Journal<string>;
}

export class Rig implements AsyncDisposable {
  readonly sites: readonly Site[];
  readonly #hosts: OvsHosts;
  readonly #directory: string;

  private constructor(hosts: OvsHosts, sites: readonly Site[], directory: string) {
    this.#hosts = hosts;
    this.sites = sites;
    this.#directory = directory;
  }

  /** Starts two hosts with an agent each, which know of one network with these guests. Needs root and Open vSwitch. */
  static async start(guests: readonly Guest[], settings: Partial<AgentSettings> = {}): Promise<Rig> {
    const hosts = await OvsHosts.start(4, 2);
    const directory = await mkdtemp(join(tmpdir(), "selvage-switches-"));
    const sites: Site[] = [];
    const rig = new Rig(hosts, sites, directory);
    try {
      for (const place of hosts.hosts.keys()) sites.push(await startSite(hosts, place, guests, directory, settings));
      return rig;
    } catch (error) {
      await rig[Symbol.asyncDispose]();
      throw error;
    }
  }

  site(place: number): Site {
    const site = this.sites[place];
    if (site === undefined) throw new RangeError(`no host ${place}`);
    return site;
  }

  /** Resolves when an agent has told that these ports are up, and no others. */
  async up(place: number, ...ports: readonly string[]): Promise<void> {
    const wanted = [...ports].sort().join();
    await this.site(place).facts.first(
      ({ ports_up }) => [...ports_up].sort().join() === wanted,
      `${wanted} are up on host ${place}`,
      patience,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { agent } of this.sites) await agent.close();
    await this.#hosts.dispose();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

async function startSite(
  hosts: OvsHosts,
  place: number,
  guests: readonly Guest[],
  directory: string,
  settings: Partial<AgentSettings>,
): Promise<Site> {
  const host = hosts.hosts[place];
  if (host === undefined) throw new RangeError(`no host ${place}`);
  const metrics = await createMetrics();
  const facts = new Journal<Omit<Facts, "type">>();
  const lines = new Journal<string>();
  const log = await createLog({ level: "info", destination: { write: (line) => lines.add(line) } });
  const agent = await HostAgent.start({
    host: { id: `host-${place + 1}`, name: `h${place + 1}` },
    tunnelIp: host.plan.address,
    datapath: hosts.driver(place, { log }),
    dial: tellingAll(intentFor(hosts, place, guests), place, facts),
    cachePath: join(directory, `cache-${place}`),
    settings: { ...defaultAgentSettings, ...settings },
    clock: realClock,
    log,
    metrics,
  });
  return { host, agent, metrics, facts, lines };
}

/** What a relay would send to the host: everything, since all share one network. */
function intentFor(hosts: OvsHosts, place: number, guests: readonly Guest[]) {
  const name = `h${place + 1}`;
  const common = { network_id: "net-1" };
  const v6 = { ip_version: 6, cidr: "fd00::/64", gateway_ip: "fd00::1" } as const;
  const objects = [
    ...hosts.hosts.map(({ plan }, at) => ({
      kind: Host.kind,
      object: makeHost({ id: `host-${at + 1}`, name: `h${at + 1}`, key: at + 1, tunnel_ip: plan.address }),
    })),
    { kind: Network.kind, object: makeNetwork({ id: "net-1", mtu: 1400 }) },
    { kind: Subnet.kind, object: makeSubnet({ id: "sub-4", ...common }) },
    { kind: Subnet.kind, object: makeSubnet({ id: "sub-6", ...common, ...v6, allocation_pools: [] }) },
    ...guests.map(({ id, mac, ip4, ip6, place: at }, number) => ({
      kind: Port.kind,
      object: makePort({
        id,
        ...common,
        key: number + 1,
        mac_address: mac,
        fixed_ips: [
          { subnet_id: "sub-4", ip_address: ip4 },
          { subnet_id: "sub-6", ip_address: ip6 },
        ],
        "binding:host_id": `h${at + 1}`,
      }),
    })),
  ];
  return objects.map(({ kind, object }) => ({
    kind,
    revision: 1,
    object: project(kind, object, isLocal(kind, object, name) ? "near" : "far"),
  }));
}

/** A server's end of the stream that says all it has in one message and keeps what it is told. */
function tellingAll(puts: ReturnType<typeof intentFor>, place: number, facts: Journal<Omit<Facts, "type">>): Dial {
  return (events) => {
    const tell = (message: unknown) => queueMicrotask(() => events.message(JSON.stringify(message)));
    queueMicrotask(() => events.open());
    return {
      send: (text) => {
        const message = readFromAgent(text);
        if (message.type === "facts") facts.add(message);
        if (message.type !== "hello") return;
        const host = { id: `host-${place + 1}`, name: `h${place + 1}`, key: place + 1 };
        tell({ type: "welcome", protocol: 2, host, log: "log-1" });
        tell({ type: "changes", revision: 1, reset: true, more: false, puts, removes: [] });
      },
      close: () => queueMicrotask(() => events.closed(new Error("closed"))),
    };
  };
}

/** The value of an agent's metric without labels, or with exactly this label text. */
export async function metric(metrics: Metrics, name: string, labels = ""): Promise<number> {
  const line = (await metrics.text()).split("\n").find((each) => each.startsWith(`selvage_${name}${labels} `));
  return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(" ") + 1));
}
