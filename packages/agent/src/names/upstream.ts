/** Questions that are handed on to servers elsewhere (RFC 1035 section 7, RFC 5452 on what may be believed of an answer; RFC 7766 for TCP). */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect, isIP } from "node:net";
import type { Clock } from "@selvage/base";
import { type Dns, DnsRcode, encodeDns } from "@selvage/packet";

export interface NameServer {
  readonly address: string;
  readonly port: number;
}

/** Milliseconds for one server; the next is asked then. Three take less than machines wait. */
const patience = 1_500;
const mostServers = 3;
/** Milliseconds for which a server that was silent is asked after the others, so that not every question waits for it. */
const distrust = 30_000;
/** What a server says that cannot tell; another may. */
const failures: ReadonlySet<number> = new Set([DnsRcode.serverFailure, DnsRcode.notImplemented, DnsRcode.refused]);
const shortest = 12;

/** Reads `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53` and `[2001:db8::53]:5353`, with commas between. Throws RangeError. */
export function nameServers(text: string): readonly NameServer[] {
  const words = text.split(",").flatMap((word) => (word.trim() === "" ? [] : [word.trim()]));
  if (words.length > mostServers) throw new RangeError(`at most ${mostServers} servers are asked for names`);
  return words.map((word) => {
    const [, bracketed, inner] = /^\[([^\]]+)\](?::(\d+))?$/.exec(word) ?? [];
    const [, four, outer] = /^([0-9.]+):(\d+)$/.exec(word) ?? [];
    const address = bracketed ?? four ?? word;
    const port = Number(inner ?? outer ?? 53);
    if (isIP(address) === 0 || port < 1 || port > 65_535)
      throw new RangeError(`"${word}" is no server of names: an address, or one with a port behind it`);
    return { address, port };
  });
}

export class Upstream {
  readonly #servers: readonly NameServer[];
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #closing = new AbortController();
  /** When a server was silent last. */
  readonly #silent = new Map<NameServer, number>();

  constructor(servers: readonly NameServer[], clock: Pick<Clock, "monotonic">) {
    this.#servers = servers;
    this.#clock = clock;
  }

  /** Whether anybody is there to be asked. */
  get isKnown(): boolean {
    return this.#servers.length > 0;
  }

  /**
   * Asks one server after the other until one can tell, and gives the answer's bytes under the question's own number: that of the first which could not tell where
   * none could; undefined: none answered. Each asking has a port and a number of its own, drawn by chance, and takes an answer from that server alone.
   */
  async ask(question: Dns, transport: "udp" | "tcp"): Promise<Uint8Array | undefined> {
    let failure: Uint8Array | undefined;
    for (const server of this.#inOrder()) {
      if (this.#closing.signal.aborted) break;
      const bytes = encodeDns({ ...question, id: randomInt(65_536) });
      const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(patience)]);
      const answer = await (transport === "udp" ? byDatagram : byStream)(server, bytes, signal).catch(() => undefined);
      if (answer === undefined) {
        this.#silent.set(server, this.#clock.monotonic());
        continue;
      }
      this.#silent.delete(server);
      const own = Uint8Array.from(answer);
      new DataView(own.buffer).setUint16(0, question.id);
      if (!failures.has((own[3] ?? 0) & 15)) return own;
      failure ??= own;
    }
    return failure;
  }

  /** As the operator named them, those that were silent a while ago last. */
  #inOrder(): readonly NameServer[] {
    const now = this.#clock.monotonic();
    const isSilent = (server: NameServer): boolean =>
      now - (this.#silent.get(server) ?? Number.NEGATIVE_INFINITY) < distrust;
    return [
      ...this.#servers.filter((server) => !isSilent(server)),
      ...this.#servers.filter((server) => isSilent(server)),
    ];
  }

  close(): void {
    this.#closing.abort();
  }
}

/** Whether bytes are an answer to the question: its number, and the same question again, in any case of letters. */
function answers(bytes: Uint8Array, question: Uint8Array): boolean {
  if (bytes.length < shortest || ((bytes[2] ?? 0) & 0x80) === 0) return false;
  if (bytes[0] !== question[0] || bytes[1] !== question[1]) return false;
  return textOf(questionOf(bytes)) === textOf(questionOf(question));
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1").toLowerCase();

/** The one question's bytes, with all behind them: a name of a question alone is not compressed. */
function questionOf(bytes: Uint8Array): Uint8Array {
  let at = shortest;
  while (at < bytes.length && bytes[at] !== 0) at += 1 + (bytes[at] ?? 0);
  return bytes.subarray(shortest, at + 5);
}

function byDatagram(server: NameServer, question: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIP(server.address) === 6 ? "udp6" : "udp4");
    const end = (): void => {
      signal.removeEventListener("abort", late);
      socket.close();
    };
    const late = (): void => {
      end();
      reject(new Error("no answer in time"));
    };
    signal.addEventListener("abort", late);
    socket.on("error", (error) => {
      end();
      reject(error);
    });
    // One that is connected takes nothing from others (udp(7)).
    socket.connect(server.port, server.address, () => socket.send(question));
    socket.on("message", (bytes) => {
      if (!answers(bytes, question)) return;
      end();
      resolve(bytes);
    });
  });
}

function byStream(server: NameServer, question: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: server.address, port: server.port, signal });
    let held = Buffer.alloc(0);
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("the connection ended")));
    socket.on("connect", () => socket.write(framed(question)));
    socket.on("data", (part: Buffer) => {
      held = Buffer.concat([held, part]);
      if (held.length < 2 || held.length < 2 + held.readUInt16BE(0)) return;
      const bytes = held.subarray(2, 2 + held.readUInt16BE(0));
      if (answers(bytes, question)) resolve(bytes);
      socket.destroy();
    });
  });
}

/** A message behind its length (RFC 1035 section 4.2.2). */
export function framed(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(2 + message.length);
  new DataView(bytes.buffer).setUint16(0, message.length);
  bytes.set(message, 2);
  return bytes;
}
