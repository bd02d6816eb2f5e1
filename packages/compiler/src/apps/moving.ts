/**
 * Addresses that move between ports (allowed address pairs; VRRP, RFC 9568, or gratuitous ARP), as routers reach them: a copy goes to each host that has a port which may have
 * the address, under a MAC that stands for whoever has it, and the host whose agent heard that one of its ports does gives it to that one. Machines of the network itself ask around.
 */
import {
  canonicalIp,
  derive,
  HeldAddress,
  isNear,
  keyOf,
  Port,
  type QueryingView,
  query,
  Subnet,
} from "@selvage/model";
import {
  Arp,
  ArpAnswer,
  FabricVni,
  groupBit,
  HoldersHere,
  HoldersThere,
  L2,
  Nd,
  NdAnswer,
  Neighbour,
  row,
} from "@selvage/pipeline";
import { ipVersion, movingMac } from "../addresses.ts";
import { app } from "../app.ts";
import { dhcpServer } from "../dhcp.ts";
import { hostKey, isHere, networkEncapsulation, networkKey } from "../intent.ts";

/** Whether an address of a network (`network|address`) is somebody's own, who is somewhere: then it does not move. */
const isOwn = query("own address", (view, key): boolean => {
  const [networkId = "", address = ""] = key.split("|");
  return view.by(Subnet.index.network_id, networkId).some((subnet) => {
    if (dhcpServer(subnet, "geneve")?.address === address) return true;
    const [port] = view.by(Port.index.address, keyOf(subnet.id, address));
    return port !== undefined && (port["binding:host_id"] !== "" || port.router_id !== null);
  });
});

/** The addresses that a port may come to have, each with the MACs with which it may; prefixes are nobody's to ask for. */
function movingOf(view: QueryingView, port: Port): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>();
  if (port["binding:host_id"] === "" || port.allowed_address_pairs.length === 0) return found;
  if (!view.exists(Port.index.routedNetwork, port.network_id)) return found;
  // On a physical network who routes there asks by the wire.
  if (view.ask(networkEncapsulation, port.network_id) === "physical") return found;
  for (const { ip_address, mac_address } of port.allowed_address_pairs) {
    const address = canonicalIp(ip_address);
    if (address === undefined || view.ask(isOwn, keyOf(port.network_id, address))) continue;
    found.set(address, (found.get(address) ?? new Set()).add(mac_address));
  }
  return found;
}

const whole = (mac: string): string => `${mac}/ff:ff:ff:ff:ff:ff`;
const written = [Arp, ArpAnswer, FabricVni, HoldersHere, HoldersThere, L2, Nd, NdAnswer, Neighbour];

export const moving = app("moving addresses", written, (here) => [
  derive("may hold", Port, (port, view) => {
    const net = view.ask(networkKey, port.network_id);
    const addresses = movingOf(view, port);
    if (net === undefined || addresses.size === 0 || !isNear(view, port.network_id, here.name)) return [];
    const there = port["binding:host_id"] === here.name ? undefined : view.ask(hostKey, port["binding:host_id"]);
    const isLocal = isHere(view, port, here.name);
    return [...addresses.keys()].flatMap((address) => {
      const mac = movingMac(address);
      const isFour = ipVersion(address) === 4;
      return [
        row(Neighbour, { net, nh: address }, "moving", { mac }),
        isFour
          ? row(ArpAnswer, { nhMac: mac, net }, "around", {}, "around")
          : row(NdAnswer, { nhMac: mac, net }, "around", {}, "around"),
        row(L2, { net, ethDst: whole(mac) }, "holders", {}, "port"),
        ...(there === undefined ? [] : [row(HoldersThere, { net, mac, host: there }, "copy", { host: there })]),
        ...(isLocal ? heardHere(net, port.key, address) : []),
      ];
    });
  }),
  derive("holds", HeldAddress, ({ address, port_id, mac }, view) => {
    const port = view.get(Port, port_id);
    const net = port === undefined ? undefined : view.ask(networkKey, port.network_id);
    if (port === undefined || net === undefined || !isHere(view, port, here.name)) return [];
    if (movingOf(view, port).get(address)?.has(mac) !== true) return [];
    const key = { net, mac: movingMac(address), port: port.key };
    return [row(HoldersHere, key, "held", { port: port.key, mac })];
  }),
]);

/** What is for whoever has an address comes in here, and the agent hears which port says that it has it, here or elsewhere. */
function heardHere(net: number, srcPort: number, address: string) {
  const isFour = ipVersion(address) === 4;
  const said = isFour ? { arpSpa: address, arpTpa: address } : { icmp6Type: 136, ndTarget: address };
  return [
    isFour
      ? row(Arp, { srcPort, arpSpa: address, arpTpa: address }, "heard", {}, "heard")
      : row(Nd, { srcPort, icmp6Type: 136, ndTarget: address }, "heard", {}, "heard"),
    row(FabricVni, { net, ethDst: groupBit, ...said }, "heard", {}, "heard"),
    row(FabricVni, { net, ethDst: whole(movingMac(address)) }, "holders", {}, "port"),
  ];
}
