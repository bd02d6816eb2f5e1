/** Where each MAC of a network is: on a port of this host, or behind the tunnel to another. */
import { derive, isNear, Port } from "@selvage/model";
import { L2, row } from "@selvage/pipeline";
import { app } from "../app.ts";
import { hostKey, isHere, networkKey } from "../intent.ts";

export const unicast = app("unicast", [L2], (here) => [
  derive("port", Port, (port, view) => {
    const host = port["binding:host_id"];
    const net = view.ask(networkKey, port.network_id);
    if (host === "" || net === undefined) return [];
    const key = { net, ethDst: `${port.mac_address}/ff:ff:ff:ff:ff:ff` };
    if (host === here.name) {
      return isHere(view, port, here.name) ? [row(L2, key, "local", { port: port.key }, "port")] : [];
    }
    const there = view.ask(hostKey, host);
    if (there === undefined || !isNear(view, port.network_id, here.name)) return [];
    return [row(L2, key, "remote", { port: port.key, host: there }, "port")];
  }),
]);
