/** The resolver as a client meets it: what it answers itself, what it hands on by either transport to a server that is one, and what it makes of nonsense. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { type Clock, createMetrics, ManualClock, realClock, silentLog } from "@selvage/base";
import { viewIndexes, viewResources } from "@selvage/compiler";
import { Network, Port, Replica, Subnet } from "@selvage/model";
import { makeNetwork, makePort, makeSubnet, put } from "@selvage/model/testing";
import { type Dns, DnsRcode, type DnsRecord, DnsType, decodeDns, encodeDns } from "@selvage/packet";
import { dnsMessages } from "@selvage/packet/testing";
import fc from "fast-check";
import { Resolver } from "./resolver.ts";
import { framed, type NameServer, nameServers, Upstream } from "./upstream.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const asker = makePort({
  id: "asker",
  network_id: "net",
  project_id: "red",
  dns_project: "red",
  dns_name: "web",
  fixed_ips: Array.from({ length: 60 }, (_, at) => ({ subnet_id: "sub", ip_address: `10.0.0.${10 + at}` })),
});
const few = makePort({
  ...asker,
  id: "few",
  key: 2,
  mac_address: "fa:16:3e:00:00:02",
  dns_name: "few",
  fixed_ips: [{ subnet_id: "sub", ip_address: "10.0.0.200" }],
});

async function resolver(servers: readonly NameServer[] = [], clock: Clock = realClock) {
  const view = new Replica({ resources: viewResources, indexes: viewIndexes });
  view.apply(
    [
      put(Network, makeNetwork({ id: "net" })),
      put(Subnet, makeSubnet({ id: "sub", network_id: "net" })),
      put(Port, asker),
      put(Port, few),
    ],
    1,
  );
  return new Resolver({
    ...{ view, upstream: new Upstream(servers, clock), clock },
    ...{ log: silentLog, metrics: await createMetrics() },
  });
}

const question = (name: string, more: Partial<Dns> = {}, type: number = DnsType.a): Dns => ({
  id: 4711,
  response: false,
  opcode: 0,
  authoritative: false,
  truncated: false,
  recursionDesired: true,
  recursionAvailable: false,
  reserved: 0,
  rcode: 0,
  questions: [{ name, type, class: 1 }],
  answers: [],
  authorities: [],
  additionals: [],
  ...more,
});

async function ask(of: Resolver, message: Dns, transport: "udp" | "tcp" = "udp"): Promise<Dns> {
  const bytes = await of.answer(encodeDns(message), asker, transport);
  const decoded = decodeDns(bytes ?? new Uint8Array());
  assert.ok(decoded.ok, JSON.stringify(decoded));
  return decoded.message;
}

const extension = (size: number, version = 0) => ({ size, version, rcode: 0, flags: 0, options: new Uint8Array(0) });

test("a name of a port is answered with authority, under the question's number and with the question again", async () => {
  const answer = await ask(await resolver(), question("few.openstacklocal."));
  assert.deepEqual(
    [
      answer.id,
      answer.response,
      answer.authoritative,
      answer.rcode,
      answer.recursionDesired,
      answer.recursionAvailable,
    ],
    [4711, true, true, DnsRcode.noError, true, false],
  );
  assert.deepEqual(answer.questions, [{ name: "few.openstacklocal.", type: 1, class: 1 }]);
  assert.deepEqual(
    answer.answers.map(({ data }) => data),
    [{ kind: "address", address: "10.0.0.200" }],
  );
  assert.equal(answer.extension, undefined);
});

test("a name that is not there is told so with the zone's authority, one without such a record without an error", async () => {
  const of = await resolver();
  const none = await ask(of, question("nobody.openstacklocal."));
  assert.deepEqual(
    [none.rcode, none.authorities.map(({ name, type }) => [name, type])],
    [DnsRcode.nameError, [["openstacklocal.", DnsType.soa]]],
  );
  const other = await ask(of, question("few.openstacklocal.", {}, DnsType.aaaa));
  assert.deepEqual([other.rcode, other.answers.length, other.authorities.length], [DnsRcode.noError, 0, 1]);
});

test("what does not fit a datagram is cut off, and comes whole by TCP or to who takes more", async () => {
  const of = await resolver();
  const name = "web.openstacklocal.";
  const cut = await ask(of, question(name));
  assert.deepEqual([cut.truncated, cut.answers.length], [true, 0]);
  const wide = await ask(of, question(name, { extension: extension(4096) }));
  assert.deepEqual([wide.truncated, wide.answers.length, wide.extension?.size], [false, 60, 1232]);
  const whole = await ask(of, question(name), "tcp");
  assert.deepEqual([whole.truncated, whole.answers.length], [false, 60]);
});

test("what is not asked of a resolver is refused by name", async () => {
  const of = await resolver();
  const rcode = async (more: Partial<Dns>) => {
    const answer = await ask(of, question("few.openstacklocal.", more));
    return answer.rcode + ((answer.extension?.rcode ?? 0) << 4);
  };
  const asked = { name: "few.openstacklocal.", type: 1, class: 1 };
  assert.equal(await rcode({ opcode: 5 }), DnsRcode.notImplemented);
  assert.equal(await rcode({ extension: extension(512, 1) }), DnsRcode.badVersion);
  assert.equal(await rcode({ questions: [] }), DnsRcode.formatError);
  assert.equal(await rcode({ questions: [asked, asked] }), DnsRcode.formatError);
  assert.equal(await rcode({ questions: [{ ...asked, class: 3 }] }), DnsRcode.refused);
  assert.equal(await rcode({ questions: [{ ...asked, type: 252 }] }), DnsRcode.refused);
  assert.equal(await rcode({ questions: [{ ...asked, name: "example.org." }] }), DnsRcode.refused, "nobody is known");
});

test("bytes that are no message get an error with their number if they have a head, and answers get nothing", async () => {
  const of = await resolver();
  const bytes = encodeDns(question("few.openstacklocal."));
  const refused = await of.answer(bytes.subarray(0, 20), asker, "udp");
  assert.deepEqual([...(refused ?? [])], [18, 103, 0x81, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal(await of.answer(bytes.subarray(0, 8), asker, "udp"), undefined);
  assert.equal(await of.answer(encodeDns(question("a.", { response: true })), asker, "udp"), undefined);
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (noise) => {
      const answer = await of.answer(noise, asker, "udp");
      assert.ok(answer === undefined || ((answer[2] ?? 0) & 0x80) !== 0);
    }),
  );
});

/** A server of names on loopback, by both transports: `reply` makes what it says of a question, undefined: nothing. */
async function server(reply: (asked: Dns, transport: "udp" | "tcp") => Dns | undefined) {
  const heard: Dns[] = [];
  const answerTo = (bytes: Uint8Array, transport: "udp" | "tcp"): Uint8Array | undefined => {
    const decoded = decodeDns(bytes);
    assert.ok(decoded.ok);
    heard.push(decoded.message);
    const said = reply(decoded.message, transport);
    return said === undefined ? undefined : encodeDns(said);
  };
  const streams = createServer((socket: Socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (part: Buffer) => {
      const answer = answerTo(part.subarray(2), "tcp");
      if (answer !== undefined) socket.write(framed(answer));
    });
  });
  streams.listen(0, "127.0.0.1");
  await once(streams, "listening");
  const { port } = streams.address() as AddressInfo;
  const datagrams = createSocket("udp4");
  datagrams.on("message", (bytes, from) => {
    const answer = answerTo(bytes, "udp");
    if (answer !== undefined) datagrams.send(answer, from.port, from.address);
  });
  datagrams.bind(port, "127.0.0.1");
  await once(datagrams, "listening");
  return {
    heard,
    place: { address: "127.0.0.1", port },
    async [Symbol.asyncDispose]() {
      datagrams.close();
      streams.close();
      await once(streams, "close");
    },
  };
}

const answered = (asked: Dns, address: string): Dns => ({
  ...asked,
  response: true,
  recursionAvailable: true,
  answers: [{ name: asked.questions[0]?.name ?? ".", type: 1, class: 1, ttl: 5, data: { kind: "address", address } }],
});

test("other names are handed on under another number, by the transport that they came by, and nothing of a port's is", async () => {
  const by: string[] = [];
  await using upstream = await server((asked, transport) => {
    by.push(transport);
    return answered(asked, "192.0.2.1");
  });
  const of = await resolver([upstream.place]);
  const cookie = { ...extension(4096), flags: 0x8000, options: Uint8Array.of(0, 10, 0, 1, 7) };
  for (const transport of ["udp", "tcp"] as const) {
    const answer = await ask(of, question("www.example.org.", { extension: cookie }), transport);
    assert.deepEqual([answer.id, answer.authoritative, answer.recursionAvailable], [4711, false, true]);
    assert.deepEqual(answer.answers[0]?.data, { kind: "address", address: "192.0.2.1" });
  }
  assert.deepEqual(by, ["udp", "tcp"]);
  const [first, second] = upstream.heard;
  assert.notEqual(first?.id, second?.id, "numbers are drawn (once in 65,536 the same)");
  assert.deepEqual(first?.extension, { ...extension(1232), flags: 0x8000 }, "no option of the machine's");
  await ask(of, question("few.openstacklocal."));
  await ask(of, question("nobody.openstacklocal."));
  assert.equal((await ask(of, question("www.example.org.", { recursionDesired: false }))).rcode, DnsRcode.refused);
  assert.equal(upstream.heard.length, 2, "the platform's names, and what is not to be asked for, stay here");
});

test("a server that is silent is passed over, an answer to another question is none, and where nobody answers that is said", async () => {
  await using mute = await server(() => undefined);
  await using liar = await server((asked, transport) =>
    transport === "udp"
      ? answered({ ...asked, questions: [{ name: "evil.example.", type: 1, class: 1 }] }, "192.0.2.66")
      : undefined,
  );
  await using good = await server((asked) => answered(asked, "192.0.2.1"));
  const answer = await ask(await resolver([mute.place, liar.place, good.place]), question("www.example.org."));
  assert.deepEqual(answer.answers[0]?.data, { kind: "address", address: "192.0.2.1" });
  const none = await ask(await resolver([mute.place]), question("www.example.org."));
  assert.equal(none.rcode, DnsRcode.serverFailure);
});

test("a connection bears one question after another, in whatever pieces they come", async () => {
  const of = await resolver();
  const door = createServer({ allowHalfOpen: true }, (socket) => of.serve(socket, asker));
  door.listen(0, "127.0.0.1");
  await once(door, "listening");
  const socket = connect((door.address() as AddressInfo).port, "127.0.0.1");
  const parts: Buffer[] = [];
  socket.on("data", (part: Buffer) => parts.push(part));
  const asked = ["few", "nobody", "web"].map((name) => framed(encodeDns(question(`${name}.openstacklocal.`))));
  const bytes = Buffer.concat(asked);
  socket.write(bytes.subarray(0, 1));
  for (let at = 1; at < bytes.length; at += 17) {
    await new Promise<void>((sent) => socket.write(bytes.subarray(at, at + 17), () => sent()));
  }
  socket.end();
  await once(socket, "close");
  const got = Buffer.concat(parts);
  const rcodes: number[] = [];
  for (let at = 0; at < got.length; at += 2 + got.readUInt16BE(at)) {
    const decoded = decodeDns(got.subarray(at + 2, at + 2 + got.readUInt16BE(at)));
    assert.ok(decoded.ok);
    rcodes.push(decoded.message.rcode);
  }
  assert.deepEqual(rcodes, [DnsRcode.noError, DnsRcode.nameError, DnsRcode.noError]);
  door.close();
  await once(door, "close");
});

test("no message ends the resolver, whatever stands in it", async () => {
  const of = await resolver();
  await fc.assert(
    fc.asyncProperty(dnsMessages, fc.constantFrom("udp", "tcp"), async (message, transport) => {
      const answer = await of.answer(encodeDns({ ...message, response: false }), asker, transport);
      assert.ok(answer !== undefined && ((answer[2] ?? 0) & 0x80) !== 0);
    }),
  );
});

test("a server that was silent is asked after the others for a while, and one that cannot tell is no answer where another can", async () => {
  const clock = new ManualClock();
  await using mute = await server(() => undefined);
  await using lame = await server((asked) => ({ ...asked, response: true, rcode: DnsRcode.refused }));
  await using good = await server((asked) => answered(asked, "192.0.2.1"));
  const of = await resolver([mute.place, lame.place, good.place], clock);
  const asks = async () => (await ask(of, question("www.example.org."))).answers.length;
  assert.equal(await asks(), 1);
  assert.equal(await asks(), 1);
  assert.deepEqual(
    [mute, lame, good].map(({ heard }) => heard.length),
    [1, 2, 2],
  );
  clock.advance(30_000);
  assert.equal(await asks(), 1);
  assert.equal(mute.heard.length, 2, "it may be back");
  const none = await ask(await resolver([lame.place, mute.place]), question("www.example.org."));
  assert.equal(none.rcode, DnsRcode.refused, "what it said is said on");
});

test("an answer that is longer than the machine takes is cut off, and comes whole by TCP", async () => {
  await using wordy = await server((asked) => {
    const [one] = answered(asked, "192.0.2.1").answers;
    return { ...asked, response: true, answers: Array.from({ length: 100 }, () => one as DnsRecord) };
  });
  const of = await resolver([wordy.place]);
  const cut = await ask(of, question("www.example.org."));
  assert.deepEqual([cut.truncated, cut.answers.length, cut.rcode], [true, 0, DnsRcode.noError]);
  const wide = await ask(of, question("www.example.org.", { extension: extension(4096) }));
  assert.deepEqual([wide.truncated, wide.answers.length], [true, 0]);
  const whole = await ask(of, question("www.example.org."), "tcp");
  assert.deepEqual([whole.truncated, whole.answers.length], [false, 100]);
});

test("an answer from another port, or under another number, is none", async () => {
  const forger = createSocket("udp4");
  await using slow = await server(() => undefined);
  const real = createSocket("udp4");
  real.on("message", (bytes, from) => {
    const decoded = decodeDns(bytes);
    assert.ok(decoded.ok);
    const forged = answered(decoded.message, "192.0.2.66");
    const send = (socket: typeof real, said: Dns, then: () => void) =>
      socket.send(encodeDns(said), from.port, from.address, then);
    // The truth comes last, from where it was asked.
    send(forger, forged, () =>
      send(real, { ...forged, id: forged.id ^ 1 }, () =>
        send(real, answered(decoded.message, "192.0.2.1"), () => undefined),
      ),
    );
  });
  real.bind(0, "127.0.0.1");
  await once(real, "listening");
  const of = await resolver([{ address: "127.0.0.1", port: real.address().port }, slow.place]);
  const answer = await ask(of, question("www.example.org."));
  assert.deepEqual(answer.answers[0]?.data, { kind: "address", address: "192.0.2.1" });
  for (const socket of [forger, real]) socket.close();
});

test("a connection that does not end its question is waited for so long and no longer", async () => {
  const clock = new ManualClock();
  const of = await resolver([], clock);
  const door = createServer({ allowHalfOpen: true }, (socket) => of.serve(socket, asker));
  door.listen(0, "127.0.0.1");
  await once(door, "listening");
  const socket = connect((door.address() as AddressInfo).port, "127.0.0.1");
  const whole = framed(encodeDns(question("few.openstacklocal.")));
  socket.write(Buffer.concat([whole, whole.subarray(0, 9)]));
  await once(socket, "data");
  await clock.whenPending(1);
  clock.advance(9_999);
  assert.equal(socket.destroyed, false);
  clock.advance(1);
  await once(socket, "close");
  assert.equal(clock.pending, 0);
  door.close();
  await once(door, "close");
});

test("a machine that asks and does not read is answered as far as it reads, held in no more than a buffer, and waited for so long", async () => {
  const clock = new ManualClock();
  const of = await resolver([], clock);
  const taken: (() => void)[] = [];
  let written = 0;
  const socket = new Duplex({
    read: () => undefined,
    write(bytes: Uint8Array, _, next) {
      written += bytes.length;
      taken.push(next);
    },
  });
  of.serve(socket, asker);
  const asked = framed(encodeDns(question("web.openstacklocal.")));
  const answer = framed((await of.answer(asked.subarray(2), asker, "tcp")) ?? new Uint8Array());
  const questions = 1_000;
  socket.push(Buffer.concat(Array.from({ length: questions }, () => asked)));
  // All that is answered without the machine is answered within a turn.
  await turn();
  const most = socket.writableHighWaterMark + answer.length;
  assert.ok(socket.writableNeedDrain);
  assert.ok(socket.writableLength < most, `${socket.writableLength} bytes are held for ${questions} questions`);
  clock.advance(9_999);
  while (written < questions * answer.length) {
    taken.shift()?.();
    await turn();
    assert.ok(socket.writableLength < most);
  }
  assert.equal(clock.pending, 1, "who reads has time again");
  socket.push(Buffer.concat(Array.from({ length: questions }, () => asked)));
  await turn();
  clock.advance(9_999);
  assert.equal(socket.destroyed, false);
  clock.advance(1);
  assert.equal(socket.destroyed, true);
  await turn();
  assert.deepEqual([clock.pending, socket.listenerCount("drain")], [0, 0]);
});

test("servers are said by address, with a port or without, three at most", () => {
  assert.deepEqual(nameServers(""), []);
  assert.deepEqual(nameServers("192.0.2.53, 192.0.2.54:5353,2001:db8::53"), [
    { address: "192.0.2.53", port: 53 },
    { address: "192.0.2.54", port: 5353 },
    { address: "2001:db8::53", port: 53 },
  ]);
  assert.deepEqual(nameServers("[2001:db8::53]:1053"), [{ address: "2001:db8::53", port: 1053 }]);
  for (const wrong of [
    "ns.example",
    "192.0.2.53:0",
    "192.0.2.53:65536",
    "[192.0.2.53",
    "1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4",
  ])
    assert.throws(() => nameServers(wrong), RangeError, wrong);
});
