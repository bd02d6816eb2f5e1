/**
 * How fast rows come into force in a real switch, against the switch's own tool with the same flows: `node packages/datapath/bench.ts [rows]`
 * (100,000 unless told). Needs root and Open vSwitch.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Neighbour, type Row, row } from "@selvage/pipeline";
import { Recorder } from "./src/testing/fabric.ts";
import { OvsHosts } from "./src/testing/ovs-fabric.ts";

const count = Number(process.argv[2] ?? 100_000);
const rows: readonly Row[] = Array.from({ length: count }, (_, n) => {
  const nh = `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`;
  const mac = `fa:16:3e:${[16, 8, 0].map((shift) => ((n >> shift) & 255).toString(16).padStart(2, "0")).join(":")}`;
  return row(Neighbour, { net: 1 + (n >> 24), nh }, "known", { mac });
});

async function timed<T>(what: string, per: number, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work();
  const seconds = (performance.now() - start) / 1000;
  const rate = `${Math.round(per / seconds).toLocaleString("en")} rows/s`;
  process.stdout.write(`${what.padEnd(52)} ${seconds.toFixed(3).padStart(8)} s  ${rate.padStart(18)}\n`);
  return result;
}

const hosts = await OvsHosts.start(4, 1);
try {
  const [host] = hosts.hosts;
  if (host === undefined) throw new Error("no host");
  const driver = hosts.driver(0);
  const heard = new Recorder();
  await driver.open(heard);
  await heard.life.first((event) => event === "ready", "the switch is ready", 10_000);
  await driver.adopt([]);
  await timed(`adopt ${count} rows into an empty switch`, count, () => driver.adopt(rows));
  await timed("adopt them again: nothing differs", count, () => driver.adopt(rows));
  const none = { added: [], removed: [], modified: [] };
  const changes = 200;
  await timed(`apply one row at a time, in force each (${changes})`, changes, async () => {
    for (const one of rows.slice(0, changes)) await driver.apply({ ...none, removed: [one] });
  });
  await driver.adopt([]);
  await timed(`apply ${count} rows in one difference`, count, () => driver.apply({ ...none, added: rows }));
  const flows = (await host.ofctl("dump-flows", "--no-stats", "table=46"))
    .split("\n")
    .filter((line) => line.includes("cookie="))
    .map((line) => line.trim());
  await driver.adopt([]);
  await driver.close();
  const file = join(host.directory, "flows");
  await writeFile(file, `${flows.join("\n")}\n`);
  await timed(`ovs-ofctl --bundle add-flows (${flows.length} flows)`, flows.length, () =>
    host.ofctl("add-flows", file, "--bundle"),
  );
} finally {
  await hosts.dispose();
}
