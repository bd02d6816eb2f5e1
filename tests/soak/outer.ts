/** The outside of a soak: gateways, floating IPs and forwarded ports that come, move and go, a VLAN on which machines stand, and what whoever is on the wire says. */

import { hostMac } from "@selvage/compiler";
import { at } from "@selvage/lab";
import type { Fabric, Guest, Program } from "../support/guests.ts";
import { far, makePublic } from "../support/way-out.ts";
import type { Chance } from "./chance.ts";
import { junk, sentBy } from "./traffic.ts";

/** Whom and what the outside is for, as it is now. */
export interface Inside {
  readonly chance: Chance;
  readonly routers: readonly string[];
  lodger(): Guest;
}

/** What a network on the wire is called by an operator. */
export const onTheWire = {
  "provider:network_type": "vlan",
  "provider:physical_network": "public",
  "provider:segmentation_id": 90,
} as const;

const mostFloating = 6;
const mostForwardings = 8;
/** Few addresses, so that who guesses meets some. */
const pool = { start: "203.0.113.10", end: "203.0.113.19" } as const;

export class Outer {
  readonly #fabric: Fabric;
  readonly #inside: Inside;
  readonly #floating: string[] = [];
  /** Paths of forwardings. */
  readonly #forwardings: string[] = [];
  #external = "";
  #programs: readonly Program[] = [];
  #said = 0;

  constructor(fabric: Fabric, inside: Inside) {
    this.#fabric = fabric;
    this.#inside = inside;
  }

  /** Raw frames that were sent on the wire. */
  get sent(): number {
    return this.#said + sentBy(this.#programs);
  }

  /** Makes the external network, and a way out for the routers. */
  async begin(): Promise<void> {
    this.#external = await makePublic(this.#fabric, { 4: { allocation_pools: [pool] }, 6: {} });
    for (const router of this.#inside.routers) await this.#gateway(router, { network_id: this.#external });
  }

  /** Begins to say things on the wire, to hosts, to what may be theirs, and to these machines, as if they stood there. */
  async speak(guests: readonly Guest[]): Promise<void> {
    const { chance } = this.#inside;
    const [first, second] = guests;
    if (first !== undefined) await this.#floats({ port_id: first.id });
    await this.#floats({});
    if (second !== undefined) await this.#forward(second, this.#floating.at(-1));
    const reply = await this.#fabric.api.ask("GET", "/v1/hosts");
    const hosts = at(reply, "hosts") as readonly Readonly<Record<string, unknown>>[];
    const { outside } = this.#fabric;
    const { said } = await this.#fabric.run(outside, "ip", "link", "show", "dev", "public");
    const [, mac = ""] = /link\/ether (\S+)/.exec(said) ?? [];
    const peers = hosts.flatMap(({ key }) =>
      Array.from({ length: 12 }, (_, n) => ({
        mac: hostMac(Number(key)),
        ip4: n < 10 ? `203.0.113.${10 + n}` : `10.${81 + chance.below(3)}.0.${1 + chance.below(9)}`,
        ip6: n < 6 ? `2001:db8:ff::${chance.below(0x200).toString(16)}` : `fd${81 + chance.below(3)}::1`,
      })),
    );
    const self = { mac, ip4: far.ip4, ip6: far.ip6 };
    const tags = ["", "", "", "90"];
    const loops = `while :; do for n in {10..19}; do ping -n -c 1 -W 0.2 -s $((RANDOM % 3000)) 203.0.113.$n; curl -s -m 0.5 "http://203.0.113.$n:$((80 + RANDOM % 4))/"; done; done`;
    this.#programs = [
      this.#fabric.start(
        outside,
        ...junk(chance.below(0x7fffffff), self, [...peers, ...guests], { device: "public", tags }),
      ),
      this.#fabric.start(outside, "bash", "-c", loops),
    ];
  }

  async hush(): Promise<void> {
    this.#said += sentBy(this.#programs);
    for (const program of this.#programs) await program[Symbol.asyncDispose]();
    this.#programs = [];
  }

  readonly deeds: Readonly<Record<string, () => Promise<unknown>>> = {
    "a router gets a gateway": async () => {
      const { chance, routers } = this.#inside;
      const gateway = { network_id: this.#external, enable_snat: chance.next() < 0.8 };
      await this.#gateway(chance.of(routers) ?? "", gateway);
    },
    "a router loses its gateway, and gets one again": async () => {
      const router = this.#inside.chance.of(this.#inside.routers) ?? "";
      for (const gateway of [null, { network_id: this.#external }]) await this.#gateway(router, gateway);
    },
    "a floating IP comes": () => this.#floats({ port_id: this.#inside.lodger().id }),
    "a floating IP comes for forwarding": () => this.#floats({}),
    "a floating IP moves": async () => {
      const { chance } = this.#inside;
      const port_id = chance.next() < 0.7 ? this.#inside.lodger().id : null;
      const id = chance.of(this.#floating);
      if (id !== undefined) await this.#fabric.api.ask("PUT", `/v2.0/floatingips/${id}`, { floatingip: { port_id } });
    },
    "a floating IP goes": async () => {
      const [id] = this.#floating.splice(this.#inside.chance.below(this.#floating.length), 1);
      if (id !== undefined) await this.#fabric.api.ask("DELETE", `/v2.0/floatingips/${id}`);
    },
    "a forwarding comes": () => this.#forward(this.#inside.lodger(), this.#inside.chance.of(this.#floating)),
    "a forwarding goes": async () => {
      const [path] = this.#forwardings.splice(this.#inside.chance.below(this.#forwardings.length), 1);
      if (path !== undefined) await this.#fabric.api.ask("DELETE", path);
    },
  };

  async #gateway(router: string, external_gateway_info: object | null): Promise<void> {
    const path = `/v2.0/routers/${router}`;
    const reply = await this.#fabric.api.ask("PUT", path, { router: { external_gateway_info } });
    const fixed = at(at(at(reply, "router"), "external_gateway_info"), "external_fixed_ips");
    const addresses = (Array.isArray(fixed) ? fixed : []).map((each: unknown) => String(at(each, "ip_address")));
    const six = addresses.find((address) => address.includes(":"));
    // Whoever runs the network outside leads back to one of the networks inside.
    if (six === undefined) return;
    const words = ["ip", "-6", "route", "replace", "fd81::/64", "via", six];
    await this.#fabric.run(this.#fabric.outside, ...words);
  }

  async #floats(fields: object): Promise<void> {
    if (this.#floating.length >= mostFloating) return;
    const wanted = { floating_network_id: this.#external, ...fields };
    this.#floating.push(await this.#fabric.make("floatingips", wanted));
  }

  async #forward(guest: Guest, id: string | undefined): Promise<void> {
    const { chance } = this.#inside;
    if (id === undefined || this.#forwardings.length >= mostForwardings) return;
    const path = `/v2.0/floatingips/${id}/port_forwardings`;
    const inside = { internal_port_id: guest.id, internal_ip_address: guest.ip4, internal_port: 80 };
    const port_forwarding = { ...inside, external_port: 80 + chance.below(4), protocol: chance.of(["tcp", "udp"]) };
    const reply = await this.#fabric.api.ask("POST", path, { port_forwarding });
    this.#forwardings.push(`${path}/${at(at(reply, "port_forwarding"), "id")}`);
  }
}
