/** What the system refuses when a process starts (errno(3), getaddrinfo(3)), told under the name of the setting that asked for it. */
import { type Config, fail, placeText } from "@selvage/base";
import { LabError } from "@selvage/lab";

/** The settings whose values the system is asked for, by their names. */
export type Asked = Readonly<Record<string, string | number>>;

interface SystemError extends Error {
  readonly code: string;
  readonly syscall?: string;
  readonly path?: string;
  readonly address?: string;
}

const isSystemError = (cause: unknown): cause is SystemError =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string";

/** What a `listen` or the look for its name was refused for: a taken or privileged port, else the address. */
const ofListening: Readonly<Record<string, "port" | "host">> = {
  EADDRINUSE: "port",
  EACCES: "port",
  ENOTFOUND: "host",
  EAI_AGAIN: "host",
  EADDRNOTAVAIL: "host",
  EAFNOSUPPORT: "host",
  EINVAL: "host",
};

function fieldOf(cause: SystemError, asked: Asked): string | undefined {
  const { code, syscall, path, address } = cause;
  const equal = (text: string | undefined) =>
    Object.keys(asked).find((name) => text !== undefined && asked[name] === text);
  if (syscall === "listen" || syscall === "bind" || syscall === "getaddrinfo") {
    const socket = equal(address);
    if (socket !== undefined && socket !== "host") return socket;
    const field = ofListening[code];
    if (field === undefined || field in asked) return field;
    return field === "port" && "healthPort" in asked ? "healthPort" : undefined;
  }
  const { data } = asked;
  const isOfData = path !== undefined && typeof data === "string" && (path.startsWith(data) || data.startsWith(path));
  return equal(path) ?? (isOfData ? "data" : undefined);
}

/**
 * The error as it shall be told: with the setting and where it was said, if one of those that were asked for is what it is about; else as it is.
 * @param config where each setting came from
 */
export function underItsSetting(cause: unknown, asked: Asked, config: Pick<Config<unknown>, "origins">): unknown {
  const told = (field: string, message: string): string =>
    `${placeText(config.origins.get(field) ?? { from: "default" })}: ${field}: ${message}`;
  if (cause instanceof RangeError && typeof asked.store === "string" && cause.message.includes(`'${asked.store}'`))
    return fail("ConfigInvalid", { issues: `  ${told("store", cause.message)}` }, { cause });
  if (!isSystemError(cause)) return cause;
  const field = fieldOf(cause, asked);
  if (field === undefined) return cause;
  const isTaken = cause.code === "EADDRINUSE";
  return new LabError(isTaken ? "port-in-use" : "setting", told(field, cause.message), "see docs/configuration.md");
}
