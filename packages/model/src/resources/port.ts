/** A machine's attachment to a network (Networking v2.0, `/v2.0/ports`, with the binding and port-security extensions). */
import { canonicalIp } from "../address/mod.ts";
import { dhcpOptions } from "../dhcp-options.ts";
import { dnsDomain, dnsKey, dnsName, saidName } from "../dns.ts";
import { adminStateUp, computed, field, reference, status, taggedFields, tags } from "../fields.ts";
import { keyOf, type ObjectOf, resource } from "../resource.ts";
import {
  address,
  boolean,
  dictionary,
  emptyForNull,
  type FieldType,
  InvalidValue,
  integer,
  list,
  mac,
  nullable,
  oneOf,
  record,
  text,
  uuid,
} from "../types.ts";
import { setKeys } from "./security-group.ts";

export interface FixedIp {
  readonly subnet_id: string;
  readonly ip_address: string;
}

/** An address, or a whole prefix, with a MAC address. */
export interface AddressPair {
  readonly ip_address: string;
  readonly mac_address: string;
}

const pair = record<Partial<AddressPair>>({ ip_address: text(64), mac_address: mac() }, ["ip_address", "mac_address"]);

/** Pairs as a request says them; what they lack and what is wrong with them together is for the port's rules, which know the port. */
const addressPairs: FieldType<readonly AddressPair[]> = {
  name: "address pairs",
  schema: { type: "array", items: pair.schema },
  parse: (input) => {
    if (input === null) return [];
    if (!Array.isArray(input)) throw new InvalidValue("Allowed address pairs must be a list.");
    // The rules put only whole pairs.
    return input.map((each) => pair.parse(each)) as AddressPair[];
  },
};

/** Port keys travel in 24 bits of the tunnel option; 0 means a flooded copy (pipeline, section 2). */
export const portKeys = { first: 1, last: 0xffffff } as const;

/** Characters of base64 that a port's user data may have: as many as Nova takes of a server's. */
export const longestUserData = 65_535;

export const Port = resource({
  kind: "port",
  plural: "ports",
  fields: {
    ...taggedFields(),
    // What the metadata service tells a machine of itself: its own host has it.
    name: { ...taggedFields().name, projected: "local" },
    project_id: { ...taggedFields().project_id, projected: "local" },
    /** Ports alone may be made with them (`tag-ports-during-bulk-creation`). */
    tags: { ...tags, create: "optional" },
    network_id: reference(uuid(), "network", "refuse", {
      create: "required",
      filter: true,
      sort: true,
      projected: "all",
    }),
    admin_state_up: adminStateUp,
    status,
    mac_address: field(mac(), { create: "optional", update: "allowed", filter: true, sort: true, projected: "all" }),
    /** Absent in POST: one address of each family the network has; []: none. */
    fixed_ips: field(list(record<FixedIp>({ subnet_id: uuid(), ip_address: address() }, ["subnet_id", "ip_address"])), {
      create: "optional",
      update: "allowed",
      filter: true,
      projected: "all",
    }),
    /** When it gets its addresses: `deferred` until it has a host, where the network's subnets are of segments; `none`: nobody wants any. */
    ip_allocation: field(oneOf(["immediate", "deferred", "none"]), { default: "immediate", filter: true, sort: true }),
    /** Groups whose rules police it; absent in POST: the project's `default`. */
    security_groups: reference(list(uuid()), "security_group", "refuse", {
      create: "optional",
      update: "allowed",
      earlier: [],
      filter: true,
    }),
    /** The number of the set of its groups; 0: not policed, as without port security. */
    security_group_set: field(integer(0, setKeys.last), { readers: "hidden", default: 0, projected: "all" }),
    /** Addresses that it may speak for besides its own (VRRP, a guest that routes). */
    allowed_address_pairs: field(addressPairs, {
      create: "optional",
      update: "allowed",
      default: [],
      projected: "all",
    }),
    /** The router whose interface it is; null: none. */
    router_id: reference(nullable(uuid()), "router", "refuse", { readers: "hidden", default: null, projected: "all" }),
    /** The router whose gateway it is, on an external network; null: none. */
    gateway_of: reference(nullable(uuid()), "router", "refuse", { readers: "hidden", default: null, projected: "all" }),
    device_id: field(text(255), {
      create: "optional",
      update: "allowed",
      default: "",
      filter: true,
      sort: true,
      projected: "local",
    }),
    /** What the metadata service gives its machine as user data, in base64 (RFC 4648); empty: none. By a route of its own. */
    user_data: field(text(longestUserData), { readers: "hidden", default: "", projected: "local" }),
    /** What its machine is told by DHCP besides, or otherwise, than its subnets say. */
    extra_dhcp_opts: field(dhcpOptions(), {
      create: "optional",
      update: "allowed",
      default: [],
      projected: "local",
    }),
    device_owner: field(text(255), { create: "optional", update: "allowed", default: "", filter: true, sort: true }),
    /** Absent in POST: the network's. Every host of the network is told: where one is without, addresses that nobody is known to have are asked around. */
    port_security_enabled: field(boolean(), { create: "optional", update: "allowed", projected: "all" }),
    /** Name of the host on which the port may come up; empty: none. Only an admin or a service writes it. */
    "binding:host_id": field(emptyForNull(text(255)), {
      create: "optional",
      update: "allowed",
      readers: "admin",
      writers: "admin",
      default: "",
      filter: true,
      projected: "all",
    }),
    /** The host on which it was to come up and could not, for that host is shut for new ports; empty: none. */
    failed_host: field(text(255), { readers: "hidden", default: "" }),
    "binding:profile": field(dictionary(), {
      create: "optional",
      update: "allowed",
      readers: "admin",
      writers: "admin",
      default: {},
    }),
    "binding:vnic_type": field(oneOf(["normal"]), {
      create: "optional",
      update: "allowed",
      default: "normal",
      filter: true,
    }),
    "binding:vif_type": computed(text(64), { readers: "admin" }),
    "binding:vif_details": computed(dictionary(), { readers: "admin" }),
    /** What the machine is called in its network's zone; empty: by its addresses. */
    dns_name: field(dnsName(), { create: "optional", update: "allowed", default: "", projected: "all" }),
    /** The zone of its name; empty: its network's. */
    dns_domain: field(dnsDomain(), { create: "optional", update: "allowed", default: "", projected: "all" }),
    /** Whose the name is: nobody else's machines are told it; empty: it has none. */
    dns_project: field(text(255), { readers: "hidden", default: "", projected: "all" }),
    dns_assignment: computed(list(dictionary())),
    /** The port's number on the wire. */
    key: field(integer(portKeys.first, portKeys.last), { readers: "hidden", projected: "all" }),
  },
  indexes: {
    host: (port) => (port["binding:host_id"] === "" ? [] : [port["binding:host_id"]]),
    /** network|host name: whether a host has a port on a network, and which. */
    set: (port) => (port.security_group_set === 0 ? [] : [String(port.security_group_set)]),
    /** host name|set: which sets a host has ports of. */
    hostSet: (port) =>
      port.security_group_set === 0 || port["binding:host_id"] === ""
        ? []
        : [keyOf(port["binding:host_id"], port.security_group_set)],
    /** network|address of its address pairs that are no prefixes: who may hold an address that moves. */
    pairAddress: (port) => [
      ...new Set(
        port.allowed_address_pairs.flatMap(({ ip_address }) => {
          const address = canonicalIp(ip_address);
          return address === undefined ? [] : [keyOf(port.network_id, address)];
        }),
      ),
    ],
    /** network of a router's interface: which routers stand on a network. */
    routedNetwork: (port) => (port.router_id === null ? [] : [port.network_id]),
    /** network of a router's gateway: which routers go out by a network. */
    gatewayNetwork: (port) => (port.gateway_of === null ? [] : [port.network_id]),
    networkHost: (port) => (port["binding:host_id"] === "" ? [] : [keyOf(port.network_id, port["binding:host_id"])]),
    /** project|name: a project's ports of a name. A port from a server that knows of no names has none. */
    dnsName: (port) => (port.dns_name ? [dnsKey(port.dns_project, saidName(port))] : []),
    subnet: (port) => [...new Set(port.fixed_ips.map((fixed) => fixed.subnet_id))],
    device: (port) => (port.device_id === "" ? [] : [port.device_id]),
  },
  unique: {
    networkMac: (port) => [keyOf(port.network_id, port.mac_address)],
    /** subnet|address, so one subnet's address is never given twice. */
    address: (port) => port.fixed_ips.map((fixed) => keyOf(fixed.subnet_id, fixed.ip_address)),
    key: (port) => [String(port.key)],
  },
});
export type Port = ObjectOf<typeof Port>;
