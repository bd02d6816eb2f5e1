/** What the server tells about the fabric (`GET /v1/status`), read into a fixed form. */

import { type Api, at } from "./api.ts";

export interface HostStatus {
  readonly name: string;
  readonly alive: boolean;
  readonly tunnelIp: string | null;
  /** The newest revision whose rows are all in force there. */
  readonly inForce: number | null;
  /** What forwards there: `ovs`, `simulated`, or `none` while its switch is away. */
  readonly datapath: string | null;
  /** Ports whose interface is plugged in there though they are bound elsewhere or nowhere: they stay dead. */
  readonly unbound: readonly string[];
  /** What the host's agent complains of. */
  readonly problems: readonly string[];
  /** What the host's audits found on its switch that nobody asked for, and mended; the newest last. */
  readonly drift: readonly DriftStatus[];
  /** Packets that its switch dropped since it started, by reason (docs/drop-reasons.md), most first. */
  readonly drops: readonly DropStatus[];
}

export interface DropStatus {
  readonly reason: string;
  readonly packets: number;
}

/** One thing on a switch that was otherwise than it had been left; texts are the switch's words. */
export interface DriftStatus {
  readonly at: string;
  /** `missing`, `changed` or `foreign`. */
  readonly what: string;
  readonly row: string | null;
  readonly wanted: string | null;
  readonly found: string | null;
}

export interface FabricStatus {
  readonly revision: number | null;
  readonly hosts: readonly HostStatus[];
  readonly ports: { readonly up: number; readonly down: number };
  /** What of the whole an operator has to look at. */
  readonly problems: readonly string[];
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function count(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

function texts(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return [];
  return value.map((one: unknown) => (typeof one === "string" ? one : JSON.stringify(one)));
}

function driftOf(value: unknown): readonly DriftStatus[] {
  if (!Array.isArray(value)) return [];
  return value.map((one: unknown) => ({
    at: text(at(one, "at")) ?? "",
    what: text(at(one, "what")) ?? "",
    row: text(at(one, "row")),
    wanted: text(at(one, "wanted")),
    found: text(at(one, "found")),
  }));
}

function dropsOf(value: unknown): readonly DropStatus[] {
  if (!Array.isArray(value)) return [];
  return value.map((one: unknown) => ({
    reason: text(at(one, "reason")) ?? "",
    packets: count(at(one, "packets")) ?? 0,
  }));
}

/** Asks the server for hosts alive or not, the revision in force on each, ports up and down. */
export async function askStatus(api: Api): Promise<FabricStatus> {
  const reply = await api.ask("GET", "/v1/status");
  const hosts = at(reply, "hosts");
  return {
    revision: count(at(reply, "revision")),
    hosts: (Array.isArray(hosts) ? hosts : []).map((host: unknown) => ({
      name: text(at(host, "name")) ?? "",
      alive: at(host, "alive") === true,
      tunnelIp: text(at(host, "tunnel_ip")),
      inForce: count(at(host, "in_force")),
      datapath: text(at(host, "datapath")),
      unbound: texts(at(host, "unbound")),
      problems: texts(at(host, "problems")),
      drift: driftOf(at(host, "drift")),
      drops: dropsOf(at(host, "drops")),
    })),
    ports: { up: count(at(at(reply, "ports"), "up")) ?? 0, down: count(at(at(reply, "ports"), "down")) ?? 0 },
    problems: texts(at(reply, "problems")),
  };
}
