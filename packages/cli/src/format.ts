/** Everything the command line prints: aligned tables, JSON, progress, errors with what to do. The only file that knows about terminals. */

import { styleText } from "node:util";

/** A table: a heading a column, a text a cell; `null` shows as a dash. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number | null)[])[];
}

function cellText(cell: string | number | null): string {
  // Text from the API may hold anything: control characters must not reach the terminal.
  const text = cell === null ? "-" : String(cell);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}

function width(text: string): number {
  return [...text].length;
}

/** The lines of a table, columns two spaces apart, numbers to the right. */
export function tableLines(table: Table): readonly string[] {
  const numeric = table.columns.map(
    (_, column) => table.rows.length > 0 && table.rows.every((row) => typeof row[column] === "number"),
  );
  const cells = [table.columns.map((heading) => heading.toUpperCase()), ...table.rows.map((row) => row.map(cellText))];
  const widths = table.columns.map((_, column) => Math.max(...cells.map((row) => width(row[column] ?? ""))));
  return cells.map((row) =>
    row
      .map((cell, column) => {
        const gap = " ".repeat((widths[column] ?? 0) - width(cell));
        return numeric[column] === true ? gap + cell : cell + gap;
      })
      .join("  ")
      .trimEnd(),
  );
}

/** Where output goes; injected, so that tests read it. */
export interface Output {
  readonly text: (text: string) => void;
  readonly note: (text: string) => void;
  readonly isTerminal: boolean;
}

/** Results to standard output, progress and errors to standard error. */
export const standardOutput: Output = {
  text: (text) => void process.stdout.write(text),
  note: (text) => void process.stderr.write(text),
  isTerminal: process.stderr.isTTY === true,
};

/** Prints a table; its heading is bold on a terminal. */
export function printTable(output: Output, table: Table): void {
  tableLines(table).forEach((line, index) => {
    output.text(`${index === 0 && process.stdout.isTTY === true ? styleText("bold", line) : line}\n`);
  });
}

/** Prints one JSON document for programs. */
export function printJson(output: Output, value: unknown): void {
  output.text(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** Shows steps as they come: one line that renews itself on a terminal, a line a step elsewhere. */
export interface Progress {
  step(text: string): void;
  detail(text: string): void;
  end(): void;
}

const TERMINAL_WIDTH = 110;

/** Opens a progress display on standard error. */
export function openProgress(output: Output): Progress {
  let current = "";
  let startedAt = performance.now();
  const seconds = (): string => `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
  const finish = (): void => {
    if (current !== "" && output.isTerminal)
      output.note(`\r\u001b[K${styleText("green", "✔")} ${current} (${seconds()})\n`);
    current = "";
  };
  return {
    step(text) {
      finish();
      current = text;
      startedAt = performance.now();
      output.note(output.isTerminal ? `… ${text}` : `${text}\n`);
    },
    detail(text) {
      if (output.isTerminal) output.note(`\r\u001b[K… ${`${current}: ${cellText(text)}`.slice(0, TERMINAL_WIDTH)}`);
    },
    end: finish,
  };
}

/** Prints what went wrong and what to do about it. */
export function printError(output: Output, text: string, hint: string | undefined): void {
  const lead = output.isTerminal ? styleText("red", "selvage:") : "selvage:";
  output.note(`${output.isTerminal ? "\r\u001b[K" : ""}${lead} ${text}\n`);
  if (hint !== undefined) output.note(`  → ${hint}\n`);
}
