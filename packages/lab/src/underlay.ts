/** The lab's underlay network: which address each host gets, and whether a range collides with the machine's own routes (RFC 2544 range by default). */

import {
  addToIp,
  cidrsOverlap,
  firstIpOf,
  parseCidr,
  parseCidrLoose,
  parseIp,
  sizeOfCidr,
  textOfCidr,
  textOfIp,
} from "@selvage/model";
import { attempt } from "./command.ts";
import { LabError } from "./failure.ts";

/** Where hosts' tunnel addresses come from: 198.18.0.0/15 is set aside for benchmarks of network devices (RFC 2544, RFC 6890). */
export const DEFAULT_UNDERLAY = "198.18.0.0/15";

/** Bytes an underlay frame may carry: a tenant's 1,500 and 100 for the tunnel's headers. */
export const UNDERLAY_MTU = 1600;

/** Bytes that Geneve with one option takes of an underlay packet (RFC 8926): over IPv4 and over IPv6. */
export const TUNNEL_OVERHEAD = { 4: 66, 6: 86 } as const;

/** MTU that the lab's tenant networks have: what machines expect of an Ethernet. */
export const TENANT_MTU = 1500;

/** Hosts' MAC addresses carry their number in 24 bits. */
const MOST_HOSTS = 2n ** 24n - 1n;

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
  const cidr = text.includes("/") ? parseCidrLoose(text) : undefined;
  if (cidr === undefined) {
    throw new LabError(
      "underlay-invalid",
      `underlay: "${text}" is not an address range`,
      "write it like 198.18.0.0/15 or fd00:5e1::/64",
    );
  }
  const size = sizeOfCidr(cidr);
  if (size < 4n) {
    throw new LabError(
      "underlay-invalid",
      `underlay: ${text} has no room for two hosts`,
      "give a wider range, such as a /24",
    );
  }
  const capacity = size > MOST_HOSTS ? Number(MOST_HOSTS) : Number(size) - 2;
  return {
    cidr: textOfCidr(cidr),
    version: cidr.version,
    prefix: cidr.length,
    capacity,
    addressOf(hostNumber) {
      if (!Number.isInteger(hostNumber) || hostNumber < 1 || hostNumber > capacity) {
        throw new LabError(
          "underlay-invalid",
          `${text} has no address for host number ${hostNumber}`,
          "give a wider --underlay",
        );
      }
      return textOfIp(addToIp(firstIpOf(cidr), hostNumber));
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

// The kernel leaves the length of a host route out.
function routeRange(text: string): string | undefined {
  if (text.includes("/")) return parseCidr(text) === undefined ? undefined : text;
  return parseIp(text) === undefined ? undefined : `${text}/${text.includes(":") ? 128 : 32}`;
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
      const destination = routeRange(entry.dst);
      if (destination === undefined || destination.startsWith("ff") || destination.startsWith("fe80")) return [];
      return [{ destination, device: entry.dev ?? "no device" }];
    });
  });
}

/**
 * Refuses an underlay that would hide one of the machine's own networks from anyone who debugs the lab.
 * @throws LabError `underlay-overlap` naming the route.
 */
export function refuseOverlap(underlay: Underlay, routes: readonly MachineRoute[]): void {
  const wanted = parseCidrLoose(underlay.cidr);
  if (wanted === undefined) return;
  for (const route of routes) {
    const taken = parseCidrLoose(route.destination);
    // A default route in two halves (0.0.0.0/1, as VPN clients make it) is a default route all the same.
    if (taken !== undefined && taken.length > 1 && cidrsOverlap(wanted, taken)) {
      throw new LabError(
        "underlay-overlap",
        `the underlay ${underlay.cidr} overlaps this machine's route ${route.destination} dev ${route.device}`,
        "choose another range: ./selvage up --underlay CIDR",
      );
    }
  }
}
