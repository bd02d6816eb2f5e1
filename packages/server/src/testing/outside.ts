/** An external network on a physical one, for tests of what goes out by it. */
import { randomUUID } from "node:crypto";
import type { Json } from "./client.ts";
import type { TestServer } from "./server.ts";

export type Made = Json & { readonly id: string };

export interface Outside {
  readonly network: Made;
  readonly subnet: Made;
  /** Absent where none was asked for. */
  readonly subnet6: Made | undefined;
}

/** Makes an external network, on a physical one of its own, with 203.0.113.0/24, of which addresses from .100 to .190 are given at random, or another prefix, and 2001:db8:ff::/64 where it is asked for. */
export async function outside(
  { admin }: TestServer,
  options: { readonly cidr?: string; readonly six?: string; readonly values?: Json } = {},
): Promise<Outside> {
  const name = randomUUID().slice(0, 8);
  const network = (await admin.create("network", {
    name: `public-${name}`,
    "router:external": true,
    "provider:network_type": "flat",
    "provider:physical_network": name,
    ...options.values,
  })) as Made;
  const subnetOf = (ip_version: 4 | 6, cidr: string, more: Json = {}) =>
    admin.create("subnet", { network_id: network.id, ip_version, cidr, enable_dhcp: false, ...more });
  const pools = { allocation_pools: [{ start: "203.0.113.100", end: "203.0.113.190" }] };
  return {
    network,
    subnet: await (options.cidr === undefined ? subnetOf(4, "203.0.113.0/24", pools) : subnetOf(4, options.cidr)),
    subnet6: options.six === undefined ? undefined : await subnetOf(6, options.six),
  };
}
