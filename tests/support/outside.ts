/** A project with everything that leads outside, for tests of who may see it. What names something bears `hidden-red`. */
import assert from "node:assert/strict";
import type { Json, TestClient } from "@selvage/server/testing";

/**
 * What stands outside: an external network of everybody's, and of the member's project a router there, a floating IP, a forwarding and an address spoken for.
 * Gives the id of each by its collection, and of what they lead to.
 */
export async function makeOutside(admin: TestClient, member: TestClient): Promise<ReadonlyMap<string, string>> {
  const ids = new Map<string, string>();
  const made = async (by: TestClient, path: string, values: Json): Promise<Json & { readonly id: string }> => {
    const kind = path.replace(/^.*\//, "").replace(/ies$/, "y").replace(/s$/, "").replaceAll("-", "_");
    const { status, body, text } = await by.post(`/v2.0/${path}`, { [kind]: values });
    assert.equal(status, 201, `${path}: ${text}`);
    return body[kind] as Json & { readonly id: string };
  };
  const external = await made(admin, "networks", { "router:external": true, is_default: true });
  const scope = await made(admin, "address-scopes", { name: "six", ip_version: 6, shared: true });
  for (const [prefix, length, of] of [
    ["10.203.0.0/16", 24, {}],
    ["2001:db8::/32", 64, { address_scope_id: scope.id }],
  ] as const) {
    const pool = { name: "p", prefixes: [prefix], default_prefixlen: length, is_default: true, shared: true };
    await made(admin, "subnetpools", { ...pool, ...of });
  }
  const six = { ip_version: 6, use_default_subnetpool: true };
  await made(admin, "subnets", { network_id: external.id, ...six });
  await made(admin, "subnets", { network_id: external.id, ip_version: 4, cidr: "203.0.113.0/24" });
  const network = await made(member, "networks", {});
  const subnets = [{ ip_version: 4, cidr: "10.204.0.0/24" }, six];
  const gateway = { external_gateway_info: { network_id: external.id }, enable_ndp_proxy: true };
  const router = await made(member, "routers", gateway);
  for (const each of subnets) {
    const { id } = await made(member, "subnets", { network_id: network.id, ...each });
    await member.put(`/v2.0/routers/${router.id}/add_router_interface`, { subnet_id: id });
  }
  const port = await made(member, "ports", { network_id: network.id });
  const [{ ip_address: inner } = {}] = port.fixed_ips as readonly Json[];
  const floating = { floating_network_id: external.id, description: "hidden-red" };
  ids.set("external", external.id);
  ids.set("floatingips", (await made(member, "floatingips", floating)).id);
  const web = { protocol: "tcp", internal_ip_address: inner, internal_port_id: port.id };
  const forwarding = { ...web, internal_port: 80, external_port: 80, description: "hidden-red" };
  const forwardings = `floatingips/${ids.get("floatingips")}/port_forwardings`;
  ids.set("port_forwardings", (await made(member, forwardings, forwarding)).id);
  const proxy = { router_id: router.id, port_id: port.id, name: "hidden-red" };
  ids.set("ndp_proxies", (await made(member, "ndp_proxies", proxy)).id);
  ids.set("proxied", port.id);
  ids.set("proxying", router.id);
  const range = { network_type: "vlan", physical_network: "p", minimum: 1, maximum: 2, name: "hidden-red" };
  ids.set("network_segment_ranges", (await made(admin, "network_segment_ranges", range)).id);
  const peer = { peer_ip: "192.0.2.1", remote_as: 65_001, auth_type: "none", name: "hidden-red" };
  ids.set("bgp-peers", (await made(admin, "bgp-peers", peer)).id);
  const speaker = { local_as: 65_000, ip_version: 4, name: "hidden-red" };
  ids.set("bgp-speakers", (await made(admin, "bgp-speakers", speaker)).id);
  return ids;
}
