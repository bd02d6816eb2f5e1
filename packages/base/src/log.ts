/** The log: one JSON object (or one readable line) an event, by room, its level changeable while it runs; on pino. */
import type { Clock } from "./clock.ts";
import { realClock } from "./clock.ts";
import { redact } from "./redact.ts";

/** From the least to the most important; `silent` only as a threshold. */
export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal"] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogThreshold = LogLevel | "silent";

/** What accompanies a text: names and values; secrets are redacted by their names. */
export type LogFields = Readonly<Record<string, unknown>>;

type Writer = (text: string, fields?: LogFields) => void;

/** Where events are told. An error goes under the name `error`. */
export interface Log extends Readonly<Record<LogLevel, Writer>> {
  /** A log for a room inside this one (`agent` → `agent/sync`), with fields that all its lines bear. */
  child(room: string, fields?: LogFields): Log;
  /** Whether lines of a level are written: ask before costly work only. */
  isOn(level: LogLevel): boolean;
  /** Changes the threshold at run time, of all rooms, or of one and the rooms inside it. */
  setLevel(level: LogThreshold, room?: string): void;
}

/** What {@link createLog} can be told. */
export interface LogOptions {
  readonly level?: LogThreshold;
  readonly format?: "json" | "text";
  readonly room?: string;
  /** Where whole lines go; standard error, written synchronously, unless told. */
  readonly destination?: { write(line: string): void };
  readonly clock?: Clock;
}

/** Makes a log; pino is loaded here and not with the module, for it costs a short command 30 ms. */
export async function createLog(options: LogOptions = {}): Promise<Log> {
  const { pino } = await import("pino");
  const clock = options.clock ?? realClock;
  const target = options.destination ?? pino.destination({ fd: 2, sync: true });
  const lines = pino(
    {
      level: "trace",
      base: null,
      timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    options.format === "text" ? { write: (line: string) => void target.write(readable(line)) } : target,
  );
  const write = (level: LogLevel, text: string, fields: LogFields): void => lines[level](fields, text);
  return new RoomLog(write, new Thresholds(options.level ?? "info"), options.room ?? "", {});
}

/** A log that writes nothing, for tests and libraries. */
export const silentLog: Log = {
  trace: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  fatal: () => undefined,
  child: () => silentLog,
  isOn: () => false,
  setLevel: () => undefined,
};

/** The thresholds of all rooms of one log. */
class Thresholds {
  #general: LogThreshold;
  readonly #rooms = new Map<string, LogThreshold>();

  constructor(general: LogThreshold) {
    this.#general = general;
  }

  set(level: LogThreshold, room: string | undefined): void {
    if (room === undefined) {
      this.#general = level;
      this.#rooms.clear();
    } else this.#rooms.set(room, level);
  }

  /** The threshold of the nearest room around it that has one. */
  of(room: string): LogThreshold {
    if (this.#rooms.size === 0) return this.#general;
    for (let name = room; name !== ""; name = name.slice(0, Math.max(name.lastIndexOf("/"), 0))) {
      const level = this.#rooms.get(name);
      if (level !== undefined) return level;
    }
    return this.#general;
  }
}

class RoomLog implements Log {
  readonly #write: (level: LogLevel, text: string, fields: LogFields) => void;
  readonly #thresholds: Thresholds;
  readonly #room: string;
  readonly #fields: LogFields;

  readonly trace: Writer = (text, fields) => this.#tell("trace", text, fields);
  readonly debug: Writer = (text, fields) => this.#tell("debug", text, fields);
  readonly info: Writer = (text, fields) => this.#tell("info", text, fields);
  readonly warn: Writer = (text, fields) => this.#tell("warn", text, fields);
  readonly error: Writer = (text, fields) => this.#tell("error", text, fields);
  readonly fatal: Writer = (text, fields) => this.#tell("fatal", text, fields);

  constructor(
    write: (level: LogLevel, text: string, fields: LogFields) => void,
    thresholds: Thresholds,
    room: string,
    fields: LogFields,
  ) {
    this.#write = write;
    this.#thresholds = thresholds;
    this.#room = room;
    this.#fields = fields;
  }

  child(room: string, fields: LogFields = {}): Log {
    return new RoomLog(this.#write, this.#thresholds, this.#room === "" ? room : `${this.#room}/${room}`, {
      ...this.#fields,
      ...fields,
    });
  }

  isOn(level: LogLevel): boolean {
    const threshold = this.#thresholds.of(this.#room);
    return threshold !== "silent" && logLevels.indexOf(level) >= logLevels.indexOf(threshold);
  }

  setLevel(level: LogThreshold, room?: string): void {
    this.#thresholds.set(level, room);
  }

  #tell(level: LogLevel, text: string, fields: LogFields = {}): void {
    if (!this.isOn(level)) return;
    const safe = redact({ ...this.#fields, ...fields });
    // The copy of an object is an object.
    this.#write(level, text, { room: this.#room === "" ? "selvage" : this.#room, ...(safe as LogFields) });
  }
}

/** One JSON line as `time LEVEL room: text name=value`, an error's stack on lines of its own. */
function readable(line: string): string {
  const { time, level, room, msg, ...fields }: Record<string, unknown> = JSON.parse(line);
  const stacks: string[] = [];
  const pairs = Object.entries(fields).map(([name, value]) => {
    if (typeof value === "object" && value !== null && "stack" in value && "message" in value) {
      stacks.push(`\n    ${String(value.stack).replaceAll("\n", "\n    ")}`);
      return `${name}=${JSON.stringify(value.message)}`;
    }
    return `${name}=${typeof value === "string" && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)}`;
  });
  const head = `${String(time)} ${String(level).toUpperCase().padEnd(5)} ${String(room)}: ${String(msg)}`;
  return `${[head, ...pairs].join(" ")}${stacks.join("")}\n`;
}
