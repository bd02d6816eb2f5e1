/** Where each MAC of a network is: on a port of this host, or behind the tunnel to another; or on each port that has an address pair with it. */
import { derive, keyOf, Port } from "@selvage/model";
import { FabricVni, HoldersHere, HoldersThere, L2, row } from "@selvage/pipeline";
import { pairMacsOf } from "../addresses.ts";
import { app } from "../app.ts";
import { hostKey, isHere, networkEncapsulation, networkKey, networkOn } from "../intent.ts";

export const unicast = app("unicast", [L2, FabricVni, HoldersHere, HoldersThere], (here) => [
  derive("port", Port, (port, view) => {
    const host = port["binding:host_id"];
    const net = view.ask(networkKey, port.network_id);
    if (host === "" || net === undefined) return [];
    const key = { net, ethDst: `${port.mac_address}/ff:ff:ff:ff:ff:ff` };
    if (host === here.name) {
      return isHere(view, port, here.name) ? [row(L2, key, "local", { port: port.key }, "port")] : [];
    }
    const there = view.ask(hostKey, host);
    // On a network that is reached through routers alone, neighbours tell where they are.
    if (there === undefined || !networkOn(view, port.network_id, here.name)) return [];
    if (view.ask(networkEncapsulation, port.network_id) === "physical") return [];
    return [row(L2, key, "remote", { port: port.key, host: there }, "port")];
  }),
  /** A MAC that is no port's own is whose it is at the moment (VRRP): frames for it go to every port that may have it, and each other host gets one copy. */
  derive("pair", Port, (port, view) => {
    const macs = pairMacsOf(port);
    const host = port["binding:host_id"];
    const net = view.ask(networkKey, port.network_id);
    if (macs.length === 0 || host === "" || net === undefined || !networkOn(view, port.network_id, here.name))
      return [];
    const there = view.ask(hostKey, host);
    return macs.flatMap((mac) => {
      if (view.exists(Port.index.networkMac, keyOf(port.network_id, mac))) return [];
      const key = { net, ethDst: `${mac}/ff:ff:ff:ff:ff:ff` };
      const towards = row(L2, key, "holders", {}, "port");
      if (host !== here.name)
        return there === undefined || view.ask(networkEncapsulation, port.network_id) === "physical"
          ? []
          : [towards, row(HoldersThere, { net, mac, host: there }, "copy", { host: there })];
      if (!isHere(view, port, here.name)) return [];
      return [
        towards,
        row(FabricVni, key, "holders", {}, "port"),
        row(HoldersHere, { net, mac, port: port.key }, "copy", { port: port.key }),
      ];
    });
  }),
]);
