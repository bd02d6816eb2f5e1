/** Mutations of bytes, of text lines and of the JSON in them: how a fuzzer makes the next input from those that reached something. */
import { mutateJson } from "./mutate-json.ts";
import type { Random } from "./random.ts";

/** What mutations draw from besides the input itself. */
export interface Material {
  /** Another input of the corpus, to splice with. */
  readonly other: Uint8Array;
  /** Words that the parser under test looks for. */
  readonly dictionary: readonly Uint8Array[];
  /** Longest input, bytes. */
  readonly maxLength: number;
}

/** `lines`: text of lines, each of which may be a JSON value. */
export type Shape = "bytes" | "lines";

const interesting8 = [0, 1, 0x7f, 0x80, 0xff, 0x20, 0x22, 0x0a];
const interesting16 = [0, 1, 8, 0x7f, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x0800, 0x86dd, 0x8100];
const interesting32 = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x2320, 0xffff_fffd];

/** Makes an input from `input`, which stays as it is. */
export function mutate(random: Random, input: Uint8Array, shape: Shape, material: Material): Uint8Array {
  let bytes = input;
  for (let rounds = 1 << random.below(4); rounds > 0; rounds--) {
    const next =
      shape === "lines" && !random.oneIn(3)
        ? mutateLines(random, bytes, material)
        : mutateBytes(random, bytes, material);
    bytes = next.subarray(0, material.maxLength);
  }
  return bytes === input ? input.slice() : bytes;
}

/** Changes one line of a text, or which lines there are. */
function mutateLines(random: Random, input: Uint8Array, material: Material): Uint8Array {
  const lines = split(input);
  const at = random.below(lines.length);
  const line = lines[at] ?? "";
  switch (random.below(10)) {
    case 0:
      lines.splice(at, 1);
      break;
    case 1:
      lines.splice(random.below(lines.length + 1), 0, line);
      break;
    case 2:
      lines.splice(at, 0, random.pick(split(material.other)));
      break;
    default: {
      // The words beside a JSON value stay: they say where it goes.
      const start = line.search(/[[{]/);
      const changed = start < 0 ? undefined : mutateJson(random, line.slice(start), material);
      if (changed === undefined) return mutateBytes(random, input, material);
      lines[at] = line.slice(0, start) + changed;
    }
  }
  return Buffer.from(lines.join("\n"), "latin1");
}

/** One character a byte, so that what is not UTF-8 stays what it is. */
function split(bytes: Uint8Array): string[] {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1").split("\n");
}

/** Changes some bytes, as AFL's havoc stage does. */
export function mutateBytes(random: Random, input: Uint8Array, { other, dictionary }: Material): Uint8Array {
  const bytes = Uint8Array.from(input);
  const at = random.below(bytes.length);
  /** Where to put something in: also behind the end. */
  const gap = random.below(bytes.length + 1);
  const view = new DataView(bytes.buffer);
  switch (random.below(15)) {
    case 0:
      if (bytes.length > 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
      return bytes;
    case 1:
      if (bytes.length > 0) bytes[at] = random.pick(interesting8);
      return bytes;
    case 2:
      if (bytes.length > 0) bytes[at] = (bytes[at] ?? 0) + random.below(33) - 16;
      return bytes;
    case 3:
      if (bytes.length > 0) bytes[at] = random.below(256);
      return bytes;
    case 4:
      if (at + 2 <= bytes.length) view.setUint16(at, random.pick(interesting16));
      return bytes;
    case 5:
      if (at + 2 <= bytes.length) view.setUint16(at, view.getUint16(at) + random.below(33) - 16);
      return bytes;
    case 6:
      if (at + 4 <= bytes.length) view.setUint32(at, random.pick(interesting32));
      return bytes;
    case 7:
      // A length that is right: what only a parser that has followed it so far can be told of.
      if (at + 2 <= bytes.length) view.setUint16(at, bytes.length - (random.oneIn(2) ? at : 0));
      return bytes;
    case 8:
      return spliced(bytes, at, Math.min(bytes.length, at + 1 + random.below(32)), none);
    case 9: {
      const from = random.below(bytes.length);
      return spliced(bytes, gap, gap, bytes.subarray(from, from + 1 + random.below(64)));
    }
    case 10:
      return spliced(bytes, gap, gap, dictionary.length === 0 ? none : random.pick(dictionary));
    case 11: {
      const word = dictionary.length === 0 ? none : random.pick(dictionary);
      return spliced(bytes, at, Math.min(bytes.length, at + word.length), word);
    }
    case 12: {
      const from = random.below(other.length);
      const part = other.subarray(from, from + 1 + random.below(other.length - from));
      return spliced(bytes, gap, random.oneIn(2) ? gap : Math.min(bytes.length, gap + part.length), part);
    }
    case 13:
      return spliced(
        bytes,
        gap,
        gap,
        Uint8Array.from({ length: 1 + random.below(4) }, () => random.below(256)),
      );
    default:
      return random.oneIn(2) ? bytes.slice(0, at) : spliced(bytes, gap, gap, runOf(random));
  }
}

const none = new Uint8Array(0);

function runOf(random: Random): Uint8Array {
  return new Uint8Array(1 << random.below(9)).fill(random.pick(interesting8));
}

function spliced(bytes: Uint8Array, from: number, to: number, middle: Uint8Array): Uint8Array {
  const result = new Uint8Array(from + middle.length + bytes.length - to);
  result.set(bytes.subarray(0, from));
  result.set(middle, from);
  result.set(bytes.subarray(to), from + middle.length);
  return result;
}
