/** The stream under a connection: an interface to inject, and its implementation over unix and TCP sockets (RFC 7047 §4: TCP, port 6640). */

import { connect as connectSocket, isIP, type Socket } from "node:net";

/** Where a transport puts what arrives. */
export type TransportSink = {
  /** Bytes in the order of the stream; the array is not written into afterwards. */
  readonly bytes: (chunk: Uint8Array) => void;
  /** The stream is over, once and for all; `error` when it broke. */
  readonly ended: (error: Error | null) => void;
};

/** A connected, reliable, ordered stream. */
export type Transport = {
  /** Begins delivery; called once. What came earlier has been kept. */
  readonly start: (sink: TransportSink) => void;
  /** Queues text, to be sent as UTF-8. After the end it does nothing. */
  readonly write: (text: string) => void;
  /** Ends the stream after what was written; `ended(null)` follows. Idempotent. */
  readonly close: () => void;
};

/** Where an OVSDB server listens. */
export type Endpoint =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

/** The port that IANA gave OVSDB (RFC 7047 §6). */
export const OVSDB_PORT = 6640;

/** Reads `unix:PATH`, `tcp:IP[:PORT]` or `tcp:[IPv6][:PORT]` as Open vSwitch writes them (ovsdb(7)). Throws TypeError. */
export function parseEndpoint(text: string): Endpoint {
  const unix = /^unix:(.+)$/s.exec(text);
  if (unix !== null) return { kind: "unix", path: unix[1]! };
  const tcp = /^tcp:(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  if (tcp === null) throw new TypeError(`${JSON.stringify(text)} is not unix:PATH, tcp:IP[:PORT] or tcp:[IPv6][:PORT]`);
  const host = tcp[1] ?? tcp[2]!;
  const port = tcp[3] === undefined ? OVSDB_PORT : Number(tcp[3]);
  const family = isIP(host);
  if (tcp[1] !== undefined ? family !== 6 : family !== 4)
    throw new TypeError(`${JSON.stringify(host)} is not an address`);
  if (port < 1 || port > 65535) throw new TypeError(`${port} is not a TCP port`);
  return { kind: "tcp", host, port };
}

/** Connects a socket. Rejects with the system's error when nobody answers, or with the signal's reason. */
export function dial(endpoint: Endpoint, options: { readonly signal?: AbortSignal } = {}): Promise<Transport> {
  const { signal } = options;
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const socket =
      endpoint.kind === "unix"
        ? connectSocket({ path: endpoint.path })
        : connectSocket({ host: endpoint.host, port: endpoint.port, noDelay: true });
    const settle = (): void => {
      socket.off("connect", connected);
      socket.off("error", failed);
      signal?.removeEventListener("abort", aborted);
    };
    const connected = (): void => {
      settle();
      resolve(overSocket(socket));
    };
    const failed = (error: Error): void => {
      settle();
      reject(error);
    };
    const aborted = (): void => {
      settle();
      socket.destroy();
      reject(signal?.reason);
    };
    socket.once("connect", connected);
    socket.once("error", failed);
    signal?.addEventListener("abort", aborted);
  });
}

/** A transport over a socket that is connected and not yet read from. */
export function overSocket(socket: Socket): Transport {
  let sink: TransportSink | null = null;
  let broken: Error | null = null;
  socket.on("error", (error) => {
    broken = error;
  });
  socket.on("close", () => sink?.ended(broken));
  return {
    start(given) {
      sink = given;
      if (socket.closed) {
        queueMicrotask(() => given.ended(broken));
        return;
      }
      socket.on("data", (chunk: Uint8Array) => given.bytes(chunk));
    },
    write(text) {
      if (socket.writable) socket.write(text);
    },
    close() {
      socket.destroySoon();
    },
  };
}
