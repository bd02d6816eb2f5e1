/** Listening: TCP and a unix socket, each telling TLS from HTTP by a connection's first byte (0x16 begins a TLS record, RFC 8446 section 5.1). */
import { lstat, unlink } from "node:fs/promises";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import type { Places } from "@selvage/base";

export interface ConnectionHandlers {
  readonly http: (socket: Socket) => void;
  /** Absent: TLS connections are closed at once. */
  readonly tls?: ((socket: Socket) => void) | undefined;
}

export interface Listening {
  /** The TCP port. */
  readonly port: number;
  /** Takes no more connections; those that are open stay. */
  stop(): Promise<void>;
  /** Ends every open connection. */
  destroy(): void;
}

export interface Addresses {
  readonly host: string;
  readonly port: number;
  /** Path of a unix socket to listen on too. */
  readonly socket?: string | undefined;
}

const tlsHandshake = 0x16;
/** A connection that says nothing for this long is closed, ms. */
const firstByteTimeout = 30_000;

/** Listens; handlers come when they are ready: until then connections wait. All addresses share the places. Throws the system's error (EADDRINUSE, EACCES). */
export async function listen(
  addresses: Addresses,
  places: Places,
  handlers: () => ConnectionHandlers | undefined,
): Promise<Listening> {
  const sockets = new Set<Socket>();
  const accept = (socket: Socket): void => {
    // One that is ended for want of a place says so by no error that anyone hears.
    if (!places.take(socket)) return;
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    sniff(socket, handlers);
  };
  const tcp = createServer({ noDelay: true }, accept);
  await listening(tcp, () => tcp.listen(addresses.port, addresses.host));
  const servers: Server[] = [tcp];
  if (addresses.socket !== undefined) {
    const path = addresses.socket;
    try {
      await removeStale(path);
      const unix = createServer(accept);
      await listening(unix, () => unix.listen(path));
      servers.push(unix);
    } catch (error) {
      tcp.close();
      throw error;
    }
  }
  const address = tcp.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : addresses.port,
    stop: async () => {
      await Promise.all(servers.map((server) => new Promise<void>((done) => server.close(() => done()))));
    },
    destroy: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

function sniff(socket: Socket, handlers: () => ConnectionHandlers | undefined): void {
  const ignore = (): void => {
    socket.destroy();
  };
  socket.on("error", ignore);
  socket.setTimeout(firstByteTimeout, ignore);
  socket.once("data", (first: Buffer) => {
    socket.pause();
    socket.setTimeout(0);
    socket.removeListener("timeout", ignore);
    socket.removeListener("error", ignore);
    const ready = handlers();
    const handler = first[0] === tlsHandshake ? ready?.tls : ready?.http;
    if (handler === undefined) {
      socket.destroy();
      return;
    }
    socket.unshift(first);
    handler(socket);
    // The handler has attached its readers; what was read goes to them first.
    process.nextTick(() => socket.resume());
  });
}

function listening(server: Server, start: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => {
      server.removeListener("error", reject);
      resolve();
    });
    start();
  });
}

/** A socket file that nobody answers on is left over from a server that was killed. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`${path} is there and is not a socket`);
  const answered = await new Promise<boolean>((resolve) => {
    const probe = createConnection(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
  if (answered) throw Object.assign(new Error(`another process listens on ${path}`), { code: "EADDRINUSE" });
  await unlink(path);
}
