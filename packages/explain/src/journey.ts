/** A frame's way from one port through the hosts: every table of every switch that it passes, until nothing of it is under way. */
import type { Outcome, Trace } from "@selvage/datapath";
import { ingressOf } from "@selvage/pipeline";
import type { MetHosts, TracedHost } from "./host.ts";

/** What one host did with a frame. */
export interface Hop {
  readonly at: TracedHost;
  /** The port that it came from, or the host whose tunnel it came out of. */
  readonly came:
    | { readonly from: "port"; readonly port: string }
    | { readonly from: "host"; readonly host: TracedHost };
  readonly frame: Uint8Array;
  readonly trace: Trace;
}

/** Hops of one frame, at most: a replicated one has one for each host of its network. */
const mostHops = 32;

interface Underway {
  readonly at: TracedHost;
  readonly came: Hop["came"];
  readonly frame: Uint8Array;
  readonly tunnel?: Extract<Outcome, { kind: "tunnel" }>;
}

/** Sends a frame from a port on a host and follows each copy, first come first served. What goes to an address where no host is ends there. */
export async function follow(
  hosts: MetHosts,
  from: TracedHost,
  port: string,
  frame: Uint8Array,
): Promise<readonly Hop[]> {
  const hops: Hop[] = [];
  const underway: Underway[] = [{ at: from, came: { from: "port", port }, frame }];
  for (const each of underway) {
    if (hops.length === mostHops) break;
    const hop = { at: each.at, came: each.came, frame: each.frame, trace: receive(each, port) };
    hops.push(hop);
    for (const outcome of hop.trace.outcomes) {
      if (outcome.kind !== "tunnel") continue;
      const at = await hosts.at(outcome.to);
      if (at === undefined) continue;
      underway.push({ at, came: { from: "host", host: each.at }, frame: outcome.frame, tunnel: outcome });
    }
  }
  return hops;
}

function receive({ at, came, frame, tunnel }: Underway, port: string): Trace {
  if (tunnel === undefined || came.from === "port") return at.datapath.receive(port, frame);
  const { by, key, srcPort, dstPort, srcSet } = tunnel;
  // A host that has not said where its tunnels end sends nothing through one.
  const source = came.host.host.tunnel_ip ?? "::";
  return at.datapath.receive(ingressOf[by], frame, { key, source, srcPort, dstPort, srcSet, by });
}
