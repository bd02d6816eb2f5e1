/** A server in a process of its own for the durability runs: its store's worker thread can be ended from outside. */
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { silentLog } from "@selvage/base";
import { noQuotas, relay, startServer } from "@selvage/server";
import { openSqlite } from "@selvage/store";
import { hasty } from "./hasty.ts";

const [dataDir, port, manner] = process.argv.slice(2);
if (dataDir === undefined || port === undefined) throw new Error("usage: server-child.ts DATA PORT [hasty]");

const path = `${dataDir}/store.db`;
const workerFile = new URL("../../packages/store/src/sqlite/worker.ts", import.meta.url);
let worker: Worker | undefined;
const durable = await openSqlite({
  path,
  spawn: () => {
    worker = new Worker(fileURLToPath(workerFile), { workerData: { path } });
    return worker;
  },
});
const store = manner === "hasty" ? hasty(durable) : durable;
const server = await startServer({
  dataDir,
  port: Number(port),
  store,
  log: silentLog,
  settings: noQuotas,
  plugins: [relay()],
  runAs: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
});
process.on("message", (word) => {
  if (word === "end the worker") void worker?.terminate();
});
process.on("disconnect", () => process.exit(0));
process.send?.({ url: server.url });
