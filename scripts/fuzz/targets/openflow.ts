/** OpenFlow: a stream cut into messages, each decoded, encoded again and decoded once more (OpenFlow 1.5.1, section 7). */
import { isDeepStrictEqual } from "node:util";
import type { Action, Envelope, Instruction, Match, Message } from "@selvage/openflow";
import { hold, type Subject, type Target } from "../target.ts";

export const openflow: Target = {
  name: "openflow",
  about: "OpenFlow stream: framing, and every message decoded, encoded and decoded again",
  // Not the connection, its outbox and ledger: they are not asked here.
  code: [
    ...[
      "action",
      "bundle",
      "canonical",
      "error-message",
      "error-names",
      "field",
      "flow",
      "framing",
      "group",
      "instruction",
    ],
    ...["message", "meter", "multipart", "nicira", "packet", "port", "session", "statistics", "wire"],
  ].map((file) => `/packages/openflow/src/${file}`),
  shape: "bytes",
  maxLength: 4096,
  batch: 64,
  testRuns: 10_000,
  load,
};

async function load(): Promise<Subject> {
  const { DecodeError, decodeMessage, EncodeError, encodeMessage, Framer, maxMessageLength, Writer } = await import(
    "@selvage/openflow"
  );
  const bytesOf = (messages: readonly Message[]): Uint8Array => {
    const writer = new Writer();
    for (const [n, message] of messages.entries()) encodeMessage(writer, message, n + 1);
    return writer.take();
  };
  const read = (bytes: Uint8Array): Envelope | undefined => {
    try {
      return decodeMessage(bytes);
    } catch (error) {
      if (error instanceof DecodeError) return undefined;
      throw error;
    }
  };
  const again = ({ message, xid }: Envelope): Envelope | undefined => {
    const writer = new Writer();
    try {
      encodeMessage(writer, message, xid);
    } catch (error) {
      // What was left out as unimportant may take more room when it is said in full.
      if (error instanceof EncodeError && writer.length > maxMessageLength) return undefined;
      throw error;
    }
    return decodeMessage(writer.take());
  };
  const cut = (bytes: Uint8Array, piece: number): readonly Uint8Array[] => {
    const framer = new Framer();
    const messages: Uint8Array[] = [];
    try {
      for (let at = 0; at < bytes.length; at += piece)
        framer.push(bytes.subarray(at, at + piece), (message) => messages.push(message.slice()));
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
    }
    return messages;
  };
  const seeds = await seedMessages();
  return {
    seeds: [...seeds.map((message) => bytesOf([message])), bytesOf(seeds.slice(0, 6))],
    dictionary: [
      Uint8Array.of(0, 0, 0x23, 0x20),
      Uint8Array.of(0xff, 0xff),
      Uint8Array.of(0x80, 0, 0, 4),
      Uint8Array.of(0, 1, 0, 4),
    ],
    run(input) {
      const messages = cut(input, Math.max(1, input.length));
      hold(isDeepStrictEqual(messages, cut(input, 1 + (input.length % 11))), "pieces do not change what is cut");
      for (const bytes of messages) {
        const envelope = read(bytes);
        const repeated = envelope === undefined ? undefined : again(envelope);
        if (repeated !== undefined) hold(isDeepStrictEqual(repeated, envelope), "encoding loses nothing");
      }
    },
  };
}

/** A message of each kind, with every action and several fields among them. */
async function seedMessages(): Promise<readonly Message[]> {
  const { act, bucket, flowFilter, flowMod, groupMod, meterMod, packetOut, Port, subfield } = await import(
    "@selvage/openflow"
  );
  const data = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const match: Match = [
    { field: "in_port", value: 3 },
    { field: "eth_type", value: 0x0800 },
    { field: "ip_proto", value: 6 },
    { field: "ipv4_src", value: 0x0a00_0000, mask: 0xff00_0000 },
    { field: "ct_state", value: 0x22, mask: 0x22 },
    { field: "reg0", value: 0 },
    { field: "metadata", value: 9n },
  ];
  const actions: readonly Action[] = [
    act.output(1),
    act.outputTruncated(2, 100),
    act.outputField(subfield("reg0", 0, 16)),
    act.group(7),
    act.meter(1),
    act.setQueue(7),
    act.pushVlan(),
    act.popVlan(),
    act.decTtl(),
    act.setTtl(0),
    act.setField({ field: "vlan_vid", value: 0x1000 }),
    act.setField({ field: "reg1", value: 5, mask: 15 }),
    act.copyField(subfield("reg0", 0, 16), subfield("reg1", 0, 16)),
    act.resubmit(12),
    act.resubmitOriginal(9),
    act.controller({ userdata: data, flow: "pause" }),
    act.conjunction(1, 1, 2),
    act.ct({ zone: 5, recircTable: 4, mode: "commit", actions: [act.nat({ direction: "source" })] }),
    act.ct({ zone: subfield("reg2", 0, 16) }),
    act.clone([act.exit(), act.ctClear()]),
    act.checkPacketLarger(1500, subfield("reg3", 0, 1)),
    act.stackPush(subfield("reg4", 0, 32)),
    act.stackPop(subfield("reg4", 0, 32)),
    act.note(data),
    act.learn({ table: 3, specs: [] }),
  ];
  const instructions: readonly Instruction[] = [
    { kind: "apply", actions },
    { kind: "write", actions: [act.output(2)] },
    { kind: "clear" },
    { kind: "writeMetadata", metadata: 1n, mask: 3n },
    { kind: "gotoTable", table: 4 },
  ];
  const statistics = { seconds: 1, idleSeconds: 2, flows: 3, packets: 4n, bytes: 5n };
  const flow = { table: 1, priority: 0, match, instructions: [], cookie: 1n };
  const punted = {
    packet: data,
    fullLength: 64,
    table: 0,
    cookie: 1n,
    reason: 1,
    metadata: match.slice(0, 1),
    userdata: data,
    continuation: data,
  };
  const port = { port: 1, mac: 2, name: "p1", config: 0, state: 4, speed: { current: 1, max: 2 } };
  const buckets = [bucket(1, [act.output(1)], { weight: 1, watchPort: 2 }), bucket(2, [act.resubmit(1)])];
  const selection = { method: "hash", parameter: 0n, fields: match.slice(3, 4) };
  const bands = [
    { kind: "drop", rate: 100, burst: 10 },
    { kind: "dscpRemark", rate: 50, burst: 5, precedence: 1 },
  ] as const;
  const mappings = [{ optionClass: 0x103, optionType: 1, optionLength: 4, index: 0 }];
  return [
    { kind: "hello", versions: [4, 6] },
    { kind: "error", type: 4, code: 9, experimenter: 0, data },
    { kind: "error", type: 0xffff, code: 9, experimenter: 0x4f4e_4600, data },
    { kind: "echoRequest", data },
    { kind: "featuresRequest" },
    { kind: "barrierReply" },
    { kind: "featuresReply", datapathId: 1n, buffers: 0, tables: 254, auxiliaryId: 0, capabilities: 1 },
    { kind: "setConfig", flags: 3, missSendLength: 0xffff },
    { kind: "packetIn", ...punted },
    { kind: "resume", ...punted },
    { ...flow, kind: "flowRemoved", reason: 2, idleTimeout: 1, hardTimeout: 2, statistics },
    { kind: "portStatus", reason: "added", port },
    packetOut(data, actions, [{ field: "in_port", value: Port.controller }]),
    ...actions.map((action) => flowMod({ instructions: [{ kind: "apply", actions: [action] }] })),
    ...match.map((field) => flowMod({ match: [field] })),
    flowMod({ table: 2, match, instructions, cookie: 77n, command: "modifyStrict" }),
    groupMod({ group: 1, type: "select", buckets, selection }),
    groupMod({ group: 1, command: "insertBucket", buckets }),
    meterMod({ meter: 1, bands }),
    { kind: "multipartRequest", question: { of: "flows", filter: flowFilter({ match }) } },
    { kind: "multipartRequest", question: { of: "aggregate", filter: flowFilter() } },
    { kind: "multipartRequest", question: { of: "groups", group: 1 } },
    { kind: "multipartRequest", question: { of: "meters", meter: 1 } },
    { kind: "multipartRequest", question: { of: "meterCounters", meter: 1 } },
    { kind: "multipartRequest", question: { of: "ports", port: 1 } },
    { kind: "multipartReply", more: false, answer: { of: "aggregate", statistics } },
    { kind: "multipartReply", more: true, answer: { of: "ports", ports: [port, port] } },
    {
      kind: "multipartReply",
      more: false,
      answer: { of: "groups", groups: [{ group: 1, type: "select", buckets, selection }] },
    },
    { kind: "multipartReply", more: false, answer: { of: "meters", meters: [{ meter: 1, flags: 5, bands }] } },
    {
      kind: "multipartReply",
      more: false,
      answer: {
        of: "meterCounters",
        meters: [{ meter: 1, flows: 1, packets: 2n, bytes: 3n, seconds: 4, bands: [{ packets: 1n, bytes: 1n }] }],
      },
    },
    { kind: "setAsync", packetIn: 2, portStatus: 7, flowRemoved: 4 },
    { kind: "bundleControl", bundle: 1, step: "commitRequest", flags: 3 },
    { kind: "bundleAdd", bundle: 1, flags: 3, message: flowMod({ match }) },
    { kind: "tlvTableMod", command: "add", mappings },
    { kind: "tlvTableReply", maxSpace: 248, maxFields: 62, mappings },
    { kind: "tlvTableRequest" },
    { kind: "ctFlushZone", zone: 7 },
    { kind: "setPacketInFormat", format: 2 },
    { kind: "raw", type: 200, body: data },
  ];
}
