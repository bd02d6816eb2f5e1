/** Messages between server and agent, and the requests by which a host joins: text in, a message of a known type or BadMessage. */
import { evaluated, hold, type Subject, type Target, words } from "../target.ts";

export const sync: Target = {
  name: "sync",
  about: "messages between server and agent, read from text",
  code: ["/packages/sync/src/messages.ts", evaluated],
  shape: "lines",
  maxLength: 8192,
  batch: 64,
  testRuns: 6_000,
  load,
};

const id = "36bef046-7da7-43a5-905a-c17899216fcb";

async function load(): Promise<Subject> {
  const { BadMessage, readFromAgent, readFromServer } = await import("@selvage/sync");
  const read = (reader: (text: string) => unknown, text: string): void => {
    try {
      const message = reader(text);
      const again = JSON.stringify(message);
      hold(JSON.stringify(reader(again)) === again, "a message read is a message");
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error;
      hold(error.message.length < 1_000, "a refusal is short");
    }
  };
  const messages = [
    {
      type: "hello",
      protocols: [1],
      agent: "0.1",
      tunnel_ip: "fd00::1",
      projection: "p",
      held: [["port", id, 3]],
      more: false,
    },
    { type: "held", held: [["network", id, 0]], more: true },
    { type: "ack", revision: 0 },
    { type: "facts", datapath: "ovs", ports_up: [id], unbound: [], quarantined: [{ unit: "port", reason: "r" }] },
    {
      type: "hello",
      protocols: [1, 2, 3],
      agent: "0.1",
      tunnel_ip: "198.18.0.1",
      physical_networks: ["public"],
      projection: "p",
      log: id,
      held: [],
      more: true,
    },
    {
      type: "facts",
      datapath: "ovs",
      ports_up: [],
      unbound: [id],
      quarantined: [],
      drift: [{ at: "2026-01-01T00:00:00Z", what: "changed", row: "r", wanted: "w", found: null }],
      drops: [{ reason: "tunnel-source", packets: 0 }],
      nat: [{ lease: id, used: 64 }],
      datapath_type: "netdev",
    },
    { type: "welcome", protocol: 1, host: { id, name: "h1", key: 1 } },
    { type: "welcome", protocol: 3, host: { id, name: "h1", key: 1 }, log: id },
    {
      type: "changes",
      revision: 5,
      reset: true,
      more: false,
      puts: [{ kind: "port", revision: 5, object: { id } }],
      removes: [{ kind: "port", id }],
    },
    { type: "refused", code: "C", message: "m", retry: true },
  ];
  return {
    seeds: messages.flatMap((message) => words(JSON.stringify(message))),
    dictionary: words(
      "type",
      "revision",
      "held",
      "puts",
      "removes",
      "object",
      "hello",
      "changes",
      "facts",
      "ack",
      "welcome",
    ),
    run(input) {
      const text = new TextDecoder().decode(input);
      read(readFromAgent, text);
      read(readFromServer, text);
    },
  };
}
