/** Packets traced one after the other: what each host makes of intent is compiled for it, a host at a time, with turns for requests between. */
import { fail } from "@selvage/base";
import type { Question, Sight, ToldTrace } from "@selvage/explain";
import { Host, type Port } from "@selvage/model";
import type { NeedOf, ServerCore } from "../server.ts";

type Explain = typeof import("@selvage/explain");

/** Packets of one project that wait or are traced; one more is refused, so that no project has the others wait for long. */
const most = 8;
/** Seconds after which one that was refused may be asked again. */
const retryAfter = 1;

export class Tracer {
  readonly #core: Pick<ServerCore, "writer" | "hosts">;
  readonly #needOf: NeedOf;
  /** Its code is loaded while the program's files can be read, and by servers of hosts alone. */
  readonly explain: Explain;
  #last: Promise<unknown> = Promise.resolve();
  /** How many are under way, by project. */
  readonly #asked = new Map<string, number>();

  private constructor(core: Pick<ServerCore, "writer" | "hosts">, needOf: NeedOf, explain: Explain) {
    this.#core = core;
    this.#needOf = needOf;
    this.explain = explain;
  }

  /** To be called before the server gives up root. */
  static async open(core: Pick<ServerCore, "writer" | "hosts">, needOf: NeedOf): Promise<Tracer> {
    return new Tracer(core, needOf, await import("@selvage/explain"));
  }

  /** Traces a project's question behind those that were asked before, and tells it to whoever sees this much. Rejects with TracesBusy, EncodeError. */
  async ask(question: Question, sight: Sight, projectId: string): Promise<ToldTrace> {
    const count = this.#asked.get(projectId) ?? 0;
    if (count >= most) throw fail("TracesBusy", { count }, { retryAfter });
    this.#asked.set(projectId, count + 1);
    const mine = this.#last.then(() => this.#run(question, sight));
    this.#last = mine.catch(() => undefined);
    try {
      return await mine;
    } finally {
      const left = (this.#asked.get(projectId) ?? 1) - 1;
      if (left > 0) this.#asked.set(projectId, left);
      else this.#asked.delete(projectId);
    }
  }

  async #run(question: Question, sight: Sight): Promise<ToldTrace> {
    const { replica } = this.#core.writer;
    const { trace, Teller, hostsOf } = this.explain;
    const turn = (): Promise<void> => new Promise((done) => void setImmediate(done));
    await turn();
    const conversation = await trace({ view: replica, needOf: this.#needOf }, question, turn);
    const notes = hostsOf(replica, conversation).flatMap((host) => this.#notesOn(host, sight));
    const { from, to } = question;
    const ends = [...(from.kind === "port" ? [from.port] : []), ...(to === undefined ? [] : [to])];
    const down = ends.flatMap((port) => this.#notesOnPort(port));
    return new Teller(replica, sight).tell(conversation, [...notes, ...down]);
  }

  /** How a host is otherwise than a trace takes it to be. */
  #notesOn({ id, name }: Host, sight: Sight): readonly string[] {
    const word = sight.everything ? `Host ${name}` : "A host on its way";
    const { alive, inForce } = this.#core.hosts.of(id);
    const { revision } = this.#core.writer.replica;
    if (!alive) return [`${word} is not heard from: what it holds may be older than this.`];
    if (inForce === undefined || inForce < revision)
      return [`${word} is ${inForce === undefined ? "not in force yet" : "behind"}: this is how it will be.`];
    return [];
  }

  #notesOnPort({ id, name, "binding:host_id": hostName }: Port): readonly string[] {
    const { replica } = this.#core.writer;
    const host = replica.by(Host.index.name, hostName)[0];
    if (host === undefined || this.#core.hosts.portUp(host.id, id)) return [];
    return [`Port ${name === "" ? id : name} is not up: nothing is plugged in there, and here it is taken to be.`];
  }
}
