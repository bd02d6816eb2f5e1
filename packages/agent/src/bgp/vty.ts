/** One conversation with a daemon of FRR over its unix socket, as its own shell leads it (FRR, lib/vty.c): a command and a zero octet; words, three zero octets and a status. */
import { connect, type Socket } from "node:net";

/** A command that the daemon did not take, with what it said. */
export class VtyRefusal extends Error {
  readonly command: string;
  readonly status: number;
  constructor(command: string, status: number, said: string) {
    // What a line sets may be a secret.
    super(`the routing daemon refused "${command.replace(/( password ).*/, "$1…")}" (status ${status}): ${said}`);
    this.name = "VtyRefusal";
    this.command = command;
    this.status = status;
  }
}

/** Octets behind an answer's words: three zeros and the status. */
const endLength = 4;

interface Waiting {
  readonly command: string;
  readonly resolve: (said: string) => void;
  readonly reject: (cause: Error) => void;
}

/** Asks one thing at a time, in the order of the calls. */
export class Vty {
  readonly #socket: Socket;
  readonly #queue: Waiting[] = [];
  #heard: Buffer = Buffer.alloc(0);
  #ended: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (octets) => this.#take(Buffer.from(octets)));
    socket.on("error", (cause) => this.#end(cause));
    socket.on("close", () => this.#end(new Error("the routing daemon closed the conversation")));
  }

  /** Resolves when the daemon listens there. Rejects with the system's error. */
  static open(path: string): Promise<Vty> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new Vty(socket));
      });
    });
  }

  /** Gives what the daemon says. Throws VtyRefusal when it does not take the command, Error when it is gone. */
  ask(command: string): Promise<string> {
    const ended = this.#ended;
    if (ended !== undefined) return Promise.reject(ended);
    return new Promise((resolve, reject) => {
      this.#queue.push({ command, resolve, reject });
      if (this.#queue.length === 1) this.#socket.write(`${command}\0`);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(octets: Buffer): void {
    this.#heard = Buffer.concat([this.#heard, octets]);
    const end = this.#heard.length - endLength;
    if (end < 0 || this.#heard.readUIntBE(end, 3) !== 0) return;
    const said = this.#heard.subarray(0, end).toString().trim();
    const status = this.#heard.readUInt8(end + 3);
    this.#heard = Buffer.alloc(0);
    const asked = this.#queue.shift();
    const next = this.#queue[0];
    if (next !== undefined) this.#socket.write(`${next.command}\0`);
    if (status === 0) asked?.resolve(said);
    else asked?.reject(new VtyRefusal(asked.command, status, said));
  }

  #end(cause: Error): void {
    this.#ended ??= cause;
    for (const { reject } of this.#queue.splice(0)) reject(this.#ended);
  }
}
