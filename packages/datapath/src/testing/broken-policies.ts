/** Datapaths that are wrong about security groups or connections, each in one way. */
import { Fragment, Frame } from "@selvage/packet";
import {
  type Columns,
  constant,
  F,
  goto,
  param,
  type Row,
  type Step,
  selvageProgram,
  set,
  track,
} from "@selvage/pipeline";
import type { Adoption } from "../datapath.ts";
import { SimulatedDatapath, type SimulatedDatapathOptions } from "../simulated/datapath.ts";
import type { Trace } from "../simulated/interpreter.ts";
import type { TunnelHeader } from "../simulated/packet.ts";
import {
  actionsOf,
  type BrokenDatapath,
  constantsWithout,
  type Delta,
  driver,
  executor,
  stepsWithout,
} from "./broken-kinds.ts";

const lives =
  "a connection that the rules admit lives, here and to another host, until it ends; its answers need no rule";
const cut = "a connection is cut in both directions as soon as the rule that let it in is gone";
const relabelled = "a connection goes on under another rule that admits it, once its opener has spoken";
const state = "a rule's other state is another rule for the connections that it let in";
const stray =
  "an answer to nothing is of no connection, and a connection's answers pass only where its question came from";
const forgotten = "connections of a port that was policed no more for a while are forgotten";
const kept = "rows that change leave the connections alone that they do not speak of";
const fragments =
  "fragments are admitted by the ports of their datagram, in whatever order they come, and arrive as they were";
const parts =
  "a rule is met only by a packet that meets each of its parts: prefixes and ports of several rules do not mix";
const overlap =
  "prefixes of rules overlap: the rule of one does not hide that of another, and its last going away leaves the other";
const services = "services are told apart: protocol, port, and ICMP type and code, of which 0 is one";
const sets =
  "a rule that names a set admits its members on this host and on others, by what the packet bears and not by its address";
const left = "a connection ends when the other side leaves the set that the rule names";
const byAddress = "where the tunnel bears no set, a rule that names one is met by the sender's address";
const receivers = "a rule that names a set of receivers is met by the address that a packet is for";
const stateless =
  "a stateless port's packets are asked for one by one, in both directions, and its fragments pass by their protocol";
const many =
  "what goes to many is asked for packet by packet, at its sender and at each receiver, and opens no connection";
const nothing = "a policed port without rules sends and gets nothing but what a network cannot be without";
const errors = "an ICMP error passes when it is about a living connection, and no other";

/** Steps that keep a connection, but for one of the values. */
function keeping(table: string, unwanted: string): readonly Step[] {
  return stepsWithout(table, "miss", () => false).map((step) =>
    step.do === "commit" ? { ...step, keep: step.keep.filter(({ field }) => field.name !== unwanted) } : step,
  );
}

/** A switch that holds other rows than it was told. */
const changing = (name: string, caughtBy: string, change: (row: Row) => Row | undefined): BrokenDatapath =>
  driver(
    name,
    caughtBy,
    class extends SimulatedDatapath {
      override apply(delta: Delta): Promise<void> {
        const changed = (rows: Iterable<Row>): Row[] => [...rows].flatMap((row) => change(row) ?? []);
        return super.apply({
          added: changed(delta.added),
          removed: changed(delta.removed),
          modified: delta.modified,
        });
      }
    },
  );

export const brokenPolicies: readonly BrokenDatapath[] = [
  executor("polices no senders", nothing, "sender", { actions: actionsOf("sender", { policed: [goto("to_router")] }) }),
  executor("polices no receivers", nothing, "receiver", {
    actions: actionsOf("receiver", { policed: [goto("deliver")] }),
  }),
  executor("asks rules for neighbour discovery", nothing, "track_in", {
    constants: constantsWithout("track_in", "exempt"),
  }),
  executor("keeps no connection", lives, "commit_in", { miss: [goto("deliver")] }),
  executor("tracks a port's two directions in two zones", lives, "track_out", {
    actions: actionsOf("track_out", { track: [set(F.dstZone, constant("out")), track(F.dstZone, "live_out")] }),
  }),
  executor("lets known connections pass, whatever the rules say", cut, "live_in", {
    miss: [goto("deliver")],
    actions: actionsOf("live_in", { revoked: [goto("deliver")] }),
  }),
  executor("asks the rules of answers", relabelled, "live_out", {
    actions: actionsOf("live_out", { revoked: [goto("policy_out")] }),
  }),
  executor("keeps a connection with the first rule that let it in", relabelled, "commit_in", {
    actions: { ...actionsOf("commit_in", {}), known: { params: {}, steps: [goto("deliver")] } },
    columns: { ...columnsOf("commit_in"), established: { field: F.ctEstablished, match: "optional" } },
    constants: [
      ...constantsWithout("commit_in"),
      { rank: "untracked", key: { dstStateless: 0, established: 1 }, action: "known" },
    ],
  }),
  executor("does not keep a rule's state", state, "commit_in", { miss: keeping("commit_in", "ctGeneration") }),
  executor("lets through what is of no connection", stray, "live_out", {
    actions: actionsOf("live_out", { invalid: [goto("to_router")] }),
  }),
  executor("takes errors for packets of nobody's", errors, "live_in", {
    constants: [...constantsWithout("live_in"), { rank: "invalid", key: { ctRelated: 1 }, action: "invalid" }],
  }),
  driver(
    "forgets no connections",
    forgotten,
    class extends SimulatedDatapath {
      protected override settle(): void {
        this.forgetCounts();
      }
    },
  ),
  driver(
    "forgets connections on adopt",
    kept,
    class extends SimulatedDatapath {
      override async adopt(rows: Iterable<Row>): Promise<Adoption> {
        await super.adopt([...rows].filter(({ action }) => action !== "policed"));
        return super.adopt(rows);
      }
    },
  ),
  driver(
    "carries no fragments but the first",
    fragments,
    class extends SimulatedDatapath {
      override receive(ingress: string, frame: Uint8Array, tunnel?: TunnelHeader): Trace {
        const isLater = new Frame(frame).get("ip_frag") === Fragment.later;
        return isLater ? { visits: [], outcomes: [] } : super.receive(ingress, frame, tunnel);
      }
    },
  ),
  executor("does not put fragments together", fragments, "track_in", {
    columns: { ...columnsOf("track_in"), later: { field: F.later, match: "optional" } },
    constants: [...constantsWithout("track_in"), { rank: "exempt", key: { later: 1 }, action: "exempt" }],
  }),
  changing("does not look at a rule's other side", parts, (row) =>
    row.table === "policy_in" && row.args.of === 3 ? { ...row, args: { of: 2 }, body: "clause(of=2)" } : row,
  ),
  changing("holds one prefix of a rule", parts, (row) =>
    row.table === "policy_in" && row.key.ip4Src === "10.0.1.8/29" ? undefined : row,
  ),
  changing("takes ICMP type 0 and code 0 for any", services, (row) => {
    const { icmpType, ...key } = row.key;
    return icmpType === 8 ? { ...row, key: { ...key, icmpType: 0 } } : row;
  }),
  driver(
    "takes clauses of other rules away with those of one",
    overlap,
    class extends SimulatedDatapath {
      readonly #clauses = new Map<string, Row>();
      override async apply(delta: Delta): Promise<void> {
        await super.apply(delta);
        for (const row of delta.added) if (row.action === "clause") this.#clauses.set(row.id, row);
        for (const { key, rank } of delta.removed)
          for (const other of this.#clauses.values())
            if (other.rank === rank && sameButRule(other.key, key)) this.lose(other);
      }
    },
  ),
  driver(
    "bears no set in the tunnel",
    sets,
    class extends SimulatedDatapath {
      constructor(options: SimulatedDatapathOptions) {
        super({
          ...options,
          underlay: (to, header, frame) => options.underlay?.(to, { ...header, srcSet: 0 }, frame),
        });
      }
    },
  ),
  changing("lets a connection live whoever is at the other side", left, (row) => {
    const { srcSet: _, ...key } = row.key;
    return row.table === "live_in" ? { ...row, key } : row;
  }),
  changing("does not know senders by their addresses", byAddress, (row) =>
    row.table === "remote_id" ? undefined : row,
  ),
  changing("does not know receivers by their addresses", receivers, (row) =>
    row.table === "dst_id" ? undefined : row,
  ),
  executor("tracks what a stateless port sends", stateless, "track_out", {
    constants: constantsWithout("track_out", "stateless"),
  }),
  executor("asks nothing of what a stateless port gets", stateless, "receiver", {
    actions: actionsOf("receiver", { stateless: [goto("deliver")] }),
  }),
  executor("floods past the rules", many, "copies", { actions: actionsOf("copies", { local: [goto("deliver")] }) }),
  executor("floods from the fabric past the rules", many, "flood_local", {
    actions: actionsOf("flood_local", { copy: [set(F.dstPort, param("port")), goto("deliver")] }),
  }),
];

function columnsOf(table: string): Columns {
  return selvageProgram.byName.get(table)?.columns ?? {};
}

function sameButRule(one: Row["key"], other: Row["key"]): boolean {
  const text = ({ rule: _, ...key }: Row["key"]): string => JSON.stringify(key);
  return text(one) === text(other);
}
