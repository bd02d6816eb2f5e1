/** POST /v1/trace: what becomes of a packet that a port sends, or somebody outside, by present intent; for admins, and for readers of the port's project. */
import { fail, isError } from "@selvage/base";
import type { Probe, Question } from "@selvage/explain";
import {
  canonicalIp,
  cidrContains,
  cidrOf,
  FloatingIp,
  ipOf,
  isMulticastIp,
  isUnspecifiedIp,
  keyOf,
  Network,
  Port,
  Project,
  Subnet,
} from "@selvage/model";
import { type Caller, isAdmin, reader } from "../api/policy.ts";
import type { Exchange, Reply } from "../http/exchange.ts";
import type { OwnApi } from "./own.ts";
import { type Attributes, readOwnBody, textOf } from "./request.ts";
import type { Tracer } from "./tracer.ts";

const known = [
  "from",
  "to",
  "protocol",
  "ip_version",
  "source_port",
  "destination_port",
  "icmp_type",
  "icmp_code",
  "size",
  "ttl",
] as const;

const protocols: ReadonlyMap<string, number> = new Map([
  ["icmp", 1],
  ["tcp", 6],
  ["udp", 17],
  ["icmpv6", 58],
  ["sctp", 132],
]);
/** The first of the ports that machines send from (RFC 6335, section 6). */
const sendingPort = 49_152;
/** What a machine that is asked serves, where nobody said which port. */
const askedPort = 80;

const invalid = (field: string, reason: string): Error => fail("FieldInvalid", { field, reason }, { field });

/**
 * POST /v1/trace `{from, to, protocol?, ip_version?, source_port?, destination_port?, icmp_type?, icmp_code?, size?, ttl?}`: `from` a port's id or name, or
 * the address of somebody outside, `to` a port or an address. Throws FieldInvalid, NameUnknown for a port that there is not or that is not the caller's, NameAmbiguous, HostsNotServed, TracesBusy.
 */
export async function tracePacket(api: OwnApi, exchange: Exchange, caller: Caller): Promise<Reply> {
  const body = readOwnBody(exchange);
  for (const name of Object.keys(body)) {
    if (!(known as readonly string[]).includes(name)) throw invalid(name, `it is none of ${known.join(", ")}`);
  }
  const [sender, target] = [endOf(api, caller, body, "from"), endOf(api, caller, body, "to")];
  if (api.tracer === undefined) throw fail("HostsNotServed");
  const question =
    typeof sender === "string"
      ? fromOutside(api, api.tracer, body, caller, sender, target)
      : fromPort(api, api.tracer, body, sender, target);
  const everything = isAdmin(caller, { projectId: "" });
  const project = (projectId: string): boolean => everything || reader(caller, { projectId });
  try {
    return {
      status: 200,
      body: { trace: await api.tracer.ask(question, { everything, project }, caller.projectId ?? "") },
    };
  } catch (error) {
    if (isError(error) || !(error instanceof Error) || error.name !== "EncodeError") throw error;
    throw fail(
      "FieldInvalid",
      { field: "body", reason: `there is no such packet (${error.message})` },
      { cause: error },
    );
  }
}

/** A port, or an address. Throws FieldInvalid for one that is no machine's alone. */
function endOf(api: OwnApi, caller: Caller, body: Attributes, name: "from" | "to"): Port | string {
  const word = textOf(body, name);
  const address = canonicalIp(word);
  if (address === undefined)
    return portOf(api, caller, word, name === "from" ? "port to send from" : "port to send to");
  if (isMulticastIp(ipOf(address)) || isUnspecifiedIp(ipOf(address)))
    throw invalid(name, "it must be the address of one machine");
  return address;
}

/** A port by id, or by name where just one that the caller sees has it. `kind`: what a refusal calls it. */
function portOf({ writer: { replica } }: OwnApi, caller: Caller, word: string, kind: string): Port {
  const sees = (port: Port): boolean =>
    isAdmin(caller, { projectId: "" }) || reader(caller, { projectId: port.project_id });
  const byId = replica.get(Port, word);
  if (byId !== undefined && sees(byId)) return byId;
  const named = word === "" ? [] : [...replica.objects(Port)].filter((port) => port.name === word && sees(port));
  const [only, second] = named;
  if (second !== undefined) throw fail("NameAmbiguous", { kind, name: word });
  if (only === undefined) throw fail("NameUnknown", { kind, name: word });
  return only;
}

/** A whole number of the body, or what it is where it is not given. Throws FieldInvalid. */
function numberOf<D>(body: Attributes, name: string, least: number, most: number, otherwise: D): number | D {
  const value = body[name];
  if (value === undefined) return otherwise;
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
  throw invalid(name, `it must be a whole number from ${least} to ${most}`);
}

/** The IP versions that are asked for. Throws FieldInvalid. */
function versionsOf(body: Attributes): readonly (4 | 6)[] {
  const asked = numberOf(body, "ip_version", 4, 6, undefined);
  if (asked === 5) throw invalid("ip_version", "it must be 4 or 6");
  return ([4, 6] as const).filter((version) => asked === undefined || asked === version);
}

const versionOf = (address: string): 4 | 6 => (address.includes(":") ? 6 : 4);

/** Why nothing goes to whom has the sender's address: it is the sender, or a machine of a network where addresses of the sender's are given again. */
function ownAddress(view: OwnApi["writer"]["replica"], from: Port, to: Port | string, address: string): string {
  if (typeof to === "string") return `${address} is the sender's own address`;
  if (to.id === from.id) return "it is the sender itself";
  const [sender, receiver] = [from, to].map(
    ({ id, name, project_id }) => `${name || id} (project ${view.get(Project, project_id)?.name ?? project_id})`,
  );
  return `${receiver} and the sender, ${sender}, have one address, ${address}, on networks of their own: what is sent to it stays with the sender`;
}

function fromPort(
  { writer: { replica } }: OwnApi,
  { explain }: Tracer,
  body: Attributes,
  from: Port,
  to: Port | string,
): Question {
  const versions = versionsOf(body);
  const destination =
    typeof to === "string"
      ? to
      : versions
          .filter((version) => explain.addressesOf(from, version).length > 0)
          .flatMap((version) => explain.addressesOf(to, version))[0];
  if (destination === undefined) throw invalid("to", "the ports have no addresses of one IP version");
  const version = versionOf(destination);
  if (!versions.includes(version)) throw invalid("ip_version", `${destination} is of the other`);
  const source = explain.sourceFor(replica, from, destination);
  if (source === undefined) throw invalid("from", `the port has no IPv${version} address`);
  if (source === destination) throw invalid("to", ownAddress(replica, from, to, source));
  const probe = probeOf(explain, body, version);
  return { from: { kind: "port", port: from }, ...(typeof to === "string" ? {} : { to }), source, destination, probe };
}

/** What comes from outside: to a floating IP, by address or by its port, or to a port's own address; an admin may name any address that is known outside. */
function fromOutside(
  { writer: { replica } }: OwnApi,
  { explain }: Tracer,
  body: Attributes,
  caller: Caller,
  source: string,
  to: Port | string,
): Question {
  const version = versionOf(source);
  if (!versionsOf(body).includes(version)) throw invalid("ip_version", `${source} is of the other`);
  const floating = typeof to === "string" || version === 6 ? undefined : replica.by(FloatingIp.index.port_id, to.id)[0];
  const destination =
    typeof to === "string" ? to : (floating?.floating_ip_address ?? explain.addressesOf(to, version)[0]);
  if (destination === undefined || versionOf(destination) !== version)
    throw invalid("to", `it has no IPv${version} address`);
  if (source === destination) throw invalid("to", `it is the address that it comes from, ${source}`);
  const network =
    typeof to === "string"
      ? networkOf(replica, to)
      : (replica.get(Network, floating?.floating_network_id ?? "") ?? networkBefore(replica, to));
  if (network === undefined) throw invalid("from", `no external network leads to ${destination}`);
  if (typeof to === "string" && !isAdmin(caller, { projectId: "" })) {
    const [own] = replica.by(FloatingIp.index.address, keyOf(network.id, destination));
    if (own === undefined || !reader(caller, { projectId: own.project_id }))
      throw invalid("to", "from outside it must be a port or a floating IP of the project");
  }
  const probe = probeOf(explain, body, version);
  return {
    from: { kind: "outside", network },
    ...(typeof to === "string" ? {} : { to }),
    source,
    destination,
    probe,
  };
}

/** The external network of which an address is: where several have its prefix, that on which it is a floating one. */
function networkOf(view: OwnApi["writer"]["replica"], address: string): Network | undefined {
  const target = ipOf(address);
  const all = view
    .by(Network.index.external, "external")
    .filter(({ id }) => view.by(Subnet.index.network_id, id).some(({ cidr }) => cidrContains(cidrOf(cidr), target)));
  return all.find(({ id }) => view.exists(FloatingIp.index.address, keyOf(id, address))) ?? all[0];
}

/** The external network by which a port's own address is reached: its own, or that of the gateway of a router of its network. */
function networkBefore(view: OwnApi["writer"]["replica"], { network_id }: Port): Network | undefined {
  const own = view.get(Network, network_id);
  if (own?.["router:external"] === true) return own;
  for (const { router_id } of view.by(Port.index.routedNetwork, network_id)) {
    const [gateway] = router_id === null ? [] : view.by(Port.index.gateway_of, router_id);
    const network = gateway === undefined ? undefined : view.get(Network, gateway.network_id);
    if (network !== undefined) return network;
  }
  return undefined;
}

function protocolOf(value: unknown, version: 4 | 6): number {
  if (value === undefined || value === "icmp") return version === 4 ? 1 : 58;
  const number =
    typeof value === "string" ? (protocols.get(value) ?? (/^\d{1,3}$/.test(value) ? Number(value) : -1)) : value;
  if (typeof number === "number" && Number.isInteger(number) && number >= 0 && number <= 255) return number;
  throw invalid("protocol", `it must be one of ${[...protocols.keys()].join(", ")}, or a number from 0 to 255`);
}

/** The largest IP packet there is. */
const largest = 65_535;

function probeOf(explain: Tracer["explain"], body: Attributes, version: 4 | 6): Probe {
  const probe: Probe = {
    version,
    protocol: protocolOf(body.protocol, version),
    sourcePort: numberOf(body, "source_port", 0, 65_535, sendingPort),
    destinationPort: numberOf(body, "destination_port", 0, 65_535, askedPort),
    icmpType: numberOf(body, "icmp_type", 0, 255, explain.echo[version].request),
    icmpCode: numberOf(body, "icmp_code", 0, 255, 0),
    ttl: numberOf(body, "ttl", 0, 255, 64),
  };
  const least = explain.smallest(probe);
  const size = numberOf(body, "size", least, largest, undefined);
  return size === undefined ? probe : { ...probe, size };
}
