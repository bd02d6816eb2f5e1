/**
 * A router's way out: a port with `gateway_of` on an external network, which belongs to no project (extension `ext-gw-mode`; Neutron's `l3_db`, `l3_gwmode_db`).
 */
import { fail } from "@selvage/base";
import {
  FloatingIp,
  type GatewayInfo,
  Network,
  type Network as NetworkObject,
  Port,
  type Port as PortObject,
  Router,
  type Router as RouterObject,
  Subnet,
  type Subnet as SubnetObject,
  type View,
} from "@selvage/model";
import { pickMac, pickPortKey } from "../allocate.ts";
import { withAutomatic } from "./automatic-addresses.ts";
import { addresses, defaultAddresses, type WantedIp } from "./fixed-ips.ts";
import { visibleNetwork } from "./network.ts";
import { segmentOf, subnetsBeside } from "./placement.ts";
import type { Values, Writing } from "./rules.ts";
import { putPort, removePort } from "./security-group-sets.ts";

/** What the port of a router's gateway says of itself. */
export const routerGateway = "network:router_gateway";

const bad = (msg: string) => fail("BadRouterRequest", { msg });

/** A router's gateway port, if it has one. */
export const gatewayOf = (view: View, routerId: string): PortObject | undefined =>
  view.by(Port.index.gateway_of, routerId)[0];

/** As `external_gateway_info` shows it. */
export function gatewayInfo(router: RouterObject, view: View): Values | null {
  const port = gatewayOf(view, router.id);
  if (port === undefined) return null;
  return { network_id: port.network_id, external_fixed_ips: port.fixed_ips, enable_snat: router.enable_snat };
}

/** Whether what leaves bears the router's address: yes, where nobody says. */
export const wantsSnat = (info: GatewayInfo | null): boolean => info?.enable_snat ?? true;

/**
 * Gives the router the gateway that is asked for, or none. `inside`: subnets of its interfaces, which those outside must not overlap.
 * Throws BadRequest, RouterExternalGatewayInUseByFloatingIp, and what stands against an address.
 */
export function setGateway(
  writing: Writing,
  router: RouterObject,
  info: GatewayInfo | null,
  checkInside: (subnets: readonly SubnetObject[]) => void,
): void {
  const { view } = writing.transaction;
  const before = gatewayOf(view, router.id);
  const network = info === null ? undefined : externalNetwork(writing, info);
  const asked = info?.external_fixed_ips ?? [];
  if (before !== undefined && before.network_id === network?.id) {
    if (asked.length > 0) moveGateway(writing, before, network, asked);
    return;
  }
  if (before !== undefined) clearGateway(writing, before);
  if (network === undefined) return;
  checkInside(view.by(Subnet.index.network_id, network.id));
  makeGateway(writing, router, network, asked);
}

function externalNetwork({ transaction, caller }: Writing, info: GatewayInfo): NetworkObject {
  const network = visibleNetwork(transaction.view, caller, info.network_id);
  if (!network["router:external"]) throw bad(`Network ${network.id} is not an external network`);
  const taken = new Set(
    transaction.view.by(Subnet.index.network_id, network.id).map((subnet) => subnet.gateway_ip ?? ""),
  );
  for (const { ip_address } of info.external_fixed_ips ?? []) {
    if (ip_address !== undefined && taken.has(ip_address))
      throw bad(`External IP ${ip_address} is the same as the gateway IP`);
  }
  return network;
}

function moveGateway(
  writing: Writing,
  before: PortObject,
  network: NetworkObject,
  asked: readonly WantedIp[],
): PortObject {
  const { view } = writing.transaction;
  const { mac_address: mac, device_owner: owner, fixed_ips: held } = before;
  const among = view.by(Subnet.index.network_id, network.id);
  const chosen = addresses(writing, network, asked, { held, mac, owner, among });
  const fixed_ips = withAutomatic(subnetsBeside(view, network, chosen), mac, owner, chosen);
  // Floating IPs are of the gateway's segment: they do not follow it to another.
  if (segmentOf(view, fixed_ips) !== segmentOf(view, held)) checkUnused(view, before);
  return putPort(writing.transaction, { ...before, fixed_ips });
}

function checkUnused(view: View, { gateway_of, network_id }: PortObject): void {
  const router_id = String(gateway_of);
  if (view.exists(FloatingIp.index.router_id, router_id))
    throw fail("RouterExternalGatewayInUseByFloatingIp", { router_id, net_id: network_id });
}

/** Takes the gateway away. Throws RouterExternalGatewayInUseByFloatingIp while floating IPs go through it. */
export function clearGateway({ transaction }: Writing, gateway: PortObject): void {
  checkUnused(transaction.view, gateway);
  removePort(transaction, gateway);
}

/** One that nobody is told of: it belongs to no project. */
function makeGateway(
  writing: Writing,
  router: RouterObject,
  network: NetworkObject,
  asked: readonly WantedIp[],
): PortObject {
  const { transaction, settings } = writing;
  const mac = pickMac(transaction, network.id, settings.macPrefix);
  const { view } = transaction;
  const among = view.by(Subnet.index.network_id, network.id);
  const given =
    asked.length === 0
      ? defaultAddresses(writing, network, routerGateway, among)
      : addresses(writing, network, asked, { held: [], mac, owner: routerGateway, among });
  return putPort(transaction, {
    ...nobodys(writing, network, mac),
    fixed_ips: withAutomatic(subnetsBeside(view, network, given), mac, routerGateway, given),
    gateway_of: router.id,
    device_id: router.id,
    device_owner: routerGateway,
  });
}

/** What a port says that stands for no machine: it is bound nowhere, has no name, and nobody asks by it. */
export const unmanned = {
  "binding:host_id": "",
  failed_host: "",
  user_data: "",
  extra_dhcp_opts: [],
  dns_name: "",
  dns_domain: "",
} as const;

/** A port of the platform's on a network, that belongs to no project and is bound nowhere. */
export function nobodys({ transaction }: Pick<Writing, "transaction">, network: NetworkObject, mac: string) {
  return {
    id: transaction.newId(),
    project_id: "",
    name: "",
    description: "",
    revision_number: 1,
    created_at: transaction.now,
    updated_at: transaction.now,
    tags: [],
    network_id: network.id,
    admin_state_up: true,
    mac_address: mac,
    fixed_ips: [],
    ip_allocation: "immediate",
    security_groups: [],
    allowed_address_pairs: [],
    router_id: null,
    gateway_of: null,
    device_id: "",
    device_owner: "",
    port_security_enabled: false,
    ...unmanned,
    "binding:profile": {},
    "binding:vnic_type": "normal",
    key: pickPortKey(transaction),
  } as const;
}

/** A new subnet of an external network gives an address to each gateway there that has none of its family. */
export function widenGateways(writing: Writing, subnet: SubnetObject): void {
  const { view } = writing.transaction;
  const network = view.get(Network, subnet.network_id);
  if (network === undefined || !network["router:external"]) return;
  for (const gateway of view.by(Port.index.gatewayNetwork, network.id)) {
    const versions = gateway.fixed_ips.map((fixed) => view.get(Subnet, fixed.subnet_id)?.ip_version);
    if (versions.includes(subnet.ip_version)) continue;
    if (
      subnet.segment_id !== null &&
      gateway.fixed_ips.length > 0 &&
      segmentOf(view, gateway.fixed_ips) !== subnet.segment_id
    )
      continue;
    moveGateway(writing, gateway, network, [...gateway.fixed_ips, { subnet_id: subnet.id }]);
    const router = view.get(Router, gateway.gateway_of ?? "");
    if (router !== undefined) writing.transaction.put(Router, router);
  }
}
