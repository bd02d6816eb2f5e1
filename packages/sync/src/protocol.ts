/**
 * Versions of the protocol between server and agent. Each side names those it speaks; the highest common one is used, and none is a refusal.
 *
 * - 1 (2026-11-21): hello, welcome, changes, refused; ack, facts. JSON messages in WebSocket text frames over mutual TLS. A server of this
 *   version refuses a message of an agent with a field that it does not know.
 * - 2 (2026-11-21): `welcome` names the log, `hello` the log of what is held: what is of another log does not count. Facts tell of drift,
 *   of drops and of the type of the datapath.
 *   Fields of `hello` that a server does not know are passed over.
 * - 3 (2026-11-21): `hello` names the physical networks that the host has; facts tell how full its blocks of routers' ports are.
 */
export const protocolVersions: readonly number[] = Object.freeze([1, 2, 3]);

/** From this version on `hello` and `welcome` name logs, and facts tell of drift, drops and the type of the datapath. */
export const logVersion = 2;

/** From this version on `hello` names physical networks, and facts tell of leased blocks. */
export const outsideVersion = 3;

/** The highest version both sides speak, or undefined. */
export function commonVersion(mine: readonly number[], theirs: readonly number[]): number | undefined {
  const shared = mine.filter((version) => theirs.includes(version));
  return shared.length === 0 ? undefined : Math.max(...shared);
}

/** Paths on the server's one listener, all under TLS. */
export const syncPath = "/v1/sync";
export const joinPath = "/v1/join";
export const renewPath = "/v1/renew";
export const metadataPath = "/v1/metadata";

/** The server pings this often, and takes a host for gone after three silent intervals; the agent does the same. Milliseconds. */
export const pingInterval = 5_000;
export const silenceLimit = 15_000;

/** The largest message either side sends; larger snapshots are cut into several `changes` of one revision. Bytes. */
export const maxMessage = 4 * 1024 * 1024;
/** Objects in one `changes` message. */
export const chunkSize = 1_000;
/** Objects that one `hello` or `held` message names. */
export const heldChunk = 20_000;
/** Objects that an agent may say it holds, in all. */
export const maxHeld = 2_000_000;
