/** DNS messages: what machines ask, and what a server upstream says of it (RFC 1035). */
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { hold, type Subject, type Target } from "../target.ts";

export const dns: Target = {
  name: "dns",
  about: "DNS messages: decode and encode, names through pointers",
  code: ["/packages/packet/src/dns.ts"],
  shape: "bytes",
  maxLength: 2048,
  batch: 64,
  testRuns: 8_000,
  load,
};

async function load(): Promise<Subject> {
  const { decodeDns, encodeDns } = await import("@selvage/packet");
  const { dnsMessages } = await import("@selvage/packet/testing");
  return {
    seeds: fc.sample(dnsMessages, { seed: 7, numRuns: 100 }).map((each) => encodeDns(each)),
    dictionary: [
      Uint8Array.of(0xc0, 0x0c),
      Uint8Array.of(0, 41),
      Uint8Array.of(0, 1, 0, 1),
      Uint8Array.of(0, 28, 0, 1),
      Uint8Array.of(0, 6, 0, 1),
      Uint8Array.of(0, 12, 0, 1),
    ],
    run(input) {
      const decoded = decodeDns(input);
      if (!decoded.ok) {
        hold(decoded.offset >= 0 && decoded.offset <= input.length, "a fault lies inside the message");
        return;
      }
      const again = decodeDns(encodeDns(decoded.message));
      hold(again.ok && isDeepStrictEqual(again.message, decoded.message), "encoding loses nothing");
    },
  };
}
