/** What objects of an earlier program say in fields that are gone, said anew in those that took their place: once, when a server starts. */
import { Network, type Network as NetworkObject, Segment } from "@selvage/model";
import type { Author } from "@selvage/store";
import { giveSegment } from "./rules/provider.ts";
import { isSharedWith, share } from "./rules/sharing.ts";
import type { Writer } from "./writer.ts";

const author: Author = { kind: "system", id: "upgrade", request_id: "upgrade" };

/** A network before there were RBAC policies: `shared` stood in itself. */
type EarlierNetwork = NetworkObject & { readonly shared?: unknown };

const wasShared = (network: EarlierNetwork): boolean => network.shared === true;

/** Idempotent; several servers may do it at once. Throws as `Writer.transact`. */
export async function upgrade(writer: Writer): Promise<void> {
  await giveShared(writer);
  await giveSegments(writer);
}

/**
 * Gives networks of before there were segments the one that they say themselves. Segments of networks that a program before took away, which did not know of them, go
 * first: they hold places that others may have by now.
 */
async function giveSegments(writer: Writer): Promise<void> {
  const { replica } = writer;
  const left = [...replica.objects(Segment)].filter(({ network_id }) => !replica.has(Network, network_id));
  const lacksOne = ({ id }: NetworkObject): boolean => !replica.exists(Segment.index.network_id, id);
  const earlier = [...replica.objects(Network)].filter(lacksOne).map(({ id }) => id);
  if (earlier.length + left.length === 0) return;
  await writer.transact(author, (transaction) => {
    for (const { id } of left) if (transaction.view.has(Segment, id)) transaction.remove(Segment, id);
    for (const id of earlier) {
      const network = transaction.view.get(Network, id);
      if (network !== undefined) giveSegment({ transaction }, network);
    }
  });
}

/** Gives networks that were `shared` to every project by a policy. */
async function giveShared(writer: Writer): Promise<void> {
  const earlier = [...writer.replica.objects(Network)].filter(wasShared).map((network) => network.id);
  if (earlier.length === 0) return;
  await writer.transact(author, (transaction) => {
    for (const id of earlier) {
      const network: EarlierNetwork | undefined = transaction.view.get(Network, id);
      if (network === undefined || !wasShared(network)) continue;
      if (!isSharedWith(transaction.view, "network", id, undefined)) share({ transaction }, "network", network);
      const { shared: _gone, ...rest } = network;
      transaction.put(Network, rest);
    }
  });
}
