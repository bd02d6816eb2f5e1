/** Mutations of a JSON text as a tree (RFC 8259): the syntax stays right, so that what is behind the parser is reached. */
import type { Random } from "./random.ts";

/** A JSON value: a literal as it is written, a list, or members, of which two may have one name. */
type Tree = string | Tree[] | Members;
interface Members {
  readonly members: [name: string, value: Tree][];
}

const literals = [
  "null",
  "true",
  "false",
  "0",
  "-1",
  "1",
  "-0",
  "1.5",
  "255",
  "256",
  "4094",
  "65535",
  "65536",
  "4294967296",
  "9007199254740993",
  "9223372036854775808",
  "1e308",
  "1e999",
  '""',
  '" "',
  '"\\u0000"',
  '"\\ud800"',
  '"é"',
  '"0"',
  '"default"',
  '"::"',
  '"0.0.0.0/0"',
  '"255.255.255.255"',
  "[]",
  "{}",
  "[[]]",
  "[null]",
  '{"":null}',
];
const names = [
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "valueOf",
  "toJSON",
  "then",
  "length",
  "id",
  "name",
  "",
];

/** Gives the text with one thing changed, or nothing when it is no JSON object or list. Dictionary words become texts and names. */
export function mutateJson(
  random: Random,
  text: string,
  { dictionary }: { readonly dictionary: readonly Uint8Array[] },
): string | undefined {
  const root = treeOf(text);
  if (root === undefined || typeof root === "string") return undefined;
  const holders = holdersIn(root);
  const holder = random.pick(holders);
  const word = (): string => {
    const bytes = dictionary.length === 0 ? undefined : random.pick(dictionary);
    return bytes === undefined ? "x" : Buffer.from(bytes).toString("latin1");
  };
  const size = Array.isArray(holder) ? holder.length : holder.members.length;
  const at = random.below(size);
  switch (random.below(8)) {
    case 0:
      if (size > 0) (Array.isArray(holder) ? holder : holder.members).splice(at, 1);
      break;
    case 1:
      if (Array.isArray(holder)) holder.splice(at, 0, ...repeated(holder[at] ?? "null", 1 << random.below(6)));
      else holder.members.splice(at, 0, holder.members[at] ?? ["x", "null"]);
      break;
    case 2:
      insert(holder, at, random.oneIn(2) ? random.pick(names) : word(), random.pick(literals));
      break;
    case 3:
      if (!Array.isArray(holder) && size > 0)
        holder.members[at] = [random.oneIn(2) ? random.pick(names) : word(), valueAt(holder, at)];
      break;
    case 4:
      replace(holder, at, JSON.stringify(word()));
      break;
    case 5: {
      // Of another place of the same text: a value that is right somewhere.
      const from = random.pick(holders);
      const count = Array.isArray(from) ? from.length : from.members.length;
      const value = treeOf(textOf(valueAt(from, random.below(count))));
      if (value !== undefined) replace(holder, at, value);
      break;
    }
    case 6: {
      let value = valueAt(holder, at);
      for (let depth = 1 << random.below(8); depth > 0; depth--) value = [value];
      replace(holder, at, value);
      break;
    }
    default:
      replace(holder, at, random.oneIn(6) ? JSON.stringify("a".repeat(1 << random.below(12))) : random.pick(literals));
  }
  return textOf(root);
}

function insert(holder: Tree[] | Members, at: number, name: string, value: Tree): void {
  if (Array.isArray(holder)) holder.splice(at, 0, value);
  else holder.members.splice(at, 0, [name, value]);
}

function replace(holder: Tree[] | Members, at: number, value: Tree): void {
  if (Array.isArray(holder)) holder[at] = value;
  else holder.members[at] = [holder.members[at]?.[0] ?? "x", value];
}

function valueAt(holder: Tree[] | Members, at: number): Tree {
  return (Array.isArray(holder) ? holder[at] : holder.members[at]?.[1]) ?? "null";
}

function repeated(value: Tree, times: number): readonly Tree[] {
  return Array.from({ length: times }, () => value);
}

function holdersIn(tree: Tree): readonly (Tree[] | Members)[] {
  if (typeof tree === "string") return [];
  const inner = Array.isArray(tree) ? tree : tree.members.map(([, value]) => value);
  return [tree, ...inner.flatMap(holdersIn)];
}

function treeOf(text: string): Tree | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const grow = (from: unknown, depth: number): Tree => {
    if (typeof from !== "object" || from === null || depth > 500) return JSON.stringify(from) ?? "null";
    if (Array.isArray(from)) return from.map((item) => grow(item, depth + 1));
    return { members: Object.entries(from).map(([name, item]) => [name, grow(item, depth + 1)]) };
  };
  return grow(value, 0);
}

function textOf(tree: Tree): string {
  if (typeof tree === "string") return tree;
  if (Array.isArray(tree)) return `[${tree.map(textOf).join(",")}]`;
  return `{${tree.members.map(([name, value]) => `${JSON.stringify(name)}:${textOf(value)}`).join(",")}}`;
}
