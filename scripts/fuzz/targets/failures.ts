/** A log that keeps what a server says of its own faults, so that an input which met one can be told of it with its stack. */
import type { Log } from "@selvage/base";
import { Broken } from "../target.ts";

/** Takes where to put the causes. */
export function failuresOf(failures: unknown[]): Log {
  const none = (): void => undefined;
  const failed = (text: string, fields: Readonly<Record<string, unknown>> = {}): void => {
    failures.push(fields.error ?? new Broken(text));
  };
  const log: Log = {
    trace: none,
    debug: none,
    info: none,
    warn: none,
    error: failed,
    fatal: failed,
    child: () => log,
    isOn: () => true,
    setLevel: none,
  };
  return log;
}
