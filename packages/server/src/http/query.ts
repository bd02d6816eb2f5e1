/** Query strings as Neutron's WSGI stack reads and writes them: ordered, repeatable keys, `application/x-www-form-urlencoded` (WHATWG URL, section 5). */

/** The parameters of one request in the order in which they came. */
export interface Query {
  readonly pairs: readonly (readonly [name: string, value: string])[];
  /** All values of a name, in order; none: an empty list. */
  all(name: string): readonly string[];
  /** The last value of a name. */
  last(name: string): string | undefined;
  /** The names that occur, each once, in the order of their first occurrence. */
  readonly names: readonly string[];
}

/** Reads the part of a URL behind `?` (without it). A blank value is kept: `name=` filters by the empty name. */
export function parseQuery(text: string): Query {
  const pairs = [...new URLSearchParams(text)];
  const values = new Map<string, string[]>();
  for (const [name, value] of pairs) {
    const list = values.get(name);
    if (list === undefined) values.set(name, [value]);
    else list.push(value);
  }
  return {
    pairs,
    all: (name) => values.get(name) ?? [],
    last: (name) => values.get(name)?.at(-1),
    names: [...values.keys()],
  };
}

/** Writes parameters as Python's `urlencode` does: a blank is `+`, everything but letters, digits and `_.-~` is escaped. */
export function formatQuery(pairs: readonly (readonly [string, string])[]): string {
  return pairs.map(([name, value]) => `${quotePlus(name)}=${quotePlus(value)}`).join("&");
}

function quotePlus(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%20", "+");
}
