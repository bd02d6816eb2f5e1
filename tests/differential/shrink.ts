/** Seeks the least scenario that still diverges: greedily, one simplification after the other (Zeller and Hildebrandt 2002, for the packets). */
import { isDeepStrictEqual } from "node:util";
import type { Scenario } from "./comparison.ts";
import type { OutsidePlan } from "./outside.ts";
import type { FramePlan, Shot } from "./shots.ts";
import type { TopologyPlan } from "./topology.ts";

/** Simpler scenarios, the boldest first. */
export function* simpler(scenario: Scenario): Generator<Scenario> {
  const { plan, shots } = scenario;
  for (const fewer of parts(shots)) yield { plan, shots: fewer };
  for (const less of simplerPlans(plan)) yield { plan: less, shots };
  for (const [at, shot] of shots.entries())
    for (const less of simplerShots(shot)) yield { plan, shots: shots.with(at, less) };
}

/** All but a part: one half or the other, then quarters, and so on to all but one. */
function* parts<T>(list: readonly T[]): Generator<readonly T[]> {
  for (let size = list.length; size > 1; ) {
    size = Math.ceil(size / 2);
    for (let at = list.length; at > 0; at -= size) {
      const less = list.toSpliced(Math.max(0, at - size), Math.min(size, at));
      if (less.length > 0) yield less;
    }
  }
}

function* simplerPlans(plan: TopologyPlan): Generator<TopologyPlan> {
  for (const ports of parts(plan.ports)) yield { ...plan, ports };
  for (const networks of parts(plan.networks)) yield { ...plan, networks };
  yield* changes(plan, { silent: false, change: "adopt", routers: [] });
  for (const routers of parts(plan.routers)) yield { ...plan, routers };
  for (const [at, router] of plan.routers.entries()) {
    for (const less of changes(router, { up: true, families: "both", split: false, routes: [] }))
      yield { ...plan, routers: plan.routers.with(at, less) };
    for (const routes of parts(router.routes)) yield { ...plan, routers: plan.routers.with(at, { ...router, routes }) };
  }
  for (const policy of changes(plan.policy, { later: "same" })) yield { ...plan, policy };
  for (const [at, group] of plan.policy.groups.entries())
    for (const rules of parts(group.rules))
      yield { ...plan, policy: { ...plan.policy, groups: plan.policy.groups.with(at, { ...group, rules }) } };
  if (plan.outside !== null) {
    yield { ...plan, outside: null };
    for (const outside of simplerOutsides(plan.outside)) yield { ...plan, outside };
  }
  for (const [at, port] of plan.ports.entries())
    for (const less of changes(port, { up: true, addresses: "one", groups: null, pairs: "none", plug: "own" }))
      yield { ...plan, ports: plan.ports.with(at, less) };
  for (const [at, network] of plan.networks.entries())
    for (const less of changes(network, {
      up: true,
      families: "both",
      type: "geneve",
      mtu: 1442,
      gateway: true,
      scope: 0,
    }))
      yield { ...plan, networks: plan.networks.with(at, less) };
}

function* simplerOutsides(outside: OutsidePlan): Generator<OutsidePlan> {
  yield* changes(outside, {
    ...{
      vlan: 0,
      families: "both",
      mtu: 1500,
      scope: 0,
      gateway: true,
      unwired: 3,
      standing: 3,
      isTurned: false,
      wires: ["public", "public", "public"],
      floating: [],
      proxies: [],
    },
    ...{ forwarded: [], hostGateways: false, strange: [], lost: 3 },
  });
  const { segments } = outside;
  for (const less of changes(segments, { external: "unsaid", standing: "unsaid" }))
    yield { ...outside, segments: less };
  for (const forwarded of parts(outside.forwarded)) yield { ...outside, forwarded };
  for (const floating of parts(outside.floating)) yield { ...outside, floating };
  for (const [at, gateway] of outside.gateways.entries())
    if (gateway !== null) yield { ...outside, gateways: outside.gateways.with(at, null) };
  for (const [at, lease] of outside.leases.entries())
    for (const less of changes(lease, { kind: "block", size: 1024, isLast: false }))
      yield { ...outside, leases: outside.leases.with(at, less) };
}

function* simplerShots(shot: Shot): Generator<Shot> {
  if (shot.enters === "turn" || shot.enters === "outer-turn") return;
  if (shot.enters === "service") {
    yield* changes(shot, { kind: "udp", at: 0, isRight: true, towards: "usual", damage: [] });
    return;
  }
  if (shot.enters === "wire") {
    for (const at of shot.damage.keys()) yield { ...shot, damage: shot.damage.toSpliced(at, 1) };
    yield* changes(shot, {
      ...{
        claim: "own",
        isRight: true,
        isAstray: false,
        isBeside: false,
        towards: "host",
        tag: "right",
        hops: 64,
        size: 8,
      },
    });
    return;
  }
  for (const frame of simplerFrames(shot.frame)) yield { ...shot, frame };
}

function* simplerFrames(frame: FramePlan): Generator<FramePlan> {
  if (frame.kind === "given") return;
  for (const at of frame.damage.keys()) yield { ...frame, damage: frame.damage.toSpliced(at, 1) };
  yield* changes(frame, { claim: "own", towards: "usual", where: "machine", hops: 64, size: "small" });
}

/** The object with one property at a time as it mostly is. */
function* changes<T extends object>(object: T, usual: Partial<T>): Generator<T> {
  for (const key of Object.keys(usual) as (keyof T)[])
    if (!isDeepStrictEqual(object[key], usual[key])) yield { ...object, [key]: usual[key] };
}

/**
 * Takes a scenario that diverges and gives the least that was found, with what it tells. `diverges` plays one and gives what differs, or null; it is called
 * `tries` times at most.
 */
export async function least(
  found: { readonly scenario: Scenario; readonly text: string },
  diverges: (scenario: Scenario) => Promise<string | null>,
  tries: number,
): Promise<{ readonly scenario: Scenario; readonly text: string }> {
  let best = found;
  let tried = 0;
  for (let isBetter = true; isBetter; ) {
    isBetter = false;
    for (const scenario of simpler(best.scenario)) {
      if (tried >= tries) return best;
      tried += 1;
      const text = await diverges(scenario);
      if (text === null) continue;
      best = { scenario, text };
      isBetter = true;
      break;
    }
  }
  return best;
}
