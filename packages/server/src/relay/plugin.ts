/** The relay as a part of the server: join, renewal and streams of the hosts on the server's own listener, over TLS. */
import { hostname } from "node:os";
import { type Authority, type Clock, expiryOf, type KeyPair, serverCertificate, type Timer } from "@selvage/base";
import { serverName } from "@selvage/sync";
import { authorityOf } from "../identity/bootstrap.ts";
import type { ServerPart, ServerPlugin } from "../server.ts";
import { Admission } from "./admission.ts";
import { Endpoint } from "./endpoint.ts";
import { Peers } from "./peers.ts";
import { Relay } from "./relay.ts";
import { Streams } from "./streams.ts";

export interface RelayPluginOptions {
  /** Names and addresses, besides the machine's own, under which hosts reach this server. */
  readonly names?: readonly string[];
  readonly ips?: readonly string[];
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
    const feed = new Relay(writer, { logId: core.store.logId });
    const streams = new Streams({ writer, relay: feed, peers, hosts, clock, log });
    const admission = new Admission({ writer, peers, now: () => clock.now(), log, metrics });
    const authority = authorityOf(writer.replica);
    const own = new OwnCertificate(authority, options, clock);
    const endpoint = new Endpoint(
      { peers, admission, streams, clock, log },
      { server: await own.make(), authorityPem: authority.certificatePem },
    );
    const renewal = own.keep((server) => endpoint.renew({ server, authorityPem: authority.certificatePem }));
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
        feed.close();
        streams.close();
        endpoint.close();
      },
    };
  };
}

/** The server's own certificate: made at the start, made again long before its end. */
class OwnCertificate {
  readonly #authority: Authority;
  readonly #options: RelayPluginOptions;
  readonly #clock: Clock;
  #expiresAt = 0;

  constructor(authority: Authority, options: RelayPluginOptions, clock: Clock) {
    this.#authority = authority;
    this.#options = options;
    this.#clock = clock;
  }

  async make(): Promise<KeyPair> {
    const pair = await serverCertificate(this.#authority, {
      names: [...new Set([serverName, "localhost", hostname(), ...(this.#options.names ?? [])])],
      ips: [...new Set(["127.0.0.1", "::1", ...(this.#options.ips ?? [])])],
      now: this.#clock.now(),
    });
    this.#expiresAt = expiryOf(pair.certificatePem);
    return pair;
  }

  keep(use: (pair: KeyPair) => void): Timer {
    return this.#clock.every(certificateCheck, () => {
      if (this.#expiresAt - this.#clock.now() < certificateMargin) void this.make().then(use);
    });
  }
}
