/**
 * Networks that routers join: whoever has a machine on one of them may have to reach all of them, for the sender's host routes (pipeline design, section 5).
 * The compiler and the relay ask the same question, so that a host is told of exactly what it makes rows of.
 */
import { type QueryingView, query } from "./derivation.ts";
import { keyOf } from "./resource.ts";
import { Network } from "./resources/network.ts";
import { Port } from "./resources/port.ts";
import type { View } from "./view.ts";

/**
 * Ids of the networks that can be reached from one through any number of routers, itself first. An external network is reached and never gone through: what is
 * behind it is other people's. Costs what the domain has of interfaces.
 */
export function networksReached(view: Pick<View, "by" | "get">, networkId: string): readonly string[] {
  const found = new Set([networkId]);
  const routers = new Set<string>();
  for (const network of found) {
    if (view.get(Network, network)?.["router:external"] === true) continue;
    for (const { router_id } of view.by(Port.index.routedNetwork, network)) {
      if (router_id === null || routers.has(router_id)) continue;
      routers.add(router_id);
      for (const other of view.by(Port.index.router_id, router_id)) found.add(other.network_id);
    }
  }
  return [...found];
}

/** As `networksReached`; wakes who asks only when it changes. */
export const routingDomain = query(
  "routing domain",
  networksReached,
  (one, other) => one.length === other.length && one.every((id, at) => id === other[at]),
);

const near = query("network near host", (view, pair) => {
  const at = pair.indexOf("|");
  const host = pair.slice(at + 1);
  return view
    .ask(routingDomain, pair.slice(0, at))
    .some((network) => view.exists(Port.index.networkHost, keyOf(network, host)));
});

/** Whether a host has a bound port on a network, or on one that routers join to it. */
export const isNear = (view: QueryingView, networkId: string, hostName: string): boolean =>
  view.ask(near, keyOf(networkId, hostName));
