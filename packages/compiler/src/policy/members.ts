/**
 * Whose set an address bears, where a packet does not say it: for senders whose rules name groups of receivers, and for receivers on VXLAN networks, which carry
 * no set. Rows only of members of the groups that rules here name, on the networks here from which they can be met (pipeline design, section 4).
 */
import {
  cidrContains,
  cidrOf,
  ipOf,
  type Port,
  type QueryingView,
  routingDomain,
  Subnet as SubnetKind,
} from "@selvage/model";
import { DstId, RemoteId, type Row, row } from "@selvage/pipeline";
import { addressesOf, ipVersion } from "../addresses.ts";
import { networkEncapsulation, networkKey, networkOn } from "../intent.ts";
import { isNamedHere } from "./sets.ts";

interface Met {
  readonly net: number;
  readonly networkId: string;
  readonly addresses: readonly string[];
}

/** Networks with a port here from which a port is met, by itself or through routers, and the addresses by which. A network's own addresses go first there. */
function* meetings(view: QueryingView, port: Port, hostName: string): Iterable<Met> {
  const fixed = [...new Set(port.fixed_ips.map((each) => each.ip_address))];
  for (const networkId of view.ask(routingDomain, port.network_id)) {
    const net = view.ask(networkKey, networkId);
    if (net === undefined || !networkOn(view, networkId, hostName)) continue;
    if (networkId === port.network_id) {
      yield { net, networkId, addresses: [...addressesOf(port, 4), ...addressesOf(port, 6)] };
      continue;
    }
    const cidrs = view.by(SubnetKind.index.network_id, networkId).map(({ cidr }) => cidrOf(cidr));
    const addresses = fixed.filter((address) => !cidrs.some((cidr) => cidrContains(cidr, ipOf(address))));
    yield { net, networkId, addresses };
  }
}

/** Rows by which a port's set is known from its addresses. */
export function memberRows(port: Port, view: QueryingView, hostName: string): readonly Row[] {
  const set = port.security_group_set;
  if (set === 0 || port["binding:host_id"] === "" || !isNamedHere(view, set, "any", hostName)) return [];
  const isTarget = isNamedHere(view, set, "egress", hostName);
  // What a port of this host sends bears its set in the switch's memory.
  const isElsewhere = port["binding:host_id"] !== hostName;
  const rows: Row[] = [];
  for (const { net, networkId, addresses } of meetings(view, port, hostName)) {
    const isVxlan = view.ask(networkEncapsulation, networkId) === "vxlan";
    for (const address of addresses) {
      const isV4 = ipVersion(address) === 4;
      if (isTarget)
        rows.push(row(DstId, isV4 ? { net, ip4Dst: address } : { net, ip6Dst: address }, "known", { set }, "address"));
      if (isElsewhere && isVxlan)
        rows.push(
          row(RemoteId, isV4 ? { net, ip4Src: address } : { net, ip6Src: address }, "known", { set }, "address"),
        );
    }
  }
  return rows;
}
