/** What traffic with the outside costs on both systems: through a floating address, and by the router's own, from the host that speaks for it and from another. */
import type { Report } from "../figures.ts";
import { type Walk, walkOf } from "./caches.ts";
import { farAddress } from "./ground.ts";
import { compare, type Scene } from "./load.ts";
import { floatingOf, gatewayMac, outerAddress, type Plan, type PlannedPort, services } from "./plan.ts";
import type { Side } from "./side.ts";
import { Stage, webPort } from "./stage.ts";

const guarded = "guarded";
const ruleCount = 20;
const limit = 30_000;

/** Of each kind one on either host, for only a running system says which of them speaks for the router's address. */
const both = (number: number, group?: string): readonly PlannedPort[] =>
  [1, 2].map((host) => ({ number: number + host, host, network: 1, ...(group === undefined ? {} : { group }) }));
const [plain, policed, floating, policedFloating] = [both(0), both(10, guarded), both(20), both(30, guarded)];

const plan: Plan = {
  hosts: 2,
  networks: 1,
  ports: [plain, policed, floating, policedFloating].flat(),
  groups: [{ name: guarded, rules: services(ruleCount) }],
  outside: { floating: [...floating, ...policedFloating] },
};

/** The one of a kind that is on the host that speaks for the router, or that is not. */
function numberOf(kind: readonly PlannedPort[], speaker: number, where: "there" | "elsewhere"): number {
  const found = kind.find(({ host }) => (host === speaker) === (where === "there"));
  if (found === undefined) throw new RangeError("no such port");
  return found.number;
}

function walkOut(stage: Stage, number: number): Promise<Walk> {
  const guest = stage.guest(number);
  const to = { mac: gatewayMac(guest.port.network), address: farAddress(0), port: webPort };
  return walkOf(guest, to, stage.side.name === "Selvage" ? ["trk,new", "trk,new,snat"] : ["trk,new"]);
}

/** Both sides are up. */
export async function outside(report: Report, sides: readonly Side[], rounds: number, seconds: number): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const stages = sides.map((side) => stack.use(new Stage(side)));
  const speakers = new Map<Stage, number>();
  const speaker = (stage: Stage): number => speakers.get(stage) ?? Number.NaN;
  const into = (name: string, kind: readonly PlannedPort[]): Scene => {
    const chosen = (stage: Stage) => numberOf(kind, speaker(stage), "elsewhere");
    return {
      name,
      pair: (stage) => ({ client: stage.ground.namespace, server: floatingOf(stage.guest(chosen(stage)).port) }),
      walk: (stage) => walkOut(stage, chosen(stage)),
    };
  };
  // Each round of each scene has an address of its own to speak with: the ports that it used up are free towards all others.
  let asked = 0;
  const out = (name: string, kind: readonly PlannedPort[], where: "there" | "elsewhere"): Scene => {
    const first = asked;
    asked += rounds;
    const chosen = (stage: Stage) => numberOf(kind, speaker(stage), where);
    return {
      name,
      pair: (stage, round) => ({ client: stage.guest(chosen(stage)).namespace, server: farAddress(first + round) }),
      walk: (stage) => walkOut(stage, chosen(stage)),
    };
  };
  const scenes = [
    into("in by a floating address, no rules", floating),
    into(`in by a floating address, ${ruleCount} stateful rules`, policedFloating),
    out("out by the router's address from another host, no rules", plain, "elsewhere"),
    out(`out by the router's address from another host, ${ruleCount} stateful rules`, policed, "elsewhere"),
    out("out by the router's address from the host that speaks for it, no rules", plain, "there"),
  ];
  for (const stage of stages) {
    await stage.open(plan);
    speakers.set(stage, await stage.ground.ask(outerAddress, limit));
    for (const { number } of [...floating, ...policedFloating]) stage.serve(stage.guest(number).namespace);
    stage.serve(stage.ground.namespace);
    for (const each of scenes) await stage.answers(each.pair(stage, 0));
  }
  await compare(report, stages, scenes, { rounds, seconds });
}
