/** Metrics in the Prometheus text format (0.0.4): a registry a process, every name under `selvage_`; on prom-client. */
import type { Counter, Gauge, Histogram } from "prom-client";

export type { Counter, Gauge, Histogram };

/** One metric: its name without the prefix, what it counts in one sentence, its labels. */
export interface MetricSpec<L extends string> {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly L[];
}

/** The metrics of a process. Each maker throws an Error when the name is malformed or taken: that is a fault of the program. */
export interface Metrics {
  /** A number that only grows; its name ends in `_total`. */
  counter<L extends string = never>(spec: MetricSpec<L>): Counter<L>;
  /** A number that goes both ways; with `read` it is asked whenever metrics are collected. */
  gauge<L extends string = never>(spec: MetricSpec<L> & { readonly read?: () => number }): Gauge<L>;
  /** A distribution; its name ends in its unit (`_seconds`, `_bytes`), its buckets are upper bounds in that unit. */
  histogram<L extends string = never>(spec: MetricSpec<L> & { readonly buckets: readonly number[] }): Histogram<L>;
  /** Everything in the text format. */
  text(): Promise<string>;
  /** The `Content-Type` of {@link text}. */
  readonly contentType: string;
}

/** What {@link createMetrics} can be told. */
export interface MetricsOptions {
  /** Labels that every metric bears: `{ host: "h1" }`. */
  readonly labels?: Readonly<Record<string, string>>;
  /** `observe` adds the process's own: CPU, memory, event loop, descriptors. */
  readonly process?: "observe" | "leave";
}

/** Upper bounds in seconds from 100 µs to 10 s, for what is asked of a server or a switch. */
export const secondsBuckets: readonly number[] = [
  0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** Makes an empty registry; prom-client is loaded here and not with the module, for it costs a short command 40 ms. */
export async function createMetrics(options: MetricsOptions = {}): Promise<Metrics> {
  const prometheus = await import("prom-client");
  const registry = new prometheus.Registry();
  registry.setDefaultLabels({ ...options.labels });
  if (options.process === "observe") prometheus.collectDefaultMetrics({ register: registry, prefix: "selvage_" });
  const common = <L extends string>(spec: MetricSpec<L>) => ({
    name: checkedName(spec.name),
    help: spec.help,
    labelNames: spec.labels ?? [],
    registers: [registry],
  });
  return {
    counter: (spec) => {
      if (!spec.name.endsWith("_total")) throw new Error(`The counter "${spec.name}" does not end in _total`);
      return new prometheus.Counter(common(spec));
    },
    gauge: <L extends string>(spec: MetricSpec<L> & { readonly read?: () => number }) => {
      const { read } = spec;
      if (read === undefined) return new prometheus.Gauge(common(spec));
      return new prometheus.Gauge({
        ...common(spec),
        collect(this: Gauge<L>) {
          this.set(read());
        },
      });
    },
    histogram: (spec) => new prometheus.Histogram({ ...common(spec), buckets: [...spec.buckets] }),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

function checkedName(name: string): string {
  if (!/^[a-z][a-z0-9_]*$/.test(name) || name.startsWith("selvage_"))
    throw new Error(`"${name}" is no metric's name: lower case with underscores, without the selvage_ prefix`);
  return `selvage_${name}`;
}
