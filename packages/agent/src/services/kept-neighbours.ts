/**
 * Who answered outside, kept on disk: an agent that starts anew goes on from there and asks meanwhile, so that its start takes nothing from the switch that still
 * holds, and no packet waits for an answer that was there.
 */
import { type Clock, type Log, realClock, type Timer } from "@selvage/base";
import { readIfThere, writeWhole } from "../files.ts";

const format = 1;
/** Milliseconds from one writing to the next: who is on the wire can make what is known change with each packet. */
const pause = 2_000;

/** An address on a physical network as it answered last; `net`: as packets of that network bear its key. */
export interface KeptNeighbour {
  readonly net: number;
  readonly networkId: string;
  readonly address: string;
  readonly mac: string;
}

const isKept = (value: unknown): value is KeptNeighbour =>
  typeof value === "object" &&
  value !== null &&
  "net" in value &&
  typeof value.net === "number" &&
  ["networkId", "address", "mac"].every((key) => typeof Object(value)[key] === "string");

function parsed(text: string): readonly KeptNeighbour[] | undefined {
  try {
    const read: unknown = JSON.parse(text);
    if (typeof read !== "object" || read === null || !("format" in read) || read.format !== format) return undefined;
    return "neighbours" in read && Array.isArray(read.neighbours) ? read.neighbours.filter(isKept) : undefined;
  } catch {
    return undefined; // cut off, or written by nobody of ours
  }
}

export class KeptNeighbours {
  readonly #path: string;
  readonly #log: Log;
  readonly #clock: Clock;
  /** What was known when the agent ended. */
  readonly before: readonly KeptNeighbour[];
  /** What is to be written next, where that is not under way. */
  #next: (() => Iterable<KeptNeighbour>) | undefined;
  /** When the last writing began, by the monotonic clock. */
  #written = Number.NEGATIVE_INFINITY;
  /** Set while what is next waits for its time. */
  #timer: Timer | undefined;
  #work: Promise<void> = Promise.resolve();

  private constructor(path: string, log: Log, clock: Clock, before: readonly KeptNeighbour[]) {
    this.#path = path;
    this.#log = log;
    this.#clock = clock;
    this.before = before;
  }

  /** Reads the file; one that is of no use is as good as none. Throws the system's errors other than that it is not there. */
  static async open(path: string, log: Log, clock: Clock = realClock): Promise<KeptNeighbours> {
    const text = await readIfThere(path);
    const before = text === undefined ? [] : parsed(text);
    if (before === undefined) log.warn("kept neighbours are of no use and are asked for anew", { path });
    return new KeptNeighbours(path, log, clock, before ?? []);
  }

  /**
   * Writes them as they are when it comes to that: at once, or a while after the last time; what is asked for meanwhile is written once. A failure is logged and
   * costs a restart what was known.
   */
  write(all: () => Iterable<KeptNeighbour>): void {
    const isWaiting = this.#next !== undefined;
    this.#next = all;
    if (isWaiting) return;
    const wait = this.#written + pause - this.#clock.monotonic();
    if (wait > 0) this.#timer = this.#clock.after(wait, () => this.#put());
    else this.#put();
  }

  /** Has written at once what waits. Resolves when all that was asked for is written or has failed. */
  settled(): Promise<void> {
    if (this.#timer !== undefined) this.#put();
    return this.#work;
  }

  #put(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#work = this.#work.then(async () => {
      const neighbours = [...(this.#next?.() ?? [])];
      this.#next = undefined;
      this.#written = this.#clock.monotonic();
      await writeWhole(this.#path, `${JSON.stringify({ format, neighbours })}\n`).catch((error: unknown) =>
        this.#log.error("neighbours could not be kept", { error }),
      );
    });
  }
}
