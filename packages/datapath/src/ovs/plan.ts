/** What is to be sent to the switch for one change, in an order that it takes, each message with the row that it is for. */
import {
  type Bucket,
  BucketId,
  FlowFlag,
  flowMod,
  type GroupMod,
  groupMod,
  type Message,
  type MeterConfig,
  meterMod,
} from "@selvage/openflow";
import { exactPriority, type RenderedFlow } from "./render.ts";
import { actionsText, matchText } from "./text.ts";

/** Buckets in one message: it stays far below 64 KiB. */
const chunk = 200;

/** A group's number and what it does with its buckets: the switch wants the type said with each change, and what it chooses by only with the whole group. */
export type Grouping = Pick<GroupMod, "group" | "type" | "selection">;

/** A flow's identity in the switch: no two have the same. */
export const flowKey = (flow: Pick<RenderedFlow, "table" | "priority" | "match">): string =>
  `${flow.table}|${flow.priority}|${matchText(flow.match)}`;

/** As `flowKey`, of the flow that a clause is a part of: all of a table have one priority. */
export const clauseKey = ({ table, match }: Pick<RenderedFlow, "table" | "match">): string =>
  flowKey({ table, match, priority: exactPriority });

/** What of a flow is compared, besides its identity. */
export const flowBody = (cookie: bigint, flags: number, actions: RenderedFlow["actions"]): string =>
  `${cookie.toString(16)}|${flags}|${actionsText(actions)}`;

/** Flows that drop tell when they go, so that what they counted is not lost. */
export const flagsOf = (flow: RenderedFlow): number => (flow.reason === null ? 0 : FlowFlag.sendRemoved);

export class Plan {
  /** Meters that must be there before, and those that can go after: they cannot be part of a bundle. */
  readonly metersFirst: Message[] = [];
  readonly metersLast: Message[] = [];
  readonly #groupsFirst: Message[] = [];
  readonly #flows: Message[] = [];
  readonly #groupsLast: Message[] = [];
  readonly #rows = new Map<Message, string>();
  #additions = 0;
  #others = 0;

  /** Everything that must be sent in this order. */
  get messages(): readonly Message[] {
    return [...this.#groupsFirst, ...this.#flows, ...this.#groupsLast];
  }

  /** Whether a packet that meets only a part of the change could be misled, so that it must take effect at once. */
  get mustBeAtomic(): boolean {
    return this.#others > 0 && this.#additions > 0 && this.messages.length > 1;
  }

  get isEmpty(): boolean {
    return this.messages.length + this.metersFirst.length + this.metersLast.length === 0;
  }

  /** The row that a message was for. */
  rowOf(message: Message): string | undefined {
    return this.#rows.get(message);
  }

  addFlow(row: string, flow: RenderedFlow): void {
    this.#additions += 1;
    this.#note(row, this.#flows, flowModOf(flow));
  }

  removeFlow(row: string, flow: Pick<RenderedFlow, "table" | "priority" | "match">): void {
    this.#others += 1;
    const { table, priority, match } = flow;
    this.#note(row, this.#flows, flowMod({ command: "deleteStrict", table, priority, match }));
  }

  /** Puts a flow in the place of one with the same identity. What the old one dropped was for another reason: it is told, not taken over. */
  replaceFlow(row: string, flow: RenderedFlow, didDrop: "dropped" | "passed"): void {
    if (didDrop === "dropped") this.removeFlow(row, flow);
    this.#additions += 1;
    this.#others += 1;
    this.#note(row, this.#flows, flowModOf(flow, FlowFlag.resetCounts));
  }

  addGroup(row: string, group: Grouping, buckets: readonly Bucket[]): void {
    this.#note(row, this.#groupsFirst, groupMod({ ...group, buckets: buckets.slice(0, chunk) }));
    this.insertBuckets(row, group, buckets.slice(chunk));
  }

  /** Makes a group of another make one of ours. */
  replaceGroup(row: string, group: Grouping, buckets: readonly Bucket[]): void {
    this.#others += 1;
    this.#note(row, this.#groupsFirst, groupMod({ command: "modify", ...group, buckets: buckets.slice(0, chunk) }));
    this.insertBuckets(row, group, buckets.slice(chunk));
  }

  insertBuckets(row: string, group: Grouping, buckets: readonly Bucket[]): void {
    for (let at = 0; at < buckets.length; at += chunk) {
      this.#additions += 1;
      const part = { ...group, selection: null, bucket: BucketId.last, buckets: buckets.slice(at, at + chunk) };
      this.#note(row, this.#groupsFirst, groupMod({ command: "insertBucket", ...part }));
    }
  }

  removeBucket(row: string, group: Grouping, id: number): void {
    this.#others += 1;
    this.#note(row, this.#groupsFirst, groupMod({ command: "removeBucket", ...group, selection: null, bucket: id }));
  }

  removeGroup(row: string, group: number): void {
    this.#others += 1;
    this.#note(row, this.#groupsLast, groupMod({ command: "delete", group }));
  }

  addMeter({ meter, flags, bands }: MeterConfig): void {
    this.metersFirst.push(meterMod({ meter, flags, bands }));
  }

  changeMeter({ meter, flags, bands }: MeterConfig): void {
    this.metersFirst.push(meterMod({ command: "modify", meter, flags, bands }));
  }

  removeMeter(meter: number): void {
    this.metersLast.push(meterMod({ command: "delete", meter }));
  }

  #note(row: string, list: Message[], message: Message): void {
    list.push(message);
    this.#rows.set(message, row);
  }
}

/** The message that writes a flow. */
export function flowModOf(flow: RenderedFlow, flags = 0): Message {
  const { table, priority, match, actions, cookie } = flow;
  const instructions = actions.length === 0 ? [] : [{ kind: "apply", actions } as const];
  return flowMod({ table, priority, match, cookie, instructions, flags: flagsOf(flow) | flags });
}
