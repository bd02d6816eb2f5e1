/** Broadcast and multicast: to the network's ports here, and once to each other host that has a machine on it. */
import { derive, deriveKey, Port } from "@selvage/model";
import { FabricIn, FloodLocal, FloodRemote, Mcast, row } from "@selvage/pipeline";
import { app } from "../app.ts";
import { hostKey, isHere, networkEncapsulation, networkKey, networkOn } from "../intent.ts";

export const flood = app("flood", [Mcast, FabricIn, FloodLocal, FloodRemote], (here) => [
  derive("port", Port, (port, view) => {
    if (!isHere(view, port, here.name)) return [];
    const net = view.ask(networkKey, port.network_id);
    if (net === undefined) return [];
    return [row(FloodLocal, { net, port: port.key }, "copy", { port: port.key })];
  }),
  deriveKey("network on host", Port.index.networkHost, (pair, view) => {
    const [networkId = "", host = ""] = pair.split("|");
    const net = view.ask(networkKey, networkId);
    if (net === undefined) return [];
    if (host === here.name) {
      const isNamed = view.ask(networkEncapsulation, networkId) === "geneve";
      return [row(Mcast, { net }, "flood"), ...(isNamed ? [row(FabricIn, { net, port: 0 }, "flood")] : [])];
    }
    const there = view.ask(hostKey, host);
    if (
      view.ask(networkEncapsulation, networkId) === "physical" ||
      there === undefined ||
      !networkOn(view, networkId, here.name)
    )
      return [];
    return [row(FloodRemote, { net, host: there }, "copy", { host: there })];
  }),
]);
