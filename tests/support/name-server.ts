/**
 * A server of names for tests, run as a program: answers every question for an IPv4 address with 192.0.2.80, by both transports, on 127.0.0.1 at the port that it is
 * given; with a hundred such for names that begin with `many`, whatever the asker takes; with a refusal for `refused`. Told `mute` it answers nobody, and
 * prints which names it was asked for.
 */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { DnsRcode, DnsType, decodeDns, encodeDns } from "@selvage/packet";

const port = Number(process.argv[2]);
const isMute = process.argv[3] === "mute";

function answer(bytes: Uint8Array): Uint8Array | undefined {
  const decoded = decodeDns(bytes);
  if (!decoded.ok) return undefined;
  const { message } = decoded;
  const [question] = message.questions;
  if (isMute) {
    process.stdout.write(`asked for ${question?.name}\n`);
    return undefined;
  }
  const isAsked = question?.type === DnsType.a;
  const isRefused = question?.name.startsWith("refused") === true;
  const count = question?.name.startsWith("many") === true ? 100 : 1;
  return encodeDns({
    ...message,
    response: true,
    recursionAvailable: true,
    rcode: isRefused ? DnsRcode.refused : DnsRcode.noError,
    answers:
      isAsked && !isRefused
        ? Array.from({ length: count }, () => ({
            ...question,
            ttl: 60,
            data: { kind: "address", address: "192.0.2.80" },
          }))
        : [],
  });
}

const datagrams = createSocket("udp4");
datagrams.on("message", (bytes, from) => {
  const said = answer(bytes);
  if (said !== undefined) datagrams.send(said, from.port, from.address);
});
const streams = createServer((socket) => {
  socket.on("error", () => socket.destroy());
  socket.on("data", (part: Buffer) => {
    const said = answer(part.subarray(2));
    if (said !== undefined) socket.end(Buffer.concat([Uint8Array.of(said.length >> 8, said.length & 255), said]));
  });
});
datagrams.bind(port, "127.0.0.1", () => streams.listen(port, "127.0.0.1", () => process.stdout.write("ready\n")));
