/** The server: one store, one writer, and every API on one listener; gives up root before it serves. */
import { mkdir } from "node:fs/promises";
import type { Socket } from "node:net";
import { isAbsolute, join } from "node:path";
import {
  type Clock,
  createLog,
  createMetrics,
  type Log,
  type Metrics,
  Places,
  realClock,
  silentLog,
} from "@selvage/base";
import { openStore, type Store } from "@selvage/store";
import { keepHistory } from "./history/retention.ts";
import { type HostStates, MemoryHostStates } from "./host-states.ts";
import { createApp } from "./http/app.ts";
import type { Handler } from "./http/exchange.ts";
import { type ConnectionHandlers, listen } from "./http/listener.ts";
import { bootstrap } from "./identity/bootstrap.ts";
import { createIdentity } from "./identity/service.ts";
import { measure } from "./own/measure.ts";
import { Tracer } from "./own/tracer.ts";
import { checkRunAs, dropRoot, giveDirectory, type RunAs } from "./privileges.ts";
import { defaultSettings, type ServerSettings } from "./settings.ts";
import { upgrade } from "./upgrade.ts";
import { Writer } from "./writer.ts";

/** What a part that is plugged into the server (the relay) may use. */
export interface ServerCore {
  readonly writer: Writer;
  readonly store: Store;
  readonly hosts: HostStates;
  readonly settings: ServerSettings;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** What such a part adds. */
export interface ServerPart {
  /** Takes TLS connections; `socket` has its first bytes still unread. */
  readonly tls?: (socket: Socket) => void;
  /** Answers paths under a prefix (`/v1/join`), before anything else does. It authenticates by itself. */
  readonly routes?: Readonly<Record<string, Handler>>;
  /** What of intent a host is told of: by this a server can say what a packet meets there. */
  readonly needOf?: NeedOf;
  close?(): Promise<void>;
}

export type NeedOf = (hostId: string) => Iterable<{ readonly kind: string; readonly id: string }>;

export type ServerPlugin = (core: ServerCore) => ServerPart | Promise<ServerPart>;

export interface ServerOptions {
  /** Absolute path; made (0700) when it is not there. */
  readonly dataDir: string;
  /** 0: any free one. */
  readonly port: number;
  readonly host?: string;
  /** Path of a unix socket that answers the same. */
  readonly socket?: string;
  /** Absent: `sqlite:DIR/store.db`. */
  readonly storeUrl?: string;
  /** An open store to use instead; it stays open when the server closes. */
  readonly store?: Store;
  /** As whom to go on when started as root; uid 0 to stay root. Must be said when started as root. */
  readonly runAs?: RunAs;
  readonly settings?: Partial<ServerSettings>;
  readonly clock?: Clock;
  readonly log?: Log | "silent";
  readonly plugins?: readonly ServerPlugin[];
}

export interface RunningServer {
  readonly port: number;
  /** `http://host:port`. */
  readonly url: string;
  readonly core: ServerCore;
  /** Answers what is on its way, then ends. Idempotent. */
  close(): Promise<void>;
}

/** How long requests on their way may take to end when the server closes, ms. */
const graceMs = 5_000;

/**
 * Starts a server and resolves when it answers. Throws RootRefused, StoreFailure, and the system's errors (EADDRINUSE).
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  checkRunAs(options.runAs);
  if (!isAbsolute(options.dataDir)) throw new Error(`the data directory must be an absolute path: ${options.dataDir}`);
  process.umask(0o077);
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  const settings: ServerSettings = { ...defaultSettings, ...options.settings };
  const clock = options.clock ?? realClock;
  const log = options.log === "silent" ? silentLog : (options.log ?? (await createLog({ room: "server", clock })));
  const metrics = await createMetrics({ process: "leave" });
  const host = options.host ?? "127.0.0.1";
  const closing: (() => Promise<void>)[] = [];
  const undo = async (): Promise<void> => {
    for (const step of closing.splice(0).reverse()) await step();
  };
  try {
    // The port first: nothing is made for a server that cannot be reached.
    let handlers: ConnectionHandlers | undefined;
    const places = new Places(settings.connections);
    const listening = await listen({ host, port: options.port, socket: options.socket }, places, () => handlers);
    closing.push(async () => {
      listening.destroy();
      await listening.stop();
    });
    const store = options.store ?? (await openStore(options.storeUrl ?? `sqlite:${join(options.dataDir, "store.db")}`));
    if (options.store === undefined) closing.push(() => store.close());
    const now = (): number => clock.now();
    const writer = await Writer.open(store, {
      now,
      onTrouble: (error) => log.warn("the store gave trouble", { error }),
    });
    closing.push(() => writer.close());
    const hosts = new MemoryHostStates({ now });
    const identity = createIdentity(writer, settings, now);
    await bootstrap(writer, identity.passwords, options.dataDir, now);
    await upgrade(writer);
    const core: ServerCore = { writer, store, hosts, settings, clock, log, metrics };
    const parts: ServerPart[] = [];
    for (const plugin of options.plugins ?? []) {
      const part = await plugin(core);
      parts.push(part);
      closing.push(async () => part.close?.());
    }
    closing.push(keepHistory(core));
    const observe = measure(core, places);
    const needOf = parts.find((part) => part.needOf)?.needOf;
    const tracer = needOf === undefined ? undefined : await Tracer.open(core, needOf);
    const app = await createApp({
      core,
      identity,
      observe,
      tracer,
      routes: parts.flatMap((part) => Object.entries(part.routes ?? {})),
    });
    if (options.runAs !== undefined) {
      await giveDirectory(options.dataDir, options.runAs);
      dropRoot(options.runAs);
    }
    handlers = {
      http: (socket) => void app.server.emit("connection", socket),
      tls: parts.find((part) => part.tls)?.tls,
    };
    log.info("serving", {
      url: `http://${host}:${listening.port}`,
      store: store.driver,
      revision: writer.replica.revision,
    });
    let closed: Promise<void> | undefined;
    const close = async (): Promise<void> => {
      const stopped = listening.stop();
      app.server.closeIdleConnections();
      await app.drained(graceMs);
      await app.close();
      await undo();
      await stopped;
    };
    return {
      port: listening.port,
      url: `http://${host.includes(":") ? `[${host}]` : host}:${listening.port}`,
      core,
      close: () => (closed ??= close()),
    };
  } catch (error) {
    await undo();
    throw error;
  }
}
