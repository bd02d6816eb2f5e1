/** Tells Nova when a machine's ports come up and go: a part that plugs into the server, off unless it is configured. */
import { readFile } from "node:fs/promises";
import { Port } from "@selvage/model";
import type { ServerPlugin } from "../server.ts";
import { Compute } from "./compute.ts";
import { Courier } from "./courier.ts";
import type { NovaOptions } from "./options.ts";
import { VifWatch } from "./watch.ts";

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
