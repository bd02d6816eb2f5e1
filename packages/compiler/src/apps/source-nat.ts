/**
 * Source NAT with nothing central: each host translates its own machines to the ports it was leased of their router's address, and whoever has the wire sends
 * answers on by port, without state (design, 6.5). What bears no port is asked of every host that holds a lease.
 */
import { derive, deriveKey, Host, NatLease } from "@selvage/model";
import {
  EthType,
  ExtIn,
  fabricIngress,
  IpProto,
  LeaseHosts,
  OwnLease,
  Quotation,
  type Row,
  row,
  SnatNew,
  translatedProtocols,
} from "@selvage/pipeline";
import { app } from "../app.ts";
import { networkEncapsulation, networkKey } from "../intent.ts";
import { alone, routerKey, routerUp } from "../outside.ts";
import { portMasks } from "../policy/service.ts";
import { maySpeak } from "../segments.ts";

const ethType = EthType.ipv4;

/** Of a host's leases of one router, that in which new connections begin. */
const newest = (leases: readonly NatLease[]): NatLease | undefined => leases.find((lease) => lease.current);

const portColumn = { [IpProto.tcp]: "tcpDst", [IpProto.udp]: "udpDst" } as const;

/** Packets to a lease's ports: of this host, or to be sent on. */
function toPorts(net: number, lease: NatLease, host: number | undefined): readonly Row[] {
  return translatedProtocols.flatMap((ipProto) =>
    portMasks(lease.first, lease.first + lease.size - 1).map((mask) => {
      const key = { net, ethType, ip4Dst: alone(lease.address), ipProto, [portColumn[ipProto]]: mask };
      return host === undefined ? row(ExtIn, key, "own", {}, "lease") : row(ExtIn, key, "steer", { host }, "steer");
    }),
  );
}

export const sourceNat = app("source-nat", [ExtIn, Quotation, LeaseHosts, OwnLease, SnatNew], (here) => [
  derive("lease", NatLease, (lease, view) => {
    const holder = view.get(Host, lease.host_id);
    const net = view.ask(networkKey, lease.network_id);
    const vrf = view.ask(routerKey, lease.router_id);
    if (holder === undefined || net === undefined) return [];
    if (view.ask(networkEncapsulation, lease.network_id) !== "physical") return [];
    const rows: Row[] = [];
    const isOwn = holder.name === here.name;
    const to = { net, ethType, ip4Dst: alone(lease.address) };
    const at = { net, address: lease.address };
    if (isOwn && vrf !== undefined && view.ask(routerUp, lease.router_id)) {
      rows.push(
        ...toPorts(net, lease, undefined),
        row(Quotation, { ingress: fabricIngress, net, ip4Dst: lease.address }, "own", {}, "own"),
        row(OwnLease, at, "translate", { vrf, zone: lease.router_id }),
      );
    }
    if (!maySpeak(view, lease.network_id, lease.address)) return rows;
    rows.push(
      row(ExtIn, to, "spread", {}, "spread"),
      row(Quotation, { net, ip4Dst: lease.address }, "spread", {}, "spread"),
    );
    if (isOwn) rows.push(row(LeaseHosts, { ...at, host: holder.key }, "here"));
    else {
      rows.push(
        ...toPorts(net, lease, holder.key),
        row(LeaseHosts, { ...at, host: holder.key }, "copy", { host: holder.key }),
      );
    }
    return rows;
  }),
  /** New connections take ports of one block; those of the others run out. */
  deriveKey("new connections", NatLease.index.holder, (pair, view) => {
    const lease = newest(view.by(NatLease.index.holder, pair));
    if (lease === undefined || view.get(Host, lease.host_id)?.name !== here.name) return [];
    const vrf = view.ask(routerKey, lease.router_id);
    if (vrf === undefined) return [];
    const { address } = lease;
    const ports = { address, first: lease.first, last: lease.first + lease.size - 1 };
    return [
      ...translatedProtocols.map((ipProto) => row(SnatNew, { vrf, ipProto }, "lease", ports, "ports")),
      row(SnatNew, { vrf }, "alone", { address }, "alone"),
    ];
  }),
]);
