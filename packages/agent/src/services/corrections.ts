/**
 * Tells the machines of this host which MAC an address of their network has now, when they may remember another: a router that takes an address from the DHCP server, or a
 * port that has the address of one that went. Questions are answered by the switch, and so nobody hears another ask (RFC 826 would have all learn of that).
 */
import type { Log } from "@selvage/base";
import type { Datapath } from "@selvage/datapath";
import { Attachment, type Delta, type Engine, keyOf, Network, networkKeyOf, Port, physicalKeys } from "@selvage/model";
import { Neighbour, type Row } from "@selvage/pipeline";
import { announcementFrame } from "./wire.ts";

/** Addresses that nobody has any more are remembered up to this number, the latest ones. */
const remembered = 4_096;

export interface CorrectionsOptions {
  readonly view: Pick<Engine<Row>["view"], "get" | "by" | "objects">;
  readonly hostName: string;
  readonly datapath: Pick<Datapath, "send">;
  readonly log: Log;
}

/** An address of a network, by its key, and the MAC that it has now. */
export interface Correction {
  readonly net: number;
  readonly address: string;
  readonly mac: string;
}

/** What a row tells machines; undefined where it tells them nothing, and on physical networks, where whoever has an address says so himself. */
function toldBy({ table, key, action, args }: Row): Correction | undefined {
  if (table !== Neighbour.name || action === "moving" || Number(key.net) >= physicalKeys.first) return undefined;
  return { net: Number(key.net), address: String(key.nh), mac: String(args.mac) };
}

export class Corrections {
  readonly #options: CorrectionsOptions;
  /** By row: the MAC that an address had when it went, the oldest first. */
  readonly #former = new Map<string, string>();

  constructor(options: CorrectionsOptions) {
    this.#options = options;
  }

  /** Takes note of rows that are others now; gives what machines may remember wrongly, to be told when they are in force. */
  changed({ added, removed, modified }: Pick<Delta<Row>, "added" | "removed" | "modified">): readonly Correction[] {
    for (const row of removed) {
      const told = toldBy(row);
      if (told !== undefined) this.#remember(row.id, told.mac);
    }
    const come = added.flatMap((row) => {
      const former = this.#former.get(row.id);
      this.#former.delete(row.id);
      const told = toldBy(row);
      return told === undefined || former === undefined || former === told.mac ? [] : [told];
    });
    const others = modified.flatMap(({ before, after }) => {
      const told = toldBy(after);
      return told === undefined || toldBy(before)?.mac === told.mac ? [] : [told];
    });
    return [...come, ...others];
  }

  /** Tells each machine that is plugged in here, save whose own the address is. Costs what is plugged in, when there is something to tell. */
  say(all: readonly Correction[]): void {
    if (all.length === 0) return;
    const { view, hostName, datapath, log } = this.#options;
    for (const { id } of view.objects(Attachment)) {
      const port = view.get(Port, id);
      const network = view.get(Network, port?.network_id ?? "");
      if (network === undefined || !port?.admin_state_up || port["binding:host_id"] !== hostName) continue;
      for (const { net, address, mac } of all) {
        if (net !== networkKeyOf(network)) continue;
        const [owner] = view.by(Port.index.networkMac, keyOf(network.id, mac));
        if (owner?.id === id) continue;
        const frame = announcementFrame(mac, address, owner?.router_id == null ? "host" : "router");
        datapath.send(id, frame).catch((error: unknown) => {
          log.debug("a machine could not be told who has an address now", { port: id, address, error });
        });
      }
    }
  }

  #remember(row: string, mac: string): void {
    this.#former.delete(row);
    this.#former.set(row, mac);
    const [oldest] = this.#former.keys();
    if (this.#former.size > remembered && oldest !== undefined) this.#former.delete(oldest);
  }
}
