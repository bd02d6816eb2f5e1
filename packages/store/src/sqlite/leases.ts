/** The statements on what hosts report: one lease a host, its facts under it. Each runs inside a transaction of its caller. */
import type { DatabaseSync, StatementSync } from "node:sqlite";

/** A live fact, its value as JSON. */
export interface Fact {
  readonly host: string;
  readonly key: string;
  readonly value: string;
  readonly expires: number;
}

/** The writer's half. Times are milliseconds since the epoch. */
export class LeaseWriter {
  readonly #expire: StatementSync;
  readonly #renew: StatementSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;

  constructor(db: DatabaseSync) {
    this.#expire = db.prepare("DELETE FROM lease WHERE expires <= ?");
    this.#renew = db.prepare(
      "INSERT INTO lease (host, expires) VALUES (?, ?) ON CONFLICT (host) DO UPDATE SET expires = excluded.expires",
    );
    this.#put = db.prepare(
      "INSERT INTO state (host, key, value) VALUES (?, ?, ?) ON CONFLICT (host, key) DO UPDATE SET value = excluded.value",
    );
    this.#remove = db.prepare("DELETE FROM state WHERE host = ? AND key = ?");
  }

  put(host: string, key: string, value: string, now: number, ttl: number): void {
    this.renew(host, now, ttl);
    this.#put.run(host, key, value);
  }

  renew(host: string, now: number, ttl: number): void {
    // Ended leases go first, with their facts: a renewal must not bring them back.
    this.#expire.run(now);
    this.#renew.run(host, now + ttl);
  }

  remove(host: string, key: string): void {
    this.#remove.run(host, key);
  }
}

/** The reader's half. */
export class LeaseReader {
  readonly #all: StatementSync;
  readonly #one: StatementSync;

  constructor(db: DatabaseSync) {
    const live = "SELECT host, key, value, expires FROM state JOIN lease USING (host) WHERE expires > ?";
    this.#all = db.prepare(`${live} ORDER BY host, key`);
    this.#one = db.prepare(`${live} AND host = ? ORDER BY key`);
  }

  list(host: string | null, now: number): readonly Fact[] {
    const rows = host === null ? this.#all.all(now) : this.#one.all(now, host);
    return rows.map((row) => ({
      host: String(row.host),
      key: String(row.key),
      value: String(row.value),
      expires: Number(row.expires),
    }));
  }
}
