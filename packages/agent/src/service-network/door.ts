/** Where conversations from the services' network come to the agent: each begins with its introduction, and goes to whoever serves that transport and port. */
import { chmod, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import type { Log } from "@selvage/base";
import { Attachment, Port, type Replica } from "@selvage/model";
import { portOfService } from "@selvage/pipeline";
import { type Introduction, longestIntroduction, readIntroduction } from "./introduction.ts";

/** A machine that asks, known by the port of the switch that its packets came by. */
export interface Asker {
  readonly port: Port;
  /** The address of the service that it asked. */
  readonly service: string;
}

export interface DoorServices {
  /** By port: takes a connection of which nothing has been read. */
  readonly tcp?: Readonly<Record<number, (socket: Socket, asker: Asker) => void>>;
  /** By port: answers one datagram; undefined: not at all. */
  readonly udp?: Readonly<Record<number, (message: Uint8Array, asker: Asker) => Promise<Uint8Array | undefined>>>;
}

export interface DoorOptions {
  /** Path of the socket. */
  readonly socket: string;
  readonly services: DoorServices;
  /** The port of a key that is bound and plugged in here. */
  readonly portOf: (key: number) => Port | undefined;
  readonly log: Log;
}

const longestQuestion = 65_535;
const patience = 5_000;

/** A door that is open; closing it ends what came by it. */
export interface Door {
  close(): Promise<void>;
}

type ObjectsView = Pick<Replica, "get" | "objects">;

/** Finds ports by key among those plugged in here. */
export const portFinder =
  (view: ObjectsView, hostName: string) =>
  (key: number): Port | undefined => {
    for (const { id } of view.objects(Attachment)) {
      const port = view.get(Port, id);
      if (port?.key === key && port["binding:host_id"] === hostName) return port;
    }
    return undefined;
  };

/** Opens the door. Rejects when the socket cannot be had. */
export async function openDoor(options: DoorOptions): Promise<Door> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    socket.on("error", (error) => options.log.debug("a conversation ended", { error }));
    introduced(socket, (introduction) => admit(options, socket, introduction));
  });
  await rm(options.socket, { force: true });
  await listening(server, options.socket);
  await chmod(options.socket, 0o600);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

const listening = (server: Server, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      resolve();
    });
  });

/** Reads the line and leaves all behind it unread. */
function introduced(socket: Socket, then: (introduction: Introduction) => void): void {
  let held = Buffer.alloc(0);
  socket.setTimeout(patience, () => socket.destroy());
  const read = (): void => {
    const part: unknown = socket.read();
    if (!Buffer.isBuffer(part)) return;
    held = Buffer.concat([held, part]);
    const end = held.indexOf("\r\n");
    if (end < 0) {
      if (held.length > longestIntroduction) socket.destroy();
      return;
    }
    socket.off("readable", read);
    const introduction = readIntroduction(held.subarray(0, end).toString("latin1"));
    const rest = held.subarray(end + 2);
    if (rest.length > 0) socket.unshift(rest);
    if (introduction === undefined) socket.destroy();
    else then(introduction);
  };
  socket.on("readable", read);
}

function admit(options: DoorOptions, socket: Socket, { transport, from, to, toPort }: Introduction): void {
  const { services, portOf, log } = options;
  const key = portOfService(from);
  const port = key === undefined ? undefined : portOf(key);
  if (port === undefined) {
    log.debug("whoever asks is no port here", { from });
    socket.destroy();
    return;
  }
  const asker = { port, service: to };
  socket.setTimeout(0);
  if (transport === "tcp") {
    const serve = services.tcp?.[toPort];
    if (serve === undefined) socket.destroy();
    else serve(socket, asker);
    return;
  }
  const answer = services.udp?.[toPort];
  if (answer === undefined) {
    socket.destroy();
    return;
  }
  whole(socket)
    .then((message) => answer(message, asker))
    .then((reply) => socket.end(reply ?? new Uint8Array()))
    .catch((error: unknown) => {
      log.debug("a question is not answered", { error });
      socket.destroy();
    });
}

/** All that is sent until its end. Rejects when it is too much, or does not end in time. */
function whole(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let size = 0;
    socket.setTimeout(patience, () => reject(new Error("the question does not end")));
    socket.on("data", (part: Buffer) => {
      size += part.length;
      parts.push(part);
      if (size > longestQuestion) reject(new Error("the question is too long"));
    });
    socket.on("end", () => resolve(Buffer.concat(parts)));
    socket.on("close", () => reject(new Error("the question was broken off")));
    socket.resume();
  });
}
