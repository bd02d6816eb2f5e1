/** Tells Nova when a machine's ports come up and go: a part that plugs into the server, off unless it is configured. */
import { readFile } from "node:fs/promises";
import { Port } from "@selvage/model";
import { type Static, Type } from "typebox";
import type { ServerPlugin } from "../server.ts";
import { Compute } from "./compute.ts";
import { Courier } from "./courier.ts";
import { VifWatch } from "./watch.ts";

/** The section `nova` of a server's configuration. */
export const novaOptions = Type.Object(
  {
    /** URL of the Identity v3 that Nova trusts, such as `http://keystone:5000/v3`. Empty: Nova is told nothing. */
    authUrl: Type.String({ default: "" }),
    /** Base URL of the Compute API, such as `http://nova:8774/v2.1`. Empty: as the catalogue of `authUrl` has it. */
    endpoint: Type.String({ default: "" }),
    username: Type.String({ default: "selvage" }),
    /** A file with the password in its first line. Nova wants the role `admin` or `service`. */
    passwordFile: Type.String({ default: "" }),
    project: Type.String({ default: "service" }),
    userDomain: Type.String({ default: "Default" }),
    projectDomain: Type.String({ default: "Default" }),
    region: Type.String({ default: "RegionOne" }),
    /** How long events gather before one request carries them, ms. */
    gather: Type.Integer({ default: 100, minimum: 1, maximum: 60_000 }),
    /** Events of one request. */
    batch: Type.Integer({ default: 100, minimum: 1, maximum: 10_000 }),
    /** How long one request may take, ms. */
    timeout: Type.Integer({ default: 10_000, minimum: 100, maximum: 600_000 }),
  },
  { additionalProperties: false },
);
export type NovaOptions = Static<typeof novaOptions>;

/** How long the server's end waits for events on their way, ms. */
const closingMs = 2_000;

/**
 * The part for a server's `plugins`. Ports that are up when their hosts report for the first time are told again after a restart:
 * Nova takes an event twice without harm, and a machine that waits for one would not start without it.
 * Rejects with the system's error when the password's file cannot be read.
 */
export function novaEvents(options: NovaOptions): ServerPlugin {
  return async ({ writer, hosts, clock, log: serverLog, metrics }) => {
    const log = serverLog.child("nova");
    const [password = ""] = (await readFile(options.passwordFile, "utf8")).split(/\r?\n/);
    const { endpoint, ...rest } = options;
    const compute = new Compute({ ...rest, password, ...(endpoint === "" ? {} : { endpoint }) });
    const courier = new Courier({
      send: (events, signal) => compute.send(events, signal),
      clock,
      log,
      metrics,
      gather: options.gather,
      batch: options.batch,
    });
    const watch = new VifWatch(writer.replica, hosts, writer.replica.objects(Port));
    const stops = [
      writer.onCommitted((entry) => courier.take(watch.committed(entry.changes))),
      hosts.onChange((hostId) => courier.take(watch.reported(hostId))),
    ];
    log.info("Nova is told of its machines' ports", { authUrl: options.authUrl, endpoint: endpoint || "catalogue" });
    return {
      close: async () => {
        for (const stop of stops) stop();
        await courier.close(closingMs);
      },
    };
  };
}
