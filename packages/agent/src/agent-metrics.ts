/** What an agent shows of itself as numbers that are read when they are asked for. */
import type { Metrics } from "@selvage/base";
import type { Engine } from "@selvage/model";
import type { Row } from "@selvage/pipeline";

/** Where the numbers are read. */
export interface AgentReadings {
  readonly engine: Pick<Engine<Row>, "sizes" | "counters">;
  readonly objects: () => number;
  readonly revision: () => number;
  readonly inForce: () => number;
  readonly connected: () => boolean;
  readonly switchHere: () => boolean;
  readonly quarantined: () => number;
  readonly faulty: () => number;
}

/** Registers an agent's gauges. */
export function measureAgent(metrics: Metrics, readings: AgentReadings): void {
  const { engine } = readings;
  const gauge = (name: string, help: string, read: () => number) => metrics.gauge({ name, help, read });
  gauge("rows", "Rows wanted on the switch", () => engine.sizes.rows);
  gauge("objects", "Objects of intent in this host's view", readings.objects);
  gauge("revision", "Revision of this host's view", readings.revision);
  gauge("in_force_revision", "Revision in force on the switch", readings.inForce);
  gauge("connected", "1: the stream to the server is open", () => Number(readings.connected()));
  gauge("switch_here", "1: the switch answers", () => Number(readings.switchHere()));
  gauge("quarantined", "Objects and rows that are set aside", readings.quarantined);
  gauge("faulty_ports", "Ports that stay down because the switch cannot have what they need", readings.faulty);
  gauge("full_recomputes", "Full recomputes of all rows", () => engine.counters.fullRecomputes);
  gauge("derivations_run", "Derivations and queries run since the start", () => {
    const { unitsRun, queriesRun } = engine.counters;
    return unitsRun + queriesRun;
  });
  gauge("rows_changed", "Wanted rows that came, went or changed since the start", () => engine.counters.rowsTouched);
}
