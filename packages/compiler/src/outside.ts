/** What several apps ask of routers' gateways: which router goes out where, and which networks are behind it here. */
import {
  AddressScope,
  Attachment,
  isNear,
  keyOf,
  Network,
  Port,
  type QueryingView,
  query,
  Router,
  routingDomain,
  Subnet,
  Subnetpool,
  type View,
} from "@selvage/model";
import { EthType, ExtIn, type Row, row } from "@selvage/pipeline";
import { ipVersion } from "./addresses.ts";

export const routerKey = query("router key", (view, id) => view.get(Router, id)?.key);
export const routerUp = query("router up", (view, id) => view.get(Router, id)?.admin_state_up ?? false);
export const subnetCidr = query("subnet cidr", (view, id) => view.get(Subnet, id)?.cidr);
export const subnetGateway = query("subnet gateway", (view, id) => view.get(Subnet, id)?.gateway_ip ?? undefined);
export const isExternal = query("external", (view, id) => view.get(Network, id)?.["router:external"] ?? false);

/** The number of the address scope that a subnet's pool is of; 0: of none. */
export function scopeOfSubnet(view: View, id: string): number {
  const pool = view.get(Subnetpool, view.get(Subnet, id)?.subnetpool_id ?? "");
  return view.get(AddressScope, pool?.address_scope_id ?? "")?.key ?? 0;
}
export const subnetScope = query("subnet scope", scopeOfSubnet);

/**
 * Whether addresses of a subnet mean something on a router's external network, so that they leave and are reached as they are: both are of one scope, and
 * IPv4 of no scope is not translated either.
 */
export const isOpen = (
  { enable_snat }: Pick<Router, "enable_snat">,
  { version, inner, outer }: { readonly version: 4 | 6; readonly inner: number; readonly outer: number },
): boolean => inner === outer && (version === 6 || inner !== 0 || !enable_snat);

/** A whole address as a prefix. */
export const alone = (address: string): string => `${address}/${ipVersion(address) === 4 ? 32 : 128}`;

/** What a packet to a prefix is. */
export const destination = (cidr: string) =>
  ipVersion(cidr) === 4 ? { ethType: EthType.ipv4, ip4Dst: cidr } : { ethType: EthType.ipv6, ip6Dst: cidr };

/** What comes for a prefix from outside goes to its router here. */
export const routedIn = (net: number, cidr: string, vrf: number): Row =>
  row(ExtIn, { net, ...destination(cidr) }, "plain", { vrf }, "plain");

/** What comes for a prefix by a wire is sent on to a host that has machines behind its router. */
export const sentOn = (net: number, cidr: string, ingress: string, host: number): Row =>
  row(ExtIn, { net, ...destination(cidr), ingress }, "steer", { host }, "passing");

/** Whether a host has a machine behind a router: one of its networks is on the host, or is joined to one that is. */
export const isBehind = (view: QueryingView, routerId: string, hostName: string): boolean =>
  view.by(Port.index.router_id, routerId).some((port) => isNear(view, port.network_id, hostName));

const plugged = query("network plugged near host", (view, pair) => {
  const at = pair.indexOf("|");
  const host = pair.slice(at + 1);
  return view
    .ask(routingDomain, pair.slice(0, at))
    .some((network) =>
      view.by(Port.index.networkHost, keyOf(network, host)).some(({ id }) => view.has(Attachment, id)),
    );
});

/** Whether one of the machines that this host has behind a router is plugged in here, by the host's own name. */
export const isPluggedBehind = (view: QueryingView, routerId: string, hereName: string): boolean =>
  view.by(Port.index.router_id, routerId).some((port) => view.ask(plugged, keyOf(port.network_id, hereName)));
