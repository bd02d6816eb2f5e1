/** Two kinds of zones of connection tracking: a port's, which never translates, and a router's, which always does. None is ever of both kinds (design, section 3.5). */
import { F, type Field } from "@selvage/pipeline";

/** Whether the zones that a field holds translate. */
export const translates = (zone: Field): boolean => zone.name === F.natZone.name;

const prefix = "nat:";

/** Who has a zone, by a name of its own for each kind: a router's that translates is never one that tracks plainly. */
export const zoneOwner = (zone: Field, name: string): string => (translates(zone) ? `${prefix}${name}` : name);

/** Whether a zone is one that translates, by who has it. */
export const isTranslating = (owner: string): boolean => owner.startsWith(prefix);

/** The name under which a router's connections that are translated are counted. */
export const translatingZone = (routerId: string): string => `${prefix}${routerId}`;

/** Connections that one zone can have at once: a router's, or a port's, which is told. Beyond them a packet goes on and is not kept. */
export const mostConnections = (owner: string, port: number): number => (isTranslating(owner) ? 60_000 : port);

/** Seconds for which a port of a router's address stays taken when a TCP connection has ended. Blocks of ports are small. */
export const translatedTimeWait = 10;
