/** The beacon in a thread of its own: signs of life come in time whatever the agent works out meanwhile, and end when it ends. */
import { parentPort, workerData } from "node:worker_threads";
import { realClock } from "@selvage/base";
import { Beacon } from "./beacon.ts";
import type { BeaconData, FromBeacon, ToBeacon } from "./signs.ts";

const port = parentPort;
if (port === null) throw new Error("this is run as a thread");

const tell = (message: FromBeacon): void => port.postMessage(message);
const said =
  (level: "debug" | "warn") =>
  (text: string, { error, ...fields }: Readonly<Record<string, unknown>>): void =>
    tell({ kind: "log", level, text, fields: { ...fields, ...(error === undefined ? {} : { error: String(error) }) } });

const beacon = new Beacon({
  ...(workerData as BeaconData),
  clock: realClock,
  log: { debug: said("debug"), warn: said("warn") },
});

port.on("message", async (message: ToBeacon) => {
  if (message.kind === "peers") {
    beacon.tell(message.addresses);
    return;
  }
  await beacon.close();
  port.close();
});
