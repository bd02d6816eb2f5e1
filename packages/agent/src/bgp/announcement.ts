/**
 * What this host announces for each speaker, worked out from the rows that its switch holds and from its view: a route leads here if and only if the switch takes
 * what comes by it (design, section 6; Neutron's `bgp_db`). There is no second list of what a host has.
 */
import {
  BgpPeer,
  BgpSpeaker,
  type Engine,
  FloatingIp,
  Host,
  HostGateway,
  keyOf,
  Network,
  networkKeyOf,
  Port,
  Router,
  Subnet,
  Subnetpool,
} from "@selvage/model";
import { ExtIn, type Row } from "@selvage/pipeline";

export type BgpView = Pick<Engine<Row>["view"], "get" | "has" | "by" | "exists" | "objects">;

/** Something that the switch takes from an external network. */
export interface Taken {
  readonly net: number;
  readonly prefix: string;
  /** The router behind which it is, for tenants' own prefixes; absent: an address that stands for machines. */
  readonly vrf?: number;
}

/** What a row takes in; undefined for any other row. */
export function takenBy({ table, rank, key, action, args }: Row): Taken | undefined {
  if (table !== ExtIn.name) return undefined;
  const to = key.ip4Dst ?? key.ip6Dst;
  if (to === undefined) return undefined;
  const [address = "", length] = String(to).split("/");
  const prefix = `${address}/${length ?? (address.includes(":") ? 128 : 32)}`;
  const net = Number(key.net);
  if (action === "plain") return { net, prefix, vrf: Number(args.vrf) };
  // A block of ports is sent on as a forwarded port is; that its address stands for no machine, the view says.
  return action === "floating" || action === "steer" || rank === "forwarded" ? { net, prefix } : undefined;
}

/** Whom a speaker tells. */
export interface Told {
  readonly address: string;
  readonly remoteAs: number;
  /** What segments are signed with; null: they are not. */
  readonly secret: string | null;
}

/** What this host says as one speaker. */
export interface Announcement {
  readonly speaker: string;
  readonly localAs: number;
  readonly version: 4 | 6;
  readonly peers: readonly Told[];
  /** Next hops, by prefix: this host's own addresses. */
  readonly routes: ReadonlyMap<string, string>;
}

/** In the order of the speakers' ids. One is here that this host has an address for, and somebody to tell. */
export function announcementsOf(view: BgpView, hostName: string, taken: Iterable<Taken>): readonly Announcement[] {
  const own = [...view.objects(HostGateway)].filter(({ host_id }) => view.get(Host, host_id)?.name === hostName);
  const all = [...taken];
  return [...view.objects(BgpSpeaker)]
    .sort((one, other) => (one.id < other.id ? -1 : 1))
    .flatMap((speaker): readonly Announcement[] => {
      const places = own.flatMap((gateway) => placeOf(view, speaker, gateway) ?? []);
      const peers = peersOf(view, speaker);
      if (places.length === 0 || peers.length === 0) return [];
      const routes = new Map<string, string>();
      for (const each of all) {
        const place = places.find(({ net }) => net === each.net);
        if (place !== undefined && isAnnounced(view, speaker, place, each)) routes.set(each.prefix, place.nextHop);
      }
      return [{ speaker: speaker.id, localAs: speaker.local_as, version: speaker.ip_version, peers, routes }];
    });
}

/** A network of a speaker's, with this host's address there. */
interface Place {
  readonly networkId: string;
  readonly net: number;
  readonly nextHop: string;
}

function placeOf(view: BgpView, speaker: BgpSpeaker, gateway: HostGateway): Place | undefined {
  const network = view.get(Network, gateway.network_id);
  const nextHop = gateway.addresses.find((address) => isOf(address, speaker.ip_version));
  if (network === undefined || nextHop === undefined || !speaker.networks.includes(network.id)) return undefined;
  return { networkId: network.id, net: networkKeyOf(network), nextHop };
}

const isOf = (address: string, version: 4 | 6): boolean => address.includes(":") === (version === 6);

function peersOf(view: BgpView, speaker: BgpSpeaker): readonly Told[] {
  return speaker.peers
    .flatMap((id) => view.get(BgpPeer, id) ?? [])
    .map(({ peer_ip, remote_as, signing_key }) => ({ address: peer_ip, remoteAs: remote_as, secret: signing_key }));
}

function isAnnounced(view: BgpView, speaker: BgpSpeaker, place: Place, { prefix, vrf }: Taken): boolean {
  if (!isOf(prefix, speaker.ip_version)) return false;
  if (vrf !== undefined) return speaker.advertise_tenant_networks && isTenants(view, vrf, prefix);
  if (!speaker.advertise_floating_ip_host_routes) return false;
  const [address = ""] = prefix.split("/");
  const [floating] = view.by(FloatingIp.index.address, keyOf(place.networkId, address));
  return view.get(Router, floating?.router_id ?? "")?.admin_state_up === true;
}

/** Whether a prefix is a subnet's behind a router, of an address scope: those without one mean nothing elsewhere. That the scope is the outside's, the row says. */
function isTenants(view: BgpView, vrf: number, prefix: string): boolean {
  const routers = view.by(Router.index.key, String(vrf));
  const interfaces = routers.flatMap(({ id }) => view.by(Port.index.router_id, id));
  return interfaces
    .flatMap(({ fixed_ips }) => fixed_ips.flatMap(({ subnet_id }) => view.get(Subnet, subnet_id) ?? []))
    .some(({ cidr, subnetpool_id }) => cidr === prefix && isScoped(view, subnetpool_id));
}

const isScoped = (view: BgpView, poolId: string | null): boolean =>
  poolId !== null && (view.get(Subnetpool, poolId)?.address_scope_id ?? null) !== null;
