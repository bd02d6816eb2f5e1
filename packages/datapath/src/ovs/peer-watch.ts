/**
 * Which other hosts can be reached, as the switch itself knows it: a tunnel of its own to each, on which the two switches speak BFD (RFC 5880;
 * ovs-vswitchd.conf.db(5), "Bidirectional Forwarding Detection"). It lives and dies with the switches, not with agents, whose restart is no host's end.
 */
import { backoffDelay, type Clock, type Log, realClock, silentLog, type Timer } from "@selvage/base";
import {
  Bridge,
  connect,
  Interface,
  insert,
  mutate,
  named,
  OPEN_VSWITCH,
  type Operation,
  type OvsdbClient,
  Port,
  pick,
  Replica,
  update,
} from "@selvage/ovsdb";

import { watchKey } from "@selvage/pipeline";
import { peerOwner } from "./bridge.ts";

/** Another host, and where its tunnels end. */
export interface Peer {
  readonly id: string;
  readonly address: string;
}

export interface PeerWatchOptions {
  /** `unix:PATH` or `tcp:ADDRESS:PORT` of the switch's database. */
  readonly database: string;
  /** The bridge that has the tunnels. */
  readonly bridge: string;
  readonly tunnelIp: string;
  readonly clock?: Clock;
  readonly log?: Log;
  readonly random?: () => number;
}

/** Milliseconds between two signs of life; after three that did not come the other is away. */
export const betweenSigns = 200;
/** Milliseconds in which a peer that was never reached may come up before it counts as away. */
const grace = 5_000;
const backoff = { base: 200, cap: 5_000 };
/** As Open vSwitch tells the diagnostic of a peer whose signs stopped coming (`bfd_diag_str` of its lib/bfd.c). */
const expired = "Control Detection Time Expired";

const Bridges = pick(Bridge, ["name", "ports"]);
const Ports = pick(Port, ["name", "interfaces"]);
const Interfaces = pick(Interface, ["name", "type", "options", "external_ids", "bfd", "bfd_status"]);

/** At most 15 letters, the same for one peer always. */
const nameOf = (id: string): string => `bfd-${id.replaceAll("-", "").slice(-11)}`;

const bfd = { enable: "true", min_tx: String(betweenSigns), min_rx: String(betweenSigns) };

const sameText = (map: ReadonlyMap<string, string>, wanted: Readonly<Record<string, string>>): boolean =>
  map.size === Object.keys(wanted).length && Object.entries(wanted).every(([key, value]) => map.get(key) === value);

/** What must be written so that each peer has its tunnel and no other has one; nothing where it is so, or while there is no bridge. */
export function configurePeers(
  replica: Replica,
  { bridge, tunnelIp }: Pick<PeerWatchOptions, "bridge" | "tunnelIp">,
  peers: Iterable<Peer>,
): readonly Operation[] {
  const into = [...replica.table(Bridges).values()].find(({ name }) => name === bridge);
  if (into === undefined) return [];
  const held = new Map(
    [...replica.table(Interfaces).values()].flatMap((row) => {
      const id = row.external_ids.get(peerOwner);
      return id === undefined ? [] : [[id, row] as const];
    }),
  );
  const wanted = new Map([...peers].map((peer) => [peer.id, peer]));
  const operations: Operation[] = [];
  for (const [id, row] of held) {
    if (wanted.has(id)) continue;
    const port = [...replica.table(Ports).values()].find(({ interfaces }) => interfaces.has(row._uuid));
    if (port !== undefined)
      operations.push(mutate(Bridge, [["_uuid", "==", into._uuid]], [["ports", "delete", [port._uuid]]]));
  }
  for (const [at, { id, address }] of [...wanted.values()].entries()) {
    const options = { remote_ip: address, local_ip: tunnelIp, key: String(watchKey) };
    const row = held.get(id);
    if (row !== undefined) {
      const isRight = row.type === "geneve" && sameText(row.options, options) && sameText(row.bfd, bfd);
      if (!isRight) operations.push(update(Interface, [["_uuid", "==", row._uuid]], { type: "geneve", options, bfd }));
      continue;
    }
    const name = nameOf(id);
    operations.push(
      insert(
        Interface,
        { name, type: "geneve", options, bfd, external_ids: { [peerOwner]: id } },
        `peer_interface${at}`,
      ),
      insert(Port, { name, interfaces: [named(`peer_interface${at}`)] }, `peer_port${at}`),
      mutate(Bridge, [["_uuid", "==", into._uuid]], [["ports", "insert", [named(`peer_port${at}`)]]]),
    );
  }
  return operations;
}

/** What the switch says of a peer: `lost` when it was up and its signs stopped coming (RFC 5880 section 4.1, diagnostic 1), `down` when it has not been up. */
export type PeerState = "up" | "lost" | "down";

/** What the switch sees of each peer: by id. */
export function peerStates(replica: Replica): ReadonlyMap<string, PeerState> {
  const states = new Map<string, PeerState>();
  for (const { external_ids, bfd_status } of replica.table(Interfaces).values()) {
    const id = external_ids.get(peerOwner);
    const silent = bfd_status.get("diagnostic") === expired ? "lost" : "down";
    if (id !== undefined) states.set(id, bfd_status.get("state") === "up" ? "up" : silent);
  }
  return states;
}

export class PeerWatch {
  readonly #options: PeerWatchOptions;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #closing = new AbortController();
  readonly #following: Promise<void>;
  #peers: ReadonlyMap<string, Peer> = new Map();
  /** Since when each is watched, by the clock that never goes back. */
  readonly #since = new Map<string, number>();
  readonly #seen = new Set<string>();
  #client: OvsdbClient | undefined;
  #replica: Replica | undefined;
  #writing = false;
  #timer: Timer | undefined;
  #told = "";
  #changed: (away: ReadonlySet<string>) => void = () => undefined;

  /** Begins at once, and goes on for as long as it is open: a database that is away is asked again. */
  constructor(options: PeerWatchOptions) {
    this.#options = options;
    this.#clock = options.clock ?? realClock;
    this.#log = options.log ?? silentLog;
    this.#following = this.#follow();
  }

  /** Watches these and no others; `changed` hears of the ids of those that are away, whenever that is another set. */
  watch(peers: Iterable<Peer>, changed: (away: ReadonlySet<string>) => void): void {
    this.#peers = new Map([...peers].map((peer) => [peer.id, peer]));
    this.#changed = changed;
    for (const id of this.#since.keys()) {
      if (this.#peers.has(id)) continue;
      this.#since.delete(id);
      this.#seen.delete(id);
    }
    for (const id of this.#peers.keys()) if (!this.#since.has(id)) this.#since.set(id, this.#clock.monotonic());
    this.#look();
  }

  /** The ids of those that are away now. */
  get away(): ReadonlySet<string> {
    // A switch that cannot be asked says nothing of others: what was known stays.
    if (this.#replica === undefined) return new Set(this.#told === "" ? [] : this.#told.split(" "));
    const states = peerStates(this.#replica);
    const now = this.#clock.monotonic();
    return new Set(
      [...this.#peers.keys()].filter((id) => {
        const state = states.get(id);
        // The switch has watched on while nobody watched it: what it lost meanwhile is away.
        if (state === "up" || state === "lost") this.#seen.add(id);
        const isYoung = !this.#seen.has(id) && now - (this.#since.get(id) ?? now) < grace;
        return state !== "up" && !isYoung;
      }),
    );
  }

  /** Ends it; the tunnels stay, for the switches are watched by whoever comes next. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort(new Error("closed"));
    this.#timer?.cancel();
    this.#client?.close();
    await this.#following;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#closing;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        const client = await connect(this.#options.database, { signal });
        const replica = new Replica(OPEN_VSWITCH, [Bridges, Ports, Interfaces]);
        await client.monitor(replica, { signal });
        attempt = 0;
        this.#client = client;
        this.#replica = replica;
        replica.onChange(() => this.#look());
        this.#look();
        await client.closed;
      } catch (error) {
        if (!signal.aborted) this.#log.warn("the switch's database cannot be asked for other hosts", { error });
      }
      this.#replica = undefined;
      this.#client?.close();
      this.#client = undefined;
      const random = this.#options.random ?? Math.random;
      // Only the end of the watch interrupts the wait, and then there is nothing left to wait for.
      await this.#clock.sleep(backoffDelay({ ...backoff, random }, attempt), signal).catch(() => signal.aborted);
    }
  }

  /** Makes what is lacking, and tells what is another than before. */
  #look(): void {
    this.#write();
    const away = this.away;
    const text = [...away].sort().join(" ");
    if (text !== this.#told) {
      this.#told = text;
      this.#changed(away);
    }
    this.#timer?.cancel();
    const now = this.#clock.monotonic();
    const young = [...this.#since].filter(([id]) => !this.#seen.has(id)).map(([, since]) => since + grace - now);
    const next = Math.min(...young.filter((each) => each > 0));
    this.#timer =
      Number.isFinite(next) && !this.#closing.signal.aborted ? this.#clock.after(next, () => this.#look()) : undefined;
  }

  #write(): void {
    const { signal } = this.#closing;
    if (this.#writing || this.#replica === undefined || this.#client === undefined) return;
    const operations = configurePeers(this.#replica, this.#options, this.#peers.values());
    if (operations.length === 0) return;
    this.#writing = true;
    this.#client.transact(OPEN_VSWITCH, operations, { signal }).then(
      () => {
        this.#writing = false;
        if (!signal.aborted) this.#look();
      },
      (error: unknown) => {
        // Tried again with the next change.
        this.#writing = false;
        if (!signal.aborted) this.#log.error("tunnels to other hosts cannot be made", { error });
      },
    );
  }
}
