/** The agent's face: join a host, run its agent. */
export { type AgentOptions, type RunningAgent, startAgent } from "./agent.ts";
export { type Dial, type Link, type LinkEvents, RefusedByServer } from "./client.ts";
export type { Health, HealthAddress } from "./health.ts";
export { type AgentStatus, HostAgent, type HostAgentOptions } from "./host-agent.ts";
export { NotJoined } from "./identity.ts";
export type { InstalledFlow, InstalledFlows } from "./installed.ts";
export { Installer } from "./installer.ts";
export { type Joined, type JoinOptions, joinHost } from "./join.ts";
export { type Asker, type Door, type DoorServices, openDoor, portFinder } from "./service-network/door.ts";
export { type KeeperOptions, ServiceKeeper } from "./service-network/keeper.ts";
export { MetadataServer } from "./services/metadata-server.ts";
export { Outside } from "./services/outside.ts";
export {
  type AgentConfig,
  type AgentSettings,
  agentMistakes,
  agentOptions,
  agentSettingsOf,
  defaultAgentSettings,
} from "./settings.ts";
