/** The relay as a part of the server: join, renewal and streams of the hosts on the server's own listener, over TLS. */
import { hostname } from "node:os";
import { type Authority, type Clock, expiryOf, serverCertificate } from "@selvage/base";
import { Secret } from "@selvage/model";
import { serverName } from "@selvage/sync";
import { authorityId, authorityOf } from "../identity/bootstrap.ts";
import { NovaMetadata } from "../nova/metadata.ts";
import type { MetadataOptions } from "../nova/options.ts";
import { settleHostOutside } from "../rules/host-gateways.ts";
import type { ServerPart, ServerPlugin } from "../server.ts";
import { Admission } from "./admission.ts";
import { type Credentials, Endpoint } from "./endpoint.ts";
import { LeaseKeeper } from "./lease-keeper.ts";
import { Peers } from "./peers.ts";
import { Relay } from "./relay.ts";
import { giveBackRested } from "./rested-blocks.ts";
import { Streams } from "./streams.ts";

export interface RelayPluginOptions {
  /** Names and addresses, besides the machine's own, under which hosts reach this server. */
  readonly names?: readonly string[];
  readonly ips?: readonly string[];
  /** Where Nova's metadata service is; absent, or with an empty URL: it is not asked. */
  readonly metadata?: MetadataOptions;
}

/** How often the server looks whether its own certificate has to be replaced, ms. */
const certificateCheck = 3_600_000;
/** It is replaced when less than this is left, ms. */
const certificateMargin = 60 * 24 * 3_600_000;

/** The plugin for `startServer`. */
export function relay(options: RelayPluginOptions = {}): ServerPlugin {
  return async (core): Promise<ServerPart> => {
    const { writer, hosts, clock, metrics } = core;
    const log = core.log.child("relay");
    const peers = new Peers(writer.replica);
    const feed = await Relay.begin(writer, { logId: core.store.logId });
    const leases = new LeaseKeeper({ writer, log });
    const stopGiving = giveBackRested({ writer, clock, log });
    const streams = new Streams({
      ...{ writer, relay: feed, peers, hosts, leases, clock, log },
      settled: (transaction, host) => {
        const full = settleHostOutside({ transaction, settings: core.settings }, host);
        if (full.length > 0)
          log.warn("a host announces nothing by networks that have no address left for it", {
            host: host.name,
            networks: full,
          });
      },
    });
    const admission = new Admission({ writer, peers, now: () => clock.now(), log, metrics });
    const own = new OwnCertificate(() => authorityOf(writer.replica), options, clock);
    const { metadata } = options;
    const nova =
      metadata === undefined || metadata.novaUrl === "" ? undefined : await NovaMetadata.open(writer.replica, metadata);
    const endpoint = new Endpoint({ peers, admission, streams, nova, clock, log }, await own.make());
    const trouble = (error: unknown): void => log.error("the server's certificate could not be made", { error });
    const renew = (): void =>
      void own.make().then((credentials) => {
        // One that was replaced meanwhile is of no use: the newer is on its way.
        if (credentials.authorityPem === authorityOf(writer.replica).certificatePem) endpoint.renew(credentials);
      }, trouble);
    const renewal = clock.every(certificateCheck, () => {
      if (own.isDue) renew();
    });
    // The authority may be replaced by a request to any server of the store.
    const stop = writer.onCommitted((entry) => {
      if (entry.changes.some(({ kind, id }) => kind === Secret.kind && id === authorityId)) renew();
    });
    metrics.gauge({
      name: "sync_streams",
      help: "Hosts whose stream is open on this server",
      read: () => streams.size,
    });
    return {
      tls: (socket) => endpoint.accept(socket),
      needOf: (hostId) => feed.needOf(hostId),
      close: async () => {
        renewal.cancel();
        await stopGiving();
        stop();
        feed.close();
        streams.close();
        endpoint.close();
      },
    };
  };
}

/** The server's own certificate: made at the start, made again long before its end. */
class OwnCertificate {
  readonly #authority: () => Authority;
  readonly #options: RelayPluginOptions;
  readonly #clock: Clock;
  #expiresAt = 0;

  constructor(authority: () => Authority, options: RelayPluginOptions, clock: Clock) {
    this.#authority = authority;
    this.#options = options;
    this.#clock = clock;
  }

  /** Signed by the authority of this moment, which goes with it. */
  async make(): Promise<Credentials> {
    const authority = this.#authority();
    const server = await serverCertificate(authority, {
      names: [...new Set([serverName, "localhost", hostname(), ...(this.#options.names ?? [])])],
      ips: [...new Set(["127.0.0.1", "::1", ...(this.#options.ips ?? [])])],
      now: this.#clock.now(),
    });
    this.#expiresAt = expiryOf(server.certificatePem);
    return { server, authorityPem: authority.certificatePem };
  }

  /** Whether little of its life is left. */
  get isDue(): boolean {
    return this.#expiresAt - this.#clock.now() < certificateMargin;
  }
}
