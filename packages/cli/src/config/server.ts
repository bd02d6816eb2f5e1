/** The configuration of a server as a process: its own options and its log. */
import { serverMistakes, serverOptions } from "@selvage/server";
import { type Static, Type } from "typebox";
import { logConfig, type Part } from "./parts.ts";

export const serverConfig = Type.Object(
  { ...serverOptions.properties, log: logConfig },
  { additionalProperties: false },
);

export const serverPart: Part<typeof serverConfig> = {
  name: "server",
  schema: serverConfig,
  mistakes: (value: Static<typeof serverConfig>) => serverMistakes(value),
};
