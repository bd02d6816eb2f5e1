/** Which objects of intent a row is of: what the engine knows of its derivations, in the words of people. */
import { NatLease, Network, type Origin, Port, Router } from "@selvage/model";

/** An object by kind and id. */
export interface IntentObject {
  readonly kind: string;
  readonly id: string;
}

/** Indexes over whose keys apps derive, each with the kind that the first part of its keys is the id of. */
const firstParts: ReadonlyMap<string, string> = new Map([
  [Port.index.networkHost.id, Network.kind],
  [Port.index.routedNetwork.id, Network.kind],
  [NatLease.index.holder.id, Router.kind],
]);

/** The objects that a row's origins name, each once, in order. Throws TypeError for an index of which nobody said what its keys are. */
export function intentOf(origins: readonly Origin[]): readonly IntentObject[] {
  const found = new Map<string, IntentObject>();
  for (const { over, key } of origins) {
    const first = firstParts.get(over);
    if (first === undefined && over.includes(".")) throw new TypeError(`nobody says what the keys of ${over} are`);
    const object = first === undefined ? { kind: over, id: key } : { kind: first, id: key.split("|")[0] ?? "" };
    found.set(`${object.kind}|${object.id}`, object);
  }
  return [...found].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, object]) => object);
}
