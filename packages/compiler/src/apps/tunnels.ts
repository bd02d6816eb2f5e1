/** How other hosts are reached, and from which of them a network's packets are taken (only those with a machine on it, or behind a router of it). */
import { derive, deriveKey, Host, isNear, Port, routingDomain } from "@selvage/model";
import {
  Classify,
  encapsulations,
  fabricIngress,
  type Row,
  row,
  TunnelOut,
  TunnelSource,
  vxlanIngress,
} from "@selvage/pipeline";
import { app } from "../app.ts";
import { hostKey, hostTunnel, networkEncapsulation, networkKey, networkOn } from "../intent.ts";

export const tunnels = app("tunnels", [Classify, TunnelOut, TunnelSource], (here) => [
  derive("host", Host, (host) =>
    host.name === here.name || host.tunnel_ip === null
      ? []
      : [row(TunnelOut, { host: host.key, encapsulation: encapsulations.geneve }, "geneve", { to: host.tunnel_ip })],
  ),
  /** Whoever has a machine on a network, or on one that routers join to it, may send to a machine on it. */
  deriveKey("network on host", Port.index.networkHost, (pair, view) => {
    const [networkId = "", host = ""] = pair.split("|");
    if (host === here.name) {
      const tunKey = view.ask(networkKey, networkId);
      return tunKey === undefined ? [] : [row(TunnelSource, { tunKey }, "stranger", {}, "network")];
    }
    const tunSrc = view.ask(hostTunnel, host);
    if (tunSrc === undefined || !isNear(view, networkId, here.name)) return [];
    const there = view.ask(hostKey, host);
    const rows: Row[] = [];
    for (const network of view.ask(routingDomain, networkId)) {
      const tunKey = view.ask(networkKey, network);
      if (tunKey === undefined) continue;
      const isVxlan = view.ask(networkEncapsulation, network) === "vxlan";
      if (networkOn(view, network, here.name)) {
        rows.push(
          isVxlan
            ? row(TunnelSource, { ingress: vxlanIngress, tunKey, tunSrc }, "acceptVni", {}, "host")
            : row(TunnelSource, { ingress: fabricIngress, tunKey, tunSrc }, "accept", {}, "host"),
        );
      }
      if (!isVxlan) continue;
      // The first such network that reaches another host is what makes this one have an interface for VXLAN.
      rows.push(row(Classify, { ingress: vxlanIngress }, "fabric"));
      if (there !== undefined)
        rows.push(row(TunnelOut, { host: there, encapsulation: encapsulations.vxlan }, "vxlan", { to: tunSrc }));
    }
    return rows;
  }),
]);
