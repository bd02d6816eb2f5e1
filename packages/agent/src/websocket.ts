/** The stream's transport: a WebSocket (RFC 6455) over mutual TLS. The server's pings show that it is there; silence ends the connection. */
import type { Clock } from "@selvage/base";
import { maxMessage, pingInterval, serverName, silenceLimit, syncPath } from "@selvage/sync";
import { WebSocket } from "ws";
import { type Dial, RefusedByServer } from "./client.ts";
import { connectTo, type Endpoint, errorIn } from "./endpoint.ts";
import type { HostCredentials } from "./identity.ts";

export interface WebSocketOptions {
  readonly endpoint: Endpoint;
  /** The authority, PEM. */
  readonly ca: string;
  /** What to show; asked at each connection. */
  readonly credentials: () => HostCredentials;
  /** The server refused a certificate. */
  readonly refused: (credentials: HostCredentials) => void;
  readonly clock: Clock;
}

/** A snapshot's messages are as large as their objects: a few times what the server may get from us. */
const maxPayload = 16 * maxMessage;
const handshakeTimeout = 15_000;
/** Refusals that no waiting mends: the host must be joined again. */
const helpless: ReadonlySet<string> = new Set(["HostUnknown", "HostRevoked", "CertificateInvalid"]);

/** Makes the dialler for a server. */
export function dialWebSocket(options: WebSocketOptions): Dial {
  const { clock } = options;
  return (events) => {
    const credentials = options.credentials();
    const socket = new WebSocket(`wss://${serverName}${syncPath}`, {
      createConnection: () => connectTo(options.endpoint, { ca: options.ca, ...credentials }),
      perMessageDeflate: false,
      maxPayload,
      handshakeTimeout,
    });
    let cause: Error | undefined;
    let heardAt = clock.monotonic();
    const heard = (): void => {
      heardAt = clock.monotonic();
    };
    const watch = clock.every(pingInterval, () => {
      if (clock.monotonic() - heardAt <= silenceLimit) return;
      cause ??= new Error(`the server was silent for ${silenceLimit / 1000} s`);
      socket.terminate();
    });
    socket.on("open", () => {
      heard();
      events.open();
    });
    socket.on("ping", heard);
    socket.on("message", (data, isBinary) => {
      heard();
      // A text frame comes as one Buffer.
      if (!isBinary && Buffer.isBuffer(data)) events.message(data.toString("utf8"));
    });
    socket.on("unexpected-response", (request, response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const error = errorIn(Buffer.concat(chunks).toString("utf8"));
        const code = error?.code ?? `Status${response.statusCode ?? 0}`;
        cause = new RefusedByServer(code, error?.message ?? "the server refused the stream", !helpless.has(code));
        if (helpless.has(code)) options.refused(credentials);
        request.destroy();
        socket.terminate();
      });
    });
    socket.on("error", (error) => {
      cause ??= error;
    });
    socket.on("close", (code, reason) => {
      watch.cancel();
      events.closed(cause ?? new Error(`the server closed the stream (${code} ${reason.toString("utf8")})`.trim()));
    });
    return {
      send: (text) => {
        if (socket.readyState === socket.OPEN) socket.send(text);
      },
      close: () => {
        if (socket.readyState === socket.OPEN) socket.close(1000);
        else socket.terminate();
      },
    };
  };
}
