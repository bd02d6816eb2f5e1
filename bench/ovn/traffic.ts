/** What traffic between machines costs on both systems: throughput, processor time, requests and connections a second; same network and routed, without and with 20 rules. */
import type { Report } from "../figures.ts";
import { walkOf } from "./caches.ts";
import { compare, type Scene } from "./load.ts";
import { addressOf, gatewayMac, macOf, type Plan, type PlannedPort, services } from "./plan.ts";
import type { Side } from "./side.ts";
import { Stage, webPort } from "./stage.ts";

const guarded = "guarded";
const ruleCount = 20;
/** Numbers of the client and of both servers. */
const port = (number: number, host: number, network: number, group?: string): PlannedPort => ({
  number,
  host,
  network,
  ...(group === undefined ? {} : { group }),
});
const ports = [
  ...[port(1, 1, 1), port(2, 2, 1), port(3, 2, 2)],
  ...[port(11, 1, 1, guarded), port(12, 2, 1, guarded), port(13, 2, 2, guarded)],
];
const plan: Plan = { hosts: 2, networks: 2, ports, groups: [{ name: guarded, rules: services(ruleCount) }] };

function scene(name: string, client: number, server: number): Scene & { readonly server: number } {
  return {
    name,
    server,
    pair: (stage) => ({ client: stage.guest(client).namespace, server: addressOf(stage.guest(server).port) }),
    walk(stage) {
      const [from, { port: to }] = [stage.guest(client), stage.guest(server)];
      const mac = from.port.network === to.network ? macOf(to) : gatewayMac(from.port.network);
      return walkOf(from, { mac, address: addressOf(to), port: webPort });
    },
  };
}
const scenes = [
  scene("same network, no rules", 1, 2),
  scene("routed, no rules", 1, 3),
  scene(`same network, ${ruleCount} stateful rules`, 11, 12),
  scene(`routed, ${ruleCount} stateful rules`, 11, 13),
];

/** Both sides are up. */
export async function traffic(report: Report, sides: readonly Side[], rounds: number, seconds: number): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const stages = sides.map((side) => stack.use(new Stage(side)));
  for (const stage of stages) {
    await stage.open(plan);
    for (const { server } of scenes) stage.serve(stage.guest(server).namespace);
    for (const each of scenes) await stage.answers(each.pair(stage, 0));
  }
  await compare(report, stages, scenes, { rounds, seconds });
}
