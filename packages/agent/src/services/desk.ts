/** Where punted packets are served: each port has its own measure of them, and what is beyond it is dropped and counted. */
import type { Clock, Counter, Log, Metrics } from "@selvage/base";
import type { Datapath, Punt } from "@selvage/datapath";
import type { View } from "@selvage/model";
import type { Answer } from "./answer.ts";
import { Buckets } from "./buckets.ts";
import { answerDhcp4, type Dhcp4Settings } from "./dhcp4.ts";
import { answerNd } from "./nd.ts";

export interface DeskOptions {
  readonly view: View;
  readonly datapath: Pick<Datapath, "send">;
  readonly dhcp4: Dhcp4Settings;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Questions a second and at once, of one port. */
const limits = { dhcp4: { rate: 5, burst: 20 }, nd: { rate: 20, burst: 40 } } as const satisfies Record<
  Punt["kind"],
  object
>;

export class Desk {
  readonly #options: DeskOptions;
  readonly #buckets: Readonly<Record<Punt["kind"], Buckets>> = {
    dhcp4: new Buckets(limits.dhcp4),
    nd: new Buckets(limits.nd),
  };
  /** Notices are logged as sparingly as they are asked for. */
  readonly #notices = new Buckets({ rate: 0.1, burst: 3 });
  readonly #served: Counter<"kind" | "outcome">;

  constructor(options: DeskOptions) {
    this.#options = options;
    this.#served = options.metrics.counter({
      name: "punts_total",
      help: "Packets handed to the agent, by service and what became of them",
      labels: ["kind", "outcome"],
    });
  }

  /** Serves one packet. Never throws: a packet is its sender's to choose. */
  async serve(punt: Punt): Promise<void> {
    const { clock, datapath, log } = this.#options;
    const { kind, attachment } = punt;
    const count = (outcome: string): void => this.#served.inc({ kind, outcome });
    const now = clock.monotonic();
    if (!this.#buckets[kind].take(attachment, now)) {
      count("limited");
      return;
    }
    try {
      const answer = this.#answer(punt);
      count(answer.answer === "reply" ? answer.what : answer.answer);
      if (answer.answer === "reply") await datapath.send(attachment, answer.frame);
      else if (answer.answer === "silence")
        log.debug("a packet is not answered", { kind, port: attachment, why: answer.why });
      else if (this.#notices.take(attachment, now))
        log.warn("a packet is not answered", { kind, port: attachment, why: answer.why });
    } catch (error) {
      count("failed");
      if (this.#notices.take(attachment, now))
        log.warn("a packet could not be served", { kind, port: attachment, error });
    }
  }

  /** Forgets the measures of ports that are plugged in no more. */
  keepOnly(attached: ReadonlySet<string>): void {
    for (const buckets of [this.#buckets.dhcp4, this.#buckets.nd, this.#notices])
      buckets.forget((port) => !attached.has(port));
  }

  #answer(punt: Punt): Answer {
    const { view, dhcp4 } = this.#options;
    switch (punt.kind) {
      case "dhcp4":
        return answerDhcp4(view, punt, dhcp4);
      case "nd":
        return answerNd(view, punt);
    }
  }
}
