/** What each network of this host carries, each that routers join to one, and each whose physical network is here, and by which encapsulation: frames of its MTU with their Ethernet header, and none larger. */
import { derive, deriveKey, isNear, Network, Port } from "@selvage/model";
import { Carriage, CopyCarriage, encapsulations, row } from "@selvage/pipeline";
import { app } from "../app.ts";
import { networkEncapsulation, networkKey, networkLargest } from "../intent.ts";
import { hasWire } from "../segments.ts";

/** The bit of a MAC address that makes it a group's (IEEE 802.3, clause 3.2.3). */
const group = "01:00:00:00:00:00/01:00:00:00:00:00";

export const carriage = app("carriage", [Carriage, CopyCarriage], (here) => [
  derive("network", Network, (network, view) => {
    const net = view.ask(networkKey, network.id);
    const largest = view.ask(networkLargest, network.id);
    if (net === undefined || largest === undefined) return [];
    if (!isNear(view, network.id, here.name) && !hasWire(view, network.id)) return [];
    const encapsulation = encapsulations[view.ask(networkEncapsulation, network.id)];
    return [row(Carriage, { net }, "carry", { largest, encapsulation }, "network")];
  }),
  deriveKey("network on host", Port.index.networkHost, (pair, view) => {
    const [networkId = "", host = ""] = pair.split("|");
    if (host !== here.name) return [];
    const net = view.ask(networkKey, networkId);
    const largest = view.ask(networkLargest, networkId);
    if (net === undefined || largest === undefined) return [];
    const encapsulation = encapsulations[view.ask(networkEncapsulation, networkId)];
    return [
      row(Carriage, { net, ethDst: group }, "flood", { encapsulation }, "group"),
      row(CopyCarriage, { net }, "carry", { largest }),
    ];
  }),
]);
