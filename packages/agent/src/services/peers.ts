/** Which hosts that share a physical network with this one are away: facts in its own view, from which follows who speaks for what is no machine's. */
import type { Log } from "@selvage/base";
import type { Peer, PeerWatch } from "@selvage/datapath";
import { type Change, Host, PeerDown, type View } from "@selvage/model";

export interface PeersOptions {
  readonly view: View;
  readonly hostName: string;
  readonly watch?: Pick<PeerWatch, "watch">;
  readonly log: Log;
  /** Hosts are back that were away, which is not learned yet. */
  readonly returned: () => void;
  /** Facts that are others now. */
  readonly learned: (changes: readonly Change[]) => void;
}

export class Peers {
  readonly #options: PeersOptions;
  #watched = "";
  #away: ReadonlySet<string> = new Set();

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  get away(): number {
    return this.#away.size;
  }

  /** To be called when hosts have changed: it looks at all of them. */
  changed(): void {
    const { watch } = this.#options;
    const peers = this.#peers();
    const text = JSON.stringify(peers);
    if (watch === undefined || text === this.#watched) return;
    this.#watched = text;
    watch.watch(peers, (away) => this.#told(away));
  }

  /** The hosts with a wire to the same network, in order. */
  #peers(): readonly Peer[] {
    const { view, hostName } = this.#options;
    const [own] = view.by(Host.index.name, hostName);
    const found = new Map<string, Peer>();
    for (const physical of own?.physical_networks ?? []) {
      for (const { id, name, tunnel_ip } of view.by(Host.index.physical, physical))
        if (name !== hostName && tunnel_ip !== null) found.set(id, { id, address: tunnel_ip });
    }
    return [...found.values()].sort((one, other) => (one.id < other.id ? -1 : 1));
  }

  #told(away: ReadonlySet<string>): void {
    const { log, learned } = this.#options;
    const before = this.#away;
    this.#away = new Set(away);
    const gone = [...away].filter((id) => !before.has(id));
    const back = [...before].filter((id) => !away.has(id));
    for (const id of gone) log.warn("a host is away: what it spoke for outside is taken over", { peer: id });
    for (const id of back) log.info("a host is back", { peer: id });
    if (back.length > 0) this.#options.returned();
    learned([
      ...gone.map((id) => ({ kind: PeerDown.kind, id, object: { id } })),
      ...back.map((id) => ({ kind: PeerDown.kind, id, object: null })),
    ]);
  }
}
