/** Addresses as who is on a wire asks for them: those that stand for machines, routers', hosts' and machines' own, and nobody's. */
import type { Host, HostGateway, NatLease, Port } from "@selvage/model";
import type { StandIn } from "./outside-addresses.ts";
import { addressIn, far, nowhere } from "./routing.ts";
import type { WiredNetwork } from "./wires.ts";

/** An address, as it is asked for on a wired network. */
export interface Target {
  readonly network: WiredNetwork;
  readonly ip4: string;
  readonly ip6: string;
  /** Place of the host that should know it; null: any. */
  readonly host: number | null;
  /** Ports of it that mean something, and those beside them. */
  readonly ports: readonly number[];
  /** Of a machine that stands on the wire itself. */
  readonly mac: string | null;
}

/**
 * What an address may be: one that stands for a machine, a router's, a machine's own, a host's, or nobody's; and on the wire of a network of machines, an
 * interface's of a router that stands there, or what is on that wire or behind those routers.
 */
export const targetKinds = ["standIn", "gateway", "machine", "host", "nobody", "interface", "behind"] as const;
export type TargetKind = (typeof targetKinds)[number];
export type Targets = Readonly<Record<TargetKind, readonly Target[]>>;

/** Addresses of the external network that nobody has. */
const nobodys = { ip4: "203.0.113.250", ip6: "2001:db8:ff::fa" } as const;
const usualPorts = [80, 40_000] as const;

export interface Targeted {
  readonly hosts: readonly Host[];
  readonly routed: readonly Port[];
  readonly ports: readonly Port[];
  readonly gateways: readonly Port[];
  readonly leases: readonly NatLease[];
  readonly hostGateways: readonly HostGateway[];
  readonly standIns: readonly StandIn[];
  /** The network of machines that stands on wires, and its prefixes; null: there is none. */
  readonly standing: { readonly id: string; readonly prefixes: Readonly<Record<4 | 6, string>> } | null;
}

const addressesOf = ({ fixed_ips }: Port): readonly string[] => fixed_ips.map(({ ip_address }) => ip_address);

export function targetsOf(all: Targeted): Targets {
  const { hosts, routed, ports, standing } = all;
  const target = (
    network: WiredNetwork,
    addresses: readonly string[],
    more: Partial<Pick<Target, "ports" | "mac">> & { readonly hostName?: string } = {},
  ): Target => {
    const { hostName, ports = usualPorts, mac = null } = more;
    const host = hosts.findIndex(({ name }) => name === hostName);
    return {
      ...{ network, ports, mac, host: host === -1 ? null : host },
      ip4: addresses.find((each) => !each.includes(":")) ?? nobodys.ip4,
      ip6: addresses.find((each) => each.includes(":")) ?? nobodys.ip6,
    };
  };
  const leased = all.leases.flatMap(({ first, size }) => [first, first + size - 1, first - 1, first + size]);
  const on = (port: Port): boolean => port.network_id === standing?.id;
  const routers = new Set(routed.filter(on).map(({ router_id }) => router_id));
  const interfaces = routed.filter(({ router_id }) => routers.has(router_id));
  const networks = new Set([...interfaces.map(({ network_id }) => network_id), standing?.id]);
  return {
    standIn: all.standIns.map(({ address, inner6, host: hostName, forwarded }) =>
      target("external", [address, ...inner6], {
        hostName,
        ...(forwarded === null ? {} : { ports: [...forwarded.values(), 79] }),
      }),
    ),
    gateway: all.gateways.map((each) =>
      target("external", addressesOf(each), { ports: [...leased.filter((port) => port < 65_536), 80] }),
    ),
    machine: ports.map((each) => target("external", addressesOf(each), { hostName: each["binding:host_id"] })),
    host: all.hostGateways.map(({ addresses }, place) =>
      target("external", addresses, { hostName: hosts[place]?.name ?? "" }),
    ),
    nobody: [target("external", [])],
    interface: interfaces.map((each) => target("standing", addressesOf(each))),
    behind: [
      ...ports
        .filter(({ network_id }) => networks.has(network_id))
        .map((each) =>
          target("standing", addressesOf(each), {
            hostName: each["binding:host_id"],
            ...(on(each) ? { mac: each.mac_address } : {}),
          }),
        ),
      ...(standing === null
        ? []
        : [
            target("standing", [far[4], far[6]]),
            target("standing", [nowhere[4], nowhere[6]]),
            target("standing", [addressIn(standing.prefixes[4], 181), addressIn(standing.prefixes[6], 181)]),
          ]),
    ],
  };
}
