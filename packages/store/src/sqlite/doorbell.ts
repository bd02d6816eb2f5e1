/**
 * The doorbell between processes on one file: who has committed touches the file's times, the others' inotify wakes them (inotify(7)).
 * It may be lost; a slow poll stands behind it.
 */
import { type FSWatcher, utimesSync, watch } from "node:fs";

export class Doorbell {
  readonly #path: string;
  readonly #answer: () => void;
  readonly #timer: NodeJS.Timeout;
  #watcher: FSWatcher | undefined;

  /** `answer` is called for every ring, also our own, and each `poll` milliseconds; it must be cheap and must not throw. */
  constructor(path: string, poll: number, answer: () => void) {
    this.#path = path;
    this.#answer = answer;
    this.#timer = setInterval(answer, poll);
    this.#timer.unref();
    try {
      this.#watcher = watch(path, { persistent: false }, () => this.#answer());
      this.#watcher.on("error", () => this.#watcher?.close());
    } catch (error) {
      // No watches left on this machine, or no inotify here: the poll remains.
      if (!(error instanceof Error)) throw error;
    }
  }

  /** Tells the others. */
  ring(): void {
    const now = new Date();
    try {
      utimesSync(this.#path, now, now);
    } catch (error) {
      // A read-only file, for one: the others' poll finds out.
      if (!(error instanceof Error)) throw error;
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#watcher?.close();
  }
}
