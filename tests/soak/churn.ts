/** What administrators and tenants do in a soak: ports, rules, groups, routers, routes, pairs and what leads outside come, change and go, drawn by a seed and asked of the API. */

import { ApiError, at } from "@selvage/lab";
import type { Fabric, Guest, Program } from "../support/guests.ts";
import { far } from "../support/way-out.ts";
import type { Chance } from "./chance.ts";
import { Outer, onTheWire } from "./outer.ts";
import { junk, sentBy } from "./traffic.ts";

interface Network {
  readonly id: string;
  readonly number: number;
  readonly subnets: readonly string[];
}

interface Lodger {
  readonly guest: Guest;
  readonly network: Network;
  readonly programs: readonly Program[];
}

const fewest = 3;
const mostGuests = 6;
const mostRules = 24;

export class Churn implements AsyncDisposable {
  readonly #fabric: Fabric;
  readonly #chance: Chance;
  readonly #hosts: readonly string[];
  readonly #networks: Network[] = [];
  readonly #routers: string[] = [];
  readonly #groups: string[] = [];
  #addressGroup = "";
  readonly #outer: Outer;
  #lodgers: readonly Lodger[] = [];
  readonly #rules: string[] = [];
  #made = 0;
  /** Frames sent by machines that are gone. */
  #sent = 0;
  /** What was done, by its name, and how often the API refused it. */
  readonly done = new Map<string, number>();
  readonly refused = new Map<string, number>();

  constructor(fabric: Fabric, chance: Chance, hosts: readonly string[]) {
    this.#fabric = fabric;
    this.#chance = chance;
    this.#hosts = hosts;
    this.#outer = new Outer(fabric, { chance, routers: this.#routers, lodger: () => this.#lodger().guest });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.hush();
  }

  /** Raw frames that machines have sent. */
  get sent(): number {
    return this.#lodgers.reduce((sum, { programs }) => sum + sentBy(programs), this.#sent);
  }

  /** Raw frames that came from outside, by the wire. */
  get sentOutside(): number {
    return this.#outer.sent;
  }

  /**
   * Makes what is there from the beginning: three networks, one of VXLAN, another on the wire, two routers with a way out, two groups with each other in their rules,
   * some machines.
   */
  async begin(): Promise<void> {
    const fabric = this.#fabric;
    for (const [number, more] of [
      [81, {}],
      [82, { "provider:network_type": "vxlan", mtu: 1300 }],
      [83, {}],
      [90, onTheWire],
    ] as const)
      this.#networks.push(await dualNetwork(fabric, `churn-${number}`, number, more));
    for (const name of ["one", "two"]) {
      this.#routers.push(await fabric.make("routers", { name }));
      this.#groups.push(await fabric.make("security-groups", { name }));
    }
    this.#addressGroup = await fabric.make("address-groups", { name: "some", addresses: [] });
    const [one = "", two = ""] = this.#groups;
    for (const ethertype of ["IPv4", "IPv6"]) {
      await this.#rule({ security_group_id: one, direction: "ingress", ethertype, remote_group_id: two });
      await this.#rule({ security_group_id: two, direction: "ingress", ethertype });
    }
    const [router = ""] = this.#routers;
    for (const { subnets } of this.#networks.slice(0, 2))
      for (const subnet_id of subnets)
        await fabric.api.ask("PUT", `/v2.0/routers/${router}/add_router_interface`, { subnet_id });
    await this.#outer.begin();
    // On each host somebody is behind a router that goes out, and on one of them on the wire itself.
    for (const [at, host] of this.#hosts.entries()) await this.#arrive(this.#networks[at % 2], host);
    await this.#arrive(this.#networks.at(-1));
    await this.#outer.speak(this.#lodgers.map(({ guest }) => guest));
  }

  /** Does one thing. Throws what the API answers, unless that is a refusal. */
  async step(): Promise<void> {
    const all = Object.entries({ ...this.#deeds, ...this.#outer.deeds });
    const [name, deed] = this.#chance.of(all) ?? ["nothing", async () => undefined];
    try {
      await deed();
      this.done.set(name, (this.done.get(name) ?? 0) + 1);
    } catch (error) {
      // What is in use, or there already, is refused: chance does not look first.
      if (!(error instanceof ApiError) || ![400, 404, 409].includes(error.status)) throw error;
      this.refused.set(name, (this.refused.get(name) ?? 0) + 1);
    }
  }

  /** Ends what the machines say. */
  async hush(): Promise<void> {
    await this.#outer.hush();
    for (const { programs } of this.#lodgers) {
      this.#sent += sentBy(programs);
      for (const program of programs) await program[Symbol.asyncDispose]();
    }
    this.#lodgers = this.#lodgers.map((lodger) => ({ ...lodger, programs: [] }));
  }

  readonly #deeds: Readonly<Record<string, () => Promise<unknown>>> = {
    "a machine comes": async () => {
      if (this.#lodgers.length < mostGuests) await this.#arrive();
    },
    "a machine goes": async () => {
      const [gone] = this.#lodgers;
      if (gone === undefined || this.#lodgers.length <= fewest) return;
      this.#lodgers = this.#lodgers.slice(1);
      this.#sent += sentBy(gone.programs);
      for (const program of gone.programs) await program[Symbol.asyncDispose]();
      await this.#fabric.leave(gone.guest);
    },
    "a port changes groups": () => this.#port({ security_groups: [...this.#chance.some(this.#groups)] }),
    "a port is unguarded": () => this.#port({ port_security_enabled: false, security_groups: [] }),
    "a port is guarded": () => this.#port({ port_security_enabled: true, security_groups: [...this.#groups] }),
    "a port has pairs": () =>
      this.#port({
        allowed_address_pairs: this.#chance
          .some(["198.51.100.1", "2001:db8::1", "198.51.100.0/28"])
          .map((ip_address) => ({ ip_address })),
      }),
    "a port goes down and up": async () => {
      const { id } = this.#lodger().guest;
      for (const admin_state_up of [false, true])
        await this.#fabric.api.ask("PUT", `/v2.0/ports/${id}`, { port: { admin_state_up } });
    },
    "a rule comes": async () => {
      const ethertype = this.#chance.of(["IPv4", "IPv6"]);
      const what = this.#chance.of<object>([
        {},
        { protocol: "tcp", port_range_min: 20 + this.#chance.below(80), port_range_max: 100 + this.#chance.below(900) },
        { protocol: "udp", port_range_min: 1 + this.#chance.below(50_000), port_range_max: 60_000 },
        ethertype === "IPv4" ? { protocol: "icmp", port_range_min: 8, port_range_max: 0 } : { protocol: "ipv6-icmp" },
      ]);
      const whom = this.#chance.of<object>([
        {},
        { remote_group_id: this.#chance.of(this.#groups) },
        { remote_address_group_id: this.#addressGroup },
        {
          remote_ip_prefix:
            ethertype === "IPv4" ? `10.8${this.#chance.below(4)}.0.0/16` : `fd8${this.#chance.below(4)}::/32`,
        },
      ]);
      if (this.#rules.length >= mostRules) return;
      const direction = this.#chance.of(["ingress", "egress"]);
      await this.#rule({ security_group_id: this.#chance.of(this.#groups), direction, ethertype, ...what, ...whom });
    },
    "a rule goes": async () => {
      const [id] = this.#rules.splice(this.#chance.below(this.#rules.length), 1);
      if (id !== undefined) await this.#fabric.api.ask("DELETE", `/v2.0/security-group-rules/${id}`);
    },
    "an address group gets addresses": () => this.#addresses("add_addresses"),
    "an address group loses addresses": () => this.#addresses("remove_addresses"),
    "a router joins a network": () => this.#interface("add_router_interface"),
    "a router leaves a network": () => this.#interface("remove_router_interface"),
    "a router goes down and up": async () => {
      const id = this.#chance.of(this.#routers);
      for (const admin_state_up of [false, true])
        await this.#fabric.api.ask("PUT", `/v2.0/routers/${id}`, { router: { admin_state_up } });
    },
    "a router has routes": async () => {
      const { guest } = this.#lodger();
      const { guest: other } = this.#lodger();
      const routes = this.#chance.some([
        { destination: "203.0.113.0/24", nexthop: guest.ip4 },
        { destination: "203.0.113.0/24", nexthop: other.ip4 },
        { destination: "2001:db8:113::/48", nexthop: guest.ip6 },
      ]);
      await this.#fabric.api.ask("PUT", `/v2.0/routers/${this.#chance.of(this.#routers)}`, { router: { routes } });
    },
    "a network goes down and up": async () => {
      const id = this.#chance.of(this.#networks)?.id;
      for (const admin_state_up of [false, true])
        await this.#fabric.api.ask("PUT", `/v2.0/networks/${id}`, { network: { admin_state_up } });
    },
    "all is in force": () => this.#fabric.settled(),
  };

  #lodger(): Lodger {
    const lodger = this.#chance.of(this.#lodgers);
    if (lodger === undefined) throw new Error("nobody is there");
    return lodger;
  }

  #port(port: object): Promise<unknown> {
    return this.#fabric.api.ask("PUT", `/v2.0/ports/${this.#lodger().guest.id}`, { port });
  }

  async #rule(fields: Readonly<Record<string, unknown>>): Promise<void> {
    this.#rules.push(await this.#fabric.make("security-group-rules", fields));
  }

  #addresses(how: string): Promise<unknown> {
    const addresses = this.#chance.some(this.#lodgers).flatMap(({ guest }) => [`${guest.ip4}/32`, `${guest.ip6}/128`]);
    return this.#fabric.api.ask("PUT", `/v2.0/address-groups/${this.#addressGroup}/${how}`, { addresses });
  }

  #interface(how: string): Promise<unknown> {
    const subnet_id = this.#chance.of(this.#chance.of(this.#networks)?.subnets ?? []);
    return this.#fabric.api.ask("PUT", `/v2.0/routers/${this.#chance.of(this.#routers)}/${how}`, { subnet_id });
  }

  /** A machine comes: where it is told, or anywhere. */
  async #arrive(on?: Network, at?: string): Promise<void> {
    const network = on ?? this.#chance.of(this.#networks);
    const host = at ?? this.#chance.of(this.#hosts) ?? "h1";
    if (network === undefined) return;
    this.#made += 1;
    const fields = { network_id: network.id, security_groups: [...this.#chance.some(this.#groups)] };
    const guest = await this.#fabric.guest(`churn-${this.#made}`, host, fields);
    const others = [...this.#lodgers.map((each) => each.guest), await this.#gateway(network)];
    const peer = others[this.#chance.below(others.length)];
    const loops = `while :; do for to in ${peer?.ip4} ${peer?.ip6} ${far.ip4} ${far.ip6} 203.0.113.$((10 + RANDOM % 10)); do ping -n -c 1 -W 1 -s $((RANDOM % 4000)) $to; curl -s -m 1 -g "http://$to/"; done; done`;
    const programs = [
      this.#fabric.start(guest, ...junk(this.#chance.below(0x7fffffff), guest, others)),
      this.#fabric.start(guest, "bash", "-c", loops),
    ];
    this.#lodgers = [...this.#lodgers, { guest, network, programs }];
  }

  /** A network's gateway, as a machine beside it knows it. */
  async #gateway({ id, number }: Network): Promise<Pick<Guest, "mac" | "ip4" | "ip6">> {
    const reply = await this.#fabric.api.ask(
      "GET",
      `/v2.0/ports?network_id=${id}&device_owner=network:router_interface_distributed&device_owner=network:router_interface`,
    );
    const [port] = at(reply, "ports") as readonly unknown[];
    const mac = port === undefined ? "02:00:00:00:00:97" : String(at(port, "mac_address"));
    return { mac, ip4: `10.${number}.0.1`, ip6: `fd${number}::1` };
  }
}

/** A network with a subnet of each family at a number of their prefixes. */
export async function dualNetwork(fabric: Fabric, name: string, number: number, more: object = {}): Promise<Network> {
  const id = await fabric.make("networks", { name, ...more });
  const slaac = { gateway_ip: `fd${number}::1`, ipv6_ra_mode: "slaac", ipv6_address_mode: "slaac" };
  const subnets = [
    await fabric.make("subnets", { network_id: id, ip_version: 4, cidr: `10.${number}.0.0/24` }),
    await fabric.make("subnets", { network_id: id, ip_version: 6, cidr: `fd${number}::/64`, ...slaac }),
  ];
  return { id, number, subnets };
}
