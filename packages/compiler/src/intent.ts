/** What several apps ask of intent: projections as queries, so that an edit of a name wakes nobody. */

import { Attachment, Host, keyOf, Network, networkKeyOf, Port, type Query, type QueryingView } from "@selvage/model";
import type { Encapsulation } from "@selvage/pipeline";

const same = <T>(a: T, b: T): boolean => Object.is(a, b);

/** A network's tunnel key, or undefined while the network is not known here. */
export const networkKey: Query<number | undefined> = {
  name: "network key",
  run: (view, id) => {
    const network = view.get(Network, id);
    return network === undefined ? undefined : networkKeyOf(network);
  },
  equal: same,
};

/** Two MAC addresses and the type (IEEE 802.3, clause 3.1.1). A tag is not in it: no port carries VLANs. */
const ethernetHeader = 14;
/** The largest length that can be measured, in 16 bits. */
const longest = 65_535;

/** Bytes of the largest frame that a network carries: its MTU with the Ethernet header. */
export const networkLargest: Query<number | undefined> = {
  name: "network largest frame",
  run: (view, id) => {
    const mtu = view.get(Network, id)?.mtu;
    return mtu === undefined ? undefined : Math.min(mtu + ethernetHeader, longest);
  },
  equal: same,
};

/** How a network goes to other hosts: across the underlay, or by the physical network that it stands on. */
export const networkEncapsulation: Query<Encapsulation | "physical"> = {
  name: "network encapsulation",
  run: (view, id) => {
    const network = view.get(Network, id);
    if (network !== undefined && network["provider:physical_network"] !== null) return "physical";
    return network?.["provider:network_type"] === "vxlan" ? "vxlan" : "geneve";
  },
  equal: same,
};

/** Whether a network is administratively up. An unknown one is not. */
export const networkUp: Query<boolean> = {
  name: "network up",
  run: (view, id) => view.get(Network, id)?.admin_state_up ?? false,
  equal: same,
};

/** A host's key, by its name. */
export const hostKey: Query<number | undefined> = {
  name: "host key",
  run: (view, name) => view.by(Host.index.name, name)[0]?.key,
  equal: same,
};

/** Where a host's tunnels end, by its name. */
export const hostTunnel: Query<string | undefined> = {
  name: "host tunnel address",
  run: (view, name) => view.by(Host.index.name, name)[0]?.tunnel_ip ?? undefined,
  equal: same,
};

/** Whether a network has a port bound on a host. */
export const networkOn = (view: QueryingView, networkId: string, hostName: string): boolean =>
  view.exists(Port.index.networkHost, keyOf(networkId, hostName));

/** Whether a port is in force here: bound to this host by intent, and plugged into its switch. */
export const isHere = (view: QueryingView, port: Port, hostName: string): boolean =>
  port["binding:host_id"] === hostName && view.has(Attachment, port.id);
