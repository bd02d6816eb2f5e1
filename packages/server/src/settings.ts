/** What an operator may set of a server, with its defaults; everything else is data or a constant of a protocol. */

export interface ServerSettings {
  /** MTU of the network between the hosts, bytes. */
  readonly underlayMtu: number;
  /** What the tunnel takes of it: outer IPv4, UDP, Geneve with one 8-byte option, inner Ethernet (RFC 8926). */
  readonly tunnelOverhead: number;
  readonly region: string;
  /** URL under which clients reach the server, without a final slash. Absent: each request's Host. */
  readonly publicUrl?: string;
  /** Seconds for which a token holds. */
  readonly tokenLifetime: number;
  /** Seconds for which a host's join token holds. */
  readonly joinTokenLifetime: number;
  /** Largest body of a request, bytes. */
  readonly bodyLimit: number;
  /** Argon2id (RFC 9106): memory in KiB, passes; one lane. */
  readonly passwordMemory: number;
  readonly passwordPasses: number;
  /** Password hashes at work at a time, and how many may wait. */
  readonly passwordWorkers: number;
  readonly passwordQueue: number;
  /** How long an entry of the log is kept, seconds, and how many of the newest at most. An entry of the last minute is kept anyway. */
  readonly historySeconds: number;
  readonly historyEntries: number;
  /** First three bytes of the MAC addresses that the server gives. */
  readonly macPrefix: string;
}

export const defaultSettings: ServerSettings = Object.freeze({
  underlayMtu: 1500,
  tunnelOverhead: 66,
  region: "RegionOne",
  tokenLifetime: 3600,
  joinTokenLifetime: 3600,
  bodyLimit: 4 * 1024 * 1024,
  passwordMemory: 19 * 1024,
  passwordPasses: 2,
  passwordWorkers: 2,
  passwordQueue: 64,
  historySeconds: 90 * 24 * 3600,
  historyEntries: 1_000_000,
  macPrefix: "fa:16:3e",
});

/** The MTU that a network gets, and may have at most. */
export function largestMtu(settings: ServerSettings): number {
  return settings.underlayMtu - settings.tunnelOverhead;
}
