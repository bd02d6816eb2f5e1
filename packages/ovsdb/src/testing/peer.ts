/** The server's side of a connection in memory, played by a test message by message; bytes cross at once, without a socket. */

import type { Json, JsonObject } from "../json.ts";
import { isObject, parseJson, stringifyJson } from "../json.ts";
import type { Transport, TransportSink } from "../transport.ts";

/** The played server. */
export type ScriptedPeer = {
  /** To hand to a client. */
  readonly transport: Transport;
  /** What the client wrote and was not taken yet, in order. */
  readonly sent: readonly JsonObject[];
  /** Takes the client's next message, waiting until there is one. */
  readonly next: () => Promise<JsonObject>;
  /** Takes the client's next message, checks its method, and answers it. */
  readonly answer: (method: string, result: Json) => Promise<JsonObject>;
  /** As `answer`, with an error. */
  readonly refuse: (method: string, error: Json) => Promise<JsonObject>;
  /** Sends a message to the client. */
  readonly say: (message: Json) => void;
  /** Sends bytes to the client. */
  readonly bytes: (chunk: Uint8Array) => void;
  /** Ends the stream from the server's side. */
  readonly hangUp: (error?: Error) => void;
};

/** A new peer and the transport to it. */
export function scriptedPeer(): ScriptedPeer {
  let sink: TransportSink | null = null;
  let over = false;
  const sent: JsonObject[] = [];
  const waiting: ((message: JsonObject) => void)[] = [];
  const end = (error: Error | null): void => {
    if (over) return;
    over = true;
    sink?.ended(error);
  };
  const transport: Transport = {
    start(given) {
      sink = given;
    },
    write(text) {
      const message = parseJson(text);
      if (!isObject(message)) throw new TypeError(`the client wrote ${text}`);
      const taker = waiting.shift();
      if (taker === undefined) sent.push(message);
      else taker(message);
    },
    close: () => end(null),
  };
  const bytes = (chunk: Uint8Array): void => {
    if (!over) sink?.bytes(chunk);
  };
  const say = (message: Json): void => bytes(new TextEncoder().encode(stringifyJson(message)));
  const next = (): Promise<JsonObject> => {
    const message = sent.shift();
    return message === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(message);
  };
  const reply = async (
    method: string,
    outcome: { readonly result: Json; readonly error: Json },
  ): Promise<JsonObject> => {
    const message = await next();
    if (message.method !== method) throw new Error(`expected ${method}, the client wrote ${stringifyJson(message)}`);
    say({ id: message.id ?? null, ...outcome });
    return message;
  };
  return {
    transport,
    sent,
    next,
    answer: (method, result) => reply(method, { result, error: null }),
    refuse: (method, error) => reply(method, { result: null, error }),
    say,
    bytes,
    hangUp: (error) => end(error ?? null),
  };
}
