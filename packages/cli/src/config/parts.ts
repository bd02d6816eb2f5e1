/** What the configurations of server and agent have in common: reading the file with the environment and flags over it, and the log. */
import {
  type Config,
  type ConfigIssue,
  createLog,
  fail,
  type Log,
  type LogOptions,
  loadConfig,
  placeText,
} from "@selvage/base";
import { type Static, type TObject, Type } from "typebox";
import { fileInForce, type Given, type PartName } from "./places.ts";

/** The section `log`. */
export const logConfig = Type.Object(
  {
    level: Type.Union(
      (["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const).map((level) => Type.Literal(level)),
      { description: "The least important lines that are written", default: "info" },
    ),
    format: Type.Union([Type.Literal("json"), Type.Literal("text")], {
      description: "One JSON object a line, or readable text; on standard error",
      default: "json",
    }),
  },
  { additionalProperties: false },
);

/** One of the two processes that are configured. */
export interface Part<S extends TObject> {
  readonly name: PartName;
  readonly schema: S;
  /** What the schema cannot say. */
  readonly mistakes: (value: Static<S>) => readonly { readonly field: string; readonly message: string }[];
}

/** Variables that are ours and no settings. */
const otherVariables: ReadonlySet<string> = new Set(["SELVAGE_DATAPATH", "SELVAGE_DEBUG"]);

/**
 * Reads a configuration: the file, over it `SELVAGE_*` variables, over them the flags that were typed.
 * Throws ConfigUnreadable, ConfigInvalid with the place of every mistake.
 */
export async function readConfig<S extends TObject>(part: Part<S>, given: Given): Promise<Config<Static<S>>> {
  const path = fileInForce(part.name, given.file);
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !otherVariables.has(name)));
  const config = await loadConfig(part.schema, {
    ...(path === undefined ? {} : { file: { path } }),
    ...(given.file === false ? {} : { env }),
    flags: given.flags,
  });
  const issues = part.mistakes(config.value).map(
    ({ field, message }): ConfigIssue => ({
      field,
      message,
      origin: config.origins.get(field) ?? { from: "default" },
    }),
  );
  if (issues.length === 0) return config;
  const lines = issues.map(({ origin, field, message }) => `  ${placeText(origin)}: ${field}: ${message}`);
  throw fail("ConfigInvalid", { issues: lines.join("\n") }, { cause: issues });
}

/** The log that a configuration asks for; what was strange about the configuration is its first lines. */
export async function openLog(
  room: string,
  options: Static<typeof logConfig> & Pick<LogOptions, "destination">,
  warnings: readonly string[],
): Promise<Log> {
  const log = await createLog({ ...options, room });
  for (const warning of warnings) log.warn(warning);
  return log;
}
