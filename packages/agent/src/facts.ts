/** What is so on this host, worked out from its view and its switch: which ports are up, which interfaces name a port that is not bound here. */

import { wireOn } from "@selvage/compiler";
import type { DatapathEvents, SwitchDifference } from "@selvage/datapath";
import { Attachment, type Engine, isPhysical, Network, Port } from "@selvage/model";
import { physicalNetworkOf, type Row } from "@selvage/pipeline";
import { type Drift, type DropCount, type Facts, mostDrift } from "@selvage/sync";
import type { RefusedRow } from "./installer.ts";

/** Facts that hold once the rows of this moment are in force. */
export interface Plugged {
  readonly portsUp: readonly string[];
  readonly unbound: readonly string[];
  /** Bound here, of networks to which this host has no wire. */
  readonly unwired: readonly string[];
}

/** Takes the host's name as ports' `binding:host_id` has it. Cost: what is plugged in here. */
export function plugged(view: Engine<Row>["view"], hostName: string): Plugged {
  const portsUp: string[] = [];
  const unbound: string[] = [];
  const unwired: string[] = [];
  for (const { id } of view.objects(Attachment)) {
    // What leads to a physical network is nobody's port.
    if (physicalNetworkOf(id) !== undefined) continue;
    const port = view.get(Port, id);
    if (port?.["binding:host_id"] !== hostName) unbound.push(id);
    else (isWired(view, port.network_id) ? portsUp : unwired).push(id);
  }
  return { portsUp: portsUp.sort(), unbound: unbound.sort(), unwired: unwired.sort() };
}

function isWired(view: Engine<Row>["view"], networkId: string): boolean {
  const network = view.get(Network, networkId);
  return network === undefined || !isPhysical(network) || wireOn(view, network) !== undefined;
}

const mostQuarantined = 1_000;
const cut = (text: string, most: number): string => (text.length <= most ? text : `${text.slice(0, most - 1)}…`);

/** What was found before and what was found now, the newest last, as much of it as facts hold. */
export function keptDrift(
  before: readonly Drift[],
  at: string,
  differences: readonly SwitchDifference[],
): readonly Drift[] {
  const words = (text: string | null): string | null => (text === null ? null : cut(text, 512));
  const found = differences.map(({ what, row, wanted, found }) => ({
    at,
    what,
    row: words(row),
    wanted: words(wanted),
    found: words(found),
  }));
  return [...before, ...found].slice(-mostDrift);
}

/** Ports that cannot have what their rows ask, by id. */
export type Faults = Parameters<NonNullable<DatapathEvents["faults"]>>[0];
/** The driver's codes, and what the agent sees itself of a port that works on. */
export type Fault = (Faults extends ReadonlyMap<string, infer Code> ? Code : never) | "connection-limit";

/** What an operator reads of each. */
export const faultTexts: Readonly<Record<Fault, string>> = {
  "ct-zone-full":
    "ct-zone-full: this host has no connection-tracking zone left, and what the port sends and gets could not be judged; it waits for one",
  "physical-missing":
    "physical-missing: this host has no bridge that leads to the physical network, or none that can be joined to the machines' one; it is taken up when it appears",
  "connection-limit":
    "connection-limit: the port has as many connections as a port may have; those go on, and it opens and gets no more until some of them end",
};

/** The message: a port that something of was set aside is not up, nor is one that the switch has a fault of; one whose connections are as many as may be is. */
export function factsOf(
  driver: Facts["datapath"],
  state: Plugged,
  engine: Pick<Engine<Row>, "quarantined" | "origins">,
  refused: readonly RefusedRow[],
  faults: Faults = new Map(),
  full: ReadonlySet<string> = new Set(),
): Omit<Facts, "type"> {
  const derived = [...engine.quarantined].map(([unit, { error }]) => ({ unit, reason: error.message }));
  const installed = refused.map(({ row, reason }) => ({ unit: row.id, reason }));
  const unwired = state.unwired.map((port) => [port, "physical-missing"] as const);
  const faulty = [...faults, ...unwired].map(([port, fault]) => ({ unit: `port ${port}`, reason: faultTexts[fault] }));
  const filled = [...full].map((port) => ({ unit: `port ${port}`, reason: faultTexts["connection-limit"] }));
  const impaired = new Set([...faults.keys(), ...[...engine.quarantined.values()].map(({ key }) => key)]);
  for (const { row } of refused) for (const { key } of engine.origins(row.id)) impaired.add(key);
  return {
    datapath: driver,
    ports_up: state.portsUp.filter((id) => !impaired.has(id)),
    unbound: [...state.unbound],
    quarantined: [...derived, ...installed, ...faulty, ...filled]
      .slice(0, mostQuarantined)
      .map(({ unit, reason }) => ({ unit: cut(unit, 512), reason: cut(reason, 1024) })),
  };
}

/** Of an Open vSwitch bridge: the kernel's datapath, or the switch's own in user space. */
export type DatapathType = NonNullable<Facts["datapath_type"]>;

/** The message with what is told only where there is something of it. */
export function withMore(
  facts: Omit<Facts, "type">,
  more: {
    readonly drift: readonly Drift[];
    readonly drops: readonly DropCount[];
    readonly datapathType: DatapathType | undefined;
    readonly nat: NonNullable<Facts["nat"]>;
  },
): Omit<Facts, "type"> {
  const { drift, drops, datapathType, nat } = more;
  return {
    ...facts,
    ...(drift.length === 0 ? {} : { drift: [...drift] }),
    ...(drops.length === 0 ? {} : { drops: [...drops] }),
    ...(datapathType === undefined ? {} : { datapath_type: datapathType }),
    ...(nat.length === 0 ? {} : { nat: [...nat] }),
  };
}
