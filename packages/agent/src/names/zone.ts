/**
 * What names mean to a machine that asks: those of its own project's ports, and whose an address is, on the networks that it reaches (RFC 1034 section 4.3.2;
 * Neutron's `dns-integration`). From intent alone, so that every host says the same; another project's names are as if they were not.
 */
import {
  addressLabel,
  addressOfLabel,
  canonicalIp,
  cidrContains,
  cidrOf,
  dnsKey,
  FloatingIp,
  fullName,
  ipOf,
  keyOf,
  Network,
  networksReached,
  Port,
  Subnet,
  type View,
  zoneOf,
} from "@selvage/model";
import { DnsClass, type DnsData, type DnsQuestion, type DnsRecord, DnsType } from "@selvage/packet";

/** Seconds for which an answer may be kept: names follow their ports. */
const ttl = 30;

export type Found =
  | { readonly found: "records"; readonly records: readonly DnsRecord[] }
  /** The name is there, or is not, in a zone of which `authority` tells. */
  | { readonly found: "no-data" | "no-name"; readonly authority: DnsRecord }
  /** Nobody here knows; `authority` where the name could have been ours, and another server may still have it. */
  | { readonly found: "elsewhere"; readonly authority?: DnsRecord };

/** The networks that a machine reaches, by the zones of their ports' names, the narrowest zone first. */
interface Reach {
  readonly networks: readonly Network[];
  readonly zones: ReadonlyMap<string, readonly Network[]>;
}

/** Answers one question of class IN. `name` of the question ends in a dot. */
export function lookUp(view: View, asker: Port, question: DnsQuestion): Found {
  const name = question.name.toLowerCase();
  const reach = reachOf(view, asker);
  const reversed = addressOfReverse(name);
  return reversed === undefined
    ? forward(view, asker, { ...question, name }, reach)
    : backward(view, asker, question, reversed, reach);
}

function reachOf(view: View, asker: Port): Reach {
  const networks = networksReached(view, asker.network_id).flatMap((id) => view.get(Network, id) ?? []);
  const zones = new Map<string, Network[]>();
  for (const network of networks) {
    const zone = zoneOf(network);
    zones.set(zone, [...(zones.get(zone) ?? []), network]);
  }
  return { networks, zones: new Map([...zones].sort(([one], [other]) => other.length - one.length)) };
}

function forward(view: View, asker: Port, question: DnsQuestion, { zones, networks }: Reach): Found {
  const whole = addressesOf(namedPorts(view, asker, question.name, networks));
  const outside = floatingOf(view, asker, question.name, networks);
  if (whole.length + outside.length > 0)
    return of(question, [...whole, ...outside], question.name.replace(/^[^.]*\./, ""));
  let ours: { readonly zone: string; readonly isPlatforms: boolean } | undefined;
  for (const [zone, networks] of zones) {
    if (question.name !== zone && !question.name.endsWith(`.${zone}`)) continue;
    ours ??= { zone, isPlatforms: networks.some((network) => network.dns_domain === "") };
    if (question.name === zone)
      return question.type === DnsType.soa ? records([authorityOf(zone)]) : of(question, [], zone);
    const addresses = addressesIn(view, asker, question.name.slice(0, -zone.length - 1), networks);
    if (addresses.length > 0) return of(question, addresses, zone);
  }
  if (ours === undefined) return { found: "elsewhere" };
  // A zone that somebody has named may be in the world as well; the platform's own is not.
  const authority = authorityOf(ours.zone);
  return ours.isPlatforms ? { found: "no-name", authority } : { found: "elsewhere", authority };
}

/** What a name that is there says to a question. */
function of(question: DnsQuestion, addresses: readonly string[], zone: string): Found {
  const found = addresses.filter((address) => isAsked(question.type, address));
  if (found.length === 0) return { found: "no-data", authority: authorityOf(zone) };
  return records(found.map((address) => addressRecord(question.name, address)));
}

/** The project's ports on the networks whose names say this, complete or before their network's zone. */
function namedPorts(view: View, asker: Port, said: string, networks: readonly Network[]): readonly Port[] {
  const ids = new Set(networks.map((network) => network.id));
  return view.by(Port.index.dnsName, dnsKey(asker.project_id, said)).filter((port) => ids.has(port.network_id));
}

/** The project's floating IPs of a complete name that stand for machines on the networks. */
function floatingOf(view: View, asker: Port, name: string, networks: readonly Network[]): readonly string[] {
  const ids = new Set(networks.map((network) => network.id));
  return view
    .by(FloatingIp.index.dnsName, dnsKey(asker.project_id, name))
    .filter(({ port_id }) => port_id !== null && ids.has(view.get(Port, port_id)?.network_id ?? ""))
    .map((floating) => floating.floating_ip_address);
}

const addressesOf = (ports: readonly Port[]): readonly string[] => [
  ...new Set(ports.flatMap((port) => port.fixed_ips.map((each) => each.ip_address))),
];

/** Addresses of a name in a zone of these networks: of the project's ports; of any port, where the name says the address itself. */
function addressesIn(view: View, asker: Port, label: string, networks: readonly Network[]): readonly string[] {
  const named = namedPorts(view, asker, label, networks);
  if (named.length > 0) return addressesOf(named);
  const address = addressOfLabel(label);
  return address === undefined || holderOf(view, networks, address) === undefined ? [] : [address];
}

function backward(view: View, asker: Port, question: DnsQuestion, address: string, { networks }: Reach): Found {
  const holder = holderOf(view, networks, address);
  const authority = authorityOf(question.name.replace(/^[^.]*\./, ""));
  if (holder === undefined) {
    const ip = ipOf(address);
    const isOurs = networks.some((network) =>
      view.by(Subnet.index.network_id, network.id).some((subnet) => cidrContains(cidrOf(subnet.cidr), ip)),
    );
    return isOurs ? { found: "no-name", authority } : { found: "elsewhere" };
  }
  if (question.type !== DnsType.ptr && question.type !== DnsType.any) return { found: "no-data", authority };
  const zone = zoneOf(holder.network);
  const isOwn = holder.port.dns_project === asker.project_id;
  const name = (isOwn ? fullName(holder.port, zone) : undefined) ?? `${addressLabel(address)}.${zone}`;
  return records([recordOf(question.name, DnsType.ptr, { kind: "name", name })]);
}

/** Whose an address is on one of the networks. */
function holderOf(view: View, networks: readonly Network[], address: string) {
  for (const network of networks) {
    for (const subnet of view.by(Subnet.index.network_id, network.id)) {
      const [port] = view.by(Port.index.address, keyOf(subnet.id, address));
      if (port !== undefined) return { network, port };
    }
  }
  return undefined;
}

const isAsked = (type: number, address: string): boolean =>
  type === DnsType.any || type === (address.includes(":") ? DnsType.aaaa : DnsType.a);

const recordOf = (name: string, type: number, data: DnsData): DnsRecord => ({
  name,
  type,
  class: DnsClass.internet,
  ttl,
  data,
});
const addressRecord = (name: string, address: string): DnsRecord =>
  recordOf(name, address.includes(":") ? DnsType.aaaa : DnsType.a, { kind: "address", address });
const records = (all: readonly DnsRecord[]): Found => ({ found: "records", records: all });

/** Who answers for a zone, and for how long a "no" may be kept (RFC 2308 section 5). Nobody transfers zones, so numbers count nothing. */
const authorityOf = (zone: string): DnsRecord =>
  recordOf(zone, DnsType.soa, {
    kind: "authority",
    primary: zone,
    mailbox: zone.length > 200 ? zone : `hostmaster.${zone}`,
    serial: 1,
    refresh: ttl,
    retry: ttl,
    expire: ttl,
    minimum: ttl,
  });

/** The address that a name of the reverse tree is of (RFC 1035 section 3.5, RFC 3596 section 2.5); undefined for every other name. */
export function addressOfReverse(name: string): string | undefined {
  const four = /^((?:\d{1,3}\.){4})in-addr\.arpa\.$/.exec(name)?.[1];
  if (four !== undefined) return canonicalIp(four.slice(0, -1).split(".").reverse().join("."));
  const six = /^((?:[0-9a-f]\.){32})ip6\.arpa\.$/.exec(name)?.[1];
  if (six === undefined) return undefined;
  const digits = six.replaceAll(".", "").split("").reverse().join("");
  return canonicalIp(digits.replace(/(.{4})(?=.)/g, "$1:"));
}
