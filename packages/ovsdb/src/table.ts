/** Declarations of tables and their column types, from which row types are derived (RFC 7047 §3.2 `<column-schema>`, `<type>`). */

declare const uuidBrand: unique symbol;

/** A row's identity: 36 characters, lower case, RFC 4122 text form. */
export type Uuid = string & { readonly [uuidBrand]: true };

/** A reference to a row inserted in the same transaction, by the name its insert gave it (RFC 7047 §3.1 `<named-uuid>`). */
export type NamedUuid = { readonly namedUuid: string };

/** The atomic types; `bigInteger` is OVSDB's 64-bit `integer` read as bigint, for counters that may pass 2^53. */
export type Atom = "integer" | "bigInteger" | "real" | "boolean" | "string" | "uuid";

type AtomValues = {
  integer: number;
  bigInteger: bigint;
  real: number;
  boolean: boolean;
  string: string;
  uuid: Uuid;
};

/** What an atom is when read. */
export type AtomValue<A extends Atom> = AtomValues[A];
/** What may be written for an atom: a reference may also name a row that is inserted in the same transaction. */
export type AtomInput<A extends Atom> = A extends "uuid" ? Uuid | NamedUuid : AtomValues[A];

/** Exactly one atom. */
export type Scalar<A extends Atom = Atom> = { readonly kind: "scalar"; readonly atom: A };
/** None or one: read as the value or `null`. */
export type Optional<A extends Atom = Atom> = { readonly kind: "optional"; readonly atom: A };
/** Any number of distinct atoms. */
export type SetOf<A extends Atom = Atom> = { readonly kind: "set"; readonly atom: A };
/** Distinct keys, each with a value. */
export type MapOf<K extends Atom = Atom, V extends Atom = Atom> = {
  readonly kind: "map";
  readonly key: K;
  readonly value: V;
};
/** The type of a column. */
export type Column = Scalar | Optional | SetOf | MapOf;

const scalar = <A extends Atom>(atom: A): Scalar<A> => Object.freeze({ kind: "scalar", atom });

/** A whole number within ±(2^53 - 1); a larger one on the wire is a ValueError. */
export const integer = (): Scalar<"integer"> => scalar("integer");
/** A 64-bit whole number, read as bigint. */
export const bigInteger = (): Scalar<"bigInteger"> => scalar("bigInteger");
/** A double; NaN and infinities do not exist in OVSDB. */
export const real = (): Scalar<"real"> => scalar("real");
/** true or false. */
export const boolean = (): Scalar<"boolean"> => scalar("boolean");
/** Unicode text without U+0000. */
export const string = (): Scalar<"string"> => scalar("string");
/** A reference to a row. */
export const uuid = (): Scalar<"uuid"> => scalar("uuid");
/** None or one `of`. */
export const optional = <A extends Atom>(of: Scalar<A>): Optional<A> =>
  Object.freeze({ kind: "optional", atom: of.atom });
/** A set of `of`. */
export const set = <A extends Atom>(of: Scalar<A>): SetOf<A> => Object.freeze({ kind: "set", atom: of.atom });
/** A map from `key` to `value`. */
export const map = <K extends Atom, V extends Atom>(key: Scalar<K>, value: Scalar<V>): MapOf<K, V> =>
  Object.freeze({ kind: "map", key: key.atom, value: value.atom });

/** What a column is when read. */
export type ColumnValue<C extends Column> =
  C extends Scalar<infer A>
    ? AtomValue<A>
    : C extends Optional<infer A>
      ? AtomValue<A> | null
      : C extends SetOf<infer A>
        ? ReadonlySet<AtomValue<A>>
        : C extends MapOf<infer K, infer V>
          ? ReadonlyMap<AtomValue<K>, AtomValue<V>>
          : never;

/** What may be written into a column: sets also as arrays, maps with string keys also as plain objects. */
export type ColumnInput<C extends Column> =
  C extends Scalar<infer A>
    ? AtomInput<A>
    : C extends Optional<infer A>
      ? AtomInput<A> | null
      : C extends SetOf<infer A>
        ? ReadonlySet<AtomInput<A>> | readonly AtomInput<A>[]
        : C extends MapOf<infer K, infer V>
          ?
              | ReadonlyMap<AtomInput<K>, AtomInput<V>>
              | (K extends "string" ? { readonly [key: string]: AtomInput<V> } : never)
          : never;

/** Columns by name. */
export type Columns = { readonly [column: string]: Column };

/** A declared table: a part, or all, of what the server's schema has. */
export type Table<C extends Columns = Columns> = { readonly name: string; readonly columns: C };

/** The name of one of a table's columns. */
export type ColumnName<T extends Table> = keyof T["columns"] & string;

/** A row as read: its identity and every declared column. */
export type Row<T extends Table = Table> = { readonly _uuid: Uuid } & {
  readonly [N in ColumnName<T>]: ColumnValue<T["columns"][N]>;
};

/** Columns to write; those left out keep their value, or take the default in an insert. */
export type RowInput<T extends Table = Table> = { readonly [N in ColumnName<T>]?: ColumnInput<T["columns"][N]> };

/** Declares a table by its name and columns. Throws TypeError for a column name that begins with `_` (reserved, RFC 7047 §3.2). */
export function table<const C extends Columns>(declaration: { readonly name: string; readonly columns: C }): Table<C> {
  for (const name of Object.keys(declaration.columns)) {
    if (name.startsWith("_")) throw new TypeError(`${declaration.name}.${name}: names with _ are the server's own`);
  }
  return Object.freeze({ name: declaration.name, columns: Object.freeze({ ...declaration.columns }) });
}

/** The same table with only some of its columns, to watch no more than is needed. Throws TypeError for a column that is not declared. */
export function pick<T extends Table, const N extends ColumnName<T>>(
  from: T,
  names: readonly N[],
): Table<Pick<T["columns"], N>> {
  const columns: { [name: string]: Column } = {};
  for (const name of names) {
    const column = from.columns[name];
    if (column === undefined) throw new TypeError(`${from.name}.${name} is not declared`);
    columns[name] = column;
  }
  // Built from exactly the names N of T's own columns, which an index signature cannot say.
  return Object.freeze({ name: from.name, columns: Object.freeze(columns) as Pick<T["columns"], N> });
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether the text is a UUID in the form OVSDB writes (36 characters; upper case is not its form). */
export function isUuid(text: string): text is Uuid {
  return UUID.test(text);
}

/** Reads a UUID; upper case is lowered. Throws TypeError when it is none. */
export function parseUuid(text: string): Uuid {
  const lower = text.toLowerCase();
  if (!isUuid(lower)) throw new TypeError(`${JSON.stringify(text)} is not a UUID`);
  return lower;
}

/** The all-zero UUID: the default of a reference, and the transaction id that means "from the beginning". */
export const ZERO_UUID: Uuid = parseUuid("00000000-0000-0000-0000-000000000000");

const NAMED = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** A reference to the row that an insert of this transaction names `name`. Throws TypeError for a name that is not an `<id>` (RFC 7047 §3.1). */
export function named(name: string): NamedUuid {
  if (!NAMED.test(name)) throw new TypeError(`${JSON.stringify(name)} is not an OVSDB id ([A-Za-z_][A-Za-z0-9_]*)`);
  return Object.freeze({ namedUuid: name });
}
