/** Where a server is, and TLS to it (RFC 8446): by TCP or a unix socket, its name always `selvage-server`, its authority the only one trusted. */
import { request } from "node:https";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { type ErrorCode, errorTypes, fail, SelvageError } from "@selvage/base";
import { serverName } from "@selvage/sync";

export type Endpoint =
  | { readonly by: "tcp"; readonly host: string; readonly port: number }
  | { readonly by: "unix"; readonly path: string };

const usualPort = 9696;

/** Reads `https://host[:port]` or `unix:/path`. Throws UsageInvalid. */
export function endpointOf(url: string): Endpoint {
  if (url.startsWith("unix:/")) return { by: "unix", path: url.slice("unix:".length) };
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol !== "https:" || parsed.hostname === "") {
    throw fail("UsageInvalid", { reason: `the server's URL "${url}" is not https://host:port or unix:/path` });
  }
  const port = parsed.port === "" ? usualPort : Number(parsed.port);
  return { by: "tcp", host: parsed.hostname.replace(/^\[(.*)\]$/, "$1"), port };
}

export const endpointText = (endpoint: Endpoint): string =>
  endpoint.by === "unix"
    ? `unix:${endpoint.path}`
    : `https://${endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host}:${endpoint.port}`;

/**
 * The longest pause between two tries to reach it, ms: short where the way to it is this machine's own and nobody else's
 * return has to be spread, longer where a whole fabric comes back at once.
 */
export function longestPause(endpoint: Endpoint): number {
  const near = endpoint.by === "unix" || /^(localhost|127(\.\d+){3}|::1)$/.test(endpoint.host);
  return near ? 2_000 : 10_000;
}

/** What a connection shows and trusts, PEM. */
export interface Trust {
  /** The authority; `unchecked`: none yet, the caller looks at what the server shows and sends nothing. */
  readonly ca: string | "unchecked";
  readonly certificate?: string;
  readonly key?: string;
}

/** Begins a TLS connection. */
export function connectTo(endpoint: Endpoint, trust: Trust): TLSSocket {
  const options: ConnectionOptions = {
    ...(endpoint.by === "unix" ? { path: endpoint.path } : { host: endpoint.host, port: endpoint.port }),
    servername: serverName,
    minVersion: "TLSv1.3",
    ALPNProtocols: ["http/1.1"],
    ...(trust.ca === "unchecked" ? { rejectUnauthorized: false } : { ca: trust.ca }),
    ...(trust.certificate === undefined ? {} : { cert: trust.certificate }),
    ...(trust.key === undefined ? {} : { key: trust.key }),
  };
  return connect(options);
}

const answerLimit = 30_000;
const largestAnswer = 256 * 1024;

/** Posts JSON and gives the parsed answer, of at most so many bytes. Throws the server's own error, or ServerUnreachable. */
export function post(
  endpoint: Endpoint,
  trust: Trust,
  path: string,
  body: unknown,
  most = largestAnswer,
): Promise<unknown> {
  const url = endpointText(endpoint);
  const unreachable = (cause: Error) => fail("ServerUnreachable", { url, reason: cause.message }, { cause });
  return new Promise((resolve, reject) => {
    const text = JSON.stringify(body);
    const asked = request({
      method: "POST",
      host: serverName,
      path,
      createConnection: () => connectTo(endpoint, trust),
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(text), connection: "close" },
      timeout: answerLimit,
    });
    asked.on("timeout", () => asked.destroy(new Error(`no answer within ${answerLimit / 1000} s`)));
    asked.on("error", (cause) => reject(unreachable(cause)));
    asked.on("response", (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size > most) asked.destroy(new Error("its answer is too long"));
        else chunks.push(chunk);
      });
      response.on("error", (cause) => reject(unreachable(cause)));
      response.on("end", () => {
        const answer = Buffer.concat(chunks).toString("utf8");
        const status = response.statusCode ?? 0;
        if (status !== 200) {
          reject(errorIn(answer) ?? unreachable(new Error(`it answered with status ${status}`)));
          return;
        }
        try {
          resolve(JSON.parse(answer));
        } catch (cause) {
          reject(unreachable(cause instanceof Error ? cause : new Error(String(cause))));
        }
      });
    });
    asked.end(text);
  });
}

const isCode = (type: unknown): type is ErrorCode => typeof type === "string" && Object.hasOwn(errorTypes, type);

/** The error in an answer's body, or undefined when it is none of ours. */
export function errorIn(text: string): SelvageError | undefined {
  try {
    // Each part is looked at before it is used.
    const { error } = JSON.parse(text) as { readonly error?: { readonly type?: unknown; readonly params?: unknown } };
    if (!isCode(error?.type)) return undefined;
    const { params } = error;
    const values = Object.entries(typeof params === "object" && params !== null ? params : {});
    const safe = values.flatMap(([name, value]) =>
      typeof value === "string" || typeof value === "number" ? [[name, value] as const] : [],
    );
    return new SelvageError(error.type, Object.fromEntries(safe));
  } catch {
    // Not JSON, or a message that its parameters do not fill: another program's answer.
    return undefined;
  }
}
