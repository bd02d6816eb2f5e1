/** The MAC of every address that intent knows on the networks of this host and on those that routers join to them: ARP and ND are answered from it where they are asked. */
import { derive, isNear, keyOf, Port, Subnet, textOfCidr } from "@selvage/model";
import { Arp, ArpAnswer, Nd, NdAnswer, Neighbour, noMac, row } from "@selvage/pipeline";
import { addressesOf, linkLocalOfPort, pairsOf } from "../addresses.ts";
import { app } from "../app.ts";
import { dhcpServer } from "../dhcp.ts";
import { hostKey, isHere, networkEncapsulation, networkKey, networkOn } from "../intent.ts";
import { isBeside } from "../segments.ts";

export const neighbours = app("neighbours", [Neighbour, Arp, Nd, ArpAnswer, NdAnswer], (here) => [
  derive("port", Port, (port, view) => {
    const net = view.ask(networkKey, port.network_id);
    const isSomewhere = port["binding:host_id"] !== "" || port.router_id !== null;
    if (net === undefined || !isSomewhere || !isNear(view, port.network_id, here.name)) return [];
    // Where subnets are by segment, who is on another is behind the gateway, and nobody here is told its MAC.
    if (port.router_id === null && !isBeside(view, port.network_id, port["binding:host_id"])) return [];
    const mac = port.mac_address;
    const addresses = [...addressesOf(port, 4), ...addressesOf(port, 6)];
    if (networkOn(view, port.network_id, here.name))
      return addresses.map((nh) => row(Neighbour, { net, nh }, "known", { mac }));
    // What is reached through routers alone is reached by addresses that they send on (RFC 4291, section 2.5.6), and by no MAC that a machine here knows.
    const beyond = addresses.filter((nh) => nh !== linkLocalOfPort(port));
    // A physical network's own frames go there by the wire.
    const isWired = view.ask(networkEncapsulation, port.network_id) === "physical";
    if (port.router_id !== null || isWired) return beyond.map((nh) => row(Neighbour, { net, nh }, "known", { mac }));
    const host = view.ask(hostKey, port["binding:host_id"]);
    if (host === undefined) return [];
    return beyond.map((nh) => row(Neighbour, { net, nh }, "there", { mac, port: port.key, host }));
  }),
  /** What a port says of its own addresses is an announcement or a test for duplicates, not a question to be answered. */
  derive("own", Port, (port, view) => {
    if (!isHere(view, port, here.name)) return [];
    const srcPort = port.key;
    return [
      ...addressesOf(port, 4).map((arpTpa) => row(Arp, { srcPort, arpTpa }, "own", {}, "own")),
      ...addressesOf(port, 6).map((ndTarget) => row(Nd, { srcPort, ndTarget }, "own", {}, "own")),
    ];
  }),
  /** Who has an address of a pair now is for the machines to say: it moves between them (VRRP), so that questions for it are asked around. */
  derive("pair", Port, (port, view) => {
    const pairs = pairsOf(port);
    const net = view.ask(networkKey, port.network_id);
    const isFar = port["binding:host_id"] === "" || !networkOn(view, port.network_id, here.name);
    if (pairs.length === 0 || net === undefined || isFar) return [];
    return pairs.map(({ prefix }) =>
      prefix.version === 4
        ? row(ArpAnswer, { nhMac: noMac, net, arpTpa: textOfCidr(prefix) }, "around", {}, "around")
        : row(NdAnswer, { nhMac: noMac, net, ndTarget: textOfCidr(prefix) }, "around", {}, "around"),
    );
  }),
  /** So is who has an address that nobody is known to have, where a port may send from any. */
  derive("unguarded port", Port, (port, view) => {
    if (port.port_security_enabled || port["binding:host_id"] === "") return [];
    const net = view.ask(networkKey, port.network_id);
    if (net === undefined || !networkOn(view, port.network_id, here.name)) return [];
    return [
      row(ArpAnswer, { nhMac: noMac, net }, "around", {}, "anybody"),
      row(NdAnswer, { nhMac: noMac, net }, "around", {}, "anybody"),
    ];
  }),
  /** The DHCP server's address, so that a lease can be renewed by unicast; a port that holds the address goes first. */
  derive("dhcp server", Subnet, (subnet, view) => {
    const net = view.ask(networkKey, subnet.network_id);
    const server = dhcpServer(subnet, view.ask(networkEncapsulation, subnet.network_id));
    if (net === undefined || server === undefined || !networkOn(view, subnet.network_id, here.name)) return [];
    if (view.exists(Port.index.address, keyOf(subnet.id, server.address))) return [];
    return [row(Neighbour, { net, nh: server.address }, "known", { mac: server.mac })];
  }),
]);
