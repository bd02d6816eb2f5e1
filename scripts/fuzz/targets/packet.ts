/** Packets: frames taken apart, put together again, told in a line, and their single fields read and set (RFC 791, 8200, 2131, 8415 and what stands on them). */
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { hold, type Subject, type Target } from "../target.ts";

export const packet: Target = {
  name: "packet",
  about: "frames: decode, encode and summary of every layer from Ethernet to DHCP",
  code: ["/packages/packet/src/"],
  shape: "bytes",
  maxLength: 2048,
  batch: 64,
  testRuns: 8_000,
  load,
};

export const frame: Target = {
  name: "frame",
  about: "single header fields of a frame: read, set to what they are, set to something else",
  code: ["/packages/packet/src/fields.ts", "/packages/packet/src/checksum.ts", "/packages/packet/src/ipv6.ts"],
  shape: "bytes",
  maxLength: 512,
  batch: 64,
  testRuns: 1_500,
  load: loadFrame,
};

async function seedFrames(count: number): Promise<readonly Uint8Array[]> {
  const { encode } = await import("@selvage/packet");
  const { packets } = await import("@selvage/packet/testing");
  return fc.sample(packets, { seed: 7, numRuns: count }).map((each) => encode(each));
}

const dictionary: readonly Uint8Array[] = [
  Uint8Array.of(0x08, 0x00, 0x45),
  Uint8Array.of(0x86, 0xdd, 0x60),
  Uint8Array.of(0x81, 0x00),
  Uint8Array.of(0x63, 0x82, 0x53, 0x63),
  Uint8Array.of(0, 67, 0, 68),
  Uint8Array.of(2, 34, 2, 35),
  Uint8Array.of(0x12, 0xb5),
  Uint8Array.of(0x17, 0xc1),
  Uint8Array.of(53, 1, 1),
  Uint8Array.of(0xc0, 0x0c),
];

async function load(): Promise<Subject> {
  const { decode, encode, summary } = await import("@selvage/packet");
  return {
    seeds: await seedFrames(200),
    dictionary,
    run(input) {
      // A changed byte makes a checksum wrong: what is behind it is reached only where that is passed over.
      for (const checksums of ["ignore", "verify"] as const) {
        const decoded = decode(input, { checksums });
        if (!decoded.ok) {
          const { offset } = decoded.malformed;
          hold(offset >= 0 && offset <= input.length, "a fault lies inside the frame");
          if (decoded.before !== undefined) hold(summary(decoded.before) !== "", "a packet has a summary");
          continue;
        }
        hold(summary(decoded.packet) !== "", "a packet has a summary");
        const again = decode(encode(decoded.packet));
        hold(again.ok && isDeepStrictEqual(again.packet, decoded.packet), "encoding loses nothing");
      }
    },
  };
}

async function loadFrame(): Promise<Subject> {
  const { fieldBits, fieldNames, Frame, EncodeError } = await import("@selvage/packet");
  const fixed: readonly string[] = ["eth_type", "ip_proto", "ip_frag", "sctp_src", "sctp_dst"];
  const settable = fieldNames.filter(
    (name): name is Exclude<typeof name, "eth_type" | "ip_proto" | "ip_frag" | "sctp_src" | "sctp_dst"> =>
      !fixed.includes(name),
  );
  const open = (input: Uint8Array) => {
    try {
      return new Frame(input);
    } catch (error) {
      if (error instanceof EncodeError && input.length < 14) return undefined;
      throw error;
    }
  };
  return {
    seeds: await seedFrames(200),
    dictionary,
    run(input) {
      const whole = open(input);
      if (whole === undefined) return;
      hold(isDeepStrictEqual(whole.toBytes(), input), "a frame is its bytes");
      for (const name of settable) {
        const value = whole.getBits(name);
        hold((value !== undefined) === whole.has(name), "has agrees with get");
        const copy = whole.clone();
        if (value === undefined) {
          hold(
            !copy.setBits(name, 0n) && isDeepStrictEqual(copy.toBytes(), input),
            "a field that is not there is not set",
          );
          continue;
        }
        hold(value >> BigInt(fieldBits[name]) === 0n, "a field is as wide as it is");
        hold(copy.setBits(name, value) && isDeepStrictEqual(copy.toBytes(), input), "setting what is changes nothing");
        const changed = value ^ ((1n << BigInt(fieldBits[name])) - 1n);
        copy.setBits(name, changed);
        // The type of a message or an option may, when it changes, take the field itself away.
        if (copy.has(name)) hold(copy.getBits(name) === changed, "what was set is read");
        copy.setBits(name, value);
      }
      const tagged = whole.clone();
      if (!tagged.has("vlan_vid")) {
        tagged.pushVlan(5);
        hold(tagged.popVlan() && isDeepStrictEqual(tagged.toBytes(), input), "a tag comes off as it went on");
      }
    },
  };
}
