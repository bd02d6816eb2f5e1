/** One request and its reply as plain data: what the handlers of every API see, whatever serves HTTP (RFC 9110). */
import type { Query } from "./query.ts";

export interface Exchange {
  readonly method: string;
  /** Path without the query string, percent-decoded nowhere. */
  readonly path: string;
  readonly query: Query;
  /** The query string as it came, without `?`. */
  readonly search: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Uint8Array | undefined;
  /** `http://host:port` under which the caller reached us, without a final slash. */
  readonly baseUrl: string;
  readonly requestId: string;
  /** Address of the caller; `local` for the unix socket. */
  readonly source: string;
}

export interface Reply {
  readonly status: number;
  /** A value for JSON, or text or bytes with their own content type; absent: no body. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export type Handler = (exchange: Exchange) => Reply | Promise<Reply>;

/** The one value of a header; the first of several. */
export function headerOf(exchange: Exchange, name: string): string | undefined {
  const value = exchange.headers[name];
  return typeof value === "string" ? value : value?.[0];
}

/** Whether a caller takes JSON (RFC 9110, section 12.5.1); no Accept at all takes anything. */
export function acceptsJson(exchange: Exchange): boolean {
  const accept = headerOf(exchange, "accept");
  if (accept === undefined || accept.trim() === "") return true;
  return accept.split(",").some((range) => {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    const refused = parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
    return !refused && ["*/*", "application/*", "application/json"].includes(type);
  });
}
