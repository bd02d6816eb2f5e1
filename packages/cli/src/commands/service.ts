/** Server and agent as services: `selvage server run --config FILE`, `selvage agent run|join --config FILE`, until they are told to end. */

import { renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { askedToEnd, SERVER_UID } from "@selvage/lab";
import type { RunAs, ServerPlugin } from "@selvage/server";
import { Exit } from "../exit.ts";

/** Flags that were typed, by their names without hyphens in front; each wins over the file. */
export type TypedFlags = Readonly<Record<string, unknown>>;

/** The file in a server's data directory that tells other commands where it listens. */
const readyName = "ready.json";

/** A server that listens everywhere is asked on the loopback address. */
export function askableUrl(host: string, port: number): string {
  switch (host) {
    case "0.0.0.0":
      return `http://127.0.0.1:${port}`;
    case "::":
      return `http://[::1]:${port}`;
    default:
      return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
  }
}

/** As whom root goes on: the data directory's owner, or the server's own user where that is root or there is none yet. */
function userOf(data: string): RunAs | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const found = statSync(data, { throwIfNoEntry: false });
  if (found === undefined || found.uid === 0) return { uid: SERVER_UID, gid: SERVER_UID };
  return { uid: found.uid, gid: found.gid };
}

/** Runs the server; resolves when it has ended. Throws ConfigInvalid, ConfigUnreadable, and what a server's start throws. */
export async function serverService(file: string, flags: TypedFlags): Promise<number> {
  const { novaEvents, relay, startServer } = await import("@selvage/server");
  const { openLog, readConfig } = await import("../config/parts.ts");
  const { serverConfig, settingsOf } = await import("../config/server.ts");
  const { value: config, warnings } = await readConfig(serverConfig, file, flags);
  const { data, host, port, socket, store, certificate, nova } = config;
  const log = await openLog("server", config.log, warnings);
  const plugins: readonly ServerPlugin[] = [
    relay({ names: certificate.names, ips: certificate.addresses }),
    ...(nova.authUrl === "" ? [] : [novaEvents(nova)]),
  ];
  const runAs = userOf(data);
  const server = await startServer({
    dataDir: data,
    host,
    port,
    settings: settingsOf(config),
    log,
    plugins,
    ...(socket === "" ? {} : { socket }),
    ...(store === "" ? {} : { storeUrl: store }),
    ...(runAs === undefined ? {} : { runAs }),
  });
  try {
    const ready = join(data, readyName);
    const words = { pid: process.pid, port: server.port, url: askableUrl(host, server.port) };
    writeFileSync(`${ready}.new`, JSON.stringify(words), { mode: 0o600 });
    renameSync(`${ready}.new`, ready);
    await askedToEnd();
    rmSync(ready, { force: true });
  } finally {
    await server.close();
  }
  log.info("ended");
  return Exit.ok;
}

/** Runs the agent; resolves when it has been told to end. Forwarding goes on after it. */
export async function agentService(file: string, flags: TypedFlags): Promise<number> {
  const { startAgent } = await import("@selvage/agent");
  const { OvsDatapath } = await import("@selvage/datapath");
  const { openLog, readConfig } = await import("../config/parts.ts");
  const { agentConfig, agentSettingsOf } = await import("../config/agent.ts");
  const { value: config, warnings } = await readConfig(agentConfig, file, flags);
  const { tunnelIp, data, ovsdb: database, bridge, datapathType, healthPort } = config;
  const log = await openLog("agent", config.log, warnings);
  const datapath = new OvsDatapath({ database, bridge, datapathType, tunnelIp, log: log.child("datapath") });
  const agent = await startAgent({
    dataDir: data,
    tunnelIp,
    datapath,
    settings: agentSettingsOf(config),
    log,
    ...(healthPort === 0 ? {} : { health: { port: healthPort } }),
  });
  await askedToEnd();
  await agent.close();
  log.info("ended; the switch forwards on");
  return Exit.ok;
}

/** Where an agent's configuration says that its identity belongs, and where its tunnels end. */
export async function agentPlace(
  file: string,
  flags: TypedFlags,
): Promise<{ readonly data: string; readonly tunnelIp: string }> {
  const { readConfig } = await import("../config/parts.ts");
  const { agentConfig } = await import("../config/agent.ts");
  const { value } = await readConfig(agentConfig, file, flags);
  return { data: value.data, tunnelIp: value.tunnelIp };
}
