/**
 * DHCP options that are asked for one port (extension `extra_dhcp_opt`): what may be named, as dnsmasq and so Neutron names it, or by its number (IANA; RFC 2132,
 * RFC 8415), and what each value means.
 */
import { canonicalCidr, canonicalIp } from "./address/mod.ts";
import { type FieldType, InvalidValue, list, nullable, oneOf, record, text } from "./types.ts";

export interface ExtraDhcpOption {
  readonly opt_name: string;
  readonly opt_value: string;
  readonly ip_version: 4 | 6;
}

/** As a request says it: null takes the option away. */
export type AskedDhcpOption = Omit<ExtraDhcpOption, "opt_value"> & { readonly opt_value: string | null };

/** What an option's value means. */
export type DhcpOptionValue =
  | { readonly form: "addresses"; readonly addresses: readonly string[] }
  | { readonly form: "number"; readonly width: 1 | 2 | 4; readonly value: number }
  | { readonly form: "text"; readonly text: string }
  | { readonly form: "texts"; readonly texts: readonly string[] }
  | { readonly form: "names"; readonly names: readonly string[] }
  | { readonly form: "routes"; readonly routes: readonly { readonly destination: string; readonly gateway: string }[] }
  | { readonly form: "bytes"; readonly bytes: Uint8Array }
  /** The option is not to be told, though the subnet would say it. */
  | { readonly form: "none" };

export interface DhcpOptionAsked {
  readonly code: number;
  readonly value: DhcpOptionValue;
}

/** Options that a port may have. */
export const mostDhcpOptions = 32;

/** Of DHCPv4, what stands in the header and not among the options: the address of the server that a machine loads its system from. */
export const nextServerCode = 255;

type Form = "address" | "addresses" | "flag" | "u8" | "u16" | "u32" | "text" | "texts" | "name" | "names" | "routes";
type Table = Readonly<Record<string, readonly [code: number, form: Form]>>;

const four: Table = {
  netmask: [1, "address"],
  "time-offset": [2, "u32"],
  router: [3, "addresses"],
  "dns-server": [6, "addresses"],
  "log-server": [7, "addresses"],
  "lpr-server": [9, "addresses"],
  hostname: [12, "text"],
  "boot-file-size": [13, "u16"],
  "domain-name": [15, "text"],
  "swap-server": [16, "address"],
  "root-path": [17, "text"],
  "extension-path": [18, "text"],
  "ip-forward-enable": [19, "flag"],
  "non-local-source-routing": [20, "flag"],
  "policy-filter": [21, "addresses"],
  "max-datagram-reassembly": [22, "u16"],
  "default-ttl": [23, "u8"],
  mtu: [26, "u16"],
  "all-subnets-local": [27, "flag"],
  broadcast: [28, "address"],
  "router-discovery": [31, "flag"],
  "router-solicitation": [32, "address"],
  "static-route": [33, "addresses"],
  "trailer-encapsulation": [34, "flag"],
  "arp-timeout": [35, "u32"],
  "ethernet-encap": [36, "flag"],
  "tcp-ttl": [37, "u8"],
  "tcp-keepalive": [38, "u32"],
  "nis-domain": [40, "text"],
  "nis-server": [41, "addresses"],
  "ntp-server": [42, "addresses"],
  "netbios-ns": [44, "addresses"],
  "netbios-dd": [45, "addresses"],
  "netbios-nodetype": [46, "u8"],
  "netbios-scope": [47, "text"],
  "x-windows-fs": [48, "addresses"],
  "x-windows-dm": [49, "addresses"],
  "lease-time": [51, "u32"],
  T1: [58, "u32"],
  T2: [59, "u32"],
  "vendor-class": [60, "text"],
  "nis+-domain": [64, "text"],
  "nis+-server": [65, "addresses"],
  "tftp-server": [66, "text"],
  "bootfile-name": [67, "text"],
  "mobile-ip-home": [68, "addresses"],
  "smtp-server": [69, "addresses"],
  "pop3-server": [70, "addresses"],
  "nntp-server": [71, "addresses"],
  "irc-server": [74, "addresses"],
  "posix-timezone": [100, "text"],
  "tzdb-timezone": [101, "text"],
  "domain-search": [119, "names"],
  "classless-static-route": [121, "routes"],
  "tftp-server-address": [150, "addresses"],
  "path-prefix": [210, "text"],
  "server-ip-address": [nextServerCode, "address"],
};

const six: Table = {
  preference: [7, "u8"],
  "sip-server-domain": [21, "names"],
  "sip-server": [22, "addresses"],
  "dns-server": [23, "addresses"],
  "domain-search": [24, "names"],
  "nis-server": [27, "addresses"],
  "nis+-server": [28, "addresses"],
  "nis-domain": [29, "name"],
  "nis+-domain": [30, "name"],
  "sntp-server": [31, "addresses"],
  "information-refresh-time": [32, "u32"],
  "posix-timezone": [41, "text"],
  "tzdb-timezone": [42, "text"],
  "ntp-server": [56, "addresses"],
  "bootfile-url": [59, "text"],
  "bootfile-param": [60, "texts"],
};

/** What a server says by itself, a client says, or the format means: nobody asks for it. */
const reserved = {
  4: new Set([0, 50, 52, 53, 54, 55, 56, 57, 61, 80, 81, 82, 90, 118]),
  6: new Set([0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 18, 19, 20, 25, 26, 37, 38, 39, 47, 68]),
} as const;
const lastCode = { 4: nextServerCode, 6: 0xffff } as const;

const tables = { 4: four, 6: six } as const;
const byCode = {
  4: new Map(Object.values(four)),
  6: new Map(Object.values(six)),
} as const;

/** What an option asks for. Throws InvalidValue: its name is none, its value is not of its form. */
export function dhcpOptionOf({ opt_name, opt_value, ip_version }: ExtraDhcpOption): DhcpOptionAsked {
  const [code, form] = named(opt_name, ip_version);
  const said = opt_value.trim();
  const mayBeEmpty = ip_version === 4 && (code === four.router?.[0] || code === four["classless-static-route"]?.[0]);
  if (said === "" && mayBeEmpty) return { code, value: { form: "none" } };
  return { code, value: form === undefined ? guessed(said) : meaningOf(form, said, `'${opt_value}' of ${opt_name}`) };
}

function named(name: string, version: 4 | 6): readonly [code: number, form: Form | undefined] {
  const table = tables[version];
  const found = Object.hasOwn(table, name) ? table[name] : undefined;
  if (found !== undefined) return found;
  const code = /^[0-9]{1,5}$/.test(name) ? Number(name) : 0;
  if (code > lastCode[version] || (reserved[version] as ReadonlySet<number>).has(code))
    throw new InvalidValue(`'${name}' is no option of DHCPv${version} that can be given${elsewhere(name, version)}`);
  return [code, byCode[version].get(code)];
}

/** Names that one version alone has are often asked for without saying which: 4 is meant then. */
function elsewhere(name: string, version: 4 | 6): string {
  const other = version === 4 ? 6 : 4;
  return Object.hasOwn(tables[other], name) ? `; DHCPv${other} has it (ip_version ${other})` : "";
}

const widths = { flag: [1, 1], u8: [1, 0xff], u16: [2, 0xffff], u32: [4, 0xffffffff] } as const;
const flags = new Map([
  ["true", 1],
  ["false", 0],
]);
const parts = (said: string): readonly string[] => said.split(/[\s,]+/).filter((part) => part !== "");

function meaningOf(form: Form, said: string, what: string): DhcpOptionValue {
  const refuse = (reason: string): never => {
    throw new InvalidValue(`${what} ${reason}`);
  };
  const address = (part: string): string => canonicalIp(part) ?? refuse("is not of IP addresses");
  switch (form) {
    case "address":
      return { form: "addresses", addresses: [address(said)] };
    case "addresses": {
      const addresses = parts(said).map(address);
      return addresses.length === 0 ? refuse("is not of IP addresses") : { form: "addresses", addresses };
    }
    case "flag":
    case "u8":
    case "u16":
    case "u32": {
      const [width, most] = widths[form];
      const value = flags.get(form === "flag" ? said.toLowerCase() : "") ?? (/^[0-9]+$/.test(said) ? Number(said) : -1);
      return value < 0 || value > most ? refuse(`is not a number from 0 to ${most}`) : { form: "number", width, value };
    }
    case "text":
      return said === "" ? refuse("is empty") : { form: "text", text: said };
    case "texts":
      return said === "" ? refuse("is empty") : { form: "texts", texts: said.split(",") };
    case "name":
    case "names": {
      const names = parts(said).map((name) => name.replace(/\.$/, ""));
      const isOne = form === "names" || names.length === 1;
      const areNames = names.every((name) => name.length <= 253 && name.split(".").every(isLabel));
      return names.length > 0 && isOne && areNames ? { form: "names", names } : refuse("is not of domain names");
    }
    case "routes":
      return { form: "routes", routes: routesOf(said) ?? refuse("is not of destinations, each with its gateway") };
  }
}

const isLabel = (label: string): boolean => /^[A-Za-z0-9_-]{1,63}$/.test(label);

/** `10.1.0.0/16,10.0.0.1,0.0.0.0/0,10.0.0.1`, in braces or without. */
function routesOf(said: string): readonly { readonly destination: string; readonly gateway: string }[] | undefined {
  const words = parts(said.replace(/^\{(.*)\}$/, "$1"));
  if (words.length === 0 || words.length % 2 !== 0) return undefined;
  const routes = [];
  for (let at = 0; at < words.length; at += 2) {
    const [destination, gateway] = [canonicalCidr(words[at] ?? ""), canonicalIp(words[at + 1] ?? "")];
    if (destination === undefined || gateway === undefined) return undefined;
    if (destination.includes(":") || gateway.includes(":")) return undefined;
    routes.push({ destination, gateway });
  }
  return routes;
}

/** The value of a number that has no form here, as dnsmasq takes it: bytes (`0a:0b`), addresses, a whole number, text. */
function guessed(said: string): DhcpOptionValue {
  if (said === "") throw new InvalidValue("the value of an option is empty");
  if (/^[0-9a-f]{2}(:[0-9a-f]{2})+$/i.test(said))
    return { form: "bytes", bytes: Uint8Array.from(said.split(":"), (part) => Number.parseInt(part, 16)) };
  const addresses = parts(said).map(canonicalIp);
  if (addresses.every((each) => each !== undefined)) return { form: "addresses", addresses };
  const value = /^[0-9]{1,10}$/.test(said) ? Number(said) : Number.NaN;
  if (value <= 0xffffffff) return { form: "number", width: value <= 0xff ? 1 : value <= 0xffff ? 2 : 4, value };
  return { form: "text", text: said };
}

const asked = record<Omit<AskedDhcpOption, "ip_version"> & { readonly ip_version?: 4 | 6 }>(
  {
    opt_name: text(64),
    opt_value: nullable(text(255)),
    ip_version: oneOf([4, 6]) as FieldType<4 | 6>,
  },
  ["ip_version"],
);

/** Throws InvalidValue for what is none, and for addresses that its version cannot tell. Options that are stored may have such: they were asked for before this was refused. */
function checkFamily(option: ExtraDhcpOption): void {
  const { value } = dhcpOptionOf(option);
  const { opt_name, opt_value, ip_version } = option;
  if (value.form === "addresses" && value.addresses.some((each) => each.includes(":") !== (ip_version === 6)))
    throw new InvalidValue(`'${opt_value}' of ${opt_name} is not of IPv${ip_version} addresses`);
}

/** Options as a request names them; null: none are named. Values that are null are for the port's rules, which store no such option. */
export function dhcpOptions(): FieldType<readonly ExtraDhcpOption[]> {
  const many = list(asked, mostDhcpOptions);
  return {
    name: "DHCP options",
    schema: many.schema,
    parse: (input) => {
      const options = many.parse(input).map((each) => ({ ...each, ip_version: each.ip_version ?? 4 }));
      const names = new Set<string>();
      for (const { opt_name, opt_value, ip_version } of options) {
        if (/[\r\n]/.test(opt_value ?? "")) throw new InvalidValue(`'${opt_value}' is not a single line.`);
        if (opt_value !== null) checkFamily({ opt_name, opt_value, ip_version });
        const name = `${ip_version} ${opt_name}`;
        if (names.has(name)) throw new InvalidValue(`Duplicate items in the list: '${opt_name}'.`);
        names.add(name);
      }
      return options as readonly ExtraDhcpOption[];
    },
  };
}

/** What a port has after a request: an option of a name that it had takes its place, and null takes it away (Neutron's `extradhcpopt_db`). Throws InvalidValue for too many. */
export function mergedDhcpOptions(
  before: readonly ExtraDhcpOption[],
  wanted: readonly AskedDhcpOption[],
): readonly ExtraDhcpOption[] {
  const key = ({ opt_name, ip_version }: Pick<ExtraDhcpOption, "opt_name" | "ip_version">) =>
    `${ip_version} ${opt_name}`;
  const options = new Map(before.map((option) => [key(option), option]));
  for (const { opt_name, opt_value, ip_version } of wanted) {
    if (opt_value === null) options.delete(key({ opt_name, ip_version }));
    else options.set(key({ opt_name, ip_version }), { opt_name, opt_value, ip_version });
  }
  if (options.size > mostDhcpOptions)
    throw new InvalidValue(`A port has ${mostDhcpOptions} DHCP options at most, these are ${options.size}.`);
  return [...options.values()];
}
