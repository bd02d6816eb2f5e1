/**
 * Routers' interfaces on networks that stand on a physical one (flat and VLAN): each host routes for its own machines, and one of those that have the wire and
 * machines of the router answers on it for the router's addresses. All that they say there bears the MAC of the host.
 */
import { derive, deriveKey, isNear, Network, Port, type QueryingView, Router } from "@selvage/model";
import {
  EchoBack,
  FromPhysical,
  InterfaceIn,
  noMac,
  physicalName,
  Routed,
  type Row,
  row,
  ToRouter,
} from "@selvage/pipeline";
import { ipVersion } from "../addresses.ts";
import { app } from "../app.ts";
import { hostKey, networkKey } from "../intent.ts";
import { alone, destination, routerUp, subnetCidr, subnetGateway } from "../outside.ts";
import { hostMac } from "../physical.ts";
import { isSpeaker, maySpeak, wireHere } from "../segments.ts";
import { question } from "./gateways.ts";

const everything = { 4: "0.0.0.0/0", 6: "::/0" } as const;

/** Whether a router's interface is on a wire of this host, and the router here. */
const isWired = (view: QueryingView, port: Port, hostName: string): boolean =>
  port.router_id !== null &&
  view.ask(wireHere, port.network_id) !== undefined &&
  view.get(Network, port.network_id)?.["router:external"] === false &&
  isNear(view, port.network_id, hostName) &&
  view.ask(routerUp, port.router_id);

/** What a router leads to besides the network of one of its interfaces: its own addresses, its other networks, and where its routes go. */
function* ledTo(view: QueryingView, router: Router, networkId: string): Iterable<string> {
  for (const port of view.by(Port.index.router_id, router.id)) {
    for (const { subnet_id, ip_address } of port.fixed_ips) {
      yield alone(ip_address);
      const cidr = port.network_id === networkId ? undefined : view.ask(subnetCidr, subnet_id);
      if (cidr !== undefined) yield cidr;
    }
  }
  for (const route of router.routes) yield route.destination;
}

export const wiredRouters = app("wired routers", [ToRouter, FromPhysical, InterfaceIn, EchoBack, Routed], (here) => [
  derive("interface", Port, (port, view) => {
    if (!isWired(view, port, here.name)) return [];
    const net = view.ask(networkKey, port.network_id);
    const key = view.ask(hostKey, here.name);
    const wire = view.ask(wireHere, port.network_id);
    const { router_id: routerId } = port;
    if (net === undefined || key === undefined || wire === undefined || routerId === null) return [];
    const mac = hostMac(key);
    return [
      row(Routed, { nhMac: noMac, net }, "ask", {}, "asked"),
      row(EchoBack, { ingress: physicalName(wire.physical) }, "wire"),
      row(ToRouter, { net, ethDst: mac }, "wired"),
      ...port.fixed_ips.flatMap(({ ip_address }) => {
        if (!maySpeak(view, port.network_id, ip_address)) return [];
        const answers = isSpeaker(view, here.name, port.network_id, ip_address, routerId, "behind");
        return answers ? [question(net, ip_address, mac)] : [];
      }),
    ];
  }),
  /** Of several routers on a network each has what it leads to, the first what several lead to; what no other has is for that which is the network's gateway. */
  deriveKey("ways", Port.index.routedNetwork, (networkId, view) => {
    const net = view.ask(networkKey, networkId);
    const ports = view.by(Port.index.routedNetwork, networkId).filter((port) => isWired(view, port, here.name));
    if (net === undefined) return [];
    const rows = new Map<string, Row>();
    const add = (cidr: string, vrf: number): void => {
      const made = row(InterfaceIn, { net, ...destination(cidr) }, "router", { vrf });
      if (!rows.has(made.id)) rows.set(made.id, made);
    };
    const routers = ports
      .flatMap(({ router_id }) => view.get(Router, router_id ?? "") ?? [])
      .sort((one, other) => one.key - other.key);
    for (const router of routers) for (const cidr of ledTo(view, router, networkId)) add(cidr, router.key);
    for (const port of ports) {
      const router = view.get(Router, port.router_id ?? "");
      for (const { subnet_id, ip_address } of router === undefined ? [] : port.fixed_ips)
        if (router !== undefined && view.ask(subnetGateway, subnet_id) === ip_address)
          add(everything[ipVersion(ip_address)], router.key);
    }
    return [...rows.values()];
  }),
]);
