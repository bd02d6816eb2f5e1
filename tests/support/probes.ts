/** Long talks between machines, each answer noted with its time: what was lost while something died, and how long nobody answered. */
import assert from "node:assert/strict";
import { until } from "@selvage/lab/testing";
import type { Fabric, Guest, Program } from "./guests.ts";

const WAIT_MS = 120_000;
/** Answers that must come one after the other for a talk to count as going on. */
const steady = 50;

/** Gives back what it hears, to whoever connects. */
const ECHO = [
  "import socketserver,socket,sys",
  "class H(socketserver.BaseRequestHandler):",
  "  def handle(self):",
  "    self.request.setsockopt(socket.IPPROTO_TCP,socket.TCP_NODELAY,1)",
  "    while True:",
  "      heard=self.request.recv(65536)",
  "      if not heard: return",
  "      self.request.sendall(heard)",
  "class S(socketserver.ThreadingTCPServer): allow_reuse_address=True; daemon_threads=True; address_family=socket.AF_INET6",
  "s=S(('::',int(sys.argv[1])),H)",
  "print('ready',flush=True)",
  "s.serve_forever()",
].join("\n");

/** Says a number every twenty milliseconds over one connection, however late the answers are, and prints each that comes back; ends when the connection does. */
const TALK = [
  "import socket,sys,time,select",
  "s=socket.create_connection((sys.argv[1],int(sys.argv[2])),30)",
  "s.setsockopt(socket.IPPROTO_TCP,socket.TCP_NODELAY,1)",
  "said=0; held=left=b''; due=time.monotonic(); s.setblocking(False)",
  "while True:",
  "  now=time.monotonic()",
  "  while due<=now:",
  "    said+=1; due+=0.02; left+=b'%d\\n'%said",
  "  try: left=left[s.send(left):]",
  "  except BlockingIOError: pass",
  "  if not select.select([s],[],[],max(0,due-time.monotonic()))[0]: continue",
  "  heard=s.recv(65536)",
  "  if not heard: sys.exit('the connection was closed')",
  "  *lines,held=(held+heard).split(b'\\n')",
  "  at=time.time()",
  "  for line in lines: print('[%.6f] seq=%d'%(at,int(line)))",
  "  sys.stdout.flush()",
].join("\n");

const PORT = 7_007;
/** Before whatever else the machine has to do: what waits for a processor was not lost on the way. */
const first = ["nice", "-n", "-15"] as const;

type Room = Pick<Guest, "room">;

/** Who asks whom, and of what the line in the table tells. */
export interface Way {
  readonly what: string;
  readonly from: Room;
  readonly to: string;
}

/** What became of a talk. */
export interface Loss {
  readonly what: string;
  readonly by: "ping" | "tcp";
  readonly sent: number;
  readonly lost: number;
  /** Milliseconds between two answers, where it was longest. */
  readonly silence: number;
}

/** Starts the server that talks are with. */
export async function echoes(fabric: Fabric, room: Room): Promise<Program> {
  const server = fabric.start(room, ...first, "python3", "-c", ECHO, String(PORT));
  await server.says(/ready/);
  return server;
}

interface Answer {
  readonly number: number;
  /** Seconds. */
  readonly at: number;
}

/** The answers to one talk: their numbers and times, in the order in which they came. */
class Talk {
  readonly what: string;
  readonly by: "ping" | "tcp";
  readonly #program: Program;
  /** Answers that came before what is measured. */
  #before = 0;

  constructor(what: string, by: "ping" | "tcp", program: Program) {
    this.what = what;
    this.by = by;
    this.#program = program;
  }

  /** Answers until now. Throws an Error when the program has ended. */
  get count(): number {
    if (this.#program.hasEnded) throw new Error(`${this.what} by ${this.by} ended: ${this.#program.said.slice(-300)}`);
    return this.#answers.length;
  }

  /** What was answered until now is not counted. */
  measure(): void {
    this.#before = this.count - 1;
  }

  end(): Promise<void> {
    return this.#program[Symbol.asyncDispose]();
  }

  get loss(): Loss {
    const answers = this.#answers.slice(this.#before);
    assert.ok(answers.length > 1, `${this.what} by ${this.by}`);
    const numbers = new Set(answers.map(({ number }) => number));
    const sent = Math.max(...numbers) - Math.min(...numbers) + 1;
    const gaps = answers.slice(1).map(({ at }, place) => at - (answers[place]?.at ?? at));
    return {
      ...{ what: this.what, by: this.by, sent, lost: sent - numbers.size },
      silence: Math.round(Math.max(...gaps) * 1_000),
    };
  }

  /** Lines that have been said to their end. */
  get #answers(): readonly Answer[] {
    return [...this.#program.said.matchAll(/^\[(\d+\.\d+)\].*seq=(\d+).*\n/gm)].map(([, at, number]) => ({
      number: Number(number),
      at: Number(at),
    }));
  }
}

/** Talks on several ways at once, a ping and a connection on each. */
export class Talks implements AsyncDisposable {
  readonly #talks: readonly Talk[];

  private constructor(talks: readonly Talk[]) {
    this.#talks = talks;
  }

  /** Begins them, and resolves when all are under way. Where they lead, `echoes` must have been started. */
  static async begin(fabric: Fabric, ways: readonly Way[]): Promise<Talks> {
    const talks = new Talks(
      ways.flatMap(({ what, from, to }) => [
        new Talk(what, "ping", fabric.start(from, ...first, "ping", "-n", "-D", "-i", "0.03", to)),
        new Talk(what, "tcp", fabric.start(from, ...first, "python3", "-c", TALK, to, String(PORT))),
      ]),
    );
    try {
      await talks.goOn();
      for (const talk of talks.#talks) talk.measure();
    } catch (cause) {
      await talks[Symbol.asyncDispose]();
      throw cause;
    }
    return talks;
  }

  /** Waits until each has had many more answers than now. Throws an Error when one has ended: a connection that is lost ends its program. */
  async goOn(): Promise<void> {
    const wanted = new Map(this.#talks.map((talk) => [talk, talk.count + steady]));
    for (const [talk, count] of wanted)
      await until(`${talk.what} by ${talk.by} does not go on`, WAIT_MS, async () =>
        talk.count >= count ? true : undefined,
      );
  }

  /** Ends them and gives what became of each. */
  async end(): Promise<readonly Loss[]> {
    await this[Symbol.asyncDispose]();
    return this.#talks.map((talk) => talk.loss);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const talk of this.#talks) await talk.end();
  }
}

/** Lines of a table, under what happened. */
export function tableOf(title: string, losses: readonly Loss[]): string {
  const cells = [
    ["way", "by", "sent", "lost", "longest silence, ms"],
    ...losses.map(({ what, by, sent, lost, silence }) => [what, by, String(sent), String(lost), String(silence)]),
  ];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)));
  const lines = cells.map((line) =>
    line
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return [title, ...lines, ""].join("\n");
}
