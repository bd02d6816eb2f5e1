/**
 * Blocks of a router's ports that hosts were given, so that each translates its own machines and nobody asks anybody (pipeline design, section 6): made with the
 * first port that a host has behind the router, removed with the last.
 */
import { field, reference } from "../fields.ts";
import { keyOf, type ObjectOf, resource } from "../resource.ts";
import { address, boolean, integer, timestamp, uuid } from "../types.ts";

/** The ports of an address that are given away; those below stay for what is forwarded. */
export const leasedPorts = { first: 1_024, last: 65_535 } as const;

/** Ports in a block: a power of two, and the block begins at a multiple of it. */
export const leaseSizes = { smallest: 64, first: 1_024, largest: 16_384 } as const;

/** How long a block rests that was given back, seconds: what its last holder began may still be answered, and must not reach another. */
export const leaseRest = 120;

const portNumber = integer(leasedPorts.first, leasedPorts.last);
const size = integer(leaseSizes.smallest, leaseSizes.largest);

/** A host may have several of a router, and one that is current: what is new begins there, what is old ends in the others, which go back when nothing is left in them. */
export const NatLease = resource({
  kind: "nat_lease",
  plural: "nat_leases",
  fields: {
    id: field(uuid(), { projected: "all" }),
    router_id: reference(uuid(), "router", "cascade", { projected: "all" }),
    host_id: reference(uuid(), "host", "cascade", { projected: "all" }),
    /** The external network that the address is of. */
    network_id: reference(uuid(), "network", "refuse", { projected: "all" }),
    /** The router's gateway address, IPv4. */
    address: field(address(), { projected: "all" }),
    first: field(portNumber, { projected: "all" }),
    size: field(size, { projected: "all" }),
    current: field(boolean(), { projected: "all" }),
    created_at: field(timestamp()),
  },
  indexes: {
    /** router|host. */
    holder: (lease) => [keyOf(lease.router_id, lease.host_id)],
    /** network|address: all blocks of one address. */
    address: (lease) => [keyOf(lease.network_id, lease.address)],
  },
  unique: { block: (lease) => [keyOf(lease.network_id, lease.address, lease.first)] },
});
export type NatLease = ObjectOf<typeof NatLease>;

/**
 * A block that was given back and rests: what its last holder began may still be answered. Hosts are not told of it. One that has rested may be given, and come back,
 * before it is forgotten: so there may be several of one block.
 */
export const NatRest = resource({
  kind: "nat_rest",
  plural: "nat_rests",
  fields: {
    id: field(uuid()),
    network_id: reference(uuid(), "network", "cascade"),
    address: field(address()),
    first: field(portNumber),
    size: field(size),
    /** From when on it may be given again. */
    until: field(timestamp()),
  },
  indexes: { address: (rest) => [keyOf(rest.network_id, rest.address)] },
});
export type NatRest = ObjectOf<typeof NatRest>;
