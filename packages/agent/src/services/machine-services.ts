/** The host's own services for its machines, behind one door: each is a handler by transport and port, and knows the port that asks. */
import { join } from "node:path";
import type { Clock, Log, Metrics } from "@selvage/base";
import { metadataPath, readMetadataReply } from "@selvage/sync";
import { type Endpoint, post, type Trust } from "../endpoint.ts";
import type { HostAgent } from "../host-agent.ts";
import { Resolver } from "../names/resolver.ts";
import { nameServers, Upstream } from "../names/upstream.ts";
import { type Door, openDoor, portFinder } from "../service-network/door.ts";
import type { AgentSettings } from "../settings.ts";
import { type AskNova, MetadataServer } from "./metadata-server.ts";

export interface MachineServicesOptions {
  readonly dataDir: string;
  readonly hostName: string;
  readonly view: HostAgent["view"];
  readonly settings: Pick<AgentSettings, "metadata" | "dnsServers">;
  readonly server: Endpoint;
  /** What the server is shown, at this moment. */
  readonly trust: () => Trust;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Bytes of an answer of Nova's, in base64 and JSON. */
const longestReply = 2 * 1024 * 1024;

/** Opens the door. Where its socket cannot be had machines have no services, which is logged. */
export async function openServices(options: MachineServicesOptions): Promise<Door | undefined> {
  const { dataDir, hostName, view, settings, server, trust, clock, log, metrics } = options;
  const nova: AskNova = async (request) =>
    readMetadataReply(await post(server, trust(), metadataPath, request, longestReply));
  const metadata = new MetadataServer({ view, clock, log, metrics, ...(settings.metadata === "nova" ? { nova } : {}) });
  const upstream = new Upstream(nameServers(settings.dnsServers), clock);
  const resolver = new Resolver({ view, upstream, clock, log, metrics });
  try {
    const door = await openDoor({
      socket: join(dataDir, "services.sock"),
      portOf: portFinder(view, hostName),
      services: {
        tcp: {
          53: (socket, { port }) => resolver.serve(socket, port),
          ...(settings.metadata === "off" ? {} : { 80: (socket, asker) => metadata.accept(socket, asker) }),
        },
        udp: { 53: (message, { port }) => resolver.answer(message, port, "udp") },
      },
      log,
    });
    return {
      close: async () => {
        metadata.close();
        upstream.close();
        await door.close();
      },
    };
  } catch (error) {
    log.error("machines have no services of this host", { error });
    return undefined;
  }
}
