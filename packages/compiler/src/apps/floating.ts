/**
 * Addresses of an external network that stand for a machine's, and single ports of them: translated without state on the machine's own host, which answers for a
 * floating address on the wire (design, 6.1–6.3, 6.8). Of forwarded ports of one address each may be on another host, so that the address is one elected host's, which steers.
 */
import { derive, FloatingIp, NdpProxy, Port, PortForwarding, type QueryingView, query, Router } from "@selvage/model";
import {
  EthType,
  ExtIn,
  FromPhysical,
  IpProto,
  icmpErrorTypes,
  NatOut,
  Neighbour,
  type Row,
  row,
  Turn,
} from "@selvage/pipeline";
import { ipVersion } from "../addresses.ts";
import { app } from "../app.ts";
import { hostKey, isHere, networkKey } from "../intent.ts";
import { alone, routerUp } from "../outside.ts";
import { hostMac } from "../physical.ts";
import { portMasks } from "../policy/service.ts";
import { isSpeaker, maySpeak } from "../segments.ts";
import { question } from "./gateways.ts";

const ethType = EthType.ipv4;

/** Where a floating address is: its network as packets bear it, and the router that its machine is reached by. */
interface Standing {
  readonly net: number;
  readonly vrf: number;
  readonly mac: string;
}

function standingOf(
  view: QueryingView,
  networkId: string,
  routerId: string | null,
  hostName: string,
): Standing | undefined {
  const router = routerId === null ? undefined : view.get(Router, routerId);
  const net = view.ask(networkKey, networkId);
  const key = view.ask(hostKey, hostName);
  if (router === undefined || net === undefined || key === undefined || !view.ask(routerUp, router.id))
    return undefined;
  return { net, vrf: router.key, mac: hostMac(key) };
}

/** ICMP errors quote a packet, which the agent makes right. */
const errorsTo = (net: number, address: string): readonly Row[] =>
  icmpErrorTypes.map((icmpType) =>
    row(ExtIn, { net, ethType, ip4Dst: alone(address), ipProto: IpProto.icmp, icmpType }, "inner", {}, "inner"),
  );
const errorsFrom = (vrf: number, address: string): readonly Row[] =>
  icmpErrorTypes.map((icmpType) =>
    row(NatOut, { vrf, ethType, ip4Src: alone(address), ipProto: IpProto.icmp, icmpType }, "inner", {}, "inner"),
  );

const tcp = { ipProto: IpProto.tcp, action: "forwardedTcp", from: "tcpSrc", to: "tcpDst" } as const;
const udp = { ipProto: IpProto.udp, action: "forwardedUdp", from: "udpSrc", to: "udpDst" } as const;

/** The router of a forwarding: the floating address keeps it. */
const forwardingRouter = query("forwarding router", (view, id) => view.get(FloatingIp, id)?.router_id ?? null);

/** A machine may ask for itself by an address that stands for it. */
const turned = ({ id, key }: Port): Row => row(Turn, { round: 1, ingress: id, port: key }, "back");

/** One port as a mask says it. */
const exactly = (port: number): string => `${port}/0xffff`;

/** What a forwarding adds where its machine is. */
function forwardedHere({ net, vrf }: Standing, outer: string, forwarding: PortForwarding): readonly Row[] {
  const { internal_ip_address: inner, external_first, external_last, internal_first } = forwarding;
  const { ipProto, action, from, to } = forwarding.protocol === "udp" ? udp : tcp;
  return Array.from({ length: external_last - external_first + 1 }, (_, at) => {
    const [outside, inside] = [external_first + at, internal_first + at];
    return [
      row(
        ExtIn,
        { net, ethType, ip4Dst: alone(outer), ipProto, [to]: exactly(outside) },
        action,
        { vrf, address: inner, port: inside },
        "forwarded",
      ),
      row(
        NatOut,
        { vrf, ethType, ip4Src: alone(inner), ipProto, [from]: inside },
        action,
        { address: outer, port: outside },
        "forwarded",
      ),
    ];
  }).flat();
}

/** Ports of a forwarding whose machine is on another host. */
function forwardedThere(net: number, outer: string, forwarding: PortForwarding, host: number): readonly Row[] {
  const { external_first, external_last } = forwarding;
  const { ipProto, to } = forwarding.protocol === "udp" ? udp : tcp;
  return portMasks(external_first, external_last).map((mask) =>
    row(ExtIn, { net, ethType, ip4Dst: alone(outer), ipProto, [to]: mask }, "steer", { host }, "steer"),
  );
}

export const floating = app("floating", [ExtIn, NatOut, FromPhysical, Neighbour, Turn], (here) => [
  derive("floating ip", FloatingIp, (floatingIp, view) => {
    const { port_id, fixed_ip_address: inner, floating_ip_address: outer, floating_network_id } = floatingIp;
    const port = port_id === null ? undefined : view.get(Port, port_id);
    if (inner === null || port === undefined || !isHere(view, port, here.name)) return [];
    const at = standingOf(view, floating_network_id, floatingIp.router_id, here.name);
    if (at === undefined) return [];
    const { net, vrf, mac } = at;
    return [
      row(NatOut, { vrf, ethType, ip4Src: alone(inner) }, "floating", { address: outer }, "floating"),
      row(ExtIn, { net, ethType, ip4Dst: alone(outer) }, "floating", { vrf, address: inner }, "floating"),
      turned(port),
      ...errorsFrom(vrf, inner),
      ...errorsTo(net, outer),
      row(Neighbour, { net, nh: outer }, "known", { mac }),
      ...(maySpeak(view, floating_network_id, outer) ? [question(net, outer, mac)] : []),
    ];
  }),
  derive("port forwarding", PortForwarding, (forwarding, view) => {
    const floatingIp = view.get(FloatingIp, forwarding.floatingip_id);
    const port = view.get(Port, forwarding.internal_port_id);
    if (floatingIp === undefined || port === undefined) return [];
    const { floating_network_id: networkId, floating_ip_address: outer } = floatingIp;
    const router = view.ask(forwardingRouter, floatingIp.id);
    const at = standingOf(view, networkId, router, here.name);
    const net = view.ask(networkKey, networkId);
    const key = view.ask(hostKey, here.name);
    if (net === undefined || key === undefined) return [];
    const rows: Row[] = [];
    const isLocal = isHere(view, port, here.name);
    if (isLocal && at !== undefined)
      rows.push(...forwardedHere(at, outer, forwarding), ...errorsTo(net, outer), turned(port));
    if (!maySpeak(view, networkId, outer)) return rows;
    if (isSpeaker(view, here.name, networkId, outer, router ?? "")) {
      const mac = hostMac(key);
      rows.push(question(net, outer, mac), row(Neighbour, { net, nh: outer }, "known", { mac }));
    }
    const there = isLocal ? undefined : view.ask(hostKey, port["binding:host_id"]);
    if (there !== undefined) rows.push(...forwardedThere(net, outer, forwarding, there));
    return rows;
  }),
  /** A machine's own IPv6 address, spoken for outside by its host. */
  derive("ndp proxy", NdpProxy, (proxy, view) => {
    const port = view.get(Port, proxy.port_id);
    const [gateway] = view.by(Port.index.gateway_of, proxy.router_id);
    if (port === undefined || gateway === undefined || !isHere(view, port, here.name)) return [];
    const at = standingOf(view, gateway.network_id, proxy.router_id, here.name);
    const outer = gateway.fixed_ips.find(({ ip_address }) => ipVersion(ip_address) === 6)?.ip_address;
    if (at === undefined || outer === undefined || !maySpeak(view, gateway.network_id, outer)) return [];
    const { net, vrf, mac } = at;
    const key = { net, ethType: EthType.ipv6, ip6Dst: alone(proxy.ip_address) };
    return [
      question(net, proxy.ip_address, mac),
      row(ExtIn, key, "plain", { vrf }, "floating"),
      row(Neighbour, { net, nh: proxy.ip_address }, "known", { mac }),
    ];
  }),
]);
