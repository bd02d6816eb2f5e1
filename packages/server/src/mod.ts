/** The server's face: start one, the parts that plug into it, and what they use. */

export type { Extension } from "./api/extension.ts";
export { extensions } from "./api/extensions.ts";
export type { Caller } from "./api/policy.ts";
export {
  type HostReport,
  type HostState,
  type HostStateListener,
  type HostStates,
  MemoryHostStates,
} from "./host-states.ts";
export type { Exchange, Handler, Reply } from "./http/exchange.ts";
export { headerOf } from "./http/exchange.ts";
export { authorityFingerprint, authorityOf } from "./identity/bootstrap.ts";
export { novaEvents } from "./nova/nova.ts";
export type { MetadataOptions, NovaOptions } from "./nova/options.ts";
export type { RunAs } from "./privileges.ts";
export { relay } from "./relay/plugin.ts";
export {
  type RunningServer,
  type ServerCore,
  type ServerOptions,
  type ServerPart,
  type ServerPlugin,
  startServer,
} from "./server.ts";
export {
  defaultSettings,
  largestMtu,
  noQuotas,
  type ServerConfig,
  type ServerSettings,
  serverMistakes,
  serverOptions,
  settingsOf,
} from "./settings.ts";
export { secondsText, Transaction } from "./transaction.ts";
export {
  type CommitListener,
  type Committed,
  type Rules,
  Writer,
  type WriterFigures,
  type WriterOptions,
} from "./writer.ts";
