/** The options of server and agent as people read them, drawn from their one declaration: for `--help`, `config show` and docs/configuration.md. */
import { type Leaf, leavesOf, nodeOf } from "@selvage/base";
import type { TObject } from "typebox";

/** One option: how it is named everywhere, and what it says. */
export interface DeclaredOption {
  /** In a file, sections parted by dots: `nova.authUrl`. */
  readonly field: string;
  /** Without the hyphens in front: `nova-auth-url`. */
  readonly flag: string;
  /** `SELVAGE_NOVA_AUTH_URL` */
  readonly env: string;
  /** What its value is: `text`, `whole number`, `list of texts`, or its few words. */
  readonly type: string;
  /** What a number counts; empty where it counts things or is none. */
  readonly unit: string;
  /** As it would stand in a file; absent: it must be said. */
  readonly byDefault: string | undefined;
  readonly description: string;
}

/** A value as it would stand in a YAML file. */
export const valueText = (value: unknown): string =>
  typeof value === "string" &&
  value !== "" &&
  !/^[\s:[{#&*!|>'"%@`]|: | #|^(true|false|null|yes|no|on|off|[+-]?\d*\.?\d*)$/i.test(value)
    ? value
    : JSON.stringify(value);

const textAt = (schema: object, key: "description" | "unit"): string => {
  const found: unknown = Object.entries(schema).find(([name]) => name === key)?.[1];
  return typeof found === "string" ? found : "";
};

function typeOf(schema: Leaf["schema"]): string {
  if (schema.anyOf !== undefined) return schema.anyOf.map((branch) => String(branch.const)).join(", ");
  switch (schema.type) {
    case "integer":
      return "whole number";
    case "array":
      return "list of texts";
    default:
      return "text";
  }
}

/** Every option of a schema, in the order of its declaration. Throws an Error when two bear one name. */
export function declaredOptions(schema: TObject): readonly DeclaredOption[] {
  return leavesOf(nodeOf(schema), "SELVAGE_").map((leaf) => ({
    field: leaf.path.join("."),
    flag: leaf.flag,
    env: leaf.env,
    type: typeOf(leaf.schema),
    unit: textAt(leaf.schema, "unit"),
    byDefault: leaf.schema.default === undefined ? undefined : valueText(leaf.schema.default),
    description: textAt(leaf.schema, "description"),
  }));
}

/** The options of both processes. */
export interface Declared {
  readonly server: readonly DeclaredOption[];
  readonly agent: readonly DeclaredOption[];
}

/** Loads the declarations: costs what server and agent cost to load, so only commands that need them ask. */
export async function loadDeclared(): Promise<Declared> {
  const [{ serverPart }, { agentPart }] = await Promise.all([import("./server.ts"), import("./agent.ts")]);
  return { server: declaredOptions(serverPart.schema), agent: declaredOptions(agentPart.schema) };
}
