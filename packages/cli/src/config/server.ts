/** The configuration of a server as a service: `/etc/selvage/server.yaml`, `SELVAGE_*` variables, flags. */
import { defaultSettings, novaOptions, type ServerSettings } from "@selvage/server";
import { type Static, Type } from "typebox";
import { logConfig } from "./parts.ts";

const d = defaultSettings;

/** What of it the server calls its settings. */
const settings = {
  underlayMtu: Type.Integer({ default: d.underlayMtu, minimum: 1280, maximum: 65535 }),
  tunnelOverhead: Type.Integer({ default: d.tunnelOverhead, minimum: 0, maximum: 500 }),
  region: Type.String({ default: d.region, minLength: 1 }),
  publicUrl: Type.String({ default: "" }),
  tokenLifetime: Type.Integer({ default: d.tokenLifetime, minimum: 60 }),
  joinTokenLifetime: Type.Integer({ default: d.joinTokenLifetime, minimum: 60 }),
  bodyLimit: Type.Integer({ default: d.bodyLimit, minimum: 1024 }),
  passwordMemory: Type.Integer({ default: d.passwordMemory, minimum: 8 }),
  passwordPasses: Type.Integer({ default: d.passwordPasses, minimum: 1 }),
  passwordWorkers: Type.Integer({ default: d.passwordWorkers, minimum: 1 }),
  passwordQueue: Type.Integer({ default: d.passwordQueue, minimum: 0 }),
  macPrefix: Type.String({ default: d.macPrefix, pattern: "^([0-9a-f][02468ace])(:[0-9a-f]{2}){2}$" }),
};

export const serverConfig = Type.Object(
  {
    data: Type.String({ default: "/var/lib/selvage", pattern: "^/" }),
    host: Type.String({ default: "127.0.0.1", minLength: 1 }),
    port: Type.Integer({ default: 9696, minimum: 0, maximum: 65535 }),
    socket: Type.String({ default: "" }),
    store: Type.String({ default: "" }),
    certificate: Type.Object(
      {
        names: Type.Array(Type.String(), { default: [] }),
        addresses: Type.Array(Type.String(), { default: [] }),
      },
      { additionalProperties: false },
    ),
    log: logConfig,
    ...settings,
    nova: novaOptions,
  },
  { additionalProperties: false },
);
export type ServerConfig = Static<typeof serverConfig>;

/** The settings that a configuration holds. */
export function settingsOf(config: ServerConfig): ServerSettings {
  const { publicUrl, ...rest } = config;
  const chosen = Object.fromEntries(Object.entries(rest).filter(([name]) => Object.hasOwn(d, name)));
  return { ...d, ...chosen, ...(publicUrl === "" ? {} : { publicUrl: publicUrl.replace(/\/+$/, "") }) };
}
