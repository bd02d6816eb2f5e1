/** `selvage host add|list|delete`: which hosts may join. */

import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { at, LabError, openFabric } from "@selvage/lab";
import { dataDirectory } from "../context.ts";
import { Exit } from "../exit.ts";
import { type Output, printJson, printTable, standardOutput } from "../format.ts";

export interface HostFlags {
  readonly data?: string;
  readonly json?: boolean;
}

function text(value: unknown, key: string): string | null {
  const found = at(value, key);
  return typeof found === "string" && found !== "" ? found : null;
}

type Interfaces = ReturnType<typeof networkInterfaces>;

/** URLs at which other hosts reach a server that listens on an address; none when it is on the loopback address alone. */
export function reachableUrls(listens: string, port: number, interfaces: Interfaces): readonly string[] {
  const url = (address: string): string => `https://${isIP(address) === 6 ? `[${address}]` : address}:${port}`;
  if (listens === "localhost" || /^127\.|^::1$/.test(listens)) return [];
  if (listens !== "0.0.0.0" && listens !== "::") return [url(listens)];
  return Object.values(interfaces)
    .flatMap((all) => all ?? [])
    .filter(({ internal, family }) => !internal && (family === "IPv4" || listens === "::"))
    .filter(({ address }) => !/^fe80:|^169\.254\./i.test(address))
    .sort((a, b) => a.family.localeCompare(b.family))
    .map(({ address }) => url(address));
}

/** Runs `selvage host add NAME`: the token is shown once and kept by nobody. */
export async function hostAdd(name: string, flags: HostFlags, output: Output = standardOutput): Promise<number> {
  const { api, record, listens } = await openFabric(dataDirectory(flags.data));
  const reply = await api.ask("POST", "/v1/hosts", { name });
  const urls = reachableUrls(listens, record.port, networkInterfaces());
  if (flags.json === true) {
    printJson(output, { ...(typeof reply === "object" ? reply : {}), urls });
    return Exit.ok;
  }
  const token = text(reply, "token") ?? "-";
  const fingerprint = text(reply, "ca_fingerprint") ?? "-";
  output.text(`token:          ${token}\nCA fingerprint: ${fingerprint}\n`);
  output.text(`\nGood for one hour and one host. On ${name}:\n`);
  const [url = record.url.replace(/^http:/, "https:"), ...others] = urls;
  output.text(`  selvage agent join ${url} ${token}.${fingerprint} --data DIR --tunnel-ip ADDRESS\n`);
  if (others.length > 0) output.text(`\nThe server is reached as well at ${others.join(", ")}\n`);
  if (urls.length === 0) {
    output.note(
      `\nThe server listens on ${listens}: only this machine reaches it. For others set host in its settings to\n`,
    );
    output.note("an address that they reach, or to ::, and start it again (docs/operating.md)\n");
  }
  return Exit.ok;
}

async function listed(flags: HostFlags) {
  const { api } = await openFabric(dataDirectory(flags.data));
  const reply = await api.ask("GET", "/v1/hosts");
  const hosts = at(reply, "hosts");
  return { api, reply, hosts: Array.isArray(hosts) ? hosts.map((host: unknown) => host) : [] };
}

/** Runs `selvage host list`. */
export async function hostList(flags: HostFlags, output: Output = standardOutput): Promise<number> {
  const { reply, hosts } = await listed(flags);
  if (flags.json === true) printJson(output, reply);
  else {
    printTable(output, {
      columns: ["host", "id", "tunnel", "joined"],
      rows: hosts.map((host) => [
        text(host, "name"),
        text(host, "id"),
        text(host, "tunnel_ip"),
        text(host, "joined_at"),
      ]),
    });
  }
  return Exit.ok;
}

export interface HostDeleteFlags extends HostFlags {
  /** Unbind its ports by the same write: the host was stolen. */
  readonly unbind?: boolean;
}

/** Runs `selvage host delete NAME`. */
export async function hostDelete(
  name: string,
  flags: HostDeleteFlags,
  output: Output = standardOutput,
): Promise<number> {
  const { api, hosts } = await listed(flags);
  const host = hosts.find((one) => text(one, "name") === name || text(one, "id") === name);
  const id = text(host, "id");
  if (id === null) throw new LabError("unknown-host", `there is no host "${name}"`, "list them: ./selvage host list");
  const unbind = flags.unbind === true ? "?unbind=true" : "";
  await api.ask("DELETE", `/v1/hosts/${encodeURIComponent(id)}${unbind}`);
  output.text(`${name} is forgotten; its certificate is good for nothing now\n`);
  return Exit.ok;
}
