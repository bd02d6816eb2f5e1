/**
 * The way to the host's own services (metadata; names, too, when they come): programs of the host in a network of their own, to which one interface leads, `service`.
 * A question's source becomes a number that says which port asked, from which of its addresses; the answer, which is for that number, gets the machine's address
 * back. Nothing is remembered between the two, so tenants whose addresses are the same do not meet, and networks need no router (design, section 8).
 */
import { F, type Field } from "./fields.ts";
import {
  absorb,
  action,
  constant,
  drop,
  exact,
  goto,
  limit,
  masked,
  optional,
  output,
  param,
  type Step,
  set,
  table,
} from "./table.ts";

/** The `ingress` of what the host's services answer, and the interface that leads to them. */
export const serviceIngress = "service";

/** Where services are, on every network and on each link (RFC 3927, RFC 4291, section 2.5.6): machines need no route to them. */
export const serviceAddresses = {
  metadata: { 4: "169.254.169.254", 6: "fe80::a9fe:a9fe" },
  resolver: { 4: "169.254.169.252", 6: "fe80::a9fe:a9fc" },
} as const;

/** The MAC of the services' interface, which machines see; and the one that the services see of all machines. Locally administered, the same on every host. */
export const serviceMac = "02:5e:1f:00:a9:fe";
export const machinesMac = "02:5e:1f:00:a9:ff";

/** The most addresses of one family by which a port is told from others: what begins with 127 is not among the numbers. */
const mostAddresses = 100;

/**
 * What a port that asks from the `at`th of its addresses of a family is to the services, `at` from 0; undefined beyond the hundredth. Its key, 24 bits that no
 * other port of the fabric has, are the low bits: in the services' network there is nothing else, so the whole of IPv4 is theirs to use, and no allocator is
 * needed, whose loss would give one port's answers to another.
 */
export function serviceAddress(key: number, at: number, version: 4 | 6): string | undefined {
  if (at >= mostAddresses) return undefined;
  const [high, middle, low] = [(key >>> 16) & 255, (key >>> 8) & 255, key & 255];
  if (version === 4) return `${at + 1}.${high}.${middle}.${low}`;
  const words = [(((at + 1) << 8) | high).toString(16), ((middle << 8) | low).toString(16)];
  return `${servicePrefix}${words.join(":")}`;
}

/** Where the numbers of IPv6 are: of the unique local addresses (RFC 4193), and never on a wire. */
export const servicePrefix = "fd5e:1f:a9fe:1:1:1:";

/** The key of the port that is behind a peer's address in the services' network; undefined for what is none of theirs. */
export function portOfService(address: string): number | undefined {
  const text = address.replace(/^::ffff:/, "");
  const octets = text.split(".").map(Number);
  if (octets.length === 4) {
    const [, high = 0, middle = 0, low = 0] = octets;
    return ((high << 16) | (middle << 8) | low) >>> 0;
  }
  if (!text.startsWith(servicePrefix)) return undefined;
  const [one = "", two = ""] = text.slice(servicePrefix.length).split(":");
  const [first, second] = [Number.parseInt(one, 16), Number.parseInt(two, 16)];
  return Number.isNaN(first) || Number.isNaN(second) ? undefined : (((first & 255) << 16) | second) >>> 0;
}

/** To the services, under a number; each port has its own measure. */
export const toServices = (source: Field): readonly Step[] => [
  limit("service"),
  set(source, param("as")),
  set(F.ethSrc, constant(machinesMac)),
  set(F.ethDst, constant(serviceMac)),
  output(constant(serviceIngress)),
];

export const Metadata = table({
  number: 14,
  name: "metadata",
  text: "What a machine asks of the host's services (metadata, names) from an address of its port's own goes to them under a number that says which port, and which address.",
  scheme: "ranked",
  ranks: { address: 1 },
  columns: { srcPort: exact(F.srcPort), ip4Src: optional(F.ip4Src), ip6Src: optional(F.ip6Src) },
  actions: {
    serve4: action({ as: "ip4" }, toServices(F.ip4Src)),
    serve6: action({ as: "ip6" }, toServices(F.ip6Src)),
  },
  miss: [drop("metadata-denied")],
});

const restore = (destination: Field): readonly Step[] => [
  set(destination, param("address")),
  set(F.ethSrc, constant(serviceMac)),
  set(F.ethDst, param("mac")),
  set(F.dstPort, param("port")),
  goto("deliver"),
];

export const ServiceIn = table({
  number: 54,
  name: "service_in",
  text: "What the host's services answer goes to the machine that the number is of, at the address that it asked from.",
  scheme: "ranked",
  ranks: { upkeep: 2, address: 1 },
  columns: { ethDst: masked(F.ethDst), ip4Dst: optional(F.ip4Dst), ip6Dst: optional(F.ip6Dst) },
  actions: {
    restore4: action({ address: "ip4", mac: "mac", port: "int" }, restore(F.ip4Dst)),
    restore6: action({ address: "ip6", mac: "mac", port: "int" }, restore(F.ip6Dst)),
    upkeep: action([absorb()]),
  },
  miss: [drop("port-not-bound")],
  constants: [{ rank: "upkeep", key: { ethDst: "01:00:00:00:00:00/01:00:00:00:00:00" }, action: "upkeep" }],
});

export const serviceTables = [Metadata, ServiceIn] as const;
