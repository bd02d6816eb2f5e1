/**
 * Deployments of earlier schemas as SQL text, one statement a line: small, readable in review, and independent of SQLite's file format.
 * Made by `node tests/golden/make.ts FILE` with the program of that version, and never changed afterwards.
 */
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

const quoted = (value: unknown): string => {
  if (typeof value === "string") return `'${value.replaceAll("'", "''")}'`;
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if (value === null) return "NULL";
  throw new TypeError(`a column holds ${typeof value}, which no schema of ours has`);
};

/** The tables, their rows and the header's marks of a closed database file. */
export function dumpOf(path: string): string {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    const owner = Object.values(db.prepare("PRAGMA application_id").get() ?? {})[0];
    const lines = [`PRAGMA application_id = ${quoted(owner)}`];
    const made = db.prepare("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid").all();
    for (const { sql } of made) lines.push(String(sql).replace(/\s+/g, " "));
    for (const { type, name } of made) {
      if (type !== "table") continue;
      for (const row of db.prepare(`SELECT * FROM "${String(name)}"`).all()) {
        lines.push(`INSERT INTO "${String(name)}" VALUES (${Object.values(row).map(quoted).join(", ")})`);
      }
    }
    return `${lines.map((line) => `${line};`).join("\n")}\n`;
  } finally {
    db.close();
  }
}

/** Makes a database file of a dump. */
export function loadDump(dump: string, path: string): void {
  const db = new DatabaseSync(path);
  try {
    db.exec(readFileSync(dump, "utf8"));
  } finally {
    db.close();
  }
}
