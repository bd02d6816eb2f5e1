/** `selvage config show`: the settings in force and where each came from. */

import { type Config, placeText } from "@selvage/base";
import { type DeclaredOption, declaredOptions, valueText } from "../config/declared.ts";
import { readConfig } from "../config/parts.ts";
import { fileInForce, type PartName } from "../config/places.ts";
import { Exit } from "../exit.ts";
import { type Output, printJson, printTable, standardOutput } from "../format.ts";

export interface ConfigFlags {
  readonly config?: string;
  readonly json?: boolean;
}

interface Shown {
  readonly part: PartName;
  readonly file: string | null;
  readonly settings: readonly { readonly option: DeclaredOption; readonly value: unknown; readonly from: string }[];
  readonly warnings: readonly string[];
}

/** A URL may bear a password (`postgres://user:password@…`): it is not shown. */
const shownValue = (value: unknown): unknown =>
  typeof value === "string" ? value.replace(/^([a-z][a-z0-9+.-]*:\/\/[^/@:]*):[^@/]*@/i, "$1:…@") : value;

const valueAt = (root: unknown, field: string): unknown =>
  field.split(".").reduce<unknown>((at, name) => {
    if (typeof at !== "object" || at === null) return undefined;
    return Object.entries(at).find(([key]) => key === name)?.[1];
  }, root);

const shown = (
  part: PartName,
  file: string | undefined,
  config: Pick<Config<unknown>, "value" | "origins" | "warnings">,
  options: readonly DeclaredOption[],
): Shown => ({
  part,
  file: file ?? null,
  settings: options.map((option) => ({
    option,
    value: shownValue(valueAt(config.value, option.field)),
    from: placeText(config.origins.get(option.field) ?? { from: "default" }),
  })),
  warnings: config.warnings,
});

async function look(part: PartName, file: string | undefined): Promise<Shown> {
  const given = { flags: {}, ...(file === undefined ? {} : { file }) };
  switch (part) {
    case "server": {
      const { serverPart } = await import("../config/server.ts");
      return shown(part, file, await readConfig(serverPart, given), declaredOptions(serverPart.schema));
    }
    case "agent": {
      const { agentPart } = await import("../config/agent.ts");
      return shown(part, file, await readConfig(agentPart, given), declaredOptions(agentPart.schema));
    }
  }
}

/** The parts to show when none is named: those that have a file here, else the server. */
function partsHere(): readonly PartName[] {
  const here = (["server", "agent"] as const).filter((part) => fileInForce(part, undefined) !== undefined);
  return here.length === 0 ? ["server"] : here;
}

/** Runs `selvage config show`. Throws ConfigInvalid with every mistake, ConfigUnreadable. */
export async function configShow(
  part: PartName | undefined,
  flags: ConfigFlags,
  output: Output = standardOutput,
): Promise<number> {
  const parts = part === undefined ? partsHere() : [part];
  const all: Shown[] = [];
  for (const each of parts) all.push(await look(each, fileInForce(each, flags.config)));
  if (flags.json === true) {
    printJson(
      output,
      Object.fromEntries(
        all.map(({ part, file, settings, warnings }) => [
          part,
          {
            file,
            settings: Object.fromEntries(
              settings.map(({ option, value, from }) => [option.field, { value, from, unit: option.unit || null }]),
            ),
            warnings,
          },
        ]),
      ),
    );
    return Exit.ok;
  }
  all.forEach(({ part, file, settings, warnings }, index) => {
    output.text(`${index === 0 ? "" : "\n"}${part}: ${file ?? "no file"}\n`);
    printTable(output, {
      columns: ["setting", "value", "unit", "from"],
      rows: settings.map(({ option, value, from }) => [option.field, valueText(value), option.unit, from]),
    });
    for (const warning of warnings) output.note(`${warning}\n`);
  });
  return Exit.ok;
}
