/**
 * Advertisements that nobody asked for: each router interface says what it is to the machines of this host, again and again, at once when that changes, and
 * once more when it goes (RFC 4861 sections 6.2.4 and 6.2.5).
 */
import type { Clock, Counter, Log, Metrics, Timer } from "@selvage/base";
import type { Datapath } from "@selvage/datapath";
import { Attachment, type Engine, keyOf, Port } from "@selvage/model";
import type { NdOption } from "@selvage/packet";
import type { Row } from "@selvage/pipeline";
import { type Advertisement, advertisementFrame, advertisementOf, everybody } from "./router-advertisement.ts";

/** Milliseconds (RFC 4861 sections 6.2.1 and 10). */
const usual = { least: 200_000, most: 600_000 } as const;
/** The first few come sooner. */
const initial = { count: 3, most: 16_000 } as const;
const betweenTwo = 3_000;

export interface AdvertiserOptions {
  readonly view: Pick<Engine<Row>["view"], "get" | "has" | "by" | "exists" | "count" | "objects">;
  readonly hostName: string;
  readonly datapath: Pick<Datapath, "send">;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
}

interface Known {
  readonly networkId: string;
  readonly said: Advertisement;
  readonly timer: Timer;
}

type Prefix = Extract<NdOption, { kind: "prefix" }>;
const prefixesOf = ({ options }: Advertisement): readonly Prefix[] =>
  options.filter((each): each is Prefix => each.kind === "prefix");

export class Advertiser {
  readonly #options: AdvertiserOptions;
  readonly #known = new Map<string, Known>();
  readonly #sent: Counter<"outcome">;
  #look: Timer | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: AdvertiserOptions) {
    this.#options = options;
    this.#sent = options.metrics.counter({
      name: "router_advertisements_total",
      help: "Router advertisements that were sent without being asked for, by what became of them",
      labels: ["outcome"],
    });
  }

  /** To be called when intent or what is plugged in has changed: it is looked at soon, and no more often than routers may speak. */
  changed(): void {
    if (this.#look !== undefined || this.#closed) return;
    const { clock } = this.#options;
    this.#look = clock.after(Math.max(0, this.#lookedAt + betweenTwo - clock.monotonic()), () => {
      this.#look = undefined;
      this.#lookedAt = clock.monotonic();
      this.#compare();
    });
  }

  /** Ends it; the routers stay as they are, for their rows do. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#look?.cancel();
    for (const { timer } of this.#known.values()) timer.cancel();
    this.#known.clear();
  }

  #compare(): void {
    const { view, hostName } = this.#options;
    const networks = new Set<string>();
    for (const { id } of view.objects(Attachment)) {
      const port = view.get(Port, id);
      if (port?.["binding:host_id"] === hostName) networks.add(port.network_id);
    }
    const now = new Map<string, { readonly networkId: string; readonly said: Advertisement }>();
    for (const networkId of networks) {
      for (const port of view.by(Port.index.routedNetwork, networkId)) {
        const said = advertisementOf(view, port);
        if (said !== undefined) now.set(port.id, { networkId, said });
      }
    }
    for (const [id, { networkId, said, timer }] of this.#known) {
      if (now.has(id)) continue;
      timer.cancel();
      this.#known.delete(id);
      this.#send(networkId, advertisementFrame(said, everybody, "last"));
    }
    for (const [id, { networkId, said }] of now) {
      const before = this.#known.get(id);
      if (before !== undefined && JSON.stringify(before.said) === JSON.stringify(said)) continue;
      before?.timer.cancel();
      this.#say(id, networkId, said, initial.count, before === undefined ? [] : prefixesOf(before.said));
    }
  }

  /** Says it now, with an end to prefixes that are no more, and comes again. */
  #say(id: string, networkId: string, said: Advertisement, early: number, before: readonly Prefix[] = []): void {
    const { clock, random } = this.#options;
    const own = new Set(prefixesOf(said).map((each) => `${each.prefix}/${each.length}`));
    const gone = before.filter((each) => !own.has(`${each.prefix}/${each.length}`));
    const ended = gone.map((each) => ({ ...each, validLifetime: 0, preferredLifetime: 0 }));
    this.#send(networkId, advertisementFrame({ ...said, options: [...said.options, ...ended] }, everybody));
    const pause = usual.least + random() * (usual.most - usual.least);
    const timer = clock.after(early > 1 ? Math.min(pause, initial.most) : pause, () =>
      this.#say(id, networkId, said, Math.max(1, early - 1)),
    );
    this.#known.set(id, { networkId, said, timer });
  }

  #send(networkId: string, frame: Uint8Array): void {
    const { view, hostName, datapath, log } = this.#options;
    for (const port of view.by(Port.index.networkHost, keyOf(networkId, hostName))) {
      if (!port.admin_state_up || !view.has(Attachment, port.id)) continue;
      datapath.send(port.id, frame).then(
        () => this.#sent.inc({ outcome: "sent" }),
        (error: unknown) => {
          this.#sent.inc({ outcome: "failed" });
          log.debug("an advertisement could not be sent", { port: port.id, error });
        },
      );
    }
  }
}
