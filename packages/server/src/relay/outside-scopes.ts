/**
 * What hosts need of the outside (design, section 6). Who has machines behind a router is told of its gateway, of what stands for its own machines, and of the
 * external network. Who has the wire of an external network is told what it needs to send on what comes for others: leases, forwarded ports and tenants' own
 * prefixes, with the hosts that have them; and never of what is translated on the machine's own host.
 */
import {
  type Derivation,
  derive,
  deriveKey,
  FloatingIp,
  Host,
  type Index,
  NatLease,
  NdpProxy,
  Network,
  networksOn,
  Port,
  PortForwarding,
  type QueryingView,
  Router,
  Segment,
  type Segment as SegmentObject,
  Subnet,
} from "@selvage/model";
import { besides, content, ownScope, type ScopeRow, scopeRow } from "./scope-rows.ts";

/** Hosts with the wire of an external network, and what they send on. */
export const steering = (networkId: string): string => `steering:${networkId}`;

/** The networks of a router's interfaces. */
const networksOf = (view: QueryingView, routerId: string): ReadonlySet<string> =>
  new Set(view.by(Port.index.router_id, routerId).map((port) => port.network_id));

/** A host in a scope whose members are to know where it is. */
const hostNamed = (view: QueryingView, scope: string, name: string): readonly ScopeRow[] =>
  view.by(Host.index.name, name).map((host) => besides(scope, Host.kind, host));

/** Whether hosts with machines behind a router hold ports of its gateway's address. */
const isLeased = (router: Router, { fixed_ips }: Port): boolean =>
  router.enable_snat && fixed_ips.some(({ ip_address }) => !ip_address.includes(":"));

/** Hosts are told segments on wires: where a tunnelled network stands, it says itself. */
const isTold = ({ physical_network }: SegmentObject): boolean => physical_network !== null;

export const outsideDerivations: readonly Derivation<ScopeRow>[] = [
  derive("segment", Segment, (segment) =>
    isTold(segment) ? [content(segment.network_id, Segment.kind, segment)] : [],
  ),
  /** Whoever has a wire may stand on the network, go out by it and send on; all of them know each other. */
  derive("host with wire", Host, (host, view) =>
    host.physical_networks.flatMap((physical) =>
      networksOn(view, physical)
        .filter((network) => network["router:external"])
        .flatMap((network) => [
          scopeRow("member", steering(network.id), host.id, ""),
          scopeRow("member", network.id, host.id, ""),
          besides(steering(network.id), Host.kind, host),
        ]),
    ),
  ),
  /** A gateway is known where its router is, and to who may have to answer for its address. */
  deriveKey("gateway", Port.index.gateway_of, (routerId, view) =>
    view.by(Port.index.gateway_of, routerId).flatMap((port) => {
      const network = view.get(Network, port.network_id);
      const subnets = view.by(Subnet.index.network_id, port.network_id);
      const segments = view.by(Segment.index.network_id, port.network_id).filter(isTold);
      const behind = [...networksOf(view, routerId)].flatMap((scope) => [
        besides(scope, Port.kind, port),
        ...(network === undefined ? [] : [besides(scope, Network.kind, network)]),
        ...subnets.map((subnet) => besides(scope, Subnet.kind, subnet)),
        ...segments.map((segment) => besides(scope, Segment.kind, segment)),
      ]);
      const router = view.get(Router, routerId);
      const isHinted = router !== undefined && router.availability_zone_hints.length > 0;
      const there = steering(port.network_id);
      return [
        ...behind,
        besides(there, Port.kind, port),
        // In which zones it is to be decides who answers.
        ...(isHinted ? [besides(there, Router.kind, router)] : []),
      ];
    }),
  ),
  /** A tenant's own prefix that may be reached from outside: IPv6, what is not translated, and what is of a pool and so perhaps of the outside's scope. */
  deriveKey("open prefixes", Port.index.router_id, (routerId, view) => {
    const router = view.get(Router, routerId);
    const gateways = view.by(Port.index.gateway_of, routerId);
    if (router === undefined || gateways.length === 0) return [];
    return view.by(Port.index.router_id, routerId).flatMap((port) => {
      const subnets = port.fixed_ips
        .flatMap(({ subnet_id }) => view.get(Subnet, subnet_id) ?? [])
        .filter((subnet) => subnet.ip_version === 6 || !router.enable_snat || subnet.subnetpool_id !== null);
      if (subnets.length === 0) return [];
      return gateways.flatMap((gateway) => {
        const scope = steering(gateway.network_id);
        return [
          besides(scope, Port.kind, port),
          besides(scope, Router.kind, router),
          ...subnets.map((subnet) => besides(scope, Subnet.kind, subnet)),
        ];
      });
    });
  }),
  /** Who has machines behind a router is told by its leases; where there are none, for nothing is translated, by one machine's port of each host. */
  deriveKey("host behind open prefix", Port.index.networkHost, (pair, view) => {
    const routers = view.by(Port.index.routedNetwork, pair.slice(0, pair.indexOf("|")));
    const gateways = routers.flatMap(({ router_id }) => {
      const router = router_id === null ? undefined : view.get(Router, router_id);
      if (router === undefined) return [];
      return view.by(Port.index.gateway_of, router.id).filter((gateway) => !isLeased(router, gateway));
    });
    // Which machine's it is matters to nobody; all are only looked at where one is to be told.
    const [port] = gateways.length === 0 ? [] : view.by(Port.index.networkHost, pair);
    if (port === undefined) return [];
    return gateways.flatMap((gateway) => {
      const there = steering(gateway.network_id);
      return [besides(there, Port.kind, port), ...hostNamed(view, there, port["binding:host_id"])];
    });
  }),
  /** What stands for a machine is known where the machine's network is. */
  derive("floating ip", FloatingIp, (floating, view) => {
    const port = floating.port_id === null ? undefined : view.get(Port, floating.port_id);
    return port === undefined ? [] : [besides(port.network_id, FloatingIp.kind, floating)];
  }),
  derive("port forwarding", PortForwarding, (forwarding, view) => {
    const floating = view.get(FloatingIp, forwarding.floatingip_id);
    const port = view.get(Port, forwarding.internal_port_id);
    if (floating === undefined || port === undefined) return [];
    const there = steering(floating.floating_network_id);
    const router = floating.router_id === null ? undefined : view.get(Router, floating.router_id);
    return [
      ...[port.network_id, there].flatMap((scope) => [
        besides(scope, PortForwarding.kind, forwarding),
        besides(scope, FloatingIp.kind, floating),
      ]),
      besides(there, Port.kind, port),
      // Whether it is up is for all to know who announce what they send on.
      ...(router === undefined ? [] : [besides(there, Router.kind, router)]),
      ...hostNamed(view, there, port["binding:host_id"]),
    ];
  }),
  derive("ndp proxy", NdpProxy, (proxy, view) => {
    const port = view.get(Port, proxy.port_id);
    return port === undefined ? [] : [besides(port.network_id, NdpProxy.kind, proxy)];
  }),
  derive("lease", NatLease, (lease, view) => {
    const host = view.get(Host, lease.host_id);
    const there = steering(lease.network_id);
    return [
      besides(ownScope(lease.host_id), NatLease.kind, lease),
      besides(there, NatLease.kind, lease),
      ...(host === undefined ? [] : [besides(there, Host.kind, host)]),
    ];
  }),
];

export const outsideResources = [Segment, FloatingIp, PortForwarding, NdpProxy, NatLease] as const;

export const outsideIndexes: readonly Index[] = [
  Host.index.physical,
  Network.index.physical,
  Segment.index.physical,
  Segment.index.network_id,
  Subnet.index.network_id,
  Port.index.gateway_of,
] as unknown as Index[];
