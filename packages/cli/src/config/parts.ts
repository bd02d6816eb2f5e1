/** What the configurations of server and agent have in common: the log, and reading a file with the environment and flags over it. */
import { type Config, createLog, type Log, loadConfig } from "@selvage/base";
import { type Static, type TObject, Type } from "typebox";

/** The section `log`. */
export const logConfig = Type.Object(
  {
    level: Type.Union(
      (["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const).map((level) => Type.Literal(level)),
      { default: "info" },
    ),
    format: Type.Union([Type.Literal("json"), Type.Literal("text")], { default: "json" }),
  },
  { additionalProperties: false },
);

/** Variables that are ours and no settings. */
const otherVariables: ReadonlySet<string> = new Set(["SELVAGE_DATAPATH", "SELVAGE_DEBUG"]);

/**
 * Reads a configuration: the file, over it `SELVAGE_*` variables, over them the flags that were typed.
 * Throws ConfigUnreadable, ConfigInvalid with the place of every mistake.
 */
export function readConfig<S extends TObject>(
  schema: S,
  file: string,
  flags: Readonly<Record<string, unknown>>,
): Promise<Config<Static<S>>> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !otherVariables.has(name)));
  return loadConfig(schema, { file: { path: file }, env, flags });
}

/** The log that a configuration asks for; what was strange about the configuration is its first lines. */
export async function openLog(
  room: string,
  options: Static<typeof logConfig>,
  warnings: readonly string[],
): Promise<Log> {
  const log = await createLog({ ...options, room });
  for (const warning of warnings) log.warn(warning);
  return log;
}
