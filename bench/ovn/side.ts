/** What both systems can do in these benches: build a plan on real switches, take one more port or rule, and tell what they are made of. */
import type { Ground } from "./ground.ts";
import type { Guest, Host } from "./hosts.ts";
import type { Plan, PlannedPort, PlannedRule } from "./plan.ts";

export type SideName = "Selvage" | "OVN";

export interface Side {
  readonly name: SideName;
  readonly hosts: readonly Host[];
  /** What its hosts stand on, where they do. */
  readonly ground: Ground | undefined;
  /** Builds all of a plan; resolves when it is in force on all real hosts. Interfaces that name ports may come before or later. */
  build(plan: Plan): Promise<void>;
  /** One port more; resolves when it is in force on all real hosts. Whoever calls names its interface meanwhile. */
  add(port: PlannedPort): Promise<void>;
  remove(port: PlannedPort): Promise<void>;
  /** One rule more for a group; resolves when it is in force. */
  addRule(group: string, rule: PlannedRule): Promise<void>;
  /** What should run and does not. */
  deaths(): readonly string[];
  end(): Promise<void>;
}

/** Makes a guest of a port that a side has built, and plugs it. */
export async function plugGuest(side: Side, port: PlannedPort): Promise<Guest> {
  const host = side.hosts[port.host - 1];
  if (host === undefined) throw new Error(`port ${port.number} is on no real host`);
  const guest = await host.makeGuest(port);
  await host.plug(guest);
  return guest;
}
