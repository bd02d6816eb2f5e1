/** What both systems are asked to build: networks on one router, ports on hosts, groups with rules; in no system's words. */

/** What a group lets in; it lets everything out. */
export interface PlannedRule {
  /** TCP with these ports, first and last; absent: any protocol. */
  readonly tcp?: readonly [number, number];
  /** Only from members of the group itself; absent: from anybody. */
  readonly fromMembers?: true;
}

export interface PlannedGroup {
  /** Letters and digits. */
  readonly name: string;
  readonly rules: readonly PlannedRule[];
}

export interface PlannedPort {
  /** From 1; names everything else of it. */
  readonly number: number;
  /** From 1. */
  readonly host: number;
  /** From 1. */
  readonly network: number;
  /** Absent: nobody polices it. */
  readonly group?: string;
}

export interface Plan {
  /** All hosts that the system is told of; the first of them are real. */
  readonly hosts: number;
  readonly networks: number;
  readonly ports: readonly PlannedPort[];
  readonly groups: readonly PlannedGroup[];
  /** Where hosts stand on a ground: the router has a gateway, by which all its machines go out. */
  readonly outside?: PlannedOutside;
}

export interface PlannedOutside {
  /** Ports with a floating address of their own. */
  readonly floating: readonly PlannedPort[];
  /** Milliseconds between two signs of life of hosts, three of which must not come; absent: as each system has it. */
  readonly betweenSigns?: number;
}

/** Ports of one network at most: they are numbered through a /24. */
export const portsOfNetwork = 200;
/** What guests believe; the underlay carries 1,500 bytes. */
export const guestMtu = 1400;

const hex = (value: number): string => value.toString(16).padStart(2, "0");
const prefixOf = (network: number): string => `10.${network >> 8}.${network & 255}`;

export const cidrOf = (network: number): string => `${prefixOf(network)}.0/24`;
export const gatewayOf = (network: number): string => `${prefixOf(network)}.1`;
export const gatewayMac = (network: number): string => `fa:16:3e:ff:${hex(network >> 8)}:${hex(network & 255)}`;
export const macOf = ({ number }: PlannedPort): string =>
  `fa:16:3e:${hex(number >> 16)}:${hex((number >> 8) & 255)}:${hex(number & 255)}`;
/** The router's own address outside, and where its way out leads. */
export const outerAddress = "203.0.113.10";
export const outerCidr = "203.0.113.0/24";
/** The address that stands for a port's; numbers below 100. */
export const floatingOf = ({ number }: PlannedPort): string => `203.0.113.${100 + number}`;
export const floatingMac = ({ number }: PlannedPort): string => `fa:16:3e:fe:00:${hex(number)}`;
export const outerMac = "fa:16:3e:fe:ff:01";
/** A name for interfaces, at most 15 characters. */
export const nameOf = ({ number }: PlannedPort): string => `p${number}`;
export const hostName = (host: number): string => `h${host}`;
/** On the underlay. */
export const tunnelAddress = (host: number): string => `192.168.${host >> 8}.${host & 255}`;

/** A port's address: ports of one network take numbers that follow one another, so 200 of them differ. */
export const addressOf = ({ number, network }: PlannedPort): string =>
  `${prefixOf(network)}.${10 + (number % portsOfNetwork)}`;

/** So many ports, one after the other on each host, `perNetwork` of them in each network. Numbers begin with `first`. */
export function spreadPorts(
  count: number,
  { hosts, perNetwork, group, first = 1 }: { hosts: number; perNetwork: number; group?: string; first?: number },
): readonly PlannedPort[] {
  return Array.from({ length: count }, (_, at) => ({
    number: first + at,
    host: 1 + (at % hosts),
    network: 1 + Math.floor(at / perNetwork),
    ...(group === undefined ? {} : { group }),
  }));
}

/** What a default group lets in: everything from its members. */
export const fromMembers: readonly PlannedRule[] = [{ fromMembers: true }];

/** So many rules: services open to anybody, the last also to what the benches ask. */
export const services = (count: number): readonly PlannedRule[] =>
  Array.from({ length: count }, (_, at): PlannedRule => {
    if (at === count - 1) return { tcp: [5201, 5201] };
    if (at === count - 2) return { tcp: [8080, 8080] };
    return at % 2 === 0
      ? { tcp: [1000 + 20 * at, 1009 + 20 * at] }
      : { tcp: [1000 + 20 * at, 1000 + 20 * at], fromMembers: true };
  });
