/** Addresses of an external network in a drawn topology: routers' gateways, blocks of their ports, floating addresses, forwarded ports and proxied ones. */
import type { Host, NatLease, Port, PortForwarding, ReplicaObject, Router, Subnet } from "@selvage/model";
import {
  makeFloatingIp,
  makeGateway,
  makeNatLease,
  makeNdpProxy,
  makePortForwarding,
  testId,
} from "@selvage/model/testing";
import { externalId, type OutsidePlan } from "./outside.ts";
import { addressIn } from "./routing.ts";
import { isOfSegment } from "./wires.ts";

export interface LeasePlan {
  /** One block, none, one in use and one that runs out, or a block of a single port. */
  readonly kind: "block" | "none" | "several" | "least";
  readonly size: 64 | 1024 | 16_384;
  /** Whether it is the last block of all ports. */
  readonly isLast: boolean;
}

/** What stands for a machine outside: a whole address, or ports of one; by IPv6 its own address does. */
export interface StandIn {
  readonly address: string;
  /** Id of the port, whose address it stands for, and the name of its host. */
  readonly port: string;
  readonly host: string;
  readonly inner4: string;
  readonly inner6: readonly string[];
  /** Ports outside by protocol and port inside; null: all, as they are. */
  readonly forwarded: ReadonlyMap<string, number> | null;
}

/** Gateways of the routers that have a way out. */
export function gatewaysOf(
  outside: OutsidePlan,
  routers: readonly Router[],
  subnets: readonly Subnet[],
): readonly Port[] {
  return routers.flatMap((router, place) => {
    const plan = outside.gateways[place];
    if (plan === null || plan === undefined) return [];
    const own = subnets.filter(
      (subnet) =>
        (plan.families === "both" || plan.families === String(subnet.ip_version)) &&
        isOfSegment(subnet, outside, "external", plan.segment),
    );
    if (own.length === 0) return [];
    return [
      makeGateway({
        id: testId("gateway", place + 1),
        network_id: externalId,
        mac_address: `fa:16:3e:ee:00:0${place}`,
        key: 0x300000 + place,
        gateway_of: router.id,
        device_id: router.id,
        fixed_ips: own.map(({ id, cidr }) => ({ subnet_id: id, ip_address: addressIn(cidr, 10 + place) })),
      }),
    ];
  });
}

interface Inside {
  readonly gateways: readonly Port[];
  readonly hosts: readonly Host[];
  readonly routed: readonly Port[];
  readonly ports: readonly Port[];
}

const ip4Of = ({ fixed_ips }: Port): string | undefined =>
  fixed_ips.find(({ ip_address }) => !ip_address.includes(":"))?.ip_address;
const ip6Of = ({ fixed_ips }: Port): readonly string[] =>
  fixed_ips.map(({ ip_address }) => ip_address).filter((each) => each.includes(":"));

/** Where blocks begin, host by host, each with room for the largest; and where those are that run out. */
const firstBlocks = [1_024, 32_768, 49_152] as const;
const firstOld = 4_096;
const allPorts = 65_536;

/** Blocks for hosts that have machines on a network of the router's, as the server leases them, but that a host may be left without. */
export function leasesOf(
  { leases }: OutsidePlan,
  { gateways, hosts, routers, routed, ports }: Inside & { readonly routers: readonly Router[] },
): readonly NatLease[] {
  return gateways.flatMap((gateway, of) => {
    const address = ip4Of(gateway);
    const router = routers.find(({ id }) => id === gateway.gateway_of);
    if (address === undefined || router?.enable_snat !== true) return [];
    const networks = new Set(
      routed.flatMap(({ router_id, network_id }) => (router_id === router.id ? [network_id] : [])),
    );
    return hosts.flatMap((host, place): readonly NatLease[] => {
      const plan = leases[place];
      const isNear = ports.some((port) => networks.has(port.network_id) && port["binding:host_id"] === host.name);
      if (plan === undefined || plan.kind === "none" || !isNear) return [];
      const size = plan.kind === "least" ? 1 : plan.size;
      const last = place === firstBlocks.length - 1 && plan.isLast ? allPorts - size : undefined;
      const first = last ?? Math.ceil((firstBlocks[place] ?? 0) / size) * size;
      const lease = (number: number, block: Pick<NatLease, "first" | "size" | "current">): NatLease =>
        makeNatLease({
          ...{ id: testId(`lease ${of}`, 10 * place + number), router_id: router.id, host_id: host.id },
          ...{ network_id: externalId, address, ...block },
        });
      const old = { first: firstOld + 64 * place, size: 64, current: false };
      return [lease(1, { first, size, current: true }), ...(plan.kind === "several" ? [lease(2, old)] : [])];
    });
  });
}

/** The gateway of the first router on a port's network that has a way out by a version. */
function wayOut(
  port: Port,
  version: 4 | 6,
  { gateways, routed }: Pick<Inside, "gateways" | "routed">,
): Port | undefined {
  const own = port.fixed_ips.map(({ subnet_id }) => subnet_id);
  const near = routed.filter(({ fixed_ips }) => fixed_ips.some(({ subnet_id }) => own.includes(subnet_id)));
  return gateways.find(
    (gateway) =>
      near.some(({ router_id }) => router_id === gateway.gateway_of) &&
      gateway.fixed_ips.some(({ ip_address }) => ip_address.includes(":") === (version === 6)),
  );
}

interface Made {
  readonly objects: readonly { readonly kind: string; readonly object: ReplicaObject["object"] }[];
  readonly all: readonly StandIn[];
}

/** Floating addresses from .20 on, addresses of forwarded ports from .40 on, and IPv6 addresses that are spoken for. */
export function standInsOf(plan: OutsidePlan, inside: Inside): Made {
  const taken = new Set<string>();
  const made = [
    floatingOf(plan, inside),
    ...([0, 1] as const).map((of) => forwardedOf(of, plan, inside, taken)),
    proxiesOf(plan, inside),
  ];
  return { objects: made.flatMap(({ objects }) => objects), all: made.flatMap(({ all }) => all) };
}

/** The ports at these places, each once, that have an address of a version and a way out by it. */
function served(places: readonly number[], version: 4 | 6, inside: Inside) {
  const ports = new Set(places.flatMap((place) => inside.ports[place % Math.max(1, inside.ports.length)] ?? []));
  return [...ports].flatMap((port) => {
    const gateway = wayOut(port, version, inside);
    const router = gateway?.gateway_of ?? undefined;
    const inner = version === 4 ? ip4Of(port) : ip6Of(port)[0];
    if (gateway === undefined || router === undefined || inner === undefined) return [];
    return [{ port, router, inner, beside: (number: number) => besideOf(gateway, number) }];
  });
}

/** An address of the network that a gateway's is of, by its last number. */
const besideOf = (gateway: Port, number: number): string => (ip4Of(gateway) ?? "").replace(/\d+$/, String(number));

const standIn = (port: Port, address: string, forwarded: StandIn["forwarded"]): StandIn => ({
  ...{ address, port: port.id, host: port["binding:host_id"], forwarded },
  ...{ inner4: ip4Of(port) ?? "", inner6: ip6Of(port) },
});

function floatingOf({ floating }: OutsidePlan, inside: Inside): Made {
  const all = served(floating, 4, inside).map(({ port, router, inner, beside }, number) => {
    const address = beside(20 + number);
    const object = makeFloatingIp({
      ...{ id: testId("floating ip", number + 1), floating_ip_address: address, router_id: router },
      ...{ port_id: port.id, fixed_ip_address: inner },
    });
    return { object, standIn: standIn(port, address, null) };
  });
  return {
    objects: all.map(({ object }) => ({ kind: "floatingip", object })),
    all: all.map((each) => each.standIn),
  };
}

/** Ports of one address, all by the router of the first; each outer port is taken once, and each inner one. */
function forwardedOf(of: 0 | 1, plan: OutsidePlan, inside: Inside, taken: Set<string>): Made {
  const id = testId("floating ip", 40 + of);
  const forwardings: PortForwarding[] = [];
  const ports = new Map<Port, Map<string, number>>();
  let router_id: string | null = null;
  let floating_ip_address = "";
  for (const [number, forwarding] of plan.forwarded.entries()) {
    const [to] = served([forwarding.port], 4, inside);
    if (forwarding.of !== of || to === undefined) continue;
    if (router_id === null) floating_ip_address = to.beside(40 + of);
    router_id ??= to.router;
    const { protocol, outer, inner, span } = forwarding;
    const steps = Array.from({ length: span }, (_, step) => step);
    const names = steps.flatMap((step) => [
      `${of} ${protocol} ${outer + step}`,
      `${to.port.id} ${protocol} ${inner + step}`,
    ]);
    if (router_id !== to.router || names.some((name) => taken.has(name))) continue;
    for (const name of names) taken.add(name);
    const own = ports.get(to.port) ?? new Map<string, number>();
    for (const step of steps) own.set(`${protocol} ${inner + step}`, outer + step);
    ports.set(to.port, own);
    forwardings.push(
      makePortForwarding({
        ...{ id: testId(`forwarding ${of}`, number + 1), floatingip_id: id, protocol },
        ...{ external_first: outer, external_last: outer + span - 1 },
        ...{ internal_first: inner, internal_last: inner + span - 1 },
        ...{ internal_port_id: to.port.id, internal_ip_address: to.inner },
      }),
    );
  }
  if (forwardings.length === 0) return { objects: [], all: [] };
  const object = makeFloatingIp({ id, floating_ip_address, router_id, port_id: null, fixed_ip_address: null });
  return {
    objects: [
      { kind: "floatingip", object },
      ...forwardings.map((each) => ({ kind: "port_forwarding", object: each })),
    ],
    all: [...ports].map(([port, own]) => standIn(port, floating_ip_address, own)),
  };
}

function proxiesOf({ proxies }: OutsidePlan, inside: Inside): Made {
  const objects = served(proxies, 6, inside).map(({ port, router, inner }, number) => ({
    kind: "ndp_proxy",
    object: makeNdpProxy({
      ...{ id: testId("ndp proxy", number + 1), router_id: router, port_id: port.id, ip_address: inner },
    }),
  }));
  return { objects, all: [] };
}
