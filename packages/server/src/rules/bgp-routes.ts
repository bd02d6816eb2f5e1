/**
 * What a BGP speaker's hosts announce, worked out from intent as each of them works it out from its own rows: floating IPs from the hosts of their machines, and
 * tenants' prefixes of the outside's address scope from every host that has machines behind their router (Neutron's `bgp_db`, of distributed routers).
 */
import {
  type BgpSpeaker,
  FloatingIp,
  Host,
  HostGateway,
  keyOf,
  networksReached,
  Port,
  PortForwarding,
  Router,
  Subnet,
  Subnetpool,
  type View,
} from "@selvage/model";

export interface AdvertisedRoute {
  readonly destination: string;
  readonly next_hop: string;
}

/** In the order of networks and of what is on them; each once. */
export function advertisedRoutes(view: View, speaker: BgpSpeaker): readonly AdvertisedRoute[] {
  const found = new Map<string, AdvertisedRoute>();
  const add = (destination: string, next_hop: string | undefined): void => {
    if (next_hop !== undefined) found.set(keyOf(destination, next_hop), { destination, next_hop });
  };
  for (const networkId of speaker.networks) {
    if (speaker.ip_version === 4 && speaker.advertise_floating_ip_host_routes) addFloating(view, networkId, add);
    if (speaker.advertise_tenant_networks) addTenants(view, networkId, speaker.ip_version, add);
  }
  return [...found.values()];
}

type Add = (destination: string, nextHop: string | undefined) => void;

const isOf = (address: string, version: 4 | 6): boolean => address.includes(":") === (version === 6);

const addressOf = (gateway: HostGateway | undefined, version: 4 | 6): string | undefined =>
  gateway?.addresses.find((address) => isOf(address, version));

const isUp = (view: View, routerId: string | null): boolean =>
  routerId !== null && view.get(Router, routerId)?.admin_state_up === true;

/** One that stands for a machine is its host's; one whose ports are forwarded may be sent to any host. */
function addFloating(view: View, networkId: string, add: Add): void {
  for (const floating of view.by(FloatingIp.index.floating_network_id, networkId)) {
    if (!isUp(view, floating.router_id)) continue;
    const destination = `${floating.floating_ip_address}/32`;
    const port = floating.port_id === null ? undefined : view.get(Port, floating.port_id);
    if (port !== undefined) {
      const [host] = view.by(Host.index.name, port["binding:host_id"]);
      if (host !== undefined) add(destination, addressOf(gatewayAt(view, networkId, host.id), 4));
    } else if (view.exists(PortForwarding.index.floatingip_id, floating.id)) {
      for (const gateway of view.by(HostGateway.index.network_id, networkId)) add(destination, addressOf(gateway, 4));
    }
  }
}

const gatewayAt = (view: View, networkId: string, hostId: string): HostGateway | undefined =>
  view.by(HostGateway.index.place, keyOf(networkId, hostId))[0];

function addTenants(view: View, networkId: string, version: 4 | 6, add: Add): void {
  for (const outer of view.by(Port.index.gatewayNetwork, networkId)) {
    if (!isUp(view, outer.gateway_of)) continue;
    const at = outer.fixed_ips.find(({ ip_address }) => isOf(ip_address, version));
    const scope = at === undefined ? null : scopeOf(view, at.subnet_id);
    if (scope === null) continue;
    const interfaces = view.by(Port.index.router_id, outer.gateway_of ?? "");
    const inner = interfaces.flatMap(({ fixed_ips }) =>
      fixed_ips.flatMap((fixed) => view.get(Subnet, fixed.subnet_id) ?? []),
    );
    const open = inner.filter((subnet) => subnet.ip_version === version && scopeOf(view, subnet.id) === scope);
    if (open.length === 0) continue;
    const networks = new Set(interfaces.flatMap(({ network_id }) => networksReached(view, network_id)));
    for (const gateway of view.by(HostGateway.index.network_id, networkId)) {
      const host = view.get(Host, gateway.host_id)?.name ?? "";
      if (![...networks].some((network) => view.exists(Port.index.networkHost, keyOf(network, host)))) continue;
      for (const { cidr } of open) add(cidr, addressOf(gateway, version));
    }
  }
}

function scopeOf(view: View, subnetId: string): string | null {
  const pool = view.get(Subnet, subnetId)?.subnetpool_id;
  return pool == null ? null : (view.get(Subnetpool, pool)?.address_scope_id ?? null);
}
