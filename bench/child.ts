/** A part of a bench in a process of its own, so that it is measured alone: messages over Node's own channel, one answer to each question. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** What goes over the channel; `Ask` and `Answer` are the child's own. */
interface Question {
  readonly number: number;
  readonly ask: unknown;
}

type Reply =
  | { readonly number: number; readonly ok: true; readonly answer: unknown }
  | { readonly number: number; readonly ok: false; readonly message: string };

/** A child that answers: `A` maps what it is asked to what it gives. */
export interface Child<A extends { readonly [op: string]: unknown }> extends AsyncDisposable {
  readonly pid: number;
  /** Rejects with the child's own error, or when it has ended. */
  ask<Op extends keyof A & string>(op: Op, of?: unknown): Promise<A[Op]>;
  /** Ends it and waits until it has gone. */
  end(): Promise<void>;
}

/** Starts a file of this folder; its garbage collector can be called. */
export function startChild<A extends { readonly [op: string]: unknown }>(file: string): Child<A> {
  const child: ChildProcess = fork(fileURLToPath(new URL(file, import.meta.url)), [], {
    execArgv: ["--expose-gc"],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    serialization: "advanced",
  });
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let asked = 0;
  let gone = false;
  child.on("message", (message) => {
    // The only sender is `answerQuestions` below, of this version.
    const reply = message as Reply;
    const asker = waiting.get(reply.number);
    waiting.delete(reply.number);
    if (reply.ok) asker?.resolve(reply.answer);
    else asker?.reject(new Error(`${file}: ${reply.message}`));
  });
  const over = (why: Error): void => {
    gone = true;
    for (const asker of waiting.values()) asker.reject(why);
    waiting.clear();
  };
  child.on("error", over);
  child.on("exit", (code, signal) => over(new Error(`${file} ended (${signal ?? code})`)));
  const end = async (): Promise<void> => {
    if (gone) return;
    const exit = once(child, "exit");
    child.disconnect();
    const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await exit;
    clearTimeout(timer);
  };
  return {
    pid: child.pid ?? 0,
    ask(op, of) {
      if (gone) return Promise.reject(new Error(`${file} has ended`));
      asked += 1;
      const asker = Promise.withResolvers<unknown>();
      waiting.set(asked, asker);
      child.send({ number: asked, ask: [op, of] } satisfies Question);
      // The child answers each question as its table says, which has the type that the asker names.
      return asker.promise as Promise<never>;
    },
    end,
    [Symbol.asyncDispose]: end,
  };
}

/** In the child: answers questions until the parent lets go; then `end` and the process ends. */
export function answerQuestions(
  answers: { readonly [op: string]: (of: never) => unknown },
  end: () => Promise<void> | void = () => undefined,
): void {
  process.on("message", (message) => {
    // The only sender is `startChild` above, of this version.
    const { number, ask } = message as { readonly number: number; readonly ask: readonly [string, never] };
    const [op, of] = ask;
    const reply = (text: Reply): void => void process.send?.(text);
    const answered = async (): Promise<unknown> => {
      const answer = answers[op];
      if (answer === undefined) throw new Error(`nobody answers ${op}`);
      return answer(of);
    };
    answered().then(
      (answer) => reply({ number, ok: true, answer }),
      (error: unknown) => {
        const words = error instanceof Error ? (error.stack ?? error.message) : String(error);
        reply({ number, ok: false, message: words });
      },
    );
  });
  process.on("disconnect", () => void Promise.resolve(end()).finally(() => process.exit(0)));
}
