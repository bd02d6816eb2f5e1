/** Where punted packets are served: each port has its own measure of them, and what is beyond it is dropped and counted. */
import type { Clock, Counter, Log, Metrics } from "@selvage/base";
import type { Datapath, Punt } from "@selvage/datapath";
import type { View } from "@selvage/model";
import { agentIngress, isFabric, physicalNetworkOf } from "@selvage/pipeline";
import type { Answer } from "./answer.ts";
import { Buckets } from "./buckets.ts";
import { answerDhcp4, type DhcpSettings } from "./dhcp4.ts";
import { answerDhcp6 } from "./dhcp6.ts";
import { answerInner } from "./icmp-inner.ts";
import { answerTranslated } from "./icmp-outward.ts";
import { answerNd, answerOnWire } from "./nd.ts";
import type { Neighbours } from "./neighbours.ts";
import { answerExpired, answerOutsideError, isFromOutside, type KnownRows } from "./outside-errors.ts";
import { answerSolicitation } from "./router-advertisement.ts";
import { answerRouterError } from "./router-errors.ts";

export interface DeskOptions {
  readonly view: View;
  readonly rows: KnownRows;
  readonly hostName: string;
  readonly neighbours: Pick<Neighbours, "serve">;
  readonly datapath: Pick<Datapath, "send" | "resume">;
  readonly dhcp: DhcpSettings;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Packets a second and at once, of one port; what a machine learns the size of its packets from does not go under in other errors. */
const limits = {
  dhcp: { rate: 5, burst: 20 },
  nd: { rate: 20, burst: 40 },
  rs: { rate: 5, burst: 20 },
  error: { rate: 10, burst: 20 },
  size: { rate: 10, burst: 20 },
  inner: { rate: 10, burst: 20 },
  neighbour: { rate: 20, burst: 40 },
  /** Of a physical network, on which all that is outside shares one measure; and of what the agent itself asks the switch. */
  wire: { rate: 500, burst: 1_000 },
  /** What routers say to the outside: of one physical network, or of the tunnels. */
  outside: { rate: 50, burst: 100 },
} as const;
type Measure = keyof typeof limits;

/** The measure that a kind is of. */
const measures: Readonly<Record<Punt["kind"], Measure>> = {
  dhcp4: "dhcp",
  dhcp6: "dhcp",
  nd: "nd",
  rs: "rs",
  "ttl-expired": "error",
  "no-route": "error",
  "host-unreachable": "error",
  "port-unreachable": "error",
  "mtu-exceeded": "size",
  neighbour: "neighbour",
  "icmp-inner": "inner",
  translated: "wire",
  "expired-outside": "outside",
};

/** Whether an interface leads to a physical network. */
const isWire = (attachment: string): boolean => physicalNetworkOf(attachment) !== undefined;

/** Where there are many senders behind one interface, and where the agent asks itself. */
const isShared = (attachment: string): boolean =>
  isWire(attachment) || isFabric(attachment) || attachment === agentIngress;

/** The measure of a packet: what is no machine's has one of many. */
function measureOf({ kind, attachment }: Punt): Measure {
  const own = measures[kind];
  if (!isShared(attachment)) return own;
  return own === "error" || own === "size" || own === "outside" ? "outside" : "wire";
}

export class Desk {
  readonly #options: DeskOptions;
  readonly #buckets: Readonly<Record<Measure, Buckets>> = {
    dhcp: new Buckets(limits.dhcp),
    nd: new Buckets(limits.nd),
    rs: new Buckets(limits.rs),
    error: new Buckets(limits.error),
    size: new Buckets(limits.size),
    inner: new Buckets(limits.inner),
    neighbour: new Buckets(limits.neighbour),
    wire: new Buckets(limits.wire),
    outside: new Buckets(limits.outside),
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
    if (!this.#buckets[measureOf(punt)].take(attachment, now)) {
      count("limited");
      return;
    }
    try {
      const answer = this.#answer(punt);
      count("what" in answer ? answer.what : answer.answer);
      if (answer.answer === "reply")
        for (const frame of answer.frames) await datapath.send(answer.to ?? attachment, frame);
      else if (answer.answer === "resume") await datapath.resume(answer.table, answer.at, answer.frame);
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
    for (const buckets of [...Object.values(this.#buckets), this.#notices])
      buckets.forget((port) => !attached.has(port));
  }

  #answer(punt: Punt): Answer {
    const { view, rows, dhcp, hostName, neighbours } = this.#options;
    switch (punt.kind) {
      case "dhcp4":
        return answerDhcp4(view, punt, dhcp);
      case "dhcp6":
        return answerDhcp6(view, punt, dhcp);
      case "nd":
        return isWire(punt.attachment) ? answerOnWire(view, punt, hostName) : answerNd(view, punt);
      case "rs":
        return answerSolicitation(view, punt);
      case "neighbour":
        return neighbours.serve(punt);
      case "icmp-inner":
        return answerInner(view, punt, hostName);
      case "translated":
        return answerTranslated(punt);
      case "expired-outside":
        return answerExpired(view, rows, punt, hostName);
      case "ttl-expired":
      case "no-route":
      case "host-unreachable":
      case "port-unreachable":
      case "mtu-exceeded": {
        const error = { ...punt, kind: punt.kind };
        return isFromOutside(view, error) ? answerOutsideError(view, error) : answerRouterError(view, error);
      }
    }
  }
}
