/** How other hosts are reached, and from which of them a network's packets are taken (only those with a machine on it). */
import { derive, deriveKey, Host, Port } from "@selvage/model";
import { row, TunnelOut, TunnelSource } from "@selvage/pipeline";
import { app } from "../app.ts";
import { hostTunnel, networkKey, networkOn } from "../intent.ts";

export const tunnels = app("tunnels", [TunnelOut, TunnelSource], (here) => [
  derive("host", Host, (host) =>
    host.name === here.name || host.tunnel_ip === null
      ? []
      : [row(TunnelOut, { host: host.key }, "geneve", { to: host.tunnel_ip })],
  ),
  deriveKey("network on host", Port.index.networkHost, (pair, view) => {
    const [networkId = "", host = ""] = pair.split("|");
    const tunKey = view.ask(networkKey, networkId);
    const tunSrc = view.ask(hostTunnel, host);
    if (host === here.name || tunKey === undefined || tunSrc === undefined || !networkOn(view, networkId, here.name))
      return [];
    return [row(TunnelSource, { tunKey, tunSrc }, "accept", {}, "host")];
  }),
]);
