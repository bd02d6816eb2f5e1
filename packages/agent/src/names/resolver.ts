/** The resolver of a host's machines: names of the platform's ports are answered here, all others are handed on to the servers that the operator names (RFC 1034, RFC 6891). */
import { once } from "node:events";
import type { Duplex } from "node:stream";
import type { Clock, Counter, Log, Metrics } from "@selvage/base";
import type { Port, View } from "@selvage/model";
import { type Dns, DnsClass, DnsRcode, type DnsRecord, decodeDns, encodeDns } from "@selvage/packet";
import { framed, type Upstream } from "./upstream.ts";
import { lookUp } from "./zone.ts";

export interface ResolverOptions {
  readonly view: View;
  readonly upstream: Upstream;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Bytes of a datagram: the least that everybody takes, and the most that is not broken on its way (RFC 1035 section 4.2.1; RFC 9715). */
const datagram = { least: 512, most: 1232 } as const;
/** Types of whole zones (RFC 1995, RFC 5936), which are nobody's to have. */
const transfers: ReadonlySet<number> = new Set([251, 252]);
/** Milliseconds that a connection may take to read an answer and ask its next question, from that answer on. */
const patience = 10_000;
const checkingDisabled = 1;
const dnssecOk = 0x8000;

interface Reply {
  readonly rcode: number;
  readonly isOurs?: boolean;
  /** There is more than what is said. */
  readonly isCut?: boolean;
  readonly answers?: readonly DnsRecord[];
  readonly authorities?: readonly DnsRecord[];
}

export class Resolver {
  readonly #options: ResolverOptions;
  readonly #answered: Counter<"transport" | "outcome">;

  constructor(options: ResolverOptions) {
    this.#options = options;
    this.#answered = options.metrics.counter({
      name: "dns_questions_total",
      help: "Questions for names that machines of this host asked, by transport and what became of them",
      labels: ["transport", "outcome"],
    });
  }

  /** Answers one message of a machine; undefined: with nothing. Never rejects: a message is its sender's to choose. */
  async answer(bytes: Uint8Array, asker: Port, transport: "udp" | "tcp"): Promise<Uint8Array | undefined> {
    const count = (outcome: string): void => this.#answered.inc({ transport, outcome });
    const decoded = decodeDns(bytes);
    if (!decoded.ok) {
      count("malformed");
      return refusal(bytes);
    }
    const { message } = decoded;
    if (message.response) {
      count("no-question");
      return undefined;
    }
    try {
      const wrong = wrongWith(message);
      if (wrong !== undefined) {
        count("refused");
        return this.#encoded(message, { rcode: wrong }, transport);
      }
      const reply = this.#own(message, asker);
      if (reply !== "elsewhere") {
        count(reply.rcode === DnsRcode.noError ? "answered" : "no-name");
        return this.#encoded(message, reply, transport);
      }
      return await this.#handedOn(message, transport, count);
    } catch (error) {
      count("failed");
      this.#options.log.warn("a question for a name could not be answered", { port: asker.id, error });
      return this.#encoded(message, { rcode: DnsRcode.serverFailure }, transport);
    }
  }

  /** Serves a connection, one message after another (RFC 7766 section 6.2.1); one that asks nothing for a while, does not end its question, or does not read, is ended. */
  serve(socket: Duplex, asker: Port): void {
    const { clock, log } = this.#options;
    let held = Buffer.alloc(0);
    let busy = false;
    let isEnded = false;
    const closed = new AbortController();
    const deadline = () => clock.after(patience, () => socket.destroy());
    let timer = deadline();
    const next = async (): Promise<void> => {
      if (busy) return;
      busy = true;
      while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
        timer.cancel();
        const end = 2 + held.readUInt16BE(0);
        const message = held.subarray(2, end);
        held = held.subarray(end);
        const answer = await this.answer(message, asker, "tcp");
        timer = deadline();
        if (answer === undefined || socket.destroyed) {
          socket.destroy();
          timer.cancel();
          return;
        }
        // Who does not read is asked for nothing more, and the deadline runs on.
        if (!socket.write(framed(answer))) await once(socket, "drain", { signal: closed.signal });
      }
      busy = false;
      // No more is read than what is being answered.
      socket.resume();
      if (isEnded) socket.end();
    };
    socket.on("data", (part: Buffer) => {
      held = Buffer.concat([held, part]);
      socket.pause();
      next().catch((error: unknown) => {
        // One that has ended already is not worth a line.
        log[socket.destroyed ? "debug" : "warn"]("a machine's conversation about names is broken off", {
          port: asker.id,
          error,
        });
        socket.destroy();
      });
    });
    socket.on("end", () => {
      isEnded = true;
      if (!busy) socket.end();
    });
    socket.on("close", () => {
      timer.cancel();
      closed.abort();
    });
    socket.resume();
  }

  #own(message: Dns, asker: Port): Reply | "elsewhere" {
    const { view, upstream } = this.#options;
    const [question] = message.questions;
    if (question === undefined) return { rcode: DnsRcode.formatError };
    const found = lookUp(view, asker, question);
    switch (found.found) {
      case "records":
        return { rcode: DnsRcode.noError, isOurs: true, answers: found.records };
      case "no-data":
        return { rcode: DnsRcode.noError, isOurs: true, authorities: [found.authority] };
      case "no-name":
        return { rcode: DnsRcode.nameError, isOurs: true, authorities: [found.authority] };
      case "elsewhere":
        if (upstream.isKnown && message.recursionDesired) return "elsewhere";
        return found.authority === undefined
          ? { rcode: DnsRcode.refused }
          : { rcode: DnsRcode.nameError, isOurs: true, authorities: [found.authority] };
    }
  }

  async #handedOn(
    message: Dns,
    transport: "udp" | "tcp",
    count: (outcome: string) => void,
  ): Promise<Uint8Array | undefined> {
    const { extension } = message;
    const asked: Dns = {
      ...message,
      authoritative: false,
      truncated: false,
      recursionAvailable: false,
      answers: [],
      authorities: [],
      additionals: [],
      // What is between a machine and us alone (cookies, its subnet) stays there.
      ...(extension === undefined
        ? {}
        : {
            extension: {
              size: sizeOf(message),
              version: 0,
              rcode: 0,
              flags: extension.flags & dnssecOk,
              options: new Uint8Array(0),
            },
          }),
    };
    const answer = await this.#options.upstream.ask(asked, transport);
    count(answer === undefined ? "upstream-silent" : "handed-on");
    if (answer === undefined) return this.#encoded(message, { rcode: DnsRcode.serverFailure }, transport);
    // A server that says more than it was allowed to is heard by TCP (RFC 2181 section 9).
    const isTooLong = transport === "udp" && answer.length > sizeOf(message);
    return isTooLong ? this.#encoded(message, { rcode: DnsRcode.noError, isCut: true }, transport) : answer;
  }

  #encoded(message: Dns, reply: Reply, transport: "udp" | "tcp"): Uint8Array {
    const { answers = [], authorities = [], isOurs = false, isCut = false, rcode } = reply;
    const { extension } = message;
    const whole: Dns = {
      id: message.id,
      response: true,
      opcode: message.opcode,
      authoritative: isOurs,
      truncated: isCut,
      recursionDesired: message.recursionDesired,
      recursionAvailable: this.#options.upstream.isKnown,
      reserved: message.reserved & checkingDisabled,
      rcode: rcode & 15,
      questions: message.questions,
      answers,
      authorities,
      additionals: [],
      ...(extension === undefined
        ? {}
        : {
            extension: {
              size: datagram.most,
              version: 0,
              rcode: rcode >> 4,
              flags: extension.flags & dnssecOk,
              options: new Uint8Array(0),
            },
          }),
    };
    const bytes = encodeDns(whole);
    if (transport === "tcp" || bytes.length <= sizeOf(message)) return bytes;
    return encodeDns({ ...whole, truncated: true, answers: [], authorities: [] });
  }
}

/** Bytes of a datagram that the asking machine takes and its network carries. */
const sizeOf = ({ extension }: Dns): number =>
  Math.min(datagram.most, Math.max(datagram.least, extension?.size ?? datagram.least));

/** What is not asked of a resolver in this way. */
function wrongWith(message: Dns): number | undefined {
  const [question, ...more] = message.questions;
  if (message.opcode !== 0) return DnsRcode.notImplemented;
  if (message.extension !== undefined && message.extension.version !== 0) return DnsRcode.badVersion;
  if (question === undefined || more.length > 0) return DnsRcode.formatError;
  if (transfers.has(question.type)) return DnsRcode.refused;
  return question.class === DnsClass.internet ? undefined : DnsRcode.refused;
}

/** To what is no message, as far as it has a head (RFC 1035 section 4.1.1); nothing to what is no question. */
function refusal(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length < 12 || ((bytes[2] ?? 0) & 0x80) !== 0) return undefined;
  const head = new Uint8Array(12);
  head.set(bytes.subarray(0, 2));
  head[2] = 0x80 | ((bytes[2] ?? 0) & 0x79);
  head[3] = DnsRcode.formatError;
  return head;
}
