/** A conversation as JSON for whoever asked: every table, row and object of its way, and of others' objects nothing but their kind. */
import { type DropReason, reasonByCode } from "@selvage/base";
import { hostMac, type IntentObject, intentOf } from "@selvage/compiler";
import type { Outcome, Visit } from "@selvage/datapath";
import {
  type AnyResource,
  FloatingIp,
  type Host,
  LearnedNeighbour,
  Network,
  Port,
  resources,
  SecurityGroup,
  SecurityGroupRule,
  SecurityGroupSet,
  type View,
} from "@selvage/model";
import { decode, summary } from "@selvage/packet";
import { physicalNetworkOf, type Row, rowText, selvageProgram, serviceIngress } from "@selvage/pipeline";
import type { Hop } from "./journey.ts";
import { nearTexts, ruleText, type Words } from "./rule-text.ts";
import { type Conversation, type Ending, type Leg, wordFor } from "./trace.ts";

/** What whoever asked may see. */
export interface Sight {
  /** The whole of rows, hosts and their numbers. */
  readonly everything: boolean;
  /** Whether it may be told of an object of this project. */
  readonly project: (projectId: string) => boolean;
}

/** An object of intent; `name` and `id` are null where it is another's. */
export interface ToldObject {
  readonly kind: string;
  readonly id: string | null;
  readonly name: string | null;
}

export interface ToldRow {
  /** The row, without the numbers that only the fabric's own people see; null: nothing of it is for this asker. */
  readonly row: string | null;
  readonly action: string;
  /** None: it is the program's own. */
  readonly objects: readonly ToldObject[];
}

export interface ToldStep {
  readonly table: string;
  /** What the table is for. */
  readonly text: string;
  /** Null: no row matched, and the packet went the table's way for the rest. */
  readonly row: ToldRow | null;
  /** Of rules: by which of its parts it was met. */
  readonly clauses?: readonly ToldRow[];
}

export interface ToldHop {
  readonly host: string | null;
  readonly packet: string;
  readonly steps: readonly ToldStep[];
  /** What became of it here. */
  readonly outcomes: readonly string[];
}

export interface ToldNearRule {
  readonly rule: ToldObject;
  readonly group: string;
  readonly text: string;
  readonly fails: readonly string[];
}

export type ToldEnding =
  | { readonly kind: "delivered"; readonly port: ToldObject; readonly text: string }
  | { readonly kind: "answered"; readonly by: "router" | "services" | "agent"; readonly text: string }
  /** It left for the physical network, where nobody of ours has it. */
  | { readonly kind: "outside"; readonly text: string }
  | {
      readonly kind: "dropped";
      readonly reason: string;
      readonly text: string;
      readonly hint: string;
      readonly table: string;
      readonly nearest: readonly ToldNearRule[];
    }
  | { readonly kind: "nowhere"; readonly text: string };

export interface ToldLeg {
  readonly direction: Leg["direction"];
  readonly from: ToldObject;
  readonly hops: readonly ToldHop[];
  readonly ending: ToldEnding;
}

export interface ToldTrace {
  readonly delivered: boolean;
  /** One sentence on how it ended. */
  readonly summary: string;
  readonly source: string;
  readonly destination: string;
  readonly legs: readonly ToldLeg[];
  readonly notes: readonly string[];
}

const byKind: ReadonlyMap<string, AnyResource> = new Map(resources.map((each) => [each.kind, each]));

/** Columns and arguments that name nothing that a tenant has: keys on the wire, hosts and their addresses. */
const tenantFields: ReadonlySet<string> = new Set(
  [
    ..."ethSrc ethDst ethType ttl ipProto ip4Src ip4Dst ip6Src ip6Dst arpOp arpSpa arpTpa arpSha arpTha ndTarget".split(
      " ",
    ),
  ].concat(
    "tcpSrc tcpDst udpSrc udpDst sctpSrc sctpDst icmpType icmpCode icmp6Type icmp6Code later tagged tooLarge".split(
      " ",
    ),
    "ctNew ctEstablished ctRelated ctReply ctInvalid ctProto ctDst ctType mac nh of hop next largest address".split(
      " ",
    ),
  ),
);

/** MACs that hosts speak with on wires. */
const hostMacs = new RegExp(`${hostMac(0).slice(0, -8)}(?:[0-9a-f]{2}:){2}[0-9a-f]{2}`, "g");

export class Teller {
  readonly #view: View;
  readonly #sight: Sight;

  constructor(view: View, sight: Sight) {
    this.#view = view;
    this.#sight = sight;
  }

  tell(conversation: Conversation, notes: readonly string[]): ToldTrace {
    const { question, legs, isDelivered } = conversation;
    const last = legs.at(-1);
    return {
      delivered: isDelivered,
      summary: last === undefined ? "" : this.#sentence(conversation, last),
      source: question.source,
      destination: question.destination,
      legs: legs.map((leg) => this.#leg(conversation, leg)),
      notes: [...conversation.notes.map(({ text }) => text), ...notes],
    };
  }

  /** An object by name; what whoever asked may not see has its kind alone. */
  object({ kind, id }: IntentObject): ToldObject {
    if (kind === SecurityGroupSet.kind) return this.#set(id);
    if (kind === LearnedNeighbour.kind) {
      // What a trace takes to be outside is nobody's.
      const address = id.slice(id.indexOf("|") + 1);
      return { kind, id: address, name: address };
    }
    const resource = byKind.get(kind);
    const object: unknown = resource === undefined ? undefined : this.#view.get(resource, id);
    if (!this.#sees(object)) return { kind, id: null, name: null };
    return { kind, id, name: this.#nameOf(object, kind, id) };
  }

  /** A set is told by its groups, to whoever sees them all. */
  #set(id: string): ToldObject {
    const kind = SecurityGroupSet.kind;
    const groups =
      this.#view.get(SecurityGroupSet, id)?.groups.map((group) => this.#view.get(SecurityGroup, group)) ?? [];
    if (!this.#sight.everything && (groups.length === 0 || !groups.every((group) => this.#sees(group))))
      return { kind, id: null, name: null };
    const names = groups.map((group) => (group === undefined || group.name === "" ? (group?.id ?? "") : group.name));
    return { kind, id, name: `of ${names.length === 0 ? "no group" : names.join(", ")}` };
  }

  #nameOf(object: unknown, kind: string, id: string): string | null {
    if (kind === SecurityGroupRule.kind) {
      const rule = this.#view.get(SecurityGroupRule, id);
      return rule === undefined ? null : ruleText(this.#words, rule);
    }
    return textAt(object, kind === FloatingIp.kind ? "floating_ip_address" : "name") ?? null;
  }

  get #words(): Words {
    return { view: this.#view, sees: (object) => this.#sees(object) };
  }

  #sees(object: unknown): boolean {
    if (this.#sight.everything) return true;
    const project = textAt(object, "project_id");
    return project !== undefined && this.#sight.project(project);
  }

  #leg(conversation: Conversation, leg: Leg): ToldLeg {
    const { direction, from, hops, ending } = leg;
    return {
      direction,
      from:
        from.kind === "port"
          ? this.object({ kind: Port.kind, id: from.port.id })
          : this.object({ kind: Network.kind, id: from.network.id }),
      hops: hops.map((hop) => this.#hop(hop)),
      ending: this.#ending(conversation, ending),
    };
  }

  #hop(hop: Hop): ToldHop {
    const { at, frame, trace } = hop;
    return {
      host: this.#hostWord(at.host),
      packet: this.#shown(summary(decode(frame))),
      steps: trace.visits.map((visit) => this.#step(hop, visit)),
      outcomes: trace.outcomes.map((outcome) => this.#outcome(outcome)),
    };
  }

  #outcome(outcome: Outcome): string {
    switch (outcome.kind) {
      case "output":
        if (outcome.port === serviceIngress) return "to the host's services";
        if (physicalNetworkOf(outcome.port) !== undefined) return this.#wireText(outcome.port);
        return `out of port ${this.#word({ kind: Port.kind, id: outcome.port })}`;
      case "tunnel":
        return this.#sight.everything ? `by ${outcome.by} to ${outcome.to}` : "to another host";
      case "punt":
        return `to the host's agent: ${outcome.punt}`;
      case "drop":
        return `dropped: ${outcome.reason}`;
      case "suppressed":
        return "not sent back to where it came from";
      case "held":
        return "waits for the fragments that follow";
    }
  }

  /** Hosts' MACs have their numbers, which are for the fabric's own people. */
  #shown(text: string): string {
    return this.#sight.everything ? text : text.replaceAll(hostMacs, "a-host");
  }

  /** Names of physical networks are for the fabric's own people. */
  #wireText(port: string): string {
    return this.#sight.everything
      ? `out on the physical network ${physicalNetworkOf(port)}`
      : "out on the physical network";
  }

  #hostWord(host: Host): string | null {
    return this.#sight.everything ? host.name : null;
  }

  #word(object: IntentObject): string {
    const { id, name } = this.object(object);
    if (id === null) return "of another project";
    return name === null || name === "" ? id : name;
  }

  #step(hop: Hop, { table, row, clauses }: Visit): ToldStep {
    return {
      table,
      text: selvageProgram.byName.get(table)?.text ?? "",
      row: row === undefined ? null : this.#row(hop, row),
      ...(clauses === undefined ? {} : { clauses: clauses.map((each) => this.#row(hop, each)) }),
    };
  }

  #row({ at }: Hop, row: Row): ToldRow {
    const objects = intentOf(at.engine.origins(row.id)).map((object) => this.object(object));
    const isOwn = objects.every(({ id }) => id !== null);
    const text = this.#sight.everything ? rowText(row) : isOwn ? this.#shown(tenantText(row)) : null;
    return { row: text, action: row.action, objects };
  }

  #ending({ question }: Conversation, ending: Ending): ToldEnding {
    switch (ending.kind) {
      case "delivered": {
        const port = { kind: Port.kind, id: ending.port.id };
        return { kind: "delivered", port: this.object(port), text: `It comes out of port ${this.#word(port)}.` };
      }
      case "answered":
        return { kind: "answered", by: ending.by, text: answeredText(ending) };
      case "outside": {
        const decoded = decode(ending.frame);
        const ip = decoded.ok ? (decoded.packet.ipv4 ?? decoded.packet.ipv6) : undefined;
        return { kind: "outside", text: `It is out on the physical network, from ${ip?.src} to ${ip?.dst}.` };
      }
      case "lost":
        return { kind: "nowhere", text: ending.text };
      case "unsent": {
        const { id } = this.object({ kind: Port.kind, id: ending.port.id });
        const text = id === null ? "." : ` of port ${wordFor(ending.port)}: ${ending.why}.`;
        return { kind: "nowhere", text: `Nothing is sent by the machine${text}` };
      }
      case "dropped": {
        const reason: DropReason = reasonByCode(ending.reason);
        const { visit, told } = ending;
        const nearest = nearTexts(this.#words, visit?.nearest ?? [], question).map(({ rule, ...near }) => ({
          rule: this.object({ kind: SecurityGroupRule.kind, id: rule.id }),
          ...near,
        }));
        const icmp = told === undefined ? "" : `; the sender is told so by ICMP (${told})`;
        return {
          kind: "dropped",
          reason: reason.code,
          text: `${reason.text}${icmp}`,
          hint: reason.hint,
          table: visit?.table ?? "",
          nearest,
        };
      }
    }
  }

  #sentence(conversation: Conversation, last: Leg): string {
    const told = this.#ending(conversation, last.ending);
    const what = { ask: "The question who has the next hop's address", forward: "The packet", reply: "The answer" }[
      last.direction
    ];
    if (told.kind === "dropped") return `${what} is dropped (${told.reason}): ${told.text}.`;
    if (last.direction === "reply" && (told.kind === "delivered" || told.kind === "outside")) {
      const [there] = conversation.legs;
      const isOut = there?.ending.kind === "outside";
      return isOut
        ? `${this.#ending(conversation, there.ending).text} Its answer is delivered.`
        : "The packet is delivered, and so is its answer.";
    }
    const { to } = conversation.question;
    if (to === undefined || last.direction !== "forward") return told.text;
    if (last.ending.kind === "outside") return `${told.text} It does not come to port ${wordFor(to)}.`;
    const isOther = last.ending.kind === "delivered" && last.ending.port.id !== to.id;
    return isOther ? `${told.text} That is not port ${wordFor(to)}.` : told.text;
  }
}

function answeredText(ending: Extract<Ending, { kind: "answered" }>): string {
  switch (ending.by) {
    case "router":
      return "A router answers it itself.";
    case "services":
      return "The host's own services get it.";
    case "agent":
      return `The host's agent gets it: ${ending.service}.`;
  }
}

const textAt = (object: unknown, key: string): string | undefined => {
  const value = typeof object === "object" && object !== null ? Reflect.get(object, key) : undefined;
  return typeof value === "string" ? value : undefined;
};

function tenantText(row: Row): string {
  const shown = (values: Row["key"]): string =>
    Object.entries(values)
      .filter(([name]) => tenantFields.has(name))
      .map(([name, value]) => `${name}=${value}`)
      .join(", ");
  return `${row.table}(${row.rank === undefined ? "" : `${row.rank}: `}${shown(row.key)}) → ${row.action}(${shown(row.args)})`;
}
