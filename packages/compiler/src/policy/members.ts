/**
 * Whose set an address bears, where a packet does not say it: for senders whose rules name groups of receivers, and for receivers on networks of VXLAN and on
 * physical ones, which carry no set. Rows only of members of the groups that rules here name, on the networks here from which they can be met (pipeline design, section 4).
 */
import {
  bitsOf,
  cidrContains,
  cidrOf,
  ipOf,
  keyOf,
  Port,
  type QueryingView,
  query,
  routingDomain,
  Subnet,
  textOfIp,
} from "@selvage/model";
import { DstId, RemoteId, type Row, row } from "@selvage/pipeline";
import { addressesOf, ipVersion, pairsOf } from "../addresses.ts";
import { networkEncapsulation, networkKey, networkOn } from "../intent.ts";
import { isNamedHere } from "./sets.ts";

/** The set of whoever holds an address that ports may take by a pair; 0 where they are of several, or a port has it as its own. */
const setOfPair = query("set of a pair's address", (view, key): number => {
  const [network = "", address = ""] = key.split("|");
  const owners = view
    .by(Subnet.index.network_id, network)
    .flatMap((subnet) => view.by(Port.index.address, keyOf(subnet.id, address)))
    .filter((port) => port["binding:host_id"] !== "");
  const sets = new Set(view.by(Port.index.pairAddress, key).map((port) => port.security_group_set));
  const [set = 0] = sets;
  return owners.length > 0 || sets.size > 1 ? 0 : set;
});

/** Addresses of a port's pairs by which its set is known; what a whole prefix may be is known of no address. */
const pairAddressesOf = (view: QueryingView, port: Port): readonly string[] => [
  ...new Set(
    pairsOf(port)
      .filter(({ prefix }) => prefix.length === bitsOf(prefix.version))
      .map(({ prefix }) => textOfIp(prefix.address))
      .filter((address) => view.ask(setOfPair, keyOf(port.network_id, address)) === port.security_group_set),
  ),
];

interface Met {
  readonly net: number;
  readonly networkId: string;
  readonly addresses: readonly string[];
}

const sameTexts = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length && one.every((text, at) => text === other[at]);

/** Networks with a port on a host that routers join to one, or are that one: all, or those that carry no set. Asked once a network, so that its members need not be woken. */
const domainHere = query(
  "networks here of a routing domain",
  (view, key): readonly string[] => {
    const [network = "", which = "", host = ""] = key.split("|");
    return view
      .ask(routingDomain, network)
      .filter((each) => which === "any" || view.ask(networkEncapsulation, each) !== "geneve")
      .filter((each) => networkOn(view, each, host));
  },
  sameTexts,
);

/** Networks from which a port is met, by itself or through routers, and the addresses by which. A network's own addresses go first there. */
function* meetings(view: QueryingView, port: Port, networks: readonly string[]): Iterable<Met> {
  const pairs = pairAddressesOf(view, port);
  const fixed = [...new Set([...port.fixed_ips.map((each) => each.ip_address), ...pairs])];
  for (const networkId of networks) {
    const net = view.ask(networkKey, networkId);
    if (net === undefined) continue;
    if (networkId === port.network_id) {
      yield { net, networkId, addresses: [...new Set([...addressesOf(port, 4), ...addressesOf(port, 6), ...pairs])] };
      continue;
    }
    const cidrs = view.by(Subnet.index.network_id, networkId).map(({ cidr }) => cidrOf(cidr));
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
  const networks = view.ask(domainHere, keyOf(port.network_id, isTarget ? "any" : "setless", hostName));
  if (networks.length === 0) return [];
  const rows: Row[] = [];
  for (const { net, networkId, addresses } of meetings(view, port, networks)) {
    const isSetless = view.ask(networkEncapsulation, networkId) !== "geneve";
    for (const address of addresses) {
      const isV4 = ipVersion(address) === 4;
      if (isTarget)
        rows.push(row(DstId, isV4 ? { net, ip4Dst: address } : { net, ip6Dst: address }, "known", { set }, "address"));
      if (isElsewhere && isSetless)
        rows.push(
          row(RemoteId, isV4 ? { net, ip4Src: address } : { net, ip6Src: address }, "known", { set }, "address"),
        );
    }
  }
  return rows;
}
