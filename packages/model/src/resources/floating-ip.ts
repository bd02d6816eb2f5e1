/**
 * Addresses of an external network that stand for a machine's (Networking v2.0, `/v2.0/floatingips`), ports of them that stand for a machine's ports
 * (`/v2.0/floatingips/{id}/port_forwardings`), and IPv6 addresses that are spoken for outside (`/v2.0/ndp_proxies`).
 */
import { dnsDomain, dnsKey, dnsName, saidName } from "../dns.ts";
import { computed, field, input, reference, standardFields, taggedFields } from "../fields.ts";
import { keyOf, type ObjectOf, resource } from "../resource.ts";
import {
  address,
  dictionary,
  type FieldType,
  InvalidValue,
  integer,
  list,
  nullable,
  oneOf,
  show,
  text,
  uuid,
} from "../types.ts";

const { name: _name, ...unnamed } = taggedFields();

export const FloatingIp = resource({
  kind: "floatingip",
  plural: "floatingips",
  fields: {
    ...unnamed,
    floating_network_id: reference(uuid(), "network", "refuse", {
      create: "required",
      filter: true,
      sort: true,
      projected: "all",
    }),
    /** Absent in POST: a free one. */
    floating_ip_address: field(address(), {
      create: "optional",
      filter: true,
      sort: true,
      projected: "all",
    }),
    /** The port on the external network that keeps the address. */
    floating_port_id: reference(uuid(), "port", "refuse", { readers: "hidden" }),
    /** The router that the machine is reached by; null: it stands for nothing. */
    router_id: reference(nullable(uuid()), "router", "refuse", {
      default: null,
      filter: true,
      sort: true,
      projected: "all",
    }),
    /** The machine's port; null: it stands for none, or for ports of several (`port_forwarding`). */
    port_id: reference(nullable(uuid()), "port", "refuse", {
      create: "optional",
      update: "allowed",
      default: null,
      filter: true,
      projected: "all",
    }),
    /** The address of the port that it stands for. */
    fixed_ip_address: field(nullable(address()), {
      create: "optional",
      update: "allowed",
      default: null,
      filter: true,
      sort: true,
      projected: "all",
    }),
    /** What the address is called, and in which zone: said to the project's own machines; both or neither count. */
    dns_name: field(dnsName(), { create: "optional", default: "", projected: "all" }),
    dns_domain: field(dnsDomain(), { create: "optional", default: "", projected: "all" }),
    /** Whose the name is; empty: it has none. */
    dns_project: field(text(255), { readers: "hidden", default: "", projected: "all" }),
    /** The subnet of which the address shall be. */
    subnet_id: input(nullable(uuid()), { default: null }),
    status: computed(oneOf(["ACTIVE", "DOWN", "ERROR"]), { filter: true, sort: true }),
    port_details: computed(nullable(dictionary())),
    port_forwardings: computed(list(dictionary())),
  },
  indexes: {
    /** network|address: one at most, for a port keeps the address. */
    address: (floating) => [keyOf(floating.floating_network_id, floating.floating_ip_address)],
    /** project|name: a project's addresses of a name, which is complete. */
    dnsName: (floating) => (floating.dns_project === "" ? [] : [dnsKey(floating.dns_project, saidName(floating))]),
  },
  unique: {
    /** network|port|address: a machine's address is stood for once on a network. */
    fixed: (floating) =>
      floating.port_id === null || floating.fixed_ip_address === null
        ? []
        : [keyOf(floating.floating_network_id, floating.port_id, floating.fixed_ip_address)],
  },
});
export type FloatingIp = ObjectOf<typeof FloatingIp>;

/** Protocols whose ports can be forwarded. */
export const forwardedProtocols = ["tcp", "udp"] as const;

const portNumber = integer(1, 65_535);

/** Ports from the first to the last, both included. */
export interface PortSpan {
  readonly first: number;
  readonly last: number;
}

/** As `80:90` says it. */
const portRange: FieldType<string> = {
  name: "port range",
  schema: { type: "string", pattern: "^[0-9]+:[0-9]+$" },
  parse: (input) => {
    const [first, last, more] = typeof input === "string" ? input.split(":") : [];
    if (first === undefined || last === undefined || more !== undefined)
      throw new InvalidValue(`'${show(input)}' is not a port range: it must be FIRST:LAST.`);
    const [from, to] = [portNumber.parse(first), portNumber.parse(last)];
    if (from > to) throw new InvalidValue(`'${show(input)}' is not a port range: it ends before it begins.`);
    return `${from}:${to}`;
  },
};

/** Of a range as its type gives it. */
export function spanOfRange(range: string): PortSpan {
  const [first = 0, last = 0] = range.split(":").map(Number);
  return { first, last };
}

export const PortForwarding = resource({
  kind: "port_forwarding",
  plural: "port_forwardings",
  fields: {
    id: field(uuid(), { filter: true, sort: true, projected: "all" }),
    floatingip_id: reference(uuid(), "floatingip", "cascade", { readers: "hidden", projected: "all" }),
    /** The first and the last port outside, and the first inside: each stands for the one as far on. */
    external_first: field(portNumber, { readers: "hidden", projected: "all" }),
    external_last: field(portNumber, { readers: "hidden", projected: "all" }),
    internal_first: field(portNumber, { readers: "hidden", projected: "all" }),
    internal_last: field(portNumber, { readers: "hidden", projected: "all" }),
    /** Null where it is of more ports than one. */
    external_port: computed(nullable(portNumber), { create: "optional", update: "allowed", filter: true, sort: true }),
    external_port_range: computed(nullable(portRange), {
      create: "optional",
      update: "allowed",
      filter: true,
      sort: true,
    }),
    protocol: field(oneOf(forwardedProtocols), {
      create: "required",
      update: "allowed",
      filter: true,
      sort: true,
      projected: "all",
    }),
    internal_port_id: reference(uuid(), "port", "refuse", {
      create: "required",
      update: "allowed",
      filter: true,
      sort: true,
      projected: "all",
    }),
    internal_ip_address: field(address(), { create: "required", update: "allowed", projected: "all" }),
    internal_port: computed(nullable(portNumber), { create: "optional", update: "allowed" }),
    internal_port_range: computed(nullable(portRange), { create: "optional", update: "allowed" }),
    description: field(text(1024), { create: "optional", update: "allowed", default: "", filter: true }),
  },
});
export type PortForwarding = ObjectOf<typeof PortForwarding>;

const standard = standardFields();

export const NdpProxy = resource({
  kind: "ndp_proxy",
  plural: "ndp_proxies",
  fields: {
    ...standard,
    description: field(text(1024), { create: "optional", update: "allowed", default: "" }),
    router_id: reference(uuid(), "router", "refuse", {
      create: "required",
      filter: true,
      sort: true,
      projected: "all",
    }),
    port_id: reference(uuid(), "port", "cascade", { create: "required", filter: true, sort: true, projected: "all" }),
    /** Absent in POST: the only IPv6 address of the port. */
    ip_address: field(address(), { create: "optional", filter: true, sort: true, projected: "all" }),
  },
  indexes: { address: (proxy) => [proxy.ip_address] },
  unique: { spoken: (proxy) => [keyOf(proxy.port_id, proxy.ip_address)] },
});
export type NdpProxy = ObjectOf<typeof NdpProxy>;
