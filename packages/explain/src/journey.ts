/** A frame's way from where it came in through the hosts: every table of every switch that it passes, until nothing of it is under way. */
import type { Outcome, Trace } from "@selvage/datapath";
import { ingressOf, physicalNetworkOf } from "@selvage/pipeline";
import type { MetHosts, TracedHost } from "./host.ts";
import type { Wires } from "./wires.ts";

/** Where a frame came from: a port, the tunnel of another host, or a physical network's wire. */
export type Came =
  | { readonly from: "port"; readonly port: string }
  | { readonly from: "host"; readonly host: TracedHost }
  | { readonly from: "wire"; readonly wire: string };

/** What one host did with a frame. */
export interface Hop {
  readonly at: TracedHost;
  readonly came: Came;
  readonly frame: Uint8Array;
  /** The frame as it left where it came from. */
  readonly sent: Uint8Array;
  readonly trace: Trace;
}

/** Hops of one frame, at most: a replicated one has one for each host of its network. */
const mostHops = 32;

interface Underway {
  readonly at: TracedHost;
  readonly came: Came;
  readonly frame: Uint8Array;
  readonly sent: Uint8Array;
  readonly tunnel?: Extract<Outcome, { kind: "tunnel" }>;
}

/**
 * Sends a frame into a host and follows each copy, first come first served: by tunnels, and by wires to hosts whose MAC it bears, or a machine's of theirs. What goes to an address
 * where no host is ends there. Next hops on a wire that a host does not know are asked for, and the packet is sent again, as its machine would.
 */
export async function follow(
  hosts: MetHosts,
  wires: Wires,
  at: TracedHost,
  came: Came,
  frame: Uint8Array,
): Promise<readonly Hop[]> {
  const hops: Hop[] = [];
  const underway: Underway[] = [{ at, came, frame, sent: frame }];
  for (const each of underway) {
    if (hops.length === mostHops) break;
    let trace = receive(each);
    if (await wires.learn(each.at, trace)) trace = receive(each);
    hops.push({ at: each.at, came: each.came, frame: each.frame, sent: each.sent, trace });
    for (const outcome of trace.outcomes) {
      if (outcome.kind === "tunnel") {
        const next = await hosts.at(outcome.to);
        const { frame } = outcome;
        if (next !== undefined)
          underway.push({ at: next, came: { from: "host", host: each.at }, frame, sent: frame, tunnel: outcome });
      } else if (outcome.kind === "output" && physicalNetworkOf(outcome.port) !== undefined) {
        const next = await wires.onward(trace, outcome.port, outcome.frame);
        if (next === undefined) continue;
        const { at, wire, frame } = next;
        underway.push({ at, came: { from: "wire", wire }, frame, sent: outcome.frame });
      }
    }
  }
  return hops;
}

function receive({ at, came, frame, tunnel }: Underway): Trace {
  if (came.from === "port") return at.datapath.receive(came.port, frame);
  if (came.from === "wire") return at.datapath.receive(came.wire, frame);
  if (tunnel === undefined) throw new Error("a frame came from a host by no tunnel");
  const { by, key, srcPort, dstPort, srcSet } = tunnel;
  // A host that has not said where its tunnels end sends nothing through one.
  const source = came.host.host.tunnel_ip ?? "::";
  return at.datapath.receive(ingressOf[by], frame, { key, source, srcPort, dstPort, srcSet, by });
}
