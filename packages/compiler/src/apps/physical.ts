/** Networks that stand on physical ones (flat and VLAN): where this host's switch has the wire, what comes by it and goes by it, and who was met there. */
import {
  Attachment,
  derive,
  deriveKey,
  Host,
  isPhysical,
  LearnedNeighbour,
  linkLocalOf,
  macOf,
  Network,
  Port,
  type QueryingView,
  textOfIp,
} from "@selvage/model";
import {
  ArpAnswer,
  Classify,
  EthType,
  encapsulations,
  FabricVni,
  FloodRemote,
  FromPhysical,
  IpProto,
  L2,
  NdAnswer,
  Neighbour,
  noMac,
  PhysicalReply,
  ProviderIn,
  ProviderOut,
  peerName,
  physicalHost,
  physicalName,
  physicalNetworkOf,
  row,
  TunnelOut,
} from "@selvage/pipeline";
import { app } from "../app.ts";
import { hostKey, networkEncapsulation, networkKey, networkOn } from "../intent.ts";
import { hostMac } from "../physical.ts";
import { hasWire, wireHere } from "../segments.ts";

const noEthernet = "00:00:00:00:00:00/00:00:00:00:00:00";

const written = [
  ...[Classify, ProviderIn, ProviderOut, PhysicalReply, FromPhysical, L2],
  ...[FabricVni, FloodRemote, TunnelOut, ArpAnswer, NdAnswer, Neighbour],
];

/** Whether what is for a host is for tenants' routers that stand on the network, and for nobody's gateway. */
const isRoutedTo = (view: QueryingView, network: Network): boolean =>
  !network["router:external"] && view.exists(Port.index.routedNetwork, network.id);

export const physical = app("physical", written, (here) => [
  /** Whatever stands on a wire, or nothing yet: what comes by it is a physical network's, and no machine's. */
  derive("wire", Attachment, ({ id }) =>
    physicalNetworkOf(id) === undefined ? [] : [row(Classify, { ingress: id }, "physical")],
  ),
  derive("network", Network, (network, view) => {
    const wire = view.ask(wireHere, network.id);
    const net = view.ask(networkKey, network.id);
    const key = view.ask(hostKey, here.name);
    if (wire === undefined || net === undefined || key === undefined) return [];
    const { vlan } = wire;
    const port = physicalName(wire.physical);
    const mac = hostMac(key);
    const advertised = { ethType: EthType.ipv6, ipProto: IpProto.icmp6, icmp6Type: 136 };
    const asked = { ethType: EthType.ipv6, ipProto: IpProto.icmp6, icmp6Type: 135 };
    return [
      row(FromPhysical, { ethSrc: mac }, "loop", {}, "loop"),
      ...(vlan === null
        ? [
            row(ProviderIn, { ingress: port, tagged: 0, vlan: 0 }, "untagged", { net }),
            row(ProviderOut, { net }, "untagged", { port }),
            row(PhysicalReply, { ingress: port, net }, "untagged"),
          ]
        : [
            row(ProviderIn, { ingress: port, tagged: 1, vlan }, "tagged", { net }),
            row(ProviderOut, { net }, "tagged", { port, vlan }),
            row(PhysicalReply, { ingress: port, net }, "tagged", { vlan }),
          ]),
      // What answers this host's own questions, and who asks after whom it asked.
      row(FromPhysical, { net, ethDst: mac, ethType: EthType.arp, arpOp: 2 }, "learn", {}, "news"),
      row(FromPhysical, { net, ethDst: mac, ...advertised }, "learn", {}, "news"),
      row(FromPhysical, { net, ...asked, ndTarget: textOfIp(linkLocalOf(macOf(mac))) }, "nd", {}, "question"),
      row(FromPhysical, { net, ethDst: mac }, isRoutedTo(view, network) ? "routed" : "take", {}, "here"),
    ];
  }),
  /** Hosts with a wire to the same network watch each other. */
  derive("peer", Host, (host, view) => {
    const [own] = view.by(Host.index.name, here.name);
    const isPeer =
      host.name !== here.name && host.physical_networks.some((name) => own?.physical_networks.includes(name));
    return isPeer ? [row(Classify, { ingress: peerName(host.id) }, "watch")] : [];
  }),
  /** Whoever is not here is there, wire or no wire. */
  derive("elsewhere", Network, (network, view) => {
    const net = view.ask(networkKey, network.id);
    if (!isPhysical(network) || net === undefined) return [];
    if (!hasWire(view, network.id) && !networkOn(view, network.id, here.name)) return [];
    return [
      row(TunnelOut, { host: physicalHost, encapsulation: encapsulations.physical }, "physical"),
      row(FabricVni, { net, ethDst: noEthernet }, "elsewhere", {}, "elsewhere"),
      row(L2, { net, ethDst: noEthernet }, "remote", { port: 0, host: physicalHost }, "physical"),
      row(ArpAnswer, { nhMac: noMac, net }, "around", {}, "around"),
      row(NdAnswer, { nhMac: noMac, net }, "around", {}, "around"),
    ];
  }),
  deriveKey("machines", Port.index.networkHost, (pair, view) => {
    const [networkId = "", host = ""] = pair.split("|");
    const net = view.ask(networkKey, networkId);
    if (host !== here.name || net === undefined || view.ask(networkEncapsulation, networkId) !== "physical") return [];
    return [row(FloodRemote, { net, host: physicalHost }, "copy", { host: physicalHost })];
  }),
  derive("met", LearnedNeighbour, (neighbour, view) => {
    const net = view.ask(networkKey, neighbour.network_id);
    if (net === undefined) return [];
    return [row(Neighbour, { net, nh: neighbour.address }, "known", { mac: neighbour.mac })];
  }),
]);
