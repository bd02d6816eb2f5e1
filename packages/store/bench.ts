/** Measures durable appends: `node packages/store/bench.ts [FOLDER]`. Each writer awaits its append before the next, as a request does. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Entry, openStore, type Store } from "@selvage/store";
import { entry, put } from "@selvage/store/testing";

/** Milliseconds a measurement. */
const span = 3_000;

const port = (): Entry =>
  entry(
    put("port", crypto.randomUUID(), {
      network_id: crypto.randomUUID(),
      mac_address: "fa:16:3e:00:00:01",
      fixed_ips: [{ ip_address: "10.0.0.4" }],
    }),
  );

/** The writers of one server: they share its knowledge of the head, as its transactions do, and send in a chain. */
async function measure(store: Store, writers: number): Promise<readonly number[]> {
  let { head } = await store.bounds();
  const waits: number[] = [];
  const end = performance.now() + span;
  const write = async (): Promise<void> => {
    while (performance.now() < end) {
      const start = performance.now();
      const from = head;
      head += 1;
      const answer = await store.append(from, [port()]);
      if (answer.outcome !== "appended") throw new Error(`moved to ${answer.head}: nobody else writes here`);
      waits.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: writers }, write));
  return waits.sort((a, b) => a - b);
}

const folder = await mkdtemp(join(process.argv[2] ?? tmpdir(), "selvage-bench-"));
console.log("driver   writers   appends/s   p50 ms   p99 ms");
for (const url of ["memory:", `sqlite:${join(folder, "bench.db")}`]) {
  const store = await openStore(url);
  for (const writers of [1, 16, 256]) {
    const waits = await measure(store, writers);
    const at = (part: number): string => (waits[Math.floor(waits.length * part)] ?? 0).toFixed(2).padStart(8);
    const rate = Math.round(waits.length / (span / 1_000));
    console.log(
      `${store.driver.padEnd(8)} ${String(writers).padStart(7)} ${String(rate).padStart(11)} ${at(0.5)} ${at(0.99)}`,
    );
  }
  await store.close();
}
await rm(folder, { recursive: true });
