/**
 * Routes that are announced by BGP (Networking v2.0, `/v2.0/bgp-speakers` and `/v2.0/bgp-peers`; RFC 4271): speakers, whom they tell, and the addresses of hosts
 * on external networks, to which what they announce leads.
 */
import { alias, field, input, reference } from "../fields.ts";
import { keyOf, type ObjectOf, resource } from "../resource.ts";
import { address, boolean, integer, list, nullable, oneOf, text, uuid } from "../types.ts";

/** Numbers of autonomous systems, of four octets (RFC 6793). */
const systemNumber = integer(1, 4_294_967_295);

const owned = {
  id: field(uuid(), { filter: true, sort: true, projected: "all" }),
  project_id: reference(text(255), "project", "refuse", { create: "optional", filter: true, sort: true }),
  tenant_id: alias(text(255), "project_id", { create: "optional", filter: true, sort: true }),
  name: field(text(255), { create: "optional", update: "allowed", default: "", filter: true, sort: true }),
} as const;

const advertised = field(boolean(), {
  create: "optional",
  update: "allowed",
  default: true,
  filter: true,
  projected: "all",
});

export const BgpSpeaker = resource({
  kind: "bgp_speaker",
  plural: "bgp_speakers",
  fields: {
    ...owned,
    local_as: field(systemNumber, { create: "required", filter: true, sort: true, projected: "all" }),
    /** The family of what it announces. */
    ip_version: field(oneOf([4, 6]), { create: "required", filter: true, sort: true, projected: "all" }),
    advertise_floating_ip_host_routes: advertised,
    advertise_tenant_networks: advertised,
    peers: reference(list(uuid()), "bgp_peer", "refuse", { default: [], projected: "all" }),
    /** The external networks by which what it announces is reached. */
    networks: reference(list(uuid()), "network", "refuse", { default: [], projected: "all" }),
  },
});
export type BgpSpeaker = ObjectOf<typeof BgpSpeaker>;

export const BgpPeer = resource({
  kind: "bgp_peer",
  plural: "bgp_peers",
  fields: {
    ...owned,
    peer_ip: field(address(), { create: "required", filter: true, sort: true, projected: "all" }),
    remote_as: field(systemNumber, { create: "required", filter: true, sort: true, projected: "all" }),
    /** `md5`: segments are signed (RFC 2385). */
    auth_type: field(oneOf(["none", "md5"]), { create: "required", filter: true, projected: "all" }),
    /** Said, and never shown. */
    password: input(nullable(text(255)), { default: null, update: "allowed" }),
    /** As it was said: hosts sign with it. */
    signing_key: field(nullable(text(255)), { readers: "hidden", default: null, projected: "all" }),
  },
});
export type BgpPeer = ObjectOf<typeof BgpPeer>;

/**
 * A host on an external network that some speaker announces by: at its addresses what is announced reaches the host. A port there, of the owner
 * `network:floatingip_agent_gateway`, keeps them.
 */
export const HostGateway = resource({
  kind: "host_gateway",
  plural: "host_gateways",
  fields: {
    id: field(uuid(), { projected: "all" }),
    network_id: reference(uuid(), "network", "refuse", { projected: "all" }),
    host_id: reference(uuid(), "host", "refuse", { projected: "all" }),
    port_id: reference(uuid(), "port", "refuse"),
    /** One of each family that the network has, at most. */
    addresses: field(list(address()), { projected: "all" }),
  },
  unique: { place: (gateway) => [keyOf(gateway.network_id, gateway.host_id)] },
});
export type HostGateway = ObjectOf<typeof HostGateway>;
