/** The byte stream under a connection: a small interface, and sockets of Node behind it (OpenFlow 1.5.1, section 6.3). */
import { connect, type Socket } from "node:net";

/** What a transport tells its one user. */
export interface TransportEvents {
  data(bytes: Uint8Array): void;
  /** The buffer is empty again after `write` gave false. */
  drain(): void;
  /** Nothing comes any more; with the error if that was why. Told once. */
  closed(error?: Error): void;
}

/** A stream of bytes both ways. */
export interface Transport {
  /** Must be called once, before anything else. */
  start(events: TransportEvents): void;
  /** Queues bytes; false asks the caller to wait for `drain`. */
  write(bytes: Uint8Array): boolean;
  /** Lets what was queued go out, then ends; `closed` follows. */
  close(): void;
}

/** Where a switch listens: a unix socket (Open vSwitch: `<rundir>/<bridge>.mgmt`) or TCP. */
export type Address = { readonly path: string } | { readonly host: string; readonly port: number };

/** Connects to a switch that listens. Rejects with the system's error. */
export function connectSocket(address: Address): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...address });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socketTransport(socket));
    });
  });
}

/** Wraps a connected socket, as one that a listening controller accepted. */
export function socketTransport(socket: Socket): Transport {
  return {
    start(events) {
      let failure: Error | undefined;
      socket.setNoDelay(true);
      socket.on("data", (bytes: Buffer) => events.data(bytes));
      socket.on("drain", () => events.drain());
      socket.on("error", (error) => {
        failure = error;
      });
      socket.on("close", () => events.closed(failure));
    },
    write: (bytes) => socket.write(bytes),
    close: () => socket.destroySoon(),
  };
}
