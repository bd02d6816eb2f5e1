/** Server and agent as processes: `selvage server run`, `selvage agent run|join`, until they are told to end. */

import { renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { askedToEnd, boundedStandardError, SERVER_UID } from "@selvage/lab";
import type { RunAs, ServerPlugin } from "@selvage/server";
import type { Given } from "../config/places.ts";
import { Exit } from "../exit.ts";
import { standardOutput } from "../format.ts";

/** What of a server's start is no setting. */
export interface ServerStart {
  /** Gets `{pid, port, url}` once the server listens; absent: `ready.json` in the data directory. */
  readonly readyFile?: string;
  /** The open file into which standard error moves when it is too long; absent: it grows. */
  readonly olderLog?: number;
}

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
export async function serverRun(given: Given, start: ServerStart): Promise<number> {
  const { novaEvents, relay, settingsOf, startServer } = await import("@selvage/server");
  const { openLog, readConfig } = await import("../config/parts.ts");
  const { underItsSetting } = await import("../config/system-errors.ts");
  const { serverPart } = await import("../config/server.ts");
  const read = await readConfig(serverPart, given);
  const { value: config, warnings } = read;
  const { data, host, port, socket, store, certificate, nova, metadata } = config;
  const { olderLog } = start;
  const destination = olderLog === undefined ? {} : { destination: boundedStandardError(olderLog) };
  const log = await openLog("server", { ...config.log, ...destination }, warnings);
  const plugins: readonly ServerPlugin[] = [
    relay({ names: certificate.names, ips: certificate.addresses, metadata }),
    ...(nova.authUrl === "" ? [] : [novaEvents(nova)]),
  ];
  const runAs = userOf(data);
  const asked = {
    data,
    host,
    port,
    socket,
    store,
    "nova.passwordFile": nova.passwordFile,
    "metadata.secretFile": metadata.secretFile,
  };
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
  }).catch((cause: unknown) => {
    throw underItsSetting(cause, asked, read);
  });
  try {
    // Tells other commands where this one listens.
    const ready = start.readyFile === undefined ? join(data, "ready.json") : resolve(start.readyFile);
    const words = { pid: process.pid, port: server.port, url: askableUrl(host, server.port), host };
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

/** Runs the agent; resolves when it has been told to end. Forwarding goes on after it. Throws ConfigInvalid, ConfigUnreadable, NotJoined. */
export async function agentRun(given: Given): Promise<number> {
  const { agentSettingsOf, startAgent } = await import("@selvage/agent");
  const { bridgeMappings: networksOf, OvsDatapath, PeerWatch } = await import("@selvage/datapath");
  const { openLog, readConfig } = await import("../config/parts.ts");
  const { underItsSetting } = await import("../config/system-errors.ts");
  const { agentPart } = await import("../config/agent.ts");
  const read = await readConfig(agentPart, given);
  const { value: config, warnings } = read;
  const { tunnelIp, data, ovsdb: database, bridge, datapathType, bridgeMappings, healthPort } = config;
  const log = await openLog("agent", config.log, warnings);
  const placed = { database, bridge, datapathType, bridgeMappings, tunnelIp };
  const datapath = new OvsDatapath({ ...placed, log: log.child("datapath") });
  const physicalNetworks = [...networksOf(bridgeMappings).keys()];
  const peerWatch = new PeerWatch({ database, bridge, tunnelIp, log: log.child("datapath") });
  const agent = await startAgent({
    dataDir: data,
    tunnelIp,
    physicalNetworks,
    ...(physicalNetworks.length === 0 ? {} : { peerWatch }),
    datapath,
    ...(datapathType === "system" || datapathType === "netdev" ? { datapathType } : {}),
    settings: agentSettingsOf(config),
    log,
    ...(healthPort === 0 ? {} : { health: { port: healthPort } }),
  }).catch((cause: unknown) => {
    throw underItsSetting(cause, { data, healthPort }, read);
  });
  await askedToEnd();
  await Promise.all([agent.close(), peerWatch.close()]);
  log.info("ended; the switch forwards on");
  return Exit.ok;
}

/** Runs `selvage agent join URL TOKEN`; the token `-` is read from standard input, where no other user sees it. */
export async function agentJoin(url: string, token: string, given: Given): Promise<number> {
  const { joinHost } = await import("@selvage/agent");
  const { readConfig } = await import("../config/parts.ts");
  const { agentPart } = await import("../config/agent.ts");
  const { data: dataDir, tunnelIp } = (await readConfig(agentPart, given)).value;
  const word = token === "-" ? (await text(process.stdin)).trim() : token;
  const joined = await joinHost({ url, token: word, dataDir, tunnelIp });
  standardOutput.text(`joined as ${joined.host.name}\n`);
  return Exit.ok;
}
