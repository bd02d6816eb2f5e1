/**
 * IPv6 addresses of machines that are spoken for on the external network, so that it needs no route to them (Networking v2.0, `/v2.0/ndp_proxies`; RFC 4389;
 * extensions `l3-ndp-proxy`, `l3-ext-ndp-proxy`).
 */
import { fail } from "@selvage/base";
import {
  type FixedIp,
  keyOf,
  NdpProxy,
  type NdpProxy as NdpProxyObject,
  Port,
  type Port as PortObject,
  Router,
  type Router as RouterObject,
  type View,
} from "@selvage/model";
import { anyOf, isAdmin, member, reader } from "../api/policy.ts";
import { gatewayOf } from "./gateway.ts";
import { addressScopeOf } from "./pool-space.ts";
import { type ResourceRules, standardOf, type Writing } from "./rules.ts";

const owner = anyOf(isAdmin, member);
const isV6 = ({ ip_address }: FixedIp): boolean => ip_address.includes(":");

export const ndpProxyRules: ResourceRules<typeof NdpProxy> = {
  resource: NdpProxy,
  notFound: (id) => fail("NDPProxyNotFound", { id }),
  policy: { get: anyOf(isAdmin, reader), create: owner, update: owner, delete: owner, attributes: {} },
  target: (_view, object) => ({ projectId: String(object.project_id) }),
  computed: {},
  create: (writing, values) => {
    const { view } = writing.transaction;
    const router = routerOf(writing, String(values.router_id));
    if (!router.enable_ndp_proxy) throw fail("RouterNDPProxyNotEnable", { router_id: router.id });
    const port = portOf(writing, String(values.port_id));
    const { ip_address, network_id } = spokenFor(view, router, port, values.ip_address);
    checkScope(view, router, network_id);
    if (view.exists(NdpProxy.index.spoken, keyOf(port.id, ip_address)))
      throw fail("InvalidAddress", { address: ip_address, reason: "it is spoken for already" });
    return writing.transaction.put(NdpProxy, {
      ...standardOf(writing, values, 0),
      router_id: router.id,
      port_id: port.id,
      ip_address,
    });
  },
  update: ({ transaction }, before, values) => transaction.put(NdpProxy, { ...before, ...values }),
  remove: ({ transaction }, proxy, precondition) => {
    precondition();
    transaction.remove(NdpProxy, proxy.id);
  },
};

const isOwn = ({ caller }: Writing, { project_id }: { readonly project_id: string }): boolean =>
  caller.roles.has("admin") || project_id === caller.projectId;

function routerOf(writing: Writing, router_id: string): RouterObject {
  const router = writing.transaction.view.get(Router, router_id);
  if (router === undefined || !isOwn(writing, router)) throw fail("RouterNotFound", { router_id });
  return router;
}

function portOf(writing: Writing, id: string): PortObject {
  const port = writing.transaction.view.get(Port, id);
  if (port === undefined || !isOwn(writing, port)) throw fail("PortNotFound", { id });
  return port;
}

/** The address that is asked for, or the port's first that the router reaches. Throws InvalidAddress, PortUnreachableRouter. */
function spokenFor(view: View, router: RouterObject, port: PortObject, wanted: unknown) {
  const own = port.fixed_ips.filter(isV6);
  const asked = typeof wanted === "string" ? own.filter(({ ip_address }) => ip_address === wanted) : own;
  if (typeof wanted === "string" && asked.length === 0)
    throw fail("InvalidAddress", { address: wanted, reason: `This address not belong to the port ${port.id}` });
  const reached = new Set(
    view.by(Port.index.router_id, router.id).flatMap(({ fixed_ips }) => fixed_ips.map(({ subnet_id }) => subnet_id)),
  );
  const found = asked.find(({ subnet_id }) => reached.has(subnet_id));
  if (found === undefined) throw fail("PortUnreachableRouter", { port_id: port.id, router_id: router.id });
  return { ip_address: found.ip_address, network_id: port.network_id };
}

/** An address means the same inside and outside only within one scope. Throws AddressScopeConflict. */
function checkScope(view: View, router: RouterObject, networkId: string): void {
  const gateway = gatewayOf(view, router.id);
  const outer = gateway === undefined ? undefined : addressScopeOf(view, gateway.network_id, 6);
  const inner = addressScopeOf(view, networkId, 6);
  if (outer !== undefined && outer === inner) return;
  throw fail("AddressScopeConflict", {
    ext_address_scope: outer ?? "None",
    internal_address_scope: inner ?? "None",
  });
}

/** What a router that may speak for addresses must have. Throws RouterGatewayNotValid. */
export function checkSpeaks(view: View, router_id: string): void {
  const gateway = gatewayOf(view, router_id);
  const isReady = gateway?.fixed_ips.some(isV6) === true && addressScopeOf(view, gateway.network_id, 6) !== undefined;
  if (isReady) return;
  const reason =
    "The router has no external gateway or the external gateway port has no IPv6 address or IPv6 address scope";
  throw fail("RouterGatewayNotValid", { router_id, reason });
}

/** What a router has that speaks for addresses must stay as long as it does. Throws RouterNDPProxyInUse, RouterIPv6GatewayInUse. */
export function checkStillSpeaks(view: View, before: RouterObject, after: RouterObject): void {
  if (!view.exists(NdpProxy.index.router_id, before.id)) return;
  if (!after.enable_ndp_proxy) throw fail("RouterNDPProxyInUse", { router_id: before.id });
  if (gatewayOf(view, before.id)?.fixed_ips.some(isV6) !== true)
    throw fail("RouterIPv6GatewayInUse", { router_id: before.id });
}

/** Throws RouterInterfaceInUseByNDPProxy while an address of the subnet is spoken for. */
export function checkUnspoken(view: View, router_id: string, subnet_id: string): void {
  const isSpoken = view
    .by(NdpProxy.index.router_id, router_id)
    .some((proxy) =>
      view
        .get(Port, proxy.port_id)
        ?.fixed_ips.some((fixed) => fixed.subnet_id === subnet_id && fixed.ip_address === proxy.ip_address),
    );
  if (isSpoken) throw fail("RouterInterfaceInUseByNDPProxy", { router_id, subnet_id });
}

/** A port that goes, or loses addresses, is spoken for no more. */
export function unspoken(
  { transaction }: Pick<Writing, "transaction">,
  port: PortObject,
  left: ReadonlySet<string>,
): void {
  const gone = (proxy: NdpProxyObject): boolean => !left.has(proxy.ip_address);
  for (const { id } of transaction.view.by(NdpProxy.index.port_id, port.id).filter(gone))
    transaction.remove(NdpProxy, id);
}
