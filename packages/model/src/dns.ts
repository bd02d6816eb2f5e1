/** Names of ports: what may be one (RFC 1123 section 2.1; neutron-lib `validators/dns.py`), and what a port is called in its network's zone (Neutron's `dns-integration`). */
import { canonicalIp } from "./address/mod.ts";
import { keyOf } from "./resource.ts";
import type { FixedIp } from "./resources/port.ts";
import { type FieldType, InvalidValue, text } from "./types.ts";

/** The zone of networks that name none, unless the operator does. */
export const defaultDomain = "openstacklocal.";

/** Characters of a name with the dot at its end: 255 bytes on the wire (RFC 1035 section 2.3.4). */
export const longestDnsName = 254;
const longestName = 255;
const labelPattern = /^[a-z0-9-]{1,63}$/;

/** Refuses what is no name of labels; a final dot says that it is complete. */
function checkName(name: string): void {
  const refuse = (reason: string): never => {
    throw new InvalidValue(`'${name}' not a valid PQDN or FQDN. Reason: ${reason}`);
  };
  const trimmed = name.replace(/\.$/, "");
  if (trimmed.length > longestName) refuse(`'${trimmed}' exceeds the ${longestName} character FQDN limit`);
  const labels = trimmed.split(".");
  for (const label of labels) {
    if (label === "") refuse("Encountered an empty component");
    if (label.startsWith("-") || label.endsWith("-")) refuse(`Name '${label}' must not start or end with a hyphen`);
    if (!labelPattern.test(label))
      refuse(`Name '${label}' must be 1-63 characters long, each of which can only be alphanumeric or a hyphen`);
  }
  if (labels.length > 1 && /^[0-9]+$/.test(labels.at(-1) ?? ""))
    refuse(`TLD '${labels.at(-1)}' must not be all numeric`);
}

const named = (name: string, check: (text: string) => void): FieldType<string> => {
  const any = text(longestName);
  return {
    ...any,
    name,
    parse: (input) => {
      // Case is not told apart (RFC 4343): what is stored is what is compared.
      const value = (input === null ? "" : any.parse(input)).toLowerCase();
      if (value !== "") check(value);
      return value;
    },
  };
};

/** A machine's name: one label or several; complete only where it ends in a dot. Empty: none. */
export const dnsName = (): FieldType<string> => named("dns name", checkName);

/** A zone, which ends in a dot. Empty: none. */
export const dnsDomain = (): FieldType<string> =>
  named("dns domain", (value) => {
    if (!value.endsWith(".")) throw new InvalidValue(`'${value}' is not a FQDN`);
    checkName(value);
  });

/** The zone of a network's ports, with its final dot. */
export const zoneOf = (network: { readonly dns_domain: string; readonly dns_zone: string }): string =>
  network.dns_domain === "" ? network.dns_zone : network.dns_domain;

/** What of a port says its name. */
interface Named {
  readonly dns_name: string;
  readonly dns_domain: string;
}

/** The name of a port that has one, complete in its own zone or else in its network's; undefined: it has none. */
export function fullName({ dns_name, dns_domain }: Named, zone: string): string | undefined {
  if (dns_name === "") return undefined;
  return dns_name.endsWith(".") ? dns_name : `${dns_name}.${dns_domain === "" ? zone : dns_domain}`;
}

/** What is called by its address: `host-10-0-0-5`, `host-2001-db8--5`. */
export const addressLabel = (address: string): string => `host-${address.replaceAll(/[.:]/g, "-")}`;

const fourth = /^host-(\d{1,3})-(\d{1,3})-(\d{1,3})-(\d{1,3})$/;

/** The address that such a label is of, in canonical form; undefined where it is none. */
export function addressOfLabel(label: string): string | undefined {
  const octets = fourth.exec(label)?.slice(1);
  const found = octets?.join(".") ?? label.slice("host-".length).replaceAll("-", ":");
  const address = canonicalIp(found);
  return address !== undefined && addressLabel(address) === label ? address : undefined;
}

/** How a port's names are found: by whose they are and what they say, complete or in its network's zone. */
export const dnsKey = (projectId: string, name: string): string => keyOf(projectId, name);

/** What a port's name says of itself: all of it, or what stands before its network's zone. */
export const saidName = ({ dns_name, dns_domain }: Named): string =>
  dns_domain === "" || dns_name.endsWith(".") ? dns_name : `${dns_name}.${dns_domain}`;

/** One address of a port and what it is called, as a port's reply has it (`dns_assignment`). */
export interface DnsAssignment {
  readonly ip_address: string;
  readonly hostname: string;
  readonly fqdn: string;
}

/** What each of a port's addresses is called. */
export function dnsAssignment(
  port: Named & { readonly fixed_ips: readonly Pick<FixedIp, "ip_address">[] },
  zone: string,
): readonly DnsAssignment[] {
  const full = fullName(port, zone);
  return port.fixed_ips.map(({ ip_address }) => {
    const label = addressLabel(ip_address);
    return full === undefined
      ? { ip_address, hostname: label, fqdn: `${label}.${zone}` }
      : { ip_address, hostname: port.dns_name, fqdn: full };
  });
}
