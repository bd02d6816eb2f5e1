/** What the writer needs to catch up with a log that went on without it: the way to a snapshot, and a rest between two tries. */
import type { Change, Replica } from "@selvage/model";
import type { Snapshot } from "@selvage/store";

/** The changes that make the replica hold what the snapshot holds: objects that are newer there, and those that are gone. */
export function differenceTo(replica: Replica, snapshot: Snapshot): readonly Change[] {
  const held = new Map<string, Set<string>>();
  const changes: Change[] = [];
  for (const { kind, id, object, revision } of snapshot.objects) {
    held.set(kind, (held.get(kind) ?? new Set()).add(id));
    if ((replica.revisionOf(kind, id) ?? -1) < revision) changes.push({ kind, id, object });
  }
  for (const { kind, id } of replica.snapshot()) {
    if (held.get(kind)?.has(id) !== true) changes.push({ kind, id, object: null });
  }
  return changes;
}

/** Resolves after `ms`, or at once when the signal is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
