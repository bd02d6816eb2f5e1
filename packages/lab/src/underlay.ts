/** The lab's underlay network: which address each host gets, and whether a range collides with the machine's own routes (RFC 2544 range by default). */

import { isIP } from "node:net";
import { attempt } from "./command.ts";
import { LabError } from "./failure.ts";

/** Where hosts' tunnel addresses come from: 198.18.0.0/15 is set aside for benchmarks of network devices (RFC 2544, RFC 6890). */
export const DEFAULT_UNDERLAY = "198.18.0.0/15";

/** Bytes an underlay frame may carry: a tenant's 1,500 and 100 for the tunnel's headers. */
export const UNDERLAY_MTU = 1600;

interface Range {
  readonly version: 4 | 6;
  readonly first: bigint;
  readonly prefix: number;
  readonly bits: 32 | 128;
}

function addressValue(text: string, version: 4 | 6): bigint {
  if (version === 4) return text.split(".").reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  const plain =
    dotted === null
      ? text
      : `${dotted[1]}${((Number(dotted[2]) << 8) | Number(dotted[3])).toString(16)}:${((Number(dotted[4]) << 8) | Number(dotted[5])).toString(16)}`;
  const [head = "", tail] = plain.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: tail === undefined ? 0 : 8 - left.length - right.length }, () => "0");
  return [...left, ...zeros, ...right].reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

function addressText(value: bigint, version: 4 | 6): string {
  if (version === 4) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join(".");
  const groups = Array.from({ length: 8 }, (_, index) => ((value >> BigInt(112 - 16 * index)) & 0xffffn).toString(16));
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}

function parseRange(text: string): Range | undefined {
  const [address = "", prefixText, rest] = text.split("/");
  const family = isIP(address);
  if (family === 0 || rest !== undefined || address.includes("%")) return undefined;
  const version = family === 4 ? 4 : 6;
  const bits = version === 4 ? 32 : 128;
  if (prefixText !== undefined && !/^\d{1,3}$/.test(prefixText)) return undefined;
  const prefix = prefixText === undefined ? bits : Number(prefixText);
  if (prefix > bits) return undefined;
  const shift = BigInt(bits - prefix);
  return { version, bits, prefix, first: (addressValue(address, version) >> shift) << shift };
}

function overlaps(a: Range, b: Range): boolean {
  if (a.version !== b.version) return false;
  const shift = BigInt(a.bits - Math.min(a.prefix, b.prefix));
  return a.first >> shift === b.first >> shift;
}

/** An underlay range that was checked: how many hosts it holds and the address of each. */
export interface Underlay {
  readonly cidr: string;
  readonly version: 4 | 6;
  readonly prefix: number;
  /** Tunnel address of the host with this number, counted from 1. */
  addressOf(hostNumber: number): string;
  readonly capacity: number;
}

/**
 * Reads an underlay range such as `198.18.0.0/15` or `fd00:5e1::/64`; bits behind the prefix are dropped.
 * @throws LabError `underlay-invalid` when it is no range or has no room for two hosts.
 */
export function parseUnderlay(text: string): Underlay {
  const range = parseRange(text);
  if (range === undefined || !text.includes("/")) {
    throw new LabError(
      "underlay-invalid",
      `"${text}" is not an address range`,
      "write it like 198.18.0.0/15 or fd00:5e1::/64",
    );
  }
  const hostBits = range.bits - range.prefix;
  if (hostBits < 2) {
    throw new LabError("underlay-invalid", `${text} has no room for two hosts`, "give a wider range, such as a /24");
  }
  const capacity = hostBits >= 24 ? 2 ** 24 : 2 ** hostBits - 2;
  return {
    cidr: `${addressText(range.first, range.version)}/${range.prefix}`,
    version: range.version,
    prefix: range.prefix,
    capacity,
    addressOf(hostNumber) {
      if (!Number.isInteger(hostNumber) || hostNumber < 1 || hostNumber > capacity) {
        throw new LabError(
          "underlay-invalid",
          `${text} has no address for host number ${hostNumber}`,
          "give a wider --underlay",
        );
      }
      return addressText(range.first + BigInt(hostNumber), range.version);
    },
  };
}

/** A route of the machine as `ip -j route` tells it. */
export interface MachineRoute {
  readonly destination: string;
  readonly device: string;
}

function isRouteEntry(value: unknown): value is { readonly dst: string; readonly dev?: string } {
  return typeof value === "object" && value !== null && "dst" in value && typeof value.dst === "string";
}

/** All unicast routes of this machine in every table, IPv4 and IPv6; default routes, multicast and loopback left out. */
export async function machineRoutes(): Promise<readonly MachineRoute[]> {
  const listed = await Promise.all(
    ["-4", "-6"].map((family) => attempt(["ip", "-j", family, "route", "show", "table", "all"])),
  );
  return listed.flatMap((result) => {
    if (result.code !== 0 || result.stdout.trim() === "") return [];
    const entries: unknown = JSON.parse(result.stdout);
    if (!Array.isArray(entries)) return [];
    return entries.flatMap((entry: unknown) => {
      if (!isRouteEntry(entry) || entry.dst === "default" || entry.dev === "lo") return [];
      const range = parseRange(entry.dst);
      if (range === undefined || entry.dst.startsWith("ff") || entry.dst.startsWith("fe80")) return [];
      return [{ destination: entry.dst, device: entry.dev ?? "no device" }];
    });
  });
}

/**
 * Refuses an underlay that would hide one of the machine's own networks from anyone who debugs the lab.
 * @throws LabError `underlay-overlap` naming the route.
 */
export function refuseOverlap(underlay: Underlay, routes: readonly MachineRoute[]): void {
  const wanted = parseRange(underlay.cidr);
  if (wanted === undefined) return;
  for (const route of routes) {
    const range = parseRange(route.destination);
    if (range !== undefined && range.prefix > 0 && overlaps(wanted, range)) {
      throw new LabError(
        "underlay-overlap",
        `the underlay ${underlay.cidr} overlaps this machine's route ${route.destination} dev ${route.device}`,
        "choose another range: ./selvage up --underlay CIDR",
      );
    }
  }
}
