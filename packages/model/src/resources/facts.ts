/** Facts of one host, in its own view beside intent: what is plugged into its switch now, whom it met outside. Never in the log. */
import { field } from "../fields.ts";
import { keyOf, type ObjectOf, resource } from "../resource.ts";
import { address, mac, text, uuid } from "../types.ts";

/** An interface on this switch whose `external_ids:iface-id` is a port's id. Its id is that port's. */
export const Attachment = resource({
  kind: "attachment",
  plural: "attachments",
  fact: true,
  fields: { id: field(uuid()) },
});
export type Attachment = ObjectOf<typeof Attachment>;

/** Who has an address on an external network, as it answered (RFC 826, RFC 4861). */
export const LearnedNeighbour = resource({
  kind: "learned_neighbour",
  plural: "learned_neighbours",
  fact: true,
  fields: {
    /** As `neighbourId` makes it. */
    id: field(text(255)),
    network_id: field(uuid()),
    address: field(address()),
    mac: field(mac()),
  },
  indexes: { network: (neighbour) => [neighbour.network_id] },
});
export type LearnedNeighbour = ObjectOf<typeof LearnedNeighbour>;

/** Under which a neighbour stands: one address of a network is one machine's. */
export const neighbourId = (networkId: string, address: string): string => keyOf(networkId, address);

/** Which port of this switch has an address that moves between ports (an allowed address pair), as it said last. */
export const HeldAddress = resource({
  kind: "held_address",
  plural: "held_addresses",
  fact: true,
  fields: {
    /** As `neighbourId` makes it. */
    id: field(text(255)),
    network_id: field(uuid()),
    address: field(address()),
    port_id: field(uuid()),
    mac: field(mac()),
  },
});
export type HeldAddress = ObjectOf<typeof HeldAddress>;

/** Another host that cannot be reached now (RFC 5880). Its id is that host's. */
export const PeerDown = resource({
  kind: "peer_down",
  plural: "peers_down",
  fact: true,
  fields: { id: field(uuid()) },
});
export type PeerDown = ObjectOf<typeof PeerDown>;
