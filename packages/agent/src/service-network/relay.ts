/** Carries conversations from the services' network to the agent, which has no business in that network: each by a connection to the agent's socket, introduced. */
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Log } from "@selvage/base";
import { serviceInterface } from "@selvage/datapath";
import { portOfService, serviceAddresses } from "@selvage/pipeline";
import { type Introduction, introductionText } from "./introduction.ts";

/** What is listened to: the metadata service by HTTP, names by both transports (RFC 1035, section 4.2). */
const services = [
  { service: "metadata", transport: "tcp", port: 80 },
  { service: "resolver", transport: "tcp", port: 53 },
  { service: "resolver", transport: "udp", port: 53 },
] as const;

/** Conversations that one port may have at once, and all of them: what one takes is not another's. */
const mostOfPort = 32;
const mostOfAll = 4_096;
/** Milliseconds without a byte after which one ends; a datagram waits less for its answer. */
const idle = { tcp: 30_000, udp: 5_000 } as const;
/** Of a datagram's answer (RFC 768). */
const longestDatagram = 65_507;

export interface RelayOptions {
  /** The agent's socket. */
  readonly agent: string;
  readonly log: Log;
}

/** Listens from `open` to `close`; opened anew when the interface is another. */
export class Relay {
  readonly #options: RelayOptions;
  readonly #servers: Server[] = [];
  readonly #datagrams: DatagramSocket[] = [];
  readonly #open = new Set<Socket>();
  /** Conversations by the port that has them. */
  readonly #held = new Map<number, number>();

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  /** Resolves when everything is listened to. Rejects when something cannot be, and then nothing is. */
  async open(): Promise<void> {
    try {
      for (const { service, transport, port } of services)
        for (const address of [serviceAddresses[service][4], `${serviceAddresses[service][6]}%${serviceInterface}`])
          await (transport === "tcp" ? this.#listen(address, port) : this.#bind(address, port));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const closing = [
      ...this.#servers.splice(0).map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
      ...this.#datagrams.splice(0).map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))),
    ];
    for (const socket of this.#open) socket.destroy();
    await Promise.all(closing);
  }

  async #listen(host: string, port: number): Promise<void> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#converse(socket));
    server.on("error", (error) => this.#options.log.error("a service is not listened to", { host, port, error }));
    server.listen({ host, port });
    await once(server, "listening");
    this.#servers.push(server);
  }

  async #bind(address: string, port: number): Promise<void> {
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    socket.on("error", (error) => this.#options.log.error("a service is not listened to", { address, port, error }));
    const [to = ""] = address.split("%");
    socket.on("message", (message, { address: from, port: fromPort }) =>
      this.#question(socket, message, { transport: "udp", from, fromPort, to, toPort: port }),
    );
    socket.bind({ address, port });
    await once(socket, "listening");
    this.#datagrams.push(socket);
  }

  /** Whether a port may have one conversation more, which is then its own until `release`. */
  #take(from: string): { release(): void } | undefined {
    const port = portOfService(from);
    if (port === undefined) return undefined;
    const held = this.#held.get(port) ?? 0;
    if (held >= mostOfPort || this.#open.size >= 2 * mostOfAll) return undefined;
    this.#held.set(port, held + 1);
    let isHeld = true;
    return {
      release: () => {
        if (!isHeld) return;
        isHeld = false;
        const rest = (this.#held.get(port) ?? 1) - 1;
        if (rest === 0) this.#held.delete(port);
        else this.#held.set(port, rest);
      },
    };
  }

  #toAgent(introduction: Introduction): Socket {
    const agent = connect({ path: this.#options.agent, allowHalfOpen: true });
    agent.write(introductionText(introduction));
    return this.#keep(agent, idle[introduction.transport]);
  }

  #keep(socket: Socket, patience: number): Socket {
    this.#open.add(socket);
    socket.setTimeout(patience, () => socket.destroy());
    socket.on("error", (error) => this.#options.log.debug("a conversation ended", { error }));
    socket.on("close", () => this.#open.delete(socket));
    return socket;
  }

  #converse(socket: Socket): void {
    const { remoteAddress = "", remotePort = 0, localAddress = "", localPort = 0 } = socket;
    const [to = ""] = localAddress.split("%");
    const turn = this.#take(remoteAddress);
    if (turn === undefined) {
      socket.destroy();
      return;
    }
    this.#keep(socket, idle.tcp);
    const agent = this.#toAgent({
      transport: "tcp",
      from: remoteAddress,
      fromPort: remotePort,
      to,
      toPort: localPort,
    });
    socket.pipe(agent);
    agent.pipe(socket);
    socket.on("close", () => {
      turn.release();
      agent.destroy();
    });
    agent.on("close", () => socket.destroySoon());
  }

  /** One question, one answer or none. */
  #question(socket: DatagramSocket, message: Buffer, introduction: Introduction): void {
    const turn = this.#take(introduction.from);
    if (turn === undefined) return;
    const agent = this.#toAgent(introduction);
    agent.end(message);
    const parts: Buffer[] = [];
    let size = 0;
    agent.on("data", (part: Buffer) => {
      size += part.length;
      if (size > longestDatagram) agent.destroy();
      else parts.push(part);
    });
    agent.on("end", () => {
      if (size === 0) return;
      // What cannot be sent is lost, as datagrams are.
      socket.send(Buffer.concat(parts), introduction.fromPort, introduction.from, (error) => {
        if (error !== null) this.#options.log.debug("an answer was not sent", { error });
      });
    });
    agent.on("close", () => turn.release());
  }
}
