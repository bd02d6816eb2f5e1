/** What every handler of the Networking API has at hand, and how any write becomes one transaction that a named retry finds again. */
import { fail } from "@selvage/base";
import type { StoredObject } from "@selvage/model";
import type { Author } from "@selvage/store";
import { clientRequestId, namedAs, nameOf } from "../history/named.ts";
import { type NamedEntry, type Retries, repliedWith } from "../history/retries.ts";
import type { HostStates } from "../host-states.ts";
import { type Exchange, headerOf, type Reply } from "../http/exchange.ts";
import type { ResourceRules, Values, World, Writing } from "../rules/rules.ts";
import type { ServerSettings } from "../settings.ts";
import type { Transaction } from "../transaction.ts";
import type { Writer } from "../writer.ts";
import type { ListWorld } from "./list.ts";
import type { Caller } from "./policy.ts";

export interface NetworkingApi {
  readonly writer: Writer;
  readonly retries: Retries;
  readonly hosts: HostStates;
  readonly settings: ServerSettings;
  /** Who bears the request's token. Throws Unauthorized. */
  readonly authenticate: (exchange: Exchange) => Promise<Caller>;
}

/** One request whose bearer is known. */
export interface Asked {
  readonly api: NetworkingApi;
  readonly exchange: Exchange;
  readonly caller: Caller;
}

/** What replies are made from: the replica as it is now. */
export function worldOf({ writer, hosts, settings }: NetworkingApi): ListWorld {
  return { view: writer.replica, hosts, settings };
}

export function writingOf({ api, caller }: Pick<Asked, "api" | "caller">, transaction: Transaction): Writing {
  return { transaction, caller, settings: api.settings };
}

/** How one kind of write is run, named for a retry, and answered. */
export interface Write<T> {
  /** In the transaction, synchronously. Throws what the caller shall be told. */
  readonly run: (writing: Writing) => T;
  /** Ids of the stored objects that the reply shows, in its order. */
  readonly ids: (result: T) => readonly string[];
  /** The reply's body where it is no stored object's: kept for a retry as it is. */
  readonly body?: (result: T) => unknown;
  readonly reply: (result: T) => Reply;
  /** The reply again, of what the log holds. */
  readonly repeat: (entry: NamedEntry) => Reply;
}

/** Runs a write, once for each name that its client gives it. The reply bears the revision in which it took hold. */
export function write<T>(asked: Asked, { run, ids, body, reply, repeat }: Write<T>): Promise<Reply> {
  const { api, exchange, caller } = asked;
  const name = nameOf(exchange, caller);
  return api.retries.once(
    name,
    async () => {
      const rules = (transaction: Transaction): T => run(writingOf(asked, transaction));
      const { result, revision } = await api.writer.transact(authorOf(asked), rules, namedAs(name, ids, body));
      return at(reply(result), revision);
    },
    (entry) => at(repeat(entry), entry.revision),
  );
}

/** A write whose reply is a body of its own (undefined: none), with this status. */
export function writeOwn(asked: Asked, status: number, run: (writing: Writing) => unknown): Promise<Reply> {
  const replyOf = (body: unknown): Reply => (body === undefined ? { status } : { status, body });
  return write(asked, {
    run,
    ids: () => [],
    body: (result) => result,
    reply: replyOf,
    repeat: (entry) => replyOf(entry.request.reply),
  });
}

/** The objects of a kind that a logged request's reply showed. */
export function shownOf(entry: NamedEntry, rules: ResourceRules): readonly StoredObject[] {
  return repliedWith(entry, rules.resource.kind);
}

/** The object if there is one that the caller may see. */
export function seen(rules: ResourceRules, id: string, caller: Caller, world: World): StoredObject | undefined {
  const object: StoredObject | undefined =
    rules.made === undefined ? world.view.get(rules.resource, id) : rules.made.one(world, id, caller);
  if (object === undefined) return undefined;
  return rules.policy.get(caller, rules.target(world.view, object as StoredObject & Values)) ? object : undefined;
}

/** The object if the caller may see it. Throws the resource's 404. */
export function found(rules: ResourceRules, id: string, caller: Caller, world: World): StoredObject {
  const object = seen(rules, id, caller, world);
  if (object === undefined) throw rules.notFound(id);
  return object;
}

/** What a transaction's rules see. */
export function worldIn({ api }: Asked, { transaction }: Writing): World {
  return { view: transaction.view, hosts: api.hosts, settings: api.settings };
}

/** As `found`, in a transaction. */
export function foundIn(asked: Asked, rules: ResourceRules, id: string, writing: Writing): StoredObject {
  return found(rules, id, asked.caller, worldIn(asked, writing));
}

/** Throws the 412 where the request's If-Match names another revision of the object. */
export function checkIfMatch(exchange: Exchange, object: StoredObject): void {
  // `revision_number=N`; anything of another form is passed over, as the real service does.
  const match = /^\s*"?revision_number=(\d+)"?\s*$/.exec(headerOf(exchange, "if-match") ?? "");
  if (match === null) return;
  const constraint = Number(match[1]);
  const current = Number((object as StoredObject & Values).revision_number);
  if (constraint !== current) throw fail("RevisionNumberConstraintFailed", { constraint, current });
}

/** A reply with the log's revision: what a client waits for on the hosts. */
function at(reply: Reply, revision: number): Reply {
  return { ...reply, headers: { ...reply.headers, "x-selvage-revision": String(revision) } };
}

export function authorOf({ caller, exchange }: Pick<Asked, "caller" | "exchange">): Author {
  const client = clientRequestId(exchange);
  return {
    kind: "user",
    id: caller.userId,
    request_id: exchange.requestId,
    ...(client === undefined ? {} : { client_request_id: client }),
    ...(caller.projectId === undefined ? {} : { project_id: caller.projectId }),
  };
}
