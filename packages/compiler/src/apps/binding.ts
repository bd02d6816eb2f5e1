/** Binds an interface to the port it names: only when intent binds that port to this very host. */
import { derive, Port } from "@selvage/model";
import { Classify, Deliver, FabricIn, FabricVni, row } from "@selvage/pipeline";
import { app } from "../app.ts";
import { isHere, networkEncapsulation, networkKey, networkUp } from "../intent.ts";

export const binding = app("binding", [Classify, FabricIn, FabricVni, Deliver], (here) => [
  derive("port", Port, (port, view) => {
    if (!isHere(view, port, here.name)) return [];
    const net = view.ask(networkKey, port.network_id);
    if (net === undefined) return [];
    const isNamed = view.ask(networkEncapsulation, port.network_id) === "geneve";
    const ethDst = `${port.mac_address}/ff:ff:ff:ff:ff:ff`;
    const inbound = isNamed
      ? row(FabricIn, { net, port: port.key }, "local", { port: port.key })
      : row(FabricVni, { net, ethDst }, "local", { port: port.key }, "port");
    const ingress = { ingress: port.id };
    const deliver = { port: port.key };
    if (!port.admin_state_up) return [inbound, row(Classify, ingress, "portDown"), row(Deliver, deliver, "portDown")];
    if (!view.ask(networkUp, port.network_id)) {
      return [inbound, row(Classify, ingress, "networkDown"), row(Deliver, deliver, "networkDown")];
    }
    return [
      inbound,
      row(Classify, ingress, "machine", { port: port.key, net }),
      row(Deliver, deliver, "output", { port: port.id }),
    ];
  }),
]);
