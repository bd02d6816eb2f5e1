/** A small client of Selvage's own server for the lab and the command line: Identity v3 password tokens, Networking v2.0, `/v1`. */

import { LabError } from "./failure.ts";

/** Who asks. */
export interface ApiCredentials {
  /** Where the server listens, such as `http://127.0.0.1:9696`. */
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly project: string;
}

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** Asks the server; renews the token when it is no longer good. */
export interface Api {
  readonly url: string;
  /**
   * Gives the reply's JSON, `undefined` when it has no body.
   * @throws ApiError with the status and the server's own words.
   */
  ask(method: Method, path: string, body?: unknown): Promise<unknown>;
}

/** The server answered with an error. */
export class ApiError extends LabError {
  readonly status: number;

  constructor(status: number, text: string, hint?: string) {
    super("api", text, hint);
    this.status = status;
  }
}

function textAt(value: unknown, key: string): string | undefined {
  const found = at(value, key);
  return typeof found === "string" ? found : undefined;
}

/** The member of a JSON object; `undefined` when it is none or has none. */
export function at(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null
    ? Object.entries(value).find(([name]) => name === key)?.[1]
    : undefined;
}

function wordsOf(status: number, body: unknown): string {
  const inner = at(body, "NeutronError") ?? at(body, "error") ?? body;
  return textAt(inner, "message") ?? (typeof inner === "string" ? inner : `the server answered with status ${status}`);
}

async function send(
  url: string,
  method: Method,
  headers: Readonly<Record<string, string>>,
  body: unknown,
): Promise<Response> {
  try {
    return await fetch(url, {
      method,
      headers: body === undefined ? headers : { ...headers, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (cause) {
    const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
    throw new LabError(
      "not-running",
      `no server answers at ${new URL(url).origin} (${inner})`,
      "start it: ./selvage up",
    );
  }
}

async function bodyOf(response: Response): Promise<unknown> {
  const text = await response.text();
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Opens a client; nothing is asked until the first `ask`. */
export function openApi(credentials: ApiCredentials): Api {
  let token: Promise<string> | undefined;

  const authenticate = async (): Promise<string> => {
    const { url, user, password, project } = credentials;
    const response = await send(
      `${url}/identity/v3/auth/tokens`,
      "POST",
      {},
      {
        auth: {
          identity: { methods: ["password"], password: { user: { name: user, domain: { id: "default" }, password } } },
          scope: { project: { name: project, domain: { id: "default" } } },
        },
      },
    );
    const body = await bodyOf(response);
    const subject = response.headers.get("x-subject-token");
    if (response.status !== 201 || subject === null) {
      throw new ApiError(
        response.status,
        `${user} could not sign in: ${wordsOf(response.status, body)}`,
        "compare with ./selvage env",
      );
    }
    return subject;
  };

  const ask = async (method: Method, path: string, body: unknown, again: "once more" | "no more"): Promise<unknown> => {
    token ??= authenticate();
    const mine = token;
    const held = await mine.catch((cause: unknown) => {
      if (token === mine) token = undefined;
      throw cause;
    });
    const response = await send(`${credentials.url}${path}`, method, { "x-auth-token": held }, body);
    const reply = await bodyOf(response);
    if (response.status === 401 && again === "once more") {
      if (token === mine) token = undefined;
      return ask(method, path, body, "no more");
    }
    if (!response.ok) throw new ApiError(response.status, wordsOf(response.status, reply));
    return reply;
  };

  return { url: credentials.url, ask: (method, path, body) => ask(method, path, body, "once more") };
}

/** What the lab reads of a port. */
export interface ApiPort {
  readonly id: string;
  readonly name: string;
  readonly projectId: string;
  readonly networkId: string;
  readonly mac: string;
  readonly host: string;
  readonly status: string;
  readonly fixedIps: readonly { readonly subnetId: string; readonly ip: string }[];
}

/** What the lab reads of a subnet. */
export interface ApiSubnet {
  readonly id: string;
  readonly cidr: string;
  readonly version: 4 | 6;
  readonly dhcp: boolean;
  /** Who gives addresses of IPv6; undefined: nobody of ours. */
  readonly addressMode: string | undefined;
}

function listAt(value: unknown, key: string): readonly unknown[] {
  const found = at(value, key);
  return Array.isArray(found) ? found : [];
}

/** Reads a port as the API gives it. */
export function readPort(value: unknown): ApiPort {
  const text = (key: string): string => textAt(value, key) ?? "";
  return {
    id: text("id"),
    name: text("name"),
    projectId: text("project_id"),
    networkId: text("network_id"),
    mac: text("mac_address"),
    host: text("binding:host_id"),
    status: text("status"),
    fixedIps: listAt(value, "fixed_ips").map((one) => ({
      subnetId: textAt(one, "subnet_id") ?? "",
      ip: textAt(one, "ip_address") ?? "",
    })),
  };
}

/**
 * Finds a port by id, or by name when just one has it.
 * @throws LabError `unknown-machine` when there is none or more than one.
 */
export async function findPort(api: Api, idOrName: string): Promise<ApiPort> {
  const word = encodeURIComponent(idOrName);
  const byId = listAt(await api.ask("GET", `/v2.0/ports?id=${word}`), "ports");
  const found = byId.length > 0 ? byId : listAt(await api.ask("GET", `/v2.0/ports?name=${word}`), "ports");
  const [only, second] = found;
  if (only === undefined) {
    throw new LabError(
      "unknown-machine",
      `there is no port with the id or name "${idOrName}"`,
      "list them: openstack port list",
    );
  }
  if (second !== undefined) {
    throw new LabError(
      "unknown-machine",
      `${found.length} ports are named "${idOrName}"`,
      "use the id: openstack port list",
    );
  }
  return readPort(only);
}

/** All ports bound to a host. */
export async function portsOf(api: Api, host: string): Promise<readonly ApiPort[]> {
  return listAt(await api.ask("GET", `/v2.0/ports?binding:host_id=${encodeURIComponent(host)}`), "ports").map(readPort);
}

/** Ids of one question: its path stays well below what servers take. */
const IDS_AT_ONCE = 50;

/** Those of the ids that no port bears: the ports were deleted. */
export async function deletedPorts(api: Api, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const left = new Set(ids);
  for (let at = 0; at < ids.length; at += IDS_AT_ONCE) {
    const some = ids.slice(at, at + IDS_AT_ONCE).map((id) => `id=${encodeURIComponent(id)}`);
    const reply = await api.ask("GET", `/v2.0/ports?fields=id&${some.join("&")}`);
    for (const port of listAt(reply, "ports")) left.delete(textAt(port, "id") ?? "");
  }
  return left;
}

/** All subnets of a network. */
export async function subnetsOf(api: Api, networkId: string): Promise<readonly ApiSubnet[]> {
  const reply = await api.ask("GET", `/v2.0/subnets?network_id=${encodeURIComponent(networkId)}`);
  return listAt(reply, "subnets").map((subnet) => ({
    id: textAt(subnet, "id") ?? "",
    cidr: textAt(subnet, "cidr") ?? "",
    version: at(subnet, "ip_version") === 6 ? 6 : 4,
    dhcp: at(subnet, "enable_dhcp") === true,
    addressMode: textAt(subnet, "ipv6_address_mode"),
  }));
}

/** The first object of a list reply, such as the one network with a name. */
export async function firstOf(api: Api, path: string, key: string): Promise<unknown> {
  return listAt(await api.ask("GET", path), key)[0];
}

/** Text member of a reply's object that must be there, such as an id. */
export function needText(value: unknown, key: string): string {
  const found = textAt(value, key);
  if (found === undefined) throw new LabError("api", `the server's reply has no "${key}"`);
  return found;
}
