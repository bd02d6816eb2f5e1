/** How other hosts are reached, and from which of them a network's packets are taken (only those with a machine on it). */
import { derive, deriveKey, Host, Port } from "@selvage/model";
import { Classify, encapsulations, fabricIngress, row, TunnelOut, TunnelSource, vxlanIngress } from "@selvage/pipeline";
import { app } from "../app.ts";
import { hostKey, hostTunnel, networkEncapsulation, networkKey, networkOn } from "../intent.ts";

export const tunnels = app("tunnels", [Classify, TunnelOut, TunnelSource], (here) => [
  derive("host", Host, (host) =>
    host.name === here.name || host.tunnel_ip === null
      ? []
      : [row(TunnelOut, { host: host.key, encapsulation: encapsulations.geneve }, "geneve", { to: host.tunnel_ip })],
  ),
  deriveKey("network on host", Port.index.networkHost, (pair, view) => {
    const [networkId = "", host = ""] = pair.split("|");
    const tunKey = view.ask(networkKey, networkId);
    const tunSrc = view.ask(hostTunnel, host);
    if (host === here.name || tunKey === undefined || tunSrc === undefined || !networkOn(view, networkId, here.name))
      return [];
    switch (view.ask(networkEncapsulation, networkId)) {
      case "geneve":
        return [row(TunnelSource, { ingress: fabricIngress, tunKey, tunSrc }, "accept", {}, "host")];
      case "vxlan": {
        const there = view.ask(hostKey, host);
        // The first such network that reaches another host is what makes this one have an interface for VXLAN.
        return [
          row(Classify, { ingress: vxlanIngress }, "fabric"),
          row(TunnelSource, { ingress: vxlanIngress, tunKey, tunSrc }, "acceptVni", {}, "host"),
          ...(there === undefined
            ? []
            : [row(TunnelOut, { host: there, encapsulation: encapsulations.vxlan }, "vxlan", { to: tunSrc })]),
        ];
      }
    }
  }),
]);
