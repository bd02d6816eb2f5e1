/** Metrics: the text that Prometheus reads, names that are checked, registries that do not know of each other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics } from "./metrics.ts";

test("counters, gauges and histograms come out with their labels", async () => {
  const metrics = await createMetrics({ labels: { host: "h1" } });
  const requests = metrics.counter({ name: "requests_total", help: "Requests.", labels: ["method"] });
  requests.inc({ method: "GET" }, 2);
  let depth = 0;
  metrics.gauge({ name: "queue_length", help: "Entries that wait.", read: () => depth });
  metrics.gauge({ name: "ports", help: "Ports.", labels: ["state"] }).set({ state: "up" }, 0);
  const seconds = metrics.histogram({ name: "apply_seconds", help: "Time to apply.", buckets: [0.1, 1] });
  seconds.observe(0.5);
  depth = 7;
  const text = await metrics.text();
  for (const line of [
    'selvage_requests_total{method="GET",host="h1"} 2',
    'selvage_queue_length{host="h1"} 7',
    'selvage_ports{state="up",host="h1"} 0',
    'selvage_apply_seconds_bucket{le="0.1",host="h1"} 0',
    'selvage_apply_seconds_bucket{le="1",host="h1"} 1',
    'selvage_apply_seconds_sum{host="h1"} 0.5',
  ])
    assert.ok(text.includes(`${line}\n`), `${line}\nis not in\n${text}`);
  assert.match(metrics.contentType, /^text\/plain; version=0\.0\.4/);
});

test("names are checked, and one name is one metric of one registry", async () => {
  const metrics = await createMetrics();
  assert.throws(() => metrics.counter({ name: "requests", help: "x" }), /_total/);
  for (const name of ["selvage_x", "X", "a-b", ""])
    assert.throws(() => metrics.gauge({ name, help: "x" }), /no metric's name/);
  metrics.gauge({ name: "x", help: "x" });
  assert.throws(() => metrics.gauge({ name: "x", help: "x" }), /already/);
  const other = await createMetrics();
  other.gauge({ name: "x", help: "x" });
  assert.equal((await other.text()).includes("process"), false);
});
