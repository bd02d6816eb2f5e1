/**
 * Field types: how a value is read from a request body, from a query string and from JSON, and its JSON Schema.
 * Conversions and the wording of a refusal are Neutron's (neutron-lib validators and converters).
 */
import { canonicalIp, canonicalMac, parseCidrLoose, textOfCidr } from "./address/mod.ts";

export type JsonSchema = Readonly<Record<string, unknown>>;

/** Why a value was refused: the text behind "Invalid input for <attribute>. Reason: ". */
export class InvalidValue extends Error {
  readonly reason: string;
  constructor(reason: string) {
    super(reason);
    this.name = "InvalidValue";
    this.reason = reason;
  }
}

export interface FieldType<T> {
  readonly name: string;
  /** From a JSON body. Gives the canonical value; throws InvalidValue. */
  readonly parse: (input: unknown) => T;
  /** From a query string. Absent: `parse` of the text. */
  readonly parseQuery?: (text: string) => T;
  readonly schema: JsonSchema;
}

/** A value as errors quote it, in the words of Neutron (Python): text as it is, null as None, all else as JSON. */
export const show = (value: unknown): string =>
  typeof value === "string" ? value : value === null ? "None" : JSON.stringify(value);

/** Text up to `max` characters; null is refused. */
export function text(max = 255): FieldType<string> {
  return {
    name: "text",
    schema: { type: "string", maxLength: max },
    parse: (input) => {
      if (typeof input !== "string") throw new InvalidValue(`'${show(input)}' is not a valid string.`);
      if (input.length > max) throw new InvalidValue(`'${input}' exceeds maximum length of ${max}.`);
      return input;
    },
  };
}

/** Text up to `max` characters with something in it that is not a space. */
export function nonEmptyText(max = 255): FieldType<string> {
  const any = text(max);
  return {
    ...any,
    schema: { type: "string", minLength: 1, maxLength: max },
    parse: (input) => {
      const value = any.parse(input);
      if (value.trim() === "") throw new InvalidValue(`'${value}' Blank strings are not permitted.`);
      return value;
    },
  };
}

const booleanWords = new Map<string, boolean>([
  ["true", true],
  ["1", true],
  ["yes", true],
  ["on", true],
  ["t", true],
  ["y", true],
  ["false", false],
  ["0", false],
  ["no", false],
  ["off", false],
  ["f", false],
  ["n", false],
]);

/** Boolean as oslo's strict `bool_from_string`: true/false, 1/0 and their words in any case. */
export function boolean(): FieldType<boolean> {
  const parse = (input: unknown): boolean => {
    if (typeof input === "boolean") return input;
    const word =
      typeof input === "string" || typeof input === "number"
        ? booleanWords.get(String(input).trim().toLowerCase())
        : undefined;
    if (word === undefined) throw new InvalidValue(`'${show(input)}' cannot be converted to boolean.`);
    return word;
  };
  return { name: "boolean", schema: { type: "boolean" }, parse };
}

/** Whole number from `min` to `max`, both included. */
export function integer(min: number, max: number): FieldType<number> {
  return {
    name: "integer",
    schema: { type: "integer", minimum: min, maximum: max },
    parse: (input) => {
      const numeral = typeof input === "string" ? input.trim() : input;
      const value =
        typeof numeral === "number"
          ? numeral
          : typeof numeral === "string" && /^-?\d+$/.test(numeral)
            ? Number(numeral)
            : Number.NaN;
      if (!Number.isSafeInteger(value)) throw new InvalidValue(`'${show(input)}' is not an integer.`);
      if (value < min) throw new InvalidValue(`'${show(input)}' is too small - must be at least '${min}'.`);
      if (value > max) throw new InvalidValue(`'${show(input)}' is too large - must be no larger than '${max}'.`);
      return value;
    },
  };
}

/** A whole number as `integer`, kept and shown as decimal text. */
export function numeral(min: number, max: number): FieldType<string> {
  const number = integer(min, max);
  return {
    name: "numeral",
    schema: { type: "string", pattern: "^[0-9]+$" },
    parse: (input) => String(number.parse(input)),
  };
}

/** One of a closed set of texts or numbers. */
export function oneOf<const V extends readonly (string | number)[]>(values: V): FieldType<V[number]> {
  return {
    name: "enum",
    schema: { enum: values },
    parse: (input) => {
      const found = values.find((value) => value === input || String(value) === input);
      if (found === undefined) {
        throw new InvalidValue(
          `'${show(input)}' is not in [${values.map((value) => (typeof value === "string" ? `'${value}'` : value)).join(", ")}].`,
        );
      }
      return found;
    },
  };
}

const uuidPattern = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;

export function uuid(): FieldType<string> {
  return {
    name: "uuid",
    schema: { type: "string", format: "uuid" },
    parse: (input) => {
      if (typeof input !== "string" || !uuidPattern.test(input))
        throw new InvalidValue(`'${show(input)}' is not a valid UUID.`);
      return input;
    },
  };
}

/** An IPv4 or IPv6 address in canonical text. */
export function address(): FieldType<string> {
  return {
    name: "address",
    schema: { type: "string" },
    parse: (input) => {
      const canonical = typeof input === "string" ? canonicalIp(input) : undefined;
      if (canonical === undefined) throw new InvalidValue(`'${show(input)}' is not a valid IP address.`);
      return canonical;
    },
  };
}

/** An IPv4 or IPv6 network in canonical text; host bits are masked away, as Neutron does. */
export function cidr(): FieldType<string> {
  return {
    name: "cidr",
    schema: { type: "string" },
    parse: (input) => {
      const parsed = typeof input === "string" ? parseCidrLoose(input) : undefined;
      if (parsed === undefined) throw new InvalidValue(`'${show(input)}' is not a valid IP subnet.`);
      return textOfCidr(parsed);
    },
  };
}

/** A MAC address, lower case with colons. */
export function mac(): FieldType<string> {
  return {
    name: "mac",
    schema: { type: "string", pattern: "^([0-9a-f]{2}:){5}[0-9a-f]{2}$" },
    parse: (input) => {
      const canonical = typeof input === "string" ? canonicalMac(input) : undefined;
      if (canonical === undefined) throw new InvalidValue(`'${show(input)}' is not a valid MAC address.`);
      return canonical;
    },
  };
}

/** A list; duplicates are refused, as Neutron does for every list of unique items. */
export function list<T>(item: FieldType<T>, max = 256): FieldType<readonly T[]> {
  return {
    name: "list",
    schema: { type: "array", items: item.schema, maxItems: max },
    parse: (input) => {
      if (input === null) return [];
      if (!Array.isArray(input)) throw new InvalidValue(`'${show(input)}' is not a list.`);
      if (input.length > max) throw new InvalidValue(`The list has ${input.length} items, at most ${max} are allowed.`);
      const items = input.map((each) => item.parse(each));
      const seen = new Set<string>();
      for (const each of items) {
        const key = JSON.stringify(each);
        if (seen.has(key)) throw new InvalidValue(`Duplicate items in the list: '${show(each)}'.`);
        seen.add(key);
      }
      return items;
    },
  };
}

/** An object with the named members, all required unless in `optional`; unknown members are refused by name. */
export function record<T>(
  members: { readonly [K in keyof T]: FieldType<T[K]> },
  optional: readonly (keyof T)[] = [],
): FieldType<T> {
  const names = Object.keys(members) as (keyof T & string)[];
  return {
    name: "record",
    schema: {
      type: "object",
      properties: Object.fromEntries(names.map((name) => [name, members[name].schema])),
      required: names.filter((name) => !optional.includes(name)),
      additionalProperties: false,
    },
    parse: (input) => {
      if (typeof input !== "object" || input === null || Array.isArray(input)) {
        throw new InvalidValue(`'${show(input)}' is not a dictionary.`);
      }
      const given = input as Readonly<Record<string, unknown>>;
      const unknown = Object.keys(given).find((name) => !(name in members));
      if (unknown !== undefined) throw new InvalidValue(`Unexpected key '${unknown}'.`);
      const result: Partial<T> = {};
      for (const name of names) {
        if (given[name] === undefined) {
          if (optional.includes(name)) continue;
          throw new InvalidValue(`Key '${name}' is missing.`);
        }
        result[name] = members[name].parse(given[name]);
      }
      return result as T;
    },
  };
}

/** The type, or null. */
export function nullable<T>(type: FieldType<T>): FieldType<T | null> {
  return {
    name: type.name,
    schema: { anyOf: [type.schema, { type: "null" }] },
    parse: (input) => (input === null ? null : type.parse(input)),
    ...(type.parseQuery === undefined ? {} : { parseQuery: type.parseQuery }),
  };
}

/** The type, with null read as the empty text: how Nova unbinds a port (`"binding:host_id": null`). */
export function emptyForNull(type: FieldType<string>): FieldType<string> {
  return {
    ...type,
    schema: { anyOf: [type.schema, { type: "null" }] },
    parse: (input) => (input === null ? "" : type.parse(input)),
  };
}

/** Any JSON object, up to `maxBytes` of its text. */
export function dictionary(maxBytes = 4095): FieldType<Readonly<Record<string, unknown>>> {
  return {
    name: "dictionary",
    schema: { type: "object" },
    parse: (input) => {
      if (input === null) return {};
      if (typeof input !== "object" || Array.isArray(input))
        throw new InvalidValue(`'${show(input)}' is not a dictionary.`);
      if (Buffer.byteLength(JSON.stringify(input)) > maxBytes)
        throw new InvalidValue(`The dictionary exceeds ${maxBytes} bytes.`);
      return input as Readonly<Record<string, unknown>>;
    },
  };
}

/** `YYYY-MM-DDTHH:MM:SSZ`, as Neutron writes its timestamps. */
export function timestamp(): FieldType<string> {
  return {
    name: "timestamp",
    schema: { type: "string", format: "date-time" },
    parse: (input) => {
      if (typeof input !== "string" || Number.isNaN(Date.parse(input)))
        throw new InvalidValue(`'${show(input)}' is not a valid time.`);
      return input;
    },
  };
}
