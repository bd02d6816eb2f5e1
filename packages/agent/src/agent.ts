/** The agent as a process runs it: identity from the data directory, the stream over TLS, the cached snapshot, renewal and health. */
import { join } from "node:path";
import { type Clock, createLog, createMetrics, type Log, type Metrics, realClock } from "@selvage/base";
import type { Datapath, PeerWatch } from "@selvage/datapath";
import { endpointOf, longestPause } from "./endpoint.ts";
import type { DatapathType } from "./facts.ts";
import { type Asked, type Health, type HealthAddress, serveHealth } from "./health.ts";
import { type AgentStatus, HostAgent } from "./host-agent.ts";
import { type HostCredentials, IdentityKeeper, readIdentity } from "./identity.ts";
import { flowsOf } from "./installed.ts";
import { Renewal } from "./renewal.ts";
import { KeptNeighbours } from "./services/kept-neighbours.ts";
import { openServices } from "./services/machine-services.ts";
import { type AgentSettings, checkAgentSettings, defaultAgentSettings } from "./settings.ts";
import { dialWebSocket } from "./websocket.ts";

export interface AgentOptions {
  /** Where `joinHost` left the identity; the cached snapshot stands beside it. */
  readonly dataDir: string;
  /** Where other hosts' tunnels reach this one. */
  readonly tunnelIp: string;
  readonly datapath: Datapath;
  /** How it sees which other hosts can be reached. */
  readonly peerWatch?: Pick<PeerWatch, "watch">;
  /** Names of the physical networks that this host has. */
  readonly physicalNetworks?: readonly string[];
  /** Type of its bridge's datapath, where that is known: told to Nova with each port. */
  readonly datapathType?: DatapathType;
  readonly settings?: Partial<AgentSettings>;
  /** Where to answer probes; absent: the unix socket `agent.sock` in the data directory, where that can be had. */
  readonly health?: HealthAddress;
  readonly clock?: Clock;
  readonly log?: Log;
  readonly metrics?: Metrics;
}

export interface RunningAgent {
  readonly host: HostAgent;
  readonly status: AgentStatus;
  readonly health: Health | undefined;
  /** Renews the certificate now, where it is due. */
  renew(): Promise<void>;
  /** Ends the agent; the switch forwards on. Idempotent. */
  close(): Promise<void>;
}

/** Starts the agent of a host that has joined; the server is not waited for. Throws NotJoined, and the system's errors. */
export async function startAgent(options: AgentOptions): Promise<RunningAgent> {
  const { dataDir, tunnelIp, datapath } = options;
  const settings: AgentSettings = { ...defaultAgentSettings, ...options.settings };
  checkAgentSettings(settings);
  const clock = options.clock ?? realClock;
  const identity = await readIdentity(dataDir);
  const { host, ca, server } = identity;
  const log = (options.log ?? (await createLog({ clock }))).child("agent", { host: host.name });
  const metrics = options.metrics ?? (await createMetrics({ labels: { host: host.name } }));
  const endpoint = endpointOf(server);
  const trouble = (error: unknown): void => log.error("the identity could not be written", { error });
  const keeper = new IdentityKeeper(dataDir, identity, trouble);
  const kept = await KeptNeighbours.open(join(dataDir, "neighbours"), log);
  let shown: HostCredentials = keeper.credentials;
  const agent = await HostAgent.start({
    host,
    tunnelIp,
    datapath,
    outside: { kept, ...(options.peerWatch === undefined ? {} : { watch: options.peerWatch }) },
    ...(options.physicalNetworks === undefined ? {} : { physicalNetworks: options.physicalNetworks }),
    ...(options.datapathType === undefined ? {} : { datapathType: options.datapathType }),
    dial: dialWebSocket({
      endpoint,
      ca,
      credentials: () => {
        shown = keeper.credentials;
        return shown;
      },
      refused: (credentials) => {
        if (keeper.refused(credentials)) agent.reconnect();
      },
      clock,
    }),
    cachePath: join(dataDir, "snapshot"),
    settings,
    clock,
    log,
    metrics,
    longestPause: longestPause(endpoint),
    welcomed: () => keeper.taken(shown),
  });
  const renewal = new Renewal({ keeper, endpoint, clock, log, renewed: () => agent.reconnect() });
  const undo = async (): Promise<void> => {
    await renewal.close();
    await agent.close();
    await keeper.settled();
  };
  const asked: Asked = {
    get status() {
      return agent.status;
    },
    flows: () => flowsOf(host.name, datapath, agent.engine),
  };
  const answering = serveHealth(options.health ?? { socket: join(dataDir, "agent.sock") }, asked, metrics);
  const health = await answering.catch(async (error: unknown) => {
    if (options.health !== undefined) {
      await undo();
      throw error;
    }
    log.warn("probes are not answered", { error });
    return undefined;
  });
  const services = await openServices({
    dataDir,
    hostName: host.name,
    view: agent.view,
    settings,
    server: endpoint,
    trust: () => ({ ca, ...keeper.credentials }),
    clock,
    log: log.child("services"),
    metrics,
  });
  let closed: Promise<void> | undefined;
  return {
    host: agent,
    get status() {
      return agent.status;
    },
    health,
    renew: () => renewal.look(),
    close: () => {
      closed ??= Promise.all([health?.close(), services?.close()]).then(undo);
      return closed;
    },
  };
}
