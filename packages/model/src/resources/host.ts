/** A machine that runs an agent and a switch. Joined by a single-use token; known ever after by its certificate. */
import { field, reference } from "../fields.ts";
import { type ObjectOf, resource } from "../resource.ts";
import { address, boolean, integer, list, nullable, text, timestamp, uuid } from "../types.ts";

/** Host keys take 24 bits (pipeline, section 2); the highest is no host's. */
export const hostKeys = { first: 1, last: 0xfffffe } as const;

/** The zone of a host of which nobody said another: Neutron's. */
export const defaultZone = "nova";

export const Host = resource({
  kind: "host",
  plural: "hosts",
  fields: {
    id: field(uuid(), { filter: true, sort: true, projected: "all" }),
    name: field(text(255), { create: "required", filter: true, sort: true, projected: "all" }),
    key: field(integer(hostKeys.first, hostKeys.last), { projected: "all" }),
    /** Where its tunnels end; null until it has joined and said so. */
    tunnel_ip: field(nullable(address()), { default: null, projected: "all" }),
    /** SHA-256 of the certificate it was given last; null before it joined. An older certificate is refused. */
    certificate_fingerprint: field(nullable(text(64)), { readers: "admin", default: null }),
    joined_at: field(nullable(timestamp()), { default: null }),
    /** Names of the physical networks that it has, as its agent says them, in order. */
    physical_networks: field(list(text(64)), { default: [], projected: "all" }),
    description: field(nullable(text(255)), { default: null }),
    /** False: no port is bound there any more; those that are stay. */
    admin_state_up: field(boolean(), { default: true }),
    /** Where in the site it stands, as the operator says. */
    availability_zone: field(text(255), { default: defaultZone, projected: "all" }),
    created_at: field(timestamp()),
  },
  indexes: {
    zone: (host) => [host.availability_zone],
    /** Which hosts have a physical network. */
    physical: (host) => host.physical_networks,
  },
  unique: {
    name: (host) => [host.name],
    key: (host) => [String(host.key)],
    tunnelIp: (host) => (host.tunnel_ip === null ? [] : [host.tunnel_ip]),
  },
});
export type Host = ObjectOf<typeof Host>;

/** The right to join once as a host: stored hashed, valid for an hour, kept after use so that a second try is recorded. */
export const JoinToken = resource({
  kind: "join_token",
  plural: "join_tokens",
  fields: {
    id: field(uuid()),
    host_id: reference(uuid(), "host", "cascade"),
    /** SHA-256 of the token, hex. */
    token_hash: field(text(64), { readers: "hidden" }),
    expires_at: field(timestamp()),
    used_at: field(nullable(timestamp()), { default: null }),
    /** Tries that were refused after its use or its end. */
    refused: field(integer(0, Number.MAX_SAFE_INTEGER), { default: 0 }),
    revoked: field(boolean(), { default: false }),
  },
  unique: { hash: (token) => [token.token_hash] },
});
export type JoinToken = ObjectOf<typeof JoinToken>;
