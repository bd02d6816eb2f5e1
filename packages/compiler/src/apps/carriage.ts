/** What each network of this host carries, and by which encapsulation: frames of its MTU with their Ethernet header (IEEE 802.3, clause 3.1.1), and none larger. */
import { deriveKey, Port } from "@selvage/model";
import { Carriage, encapsulations, row } from "@selvage/pipeline";
import { app } from "../app.ts";
import { networkEncapsulation, networkKey, networkMtu } from "../intent.ts";

/** Two MAC addresses and the type. A tag is not in it: no port carries VLANs. */
const ethernetHeader = 14;
/** The largest length that can be measured, in 16 bits. */
const longest = 65_535;

export const carriage = app("carriage", [Carriage], (here) => [
  deriveKey("network on host", Port.index.networkHost, (pair, view) => {
    const [networkId = "", host = ""] = pair.split("|");
    if (host !== here.name) return [];
    const net = view.ask(networkKey, networkId);
    const mtu = view.ask(networkMtu, networkId);
    const encapsulation = encapsulations[view.ask(networkEncapsulation, networkId)];
    if (net === undefined || mtu === undefined) return [];
    return [row(Carriage, { net }, "carry", { largest: Math.min(mtu + ethernetHeader, longest), encapsulation })];
  }),
]);
