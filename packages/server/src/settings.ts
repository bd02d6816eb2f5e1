/** What an operator may set of a server: each option declared once, with its default, unit and what it does; everything else is data or a constant of a protocol. */
import { isIP } from "node:net";
import { type Static, type TProperties, Type } from "typebox";
import { metadataOptions, novaOptions } from "./nova/options.ts";

/** What an option's declaration says besides its JSON Schema: `unit` is what its number counts. */
const settingsProperties = {
  underlayMtu: Type.Integer({
    description: "MTU of the network between the hosts",
    unit: "bytes",
    default: 1500,
    minimum: 1280,
    maximum: 65535,
  }),
  tunnelOverhead: Type.Integer({
    description:
      "What the tunnel takes of it: outer IP and UDP, Geneve with one 8-byte option, inner Ethernet (RFC 8926): 66 over IPv4, 86 over IPv6",
    unit: "bytes",
    default: 66,
    minimum: 0,
    maximum: 500,
  }),
  physicalMtu: Type.Integer({
    description: "MTU of the physical networks that hosts have",
    unit: "bytes",
    default: 1500,
    minimum: 1280,
    maximum: 65535,
  }),
  dnsDomain: Type.String({
    description:
      "The zone of the names of ports whose network names none; networks keep the one that they were made with",
    default: "openstacklocal.",
    pattern: "^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+$",
    maxLength: 255,
  }),
  region: Type.String({
    description: "Name of this region in the service catalogue",
    default: "RegionOne",
    minLength: 1,
  }),
  publicUrl: Type.String({
    description: "URL under which clients reach the server; empty: as each request names it",
    default: "",
  }),
  tokenLifetime: Type.Integer({
    description: "How long a user's token holds",
    unit: "s",
    default: 3600,
    minimum: 60,
  }),
  joinTokenLifetime: Type.Integer({
    description: "How long a host's join token holds",
    unit: "s",
    default: 3600,
    minimum: 60,
  }),
  connections: Type.Integer({
    description:
      "Connections that may be open at once, hosts' streams with them; where more come, the source (an IPv4 address, an IPv6 /64) that has most loses one",
    default: 16_384,
    minimum: 16,
    maximum: 1_000_000,
  }),
  bodyLimit: Type.Integer({
    description: "Largest body of a request",
    unit: "bytes",
    default: 4 * 1024 * 1024,
    minimum: 1024,
  }),
  passwordMemory: Type.Integer({
    description: "Memory of a password's hash (Argon2id, RFC 9106, one lane)",
    unit: "KiB",
    default: 19 * 1024,
    minimum: 8,
  }),
  passwordPasses: Type.Integer({ description: "Passes of a password's hash", default: 2, minimum: 1 }),
  passwordWorkers: Type.Integer({ description: "Password hashes at work at a time", default: 2, minimum: 1 }),
  passwordQueue: Type.Integer({
    description: "Password hashes that may wait; further ones are refused",
    default: 64,
    minimum: 0,
  }),
  historySeconds: Type.Integer({
    description: "How long the log of changes is kept; the last minute is kept anyway",
    unit: "s",
    default: 90 * 24 * 3600,
    minimum: 0,
  }),
  historyEntries: Type.Integer({
    description: "How many of the newest changes are kept at most",
    default: 1_000_000,
    minimum: 0,
  }),
  quotaNetwork: Type.Integer({
    description: "Networks a project may have unless /v2.0/quotas says otherwise; -1: any number",
    default: 100,
    minimum: -1,
  }),
  quotaSubnet: Type.Integer({
    description: "Subnets a project may have unless /v2.0/quotas says otherwise; -1: any number",
    default: 100,
    minimum: -1,
  }),
  quotaSubnetpool: Type.Integer({
    description: "Subnet pools a project may have unless /v2.0/quotas says otherwise; -1: any number",
    default: -1,
    minimum: -1,
  }),
  quotaPort: Type.Integer({
    description: "Ports a project may have unless /v2.0/quotas says otherwise; -1: any number",
    default: 500,
    minimum: -1,
  }),
  quotaRouter: Type.Integer({
    description: "Routers a project may have unless /v2.0/quotas says otherwise; -1: any number",
    default: 10,
    minimum: -1,
  }),
  quotaFloatingip: Type.Integer({
    description: "Floating IP addresses a project may have unless /v2.0/quotas says otherwise; -1: any number",
    default: 50,
    minimum: -1,
  }),
  quotaRbacPolicy: Type.Integer({
    description: "RBAC policies a project may have unless /v2.0/quotas says otherwise; -1: any number",
    default: 10,
    minimum: -1,
  }),
  quotaSecurityGroup: Type.Integer({
    description: "Security groups a project may have unless /v2.0/quotas says otherwise; -1: any number",
    default: 10,
    minimum: -1,
  }),
  quotaSecurityGroupRule: Type.Integer({
    description: "Security group rules a project may have unless /v2.0/quotas says otherwise; -1: any number",
    default: 100,
    minimum: -1,
  }),
  macPrefix: Type.String({
    description: "First three bytes of the MAC addresses that the server gives",
    default: "fa:16:3e",
    pattern: "^([0-9a-f][02468ace])(:[0-9a-f]{2}){2}$",
  }),
};

const settingsSchema = Type.Object(settingsProperties);

/** The settings as the server's parts read them; `publicUrl` is absent where it is not set, and ends in no slash. */
export type ServerSettings = Readonly<Omit<Static<typeof settingsSchema>, "publicUrl">> & {
  readonly publicUrl?: string;
};

/** The whole of a server's options as a file, the environment and flags say them; the process that runs it adds its log. */
export const serverOptions = Type.Object(
  {
    data: Type.String({
      description: "Where the server keeps all that it knows; an absolute path",
      default: "/var/lib/selvage",
      pattern: "^/",
    }),
    host: Type.String({ description: "Address to listen on; `::` is every one", default: "127.0.0.1", minLength: 1 }),
    port: Type.Integer({
      description: "Port of the API and of the agents' streams (TLS); 0: any free one",
      default: 9696,
      minimum: 0,
      maximum: 65535,
    }),
    socket: Type.String({ description: "A unix socket that answers the same; empty: none", default: "" }),
    store: Type.String({
      description: "The store, such as sqlite:/srv/selvage/store.db; empty: sqlite:DATA/store.db",
      default: "",
    }),
    certificate: Type.Object(
      {
        names: Type.Array(Type.String(), {
          description: "Names in the server's own certificate besides this machine's",
          default: [],
        }),
        addresses: Type.Array(Type.String(), {
          description: "Addresses in the server's own certificate besides the loopback ones",
          default: [],
        }),
      },
      { additionalProperties: false },
    ),
    ...settingsProperties,
    nova: novaOptions,
    metadata: metadataOptions,
  },
  { additionalProperties: false },
);
export type ServerConfig = Static<typeof serverOptions>;

/** Every declared default under its name. */
function defaultsOf(properties: TProperties): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => [name, "default" in schema ? schema.default : undefined]),
  );
}

/** The settings that options hold. */
export function settingsOf(options: ServerConfig): ServerSettings {
  const { publicUrl, ...rest } = options;
  const chosen = Object.fromEntries(Object.entries(rest).filter(([name]) => Object.hasOwn(defaultSettings, name)));
  return { ...defaultSettings, ...chosen, ...(publicUrl === "" ? {} : { publicUrl: publicUrl.replace(/\/+$/, "") }) };
}

const { publicUrl: _unset, ...defaults } = defaultsOf(settingsProperties);
// Each is the default that its own declaration gives; a test reads them through the schema.
export const defaultSettings: ServerSettings = Object.freeze(defaults as unknown as ServerSettings);

/** The settings under which every project may have any number of everything. */
export const noQuotas: Partial<ServerSettings> = Object.freeze(
  Object.fromEntries(
    Object.keys(defaultSettings)
      .filter((name) => /^quota[A-Z]/.test(name))
      .map((name) => [name, -1]),
  ),
);

/** What a schema cannot say: mistakes of options that each by itself are well formed. */
export function serverMistakes(options: ServerConfig): readonly { readonly field: string; readonly message: string }[] {
  const { publicUrl, certificate, nova, metadata } = options;
  const urls = {
    publicUrl,
    "nova.authUrl": nova.authUrl,
    "nova.endpoint": nova.endpoint,
    "metadata.novaUrl": metadata.novaUrl,
  };
  return [
    ...Object.entries(urls)
      .filter(([, url]) => url !== "" && !isHttpUrl(url))
      .map(([field, url]) => ({ field, message: `"${url}" is not a URL that begins with http:// or https://` })),
    ...certificate.addresses
      .filter((address) => isIP(address) === 0)
      .map((address) => ({ field: "certificate.addresses", message: `"${address}" is not an IP address` })),
    ...(nova.authUrl !== "" && nova.passwordFile === ""
      ? [{ field: "nova.passwordFile", message: "it is required where nova.authUrl is set" }]
      : []),
    ...(metadata.novaUrl !== "" && metadata.secretFile === ""
      ? [{ field: "metadata.secretFile", message: "it is required where metadata.novaUrl is set" }]
      : []),
  ];
}

const isHttpUrl = (text: string): boolean => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);

/** The MTU that a network gets, and may have at most. */
export function largestMtu(settings: ServerSettings): number {
  return settings.underlayMtu - settings.tunnelOverhead;
}
