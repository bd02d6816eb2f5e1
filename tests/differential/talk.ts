/** What machines of a topology say to each other in conversations: whose words, by whose MAC, and which frame comes next. */
import { Conversation, connectionTurns, type Turn, turns } from "@selvage/datapath/testing";
import type { Port } from "@selvage/model";
import fc from "fast-check";
import { type Interface, type Speaker, speakerOf, type Topology } from "./topology.ts";

/** A turn of a conversation between the machines of two bound ports: which, by their places among the interfaces. */
export interface TurnShot {
  readonly enters: "turn";
  readonly between: readonly [number, number];
  readonly turn: Turn;
}

const places = fc.tuple(fc.nat(4), fc.nat(4));
/** Some turns of one conversation: a connection from its first segment on, or a few of any kind. */
export const talks: fc.Arbitrary<readonly TurnShot[]> = fc
  .tuple(places, fc.oneof(connectionTurns, fc.array(turns, { minLength: 2, maxLength: 6 })))
  .map(([between, all]) => all.map((turn) => ({ enters: "turn", between, turn })));

/** Interfaces of routers on a port's network. */
export const routersOf = (port: Port | undefined, { routed }: Topology): readonly Port[] =>
  routed.filter(({ network_id }) => network_id === port?.network_id);

/** The machine of a port as another one addresses it: by the MAC of a router where it is on another network, and there is one. */
export function seenFrom(port: Port, other: Port | undefined, topology: Topology, via = 0): Speaker {
  const speaker = speakerOf(port);
  if (other === undefined || port.network_id === other.network_id) return speaker;
  const routers = routersOf(other, topology);
  return { ...speaker, mac: routers[via % Math.max(1, routers.length)]?.mac_address ?? speaker.mac };
}

/** All conversations in a topology, each remembering what was said. */
export class Talk {
  readonly #topology: Topology;
  readonly #conversations = new Map<string, Conversation>();

  constructor(topology: Topology) {
    this.#topology = topology;
  }

  /** The frames of a turn, with the interface by which each is sent; none where a topology has no two such machines. */
  say({ between, turn }: TurnShot): readonly { readonly interface: Interface; readonly frame: Uint8Array }[] {
    const bound = this.#topology.interfaces.filter((each) => each.isBound);
    const [one, other] = between.map((place) => bound[place % Math.max(1, bound.length)]);
    const [first, second] = [one, other].map((each) => this.#topology.ports.find(({ id }) => id === each?.names));
    if (one === undefined || other === undefined || first === undefined || second === undefined || first === second)
      return [];
    const conversation = this.#between(first, second);
    return conversation.say(turn).map(({ back, frame }) => ({ interface: back ? other : one, frame }));
  }

  #between(first: Port, second: Port): Conversation {
    const key = `${first.id} ${second.id}`;
    const made =
      this.#conversations.get(key) ??
      new Conversation(speakerOf(first), speakerOf(second), {
        seen: [seenFrom(first, second, this.#topology), seenFrom(second, first, this.#topology)],
      });
    this.#conversations.set(key, made);
    return made;
  }
}
