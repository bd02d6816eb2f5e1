/** How other hosts are reached, and from which of them a network's packets are taken (only those with a machine on it, or behind a router of it). */
import { derive, deriveKey, Host, isNear, keyOf, Port, type QueryingView, query, routingDomain } from "@selvage/model";
import {
  Classify,
  type Encapsulation,
  encapsulations,
  ingressOf,
  type Row,
  row,
  TunnelDomain,
  TunnelOut,
  TunnelSource,
  vxlanIngress,
} from "@selvage/pipeline";
import { app } from "../app.ts";
import { hostKey, hostTunnel, networkEncapsulation, networkKey, networkOn } from "../intent.ts";

/** The networks that routers join to one, itself first, that are known here. */
const knownDomain = (view: QueryingView, networkId: string): readonly string[] =>
  view.ask(routingDomain, networkId).filter((each) => view.ask(networkKey, each) !== undefined);

/** The least tunnel key of the networks that routers join to one, itself among them; undefined where it is alone. */
const domainKey = query("routing domain key", (view, networkId) => {
  const keys = knownDomain(view, networkId).flatMap((each) => view.ask(networkKey, each) ?? []);
  return keys.length > 1 ? Math.min(...keys) : undefined;
});

/** How those of them cross the underlay that have a port on a host. */
const encapsulationsHere = query(
  "encapsulations here of a routing domain",
  (view, key): readonly Encapsulation[] => {
    const [networkId = "", host = ""] = key.split("|");
    const here = knownDomain(view, networkId).filter((each) => networkOn(view, each, host));
    const all = new Set(here.map((each) => view.ask(networkEncapsulation, each)));
    return [...all].filter((each) => each !== "physical").sort();
  },
  (one, other) => one.join() === other.join(),
);

/** Whether one of them is of VXLAN. */
const reachesVxlan = query("routing domain reaches VXLAN", (view, networkId) =>
  knownDomain(view, networkId).some((each) => view.ask(networkEncapsulation, each) === "vxlan"),
);

export const tunnels = app("tunnels", [Classify, TunnelOut, TunnelSource, TunnelDomain], (here) => [
  derive("host", Host, (host) =>
    host.name === here.name || host.tunnel_ip === null
      ? []
      : [row(TunnelOut, { host: host.key, encapsulation: encapsulations.geneve }, "geneve", { to: host.tunnel_ip })],
  ),
  /** Whoever has a machine on a network, or on one that routers join to it, may send to a machine on it. */
  deriveKey("network on host", Port.index.networkHost, (pair, view) => {
    const [networkId = "", host = ""] = pair.split("|");
    const domain = view.ask(domainKey, networkId);
    if (host === here.name) {
      const tunKey = view.ask(networkKey, networkId);
      if (tunKey === undefined) return [];
      const encapsulation = view.ask(networkEncapsulation, networkId);
      if (encapsulation === "physical") return [];
      const ingress = ingressOf[encapsulation];
      return [
        row(TunnelSource, { tunKey }, "stranger", {}, "network"),
        ...(domain === undefined ? [] : [row(TunnelSource, { ingress, tunKey }, "joined", { domain }, "joined")]),
      ];
    }
    const tunSrc = view.ask(hostTunnel, host);
    if (tunSrc === undefined || !isNear(view, networkId, here.name)) return [];
    const there = view.ask(hostKey, host);
    const rows: Row[] = [];
    for (const encapsulation of view.ask(encapsulationsHere, keyOf(networkId, here.name))) {
      const ingress = ingressOf[encapsulation];
      const accept = encapsulation === "vxlan" ? "acceptVni" : "accept";
      const tunKey = view.ask(networkKey, networkId);
      if (domain !== undefined) rows.push(row(TunnelDomain, { ingress, domain, tunSrc }, accept));
      else if (tunKey !== undefined) rows.push(row(TunnelSource, { ingress, tunKey, tunSrc }, accept, {}, "host"));
    }
    if (!view.ask(reachesVxlan, networkId)) return rows;
    // The first such network that reaches another host is what makes this one have an interface for VXLAN.
    rows.push(row(Classify, { ingress: vxlanIngress }, "fabric"));
    if (there !== undefined)
      rows.push(row(TunnelOut, { host: there, encapsulation: encapsulations.vxlan }, "vxlan", { to: tunSrc }));
    return rows;
  }),
]);
