/**
 * The judge of a run: given what clients were told and what the log holds, says every promise that was broken. Writes
 * against the log, time against revisions (linearizability: Herlihy and Wing 1990), and what must be unique.
 */
import type { Change, Revision, StoredObject } from "@selvage/model";
import type { LoggedEntry } from "@selvage/store";
import type { Evidence, Read, Write } from "./evidence.ts";

/** Gives a sentence for each broken promise; none: the run is as it must be. Takes evidence as it is, and throws nothing. */
export function violations(evidence: Evidence): readonly string[] {
  return [
    ...gapsOf(evidence),
    ...writesAgainstLog(evidence),
    ...outOfTime(evidence),
    ...followersAgainstLog(evidence),
    ...heldTwice(evidence),
    ...snapshotAgainstLog(evidence),
  ];
}

/** The log counts 1, 2, 3 … and no entry stands in it twice. */
function gapsOf({ log }: Evidence): readonly string[] {
  const ids = new Set<string>();
  return log.flatMap((entry, at) => {
    const found: string[] = [];
    if (entry.revision !== at + 1) found.push(`the log has revision ${entry.revision} where ${at + 1} belongs`);
    if (ids.has(entry.id)) found.push(`entry ${entry.id} stands in the log twice`);
    ids.add(entry.id);
    return found;
  });
}

/** Each acknowledged write once, at its revision; refused ones nowhere; none half done; none that nobody asked for. */
function writesAgainstLog({ writes, log }: Evidence): readonly string[] {
  const byKey = Map.groupBy(
    log.filter((entry) => entry.request !== undefined),
    (entry) => entry.request?.key,
  );
  const asked = new Set(writes.map((write) => write.key));
  const strangers = [...byKey.keys()].filter((key) => key !== undefined && !asked.has(key));
  return [
    ...strangers.map((key) => `the log holds a request ${key} that nobody made`),
    ...writes.flatMap((write) => writeAgainst(write, byKey.get(write.key) ?? [])),
  ];
}

function writeAgainst(write: Write, entries: readonly LoggedEntry[]): readonly string[] {
  const { key, ask, outcome } = write;
  const [entry, second] = entries;
  const what = `${ask.verb} ${ask.resource} ${key}`;
  if (second !== undefined) return [`${what} stands in the log ${entries.length} times`];
  switch (outcome.kind) {
    case "refused":
      if (entry === undefined) return [];
      // Another of its tries may have been done after this one was refused: `outOfTime` looks at when.
      return outcome.alone
        ? [`${what} was refused (${outcome.status}) and stands in the log`]
        : unlikeAsked(write, entry).map((how) => `${what} ${how}`);
    case "unknown":
      return entry === undefined ? [] : unlikeAsked(write, entry).map((how) => `${what} ${how}`);
    case "acknowledged": {
      if (entry === undefined) return [`${what} was acknowledged and is lost`];
      const found = unlikeAsked(write, entry).map((how) => `${what} ${how}`);
      if (entry.revision !== outcome.revision) {
        found.push(`${what} was told revision ${outcome.revision} and stands at ${entry.revision}`);
      }
      const shown = entry.request?.ids ?? [];
      if (outcome.ids.join() !== shown.join()) found.push(`${what} was told other objects than the log holds`);
      return found;
    }
  }
}

/** In what an entry is not what was asked. */
function unlikeAsked({ ask }: Write, entry: LoggedEntry): readonly string[] {
  const changes = entry.changes.filter((change) => change.kind === ask.resource);
  switch (ask.verb) {
    case "create": {
      const names = changes.map(({ object }) => nameOf(object)).sort();
      if (names.join() !== [...ask.names].sort().join()) {
        return [`is half done: ${names.length} of ${ask.names.length} objects are as asked`];
      }
      const ids = new Set(changes.map(({ id }) => id));
      return entry.request?.ids.every((id) => ids.has(id)) === true ? [] : ["shows objects that it did not write"];
    }
    case "rename":
      return changes.length === 1 && changes[0]?.id === ask.id && nameOf(changes[0].object) === ask.name
        ? []
        : ["is not the change that was asked"];
    case "delete":
      return changes.some(({ id, object }) => id === ask.id && object === null)
        ? []
        : ["did not delete what was asked"];
  }
}

/** One thing that was over at a time, with a revision that had been reached then. */
interface Over {
  readonly at: number;
  readonly revision: Revision;
}

/**
 * Real time is respected: what was over before another began has the smaller revision, and a read shows a value that stood at some
 * revision between what was over before it began and what began after it was over; no later read goes behind it. Nothing is refused
 * that stood in the log already.
 */
function outOfTime({ writes, reads, heads, log }: Evidence): readonly string[] {
  const acknowledged = writes.flatMap((write) =>
    write.outcome.kind === "acknowledged" ? [{ write, at: write.outcome.at, revision: write.outcome.revision }] : [],
  );
  const starts = acknowledged
    .map(({ write, revision }) => ({ at: write.invoked, revision }))
    .sort((a, b) => b.at - a.at);
  const ceilings = runningLeast(starts);
  const versions = versionsOf(log);
  const over = new Reached();
  const found: string[] = [];
  const ends = [
    ...acknowledged.map(({ write, at, revision }) => ({ at, write, revision })),
    ...reads.map((read) => ({ at: read.at, read })),
    ...heads.map((head) => ({ at: head.at, head })),
    ...refusedAndDone(writes, log),
  ].sort((a, b) => a.at - b.at);
  for (const end of ends) {
    if ("write" in end) {
      const floor = over.before(end.write.invoked);
      if (end.revision <= floor) {
        found.push(`${end.write.key} began after revision ${floor} was acknowledged and has revision ${end.revision}`);
      }
      over.add({ at: end.at, revision: end.revision });
      continue;
    }
    if ("head" in end) {
      over.add(end.head);
      continue;
    }
    if ("done" in end) {
      const floor = over.before(end.began);
      if (end.done <= floor)
        found.push(`${end.key} stood in the log at revision ${end.done} when its retry was refused`);
      continue;
    }
    const { read } = end;
    const floor = over.before(read.invoked);
    const shown = shownAt(versions.get(`${read.resource}|${read.id}`) ?? [], read, floor, ceilings(read.at));
    if (typeof shown === "string") found.push(shown);
    else over.add({ at: read.at, revision: shown });
  }
  return found;
}

/** Writes of which one try was refused and another was done. */
function refusedAndDone(writes: readonly Write[], log: readonly LoggedEntry[]) {
  const revisions = new Map(log.map(({ request, revision }) => [request?.key, revision]));
  return writes.flatMap(({ key, outcome }) => {
    const done = revisions.get(key);
    return outcome.kind === "refused" && done !== undefined
      ? [{ at: outcome.at, began: outcome.began, key, done }]
      : [];
  });
}

interface Version {
  readonly since: Revision;
  readonly name: string | null;
}

/** Every value of each object, oldest first. */
function versionsOf(log: readonly LoggedEntry[]): ReadonlyMap<string, readonly Version[]> {
  const versions = new Map<string, Version[]>();
  for (const { revision, changes } of log) {
    for (const { kind, id, object } of changes) {
      const key = `${kind}|${id}`;
      const list = versions.get(key) ?? [{ since: 0, name: null }];
      list.push({ since: revision, name: object === null ? null : nameOf(object) });
      versions.set(key, list);
    }
  }
  return versions;
}

/** The first revision within the bounds at which the object was as it was read; a sentence when there is none. */
function shownAt(versions: readonly Version[], read: Read, floor: Revision, ceiling: Revision): Revision | string {
  const all = versions.length === 0 ? [{ since: 0, name: null }] : versions;
  for (const [index, { since, name }] of all.entries()) {
    const until = all[index + 1]?.since ?? Number.POSITIVE_INFINITY;
    if (name === read.name && until > floor && since < ceiling) return Math.max(since, floor);
  }
  const { resource, id, name } = read;
  return `a read shows ${resource} ${id} as ${name ?? "gone"}, which it was at no revision from ${floor} to ${ceiling}`;
}

/** What had been reached, as things end in the order of time. */
class Reached {
  readonly #times: number[] = [];
  readonly #revisions: Revision[] = [];

  add({ at, revision }: Over): void {
    this.#times.push(at);
    this.#revisions.push(Math.max(revision, this.#revisions.at(-1) ?? 0));
  }

  /** The highest revision of all that was over before a time. */
  before(time: number): Revision {
    const index = this.#times.findLastIndex((each) => each < time);
    return this.#revisions[index] ?? 0;
  }
}

/** Of things with a start, latest first: for a time, the least revision of those that began after it. */
function runningLeast(starts: readonly Over[]): (time: number) => Revision {
  const least: Over[] = [];
  for (const { at, revision } of starts) {
    least.push({ at, revision: Math.min(revision, least.at(-1)?.revision ?? Number.POSITIVE_INFINITY) });
  }
  return (time) => {
    const index = least.findIndex((each) => each.at <= time);
    const last = index < 0 ? least.at(-1) : least[index - 1];
    return last?.revision ?? Number.POSITIVE_INFINITY;
  };
}

/** A follower sees the log, each entry once, without a gap, whatever cut it. */
function followersAgainstLog({ followers, log }: Evidence): readonly string[] {
  return followers.flatMap(({ follower, from, entries }) => {
    const found: string[] = [];
    for (const [index, seen] of entries.entries()) {
      const expected = from + index + 1;
      if (seen.revision !== expected) {
        found.push(`follower ${follower} saw revision ${seen.revision} where ${expected} belongs`);
        break;
      }
      if (log[seen.revision - 1]?.id !== seen.id) {
        found.push(`follower ${follower} saw an entry at revision ${seen.revision} that the log does not hold`);
      }
    }
    if (from + entries.length < log.length) found.push(`follower ${follower} did not see the log to its end`);
    return found;
  });
}

/** At each revision: no address, MAC, segment or port key has two holders, and nothing stands on a network that is not there. */
function heldTwice({ log }: Evidence): readonly string[] {
  const holders = new Map<string, string>();
  const claims = new Map<string, readonly string[]>();
  const networks = new Set<string>();
  const standing = new Map<string, string>();
  const found: string[] = [];
  for (const { revision, changes } of log) {
    for (const change of changes) {
      const name = `${change.kind}|${change.id}`;
      for (const claim of claims.get(name) ?? []) if (holders.get(claim) === name) holders.delete(claim);
      claims.delete(name);
      standing.delete(name);
      if (change.kind === "network") networks.delete(change.id);
    }
    for (const { kind, id, object } of changes) {
      if (object === null) continue;
      const name = `${kind}|${id}`;
      const own = claimsOf({ kind, id, object });
      claims.set(name, own);
      if (kind === "network") networks.add(id);
      const networkId = attributesOf(object).network_id;
      if (typeof networkId === "string") standing.set(name, networkId);
      for (const claim of own) {
        const holder = holders.get(claim);
        if (holder !== undefined && holder !== name) {
          found.push(`revision ${revision}: ${claim} is held by ${holder} and by ${name}`);
        }
        holders.set(claim, name);
      }
    }
    const removed = changes.some(({ kind, object }) => kind === "network" && object === null);
    const looked = removed ? [...standing] : changes.flatMap(({ kind, id }) => standingOf(standing, `${kind}|${id}`));
    for (const [name, network] of looked) {
      if (!networks.has(network))
        found.push(`revision ${revision}: ${name} stands on network ${network}, which is gone`);
    }
  }
  return found;
}

function standingOf(standing: ReadonlyMap<string, string>, name: string): readonly (readonly [string, string])[] {
  const network = standing.get(name);
  return network === undefined ? [] : [[name, network]];
}

/** What an object alone may hold. */
function claimsOf({ kind, object }: Change & { readonly object: StoredObject }): readonly string[] {
  const attributes = attributesOf(object);
  switch (kind) {
    case "network":
      return [`segment ${String(attributes["provider:segmentation_id"])}`];
    case "port": {
      const fixed = Array.isArray(attributes.fixed_ips) ? attributes.fixed_ips.map(attributesOf) : [];
      return [
        `port key ${String(attributes.key)}`,
        `MAC ${String(attributes.mac_address)} of network ${String(attributes.network_id)}`,
        ...fixed.map(({ subnet_id, ip_address }) => `address ${String(ip_address)} of subnet ${String(subnet_id)}`),
      ];
    }
    default:
      return [];
  }
}

/** The objects afterwards are what the log makes of nothing, each with the revision that wrote it last. */
function snapshotAgainstLog({ log, snapshot }: Evidence): readonly string[] {
  const objects = new Map<string, string>();
  for (const { revision, changes } of log) {
    for (const { kind, id, object } of changes) {
      if (object === null) objects.delete(`${kind}|${id}`);
      else objects.set(`${kind}|${id}`, JSON.stringify([revision, object]));
    }
  }
  const found: string[] = [];
  if (snapshot.revision !== log.length) {
    found.push(`the snapshot is of revision ${snapshot.revision}, the log ends at ${log.length}`);
  }
  for (const { kind, id, revision, object } of snapshot.objects) {
    const name = `${kind}|${id}`;
    if (objects.get(name) !== JSON.stringify([revision, object])) found.push(`${name} is not what the log makes of it`);
    objects.delete(name);
  }
  return [...found, ...[...objects.keys()].map((name) => `${name} stands in the log and not in the snapshot`)];
}

function attributesOf(object: unknown): Readonly<Record<string, unknown>> {
  return typeof object === "object" && object !== null ? (object as Readonly<Record<string, unknown>>) : {};
}

function nameOf(object: StoredObject | null): string {
  return String(attributesOf(object).name);
}
