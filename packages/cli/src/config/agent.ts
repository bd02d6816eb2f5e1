/** The configuration of an agent as a process: its own options and its log. */
import { agentMistakes, agentOptions } from "@selvage/agent";
import { type Static, Type } from "typebox";
import { logConfig, type Part } from "./parts.ts";

export const agentConfig = Type.Object({ ...agentOptions.properties, log: logConfig }, { additionalProperties: false });

export const agentPart: Part<typeof agentConfig> = {
  name: "agent",
  schema: agentConfig,
  mistakes: (value: Static<typeof agentConfig>) => agentMistakes(value),
};
