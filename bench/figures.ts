/** Figures that a bench measures: each with its unit and, where one is set, its aim; shown as a table or as JSON. */

/** What a figure shall be. An aim is not a test: a miss is shown as a miss. */
export interface Aim {
  readonly is: "<" | ">=";
  readonly value: number;
}

/** One measured number. */
export interface Figure {
  readonly bench: string;
  /** What was measured, with the sizes at which it was. */
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly aim?: Aim;
  /** Other figures of the same run, or another system's, that belong beside this one. */
  readonly beside?: string;
}

/** Takes figures as they come, so that a long run shows what it has. */
export interface Report {
  add(figure: Omit<Figure, "bench">): void;
  /** A word on what is going on, for people. */
  step(text: string): void;
}

/** Whether a figure is as it shall be; undefined where nothing was set. */
export function isMet({ value, aim }: Pick<Figure, "value" | "aim">): boolean | undefined {
  if (aim === undefined) return undefined;
  switch (aim.is) {
    case "<":
      return value < aim.value;
    case ">=":
      return value >= aim.value;
  }
}

/** The smallest sample that at least `share` (0 to 1) of all do not exceed; the method is nearest rank. Throws RangeError without samples. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const found = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (found === undefined) throw new RangeError("there are no samples");
  return found;
}

/** `p50 …, p90 …, p99 …, worst … of N`, for the column beside a figure. */
export function spread(samples: readonly number[]): string {
  const at = (share: number): string => numberText(percentile(samples, share));
  return `p50 ${at(0.5)}, p90 ${at(0.9)}, p99 ${at(0.99)}, worst ${at(1)} of ${samples.length}`;
}

/** Three significant digits, and no exponent. */
export function numberText(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}

const headings = ["bench", "figure", "value", "aim", "", "beside"] as const;

const cellsOf = (figure: Figure): readonly string[] => {
  const { bench, name, value, unit, aim, beside } = figure;
  const met = isMet(figure);
  return [
    bench,
    name,
    `${numberText(value)}${unit === "" ? "" : ` ${unit}`}`,
    aim === undefined ? "" : `${aim.is} ${numberText(aim.value)}`,
    met === undefined ? "" : met ? "met" : "MISSED",
    beside ?? "",
  ];
};

/** All figures as a table in Markdown, which is readable as it is. */
export function tableText(figures: readonly Figure[]): string {
  const rows = [headings, ...figures.map(cellsOf)];
  const widths = headings.map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = rows;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n");
}
