/**
 * The TLS side of the listener (TLS 1.3, RFC 8446): joining without a certificate of one's own, renewing and syncing with one; the stream
 * is a WebSocket (RFC 6455) whose pings show that the host is there.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { type Clock, entryOf, fail, isError, type KeyPair, type Log, type SelvageError } from "@selvage/base";
import { joinPath, maxMessage, metadataPath, pingInterval, renewPath, silenceLimit, syncPath } from "@selvage/sync";
import { type WebSocket, WebSocketServer } from "ws";
import type { RouteShape } from "../http/route.ts";
import { watched } from "../http/watched.ts";
import type { NovaMetadata } from "../nova/metadata.ts";
import type { Admission } from "./admission.ts";
import type { Peer, Peers } from "./peers.ts";
import type { Channel } from "./session.ts";
import type { Streams } from "./streams.ts";

export interface EndpointOptions {
  readonly peers: Peers;
  readonly admission: Admission;
  readonly streams: Streams;
  /** Nova's metadata service, where it is asked. */
  readonly nova: NovaMetadata | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** The server's own key and certificate, and that of the authority which signed it and every host's. */
export interface Credentials {
  readonly server: KeyPair;
  readonly authorityPem: string;
}

/** Every route of the TLS listener. */
export const tlsRoutes = [
  { method: "POST", path: joinPath, access: "join-token" },
  { method: "POST", path: renewPath, access: "host" },
  { method: "POST", path: metadataPath, access: "host" },
  { method: "GET", path: syncPath, access: "host" },
] as const satisfies readonly RouteShape[];

const largestBody = 64 * 1024;
/** Bytes under way to one host at which the session is told that there is room again. */
const roomAgain = 1024 * 1024;

export class Endpoint {
  readonly #options: EndpointOptions;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: maxMessage, perMessageDeflate: false });

  constructor(options: EndpointOptions, credentials: Credentials) {
    this.#options = options;
    const server = createServer({
      ...secure(credentials),
      requestCert: true,
      // Who has no certificate may join and nothing else; who has one is checked where it matters.
      rejectUnauthorized: false,
      minVersion: "TLSv1.3",
      handshakeTimeout: 10_000,
      headersTimeout: 10_000,
      requestTimeout: 20_000,
    });
    this.#server = watched(server);
    this.#server.on("request", (request, response) => void this.#answer(request, response));
    this.#server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
    this.#server.on("tlsClientError", (error) => options.log.debug("a TLS handshake failed", { error }));
  }

  /** Takes a connection whose first bytes are still unread. */
  accept(socket: Duplex): void {
    this.#server.emit("connection", socket);
  }

  /** Uses another certificate for connections from now on. */
  renew(credentials: Credentials): void {
    this.#server.setSecureContext({ ...secure(credentials), minVersion: "TLSv1.3" });
  }

  /** Ends all connections. */
  close(): void {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#sockets.close();
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { admission, nova, log } = this.#options;
    const path = request.url ?? "/";
    try {
      const route = tlsRoutes.find((each) => each.method === request.method && each.path === path);
      switch (route?.path) {
        case joinPath:
          reply(response, 200, await admission.join(await bodyOf(request), sourceOf(request)));
          break;
        case renewPath: {
          const peer = this.#peerOf(request);
          reply(response, 200, await admission.renew(await bodyOf(request), peer));
          break;
        }
        case metadataPath: {
          const peer = this.#peerOf(request);
          const body = await bodyOf(request);
          if (nova === undefined) throw fail("MetadataUnavailable", { reason: "this server is not told where it is" });
          reply(response, 200, await nova.ask(peer.hostId, body));
          break;
        }
        // The stream is no request: it is upgraded.
        case syncPath:
        case undefined:
          throw fail("RouteUnknown", { method: request.method ?? "GET", path });
      }
    } catch (error) {
      if (!isError(error)) log.error("a request over TLS failed", { error, path });
      const told = isError(error) ? error : fail("Internal");
      const retry = told.retryAfter === undefined ? {} : { "retry-after": String(told.retryAfter) };
      reply(response, told.status, refusalBody(told), retry);
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const drop = (error: Error): void => {
      this.#options.log.debug("a connection broke", { error });
      socket.destroy();
    };
    socket.on("error", drop);
    try {
      if (request.url !== syncPath) throw fail("RouteUnknown", { method: "GET", path: request.url ?? "/" });
      const peer = this.#peerOf(request);
      this.#sockets.handleUpgrade(request, socket, head, (websocket) => {
        socket.removeListener("error", drop);
        this.#serve(peer, websocket);
      });
    } catch (error) {
      if (!isError(error)) throw error;
      this.#options.log.warn("a stream was refused", {
        code: error.code,
        reason: error.message,
        source: sourceOf(request),
      });
      const body = JSON.stringify(refusalBody(error));
      socket.end(
        `HTTP/1.1 ${error.status} Refused\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      );
    }
  }

  /** Who speaks, by the certificate that TLS has verified. Throws CertificateInvalid, HostUnknown, HostRevoked. */
  #peerOf(request: IncomingMessage): Peer {
    const { socket } = request;
    if (!(socket instanceof TLSSocket)) throw fail("CertificateInvalid", { reason: "there is none" });
    const { raw } = socket.getPeerCertificate();
    if (raw === undefined) throw fail("CertificateInvalid", { reason: "there is none" });
    if (!socket.authorized) {
      throw fail("CertificateInvalid", {
        reason: `it was not signed by this deployment (${socket.authorizationError})`,
      });
    }
    return this.#options.peers.identify(raw);
  }

  #serve(peer: Peer, websocket: WebSocket): void {
    const { clock, log, streams } = this.#options;
    const channel: Channel = {
      send: (text) => {
        if (websocket.readyState !== websocket.OPEN) return;
        websocket.send(text, () => {
          if (websocket.bufferedAmount < roomAgain) stream.drained();
        });
      },
      get backlog() {
        return websocket.bufferedAmount;
      },
      close: () => websocket.close(1000),
    };
    const stream = streams.open(peer, channel);
    let heardAt = clock.monotonic();
    const heard = (): void => {
      heardAt = clock.monotonic();
    };
    const ping = clock.every(pingInterval, () => {
      if (clock.monotonic() - heardAt > silenceLimit) websocket.terminate();
      else if (websocket.readyState === websocket.OPEN) websocket.ping();
    });
    websocket.on("message", (data, isBinary) => {
      heard();
      // A text frame comes as one Buffer.
      if (isBinary || !Buffer.isBuffer(data)) websocket.close(1003);
      else stream.message(data.toString("utf8"));
    });
    websocket.on("pong", () => {
      heard();
      stream.heard();
    });
    websocket.on("error", (error) => log.debug("a stream broke", { host: peer.hostId, error }));
    websocket.on("close", () => {
      ping.cancel();
      stream.closed();
    });
  }
}

const secure = ({ server, authorityPem }: Credentials) => ({
  key: server.keyPem,
  // With the authority behind it, so that a joining host can compare its fingerprint.
  cert: server.certificatePem + authorityPem,
  ca: authorityPem,
});

const sourceOf = (request: IncomingMessage): string => request.socket.remoteAddress ?? "local";

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > largestBody) throw fail("BodyTooLarge", { limit: largestBody });
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (cause) {
    throw fail("FieldInvalid", { field: "body", reason: "it is not JSON" }, { cause });
  }
}

/** Always in our own envelope, with the entry's name as the type. */
function refusalBody({ code, status, message, hint, params }: SelvageError) {
  return { error: { type: code, status, message, kind: entryOf(code).kind, hint, params } };
}

function reply(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}
