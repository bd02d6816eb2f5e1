/** One port more in a group that lets in its own members, with so many there already on two hosts: how long until it is in force, and the flows of a host. */

import { percentile, type Report, spread } from "../figures.ts";
import type { Guest } from "./hosts.ts";
import { addressOf, fromMembers, macOf, type PlannedPort, spreadPorts } from "./plan.ts";
import { startProbe } from "./probe.ts";
import { within } from "./processes.ts";
import { plugGuest, type Side, type SideName } from "./side.ts";

const perNetwork = 100;
const group = "members";
const warmUps = 2;
/** Of one port, all in all, ms. */
const limit = 180_000;

interface Sample {
  /** Ms until the system said that it is in force. */
  readonly said: number;
  /** Ms until the first echo was answered. */
  readonly answered: number;
}

async function sample(side: Side, port: PlannedPort, target: Guest): Promise<Sample> {
  const host = side.hosts[port.host - 1];
  if (host === undefined) throw new Error("no such host");
  const guest = await host.makeGuest(port);
  // Nobody waits for ARP: the fabric is asked, not the guests.
  await guest.namespace.exec(
    "ip",
    "neighbour",
    "replace",
    addressOf(target.port),
    "lladdr",
    macOf(target.port),
    "dev",
    "eth0",
  );
  await target.namespace.exec("ip", "neighbour", "replace", addressOf(port), "lladdr", macOf(port), "dev", "eth0");
  const probe = await startProbe(guest, addressOf(target.port));
  try {
    const begin = performance.now();
    const said = Promise.all([side.add(port), host.plug(guest)]).then(() => performance.now() - begin);
    const [saidMs, answeredAt] = await Promise.all([said, probe.answered(120_000)]);
    return { said: saidMs, answered: answeredAt - begin };
  } finally {
    await probe.stop();
    await host.removeGuest(guest);
    await side.remove(port);
  }
}

/** A side with so many ports, to which one is added and taken away again and again. */
class Stage {
  readonly side: Side;
  readonly samples: Sample[] = [];
  /** What was measured while a daemon fell and came again, and does not count. */
  lost = 0;
  readonly #there: number;
  #target: Guest | undefined;
  #built = 0;
  #asked = 0;

  constructor(side: Side, there: number) {
    this.side = side;
    this.#there = there;
  }

  get #network(): number {
    return Math.ceil(this.#there / perNetwork) + 1;
  }

  async open(): Promise<void> {
    const { side } = this;
    const target: PlannedPort = { number: this.#there + 1, host: 1, network: this.#network, group };
    const ports = [...spreadPorts(this.#there, { hosts: 2, perNetwork, group }), target];
    for (const host of side.hosts)
      await host.plugDummies(ports.filter((port) => port !== target && port.host === host.number));
    const begun = performance.now();
    await side.build({ hosts: 2, networks: this.#network, ports, groups: [{ name: group, rules: fromMembers }] });
    this.#built = performance.now() - begun;
    this.#target = await plugGuest(side, target);
  }

  async measure(): Promise<void> {
    if (this.#target === undefined) throw new Error("it was not opened");
    const port = { number: this.#there + 2 + this.#asked, host: 2, network: this.#network, group };
    this.#asked += 1;
    const before = this.#falls;
    const one = await within("a port more", limit, sample(this.side, port, this.#target));
    if (this.#falls > before) this.lost += 1;
    else if (this.#asked > warmUps) this.samples.push(one);
  }

  get #falls(): number {
    return this.side.hosts.reduce((sum, host) => sum + host.falls, 0);
  }

  get ms(): number {
    return percentile(
      this.samples.map((one) => one.answered),
      0.5,
    );
  }

  async tell(report: Report): Promise<void> {
    const { name, hosts } = this.side;
    const size = this.#there.toLocaleString("en-US");
    report.add({
      name: `${name}: one port more beside ${size}, until its first ping is answered, p50`,
      value: this.ms,
      unit: "ms",
      ...(name === "Selvage" ? { aim: { is: "<", value: 50 } as const } : {}),
      beside: [
        `ms: ${spread(this.samples.map((one) => one.answered))}`,
        `until the system says so ${spread(this.samples.map((one) => one.said))}`,
        `built in ${Math.round(this.#built)} ms`,
        ...(this.#falls > 0 ? [`a daemon ended by itself and came again: ${this.#falls}`] : []),
      ].join("; "),
    });
    const flows = Math.max(...(await Promise.all(hosts.map((host) => host.flows()))));
    report.add({ name: `${name}: flows of a host with ${size} ports`, value: flows, unit: "flows" });
  }
}

/** Measures sides with so many ports there, one port of each by turns: what else the machine does meets all. Gives the median of each in ms. */
export async function addedPort(
  report: Report,
  sides: readonly Side[],
  there: number,
  samples: number,
): Promise<ReadonlyMap<SideName, number>> {
  const stages = sides.map((side) => new Stage(side, there));
  for (const stage of stages) await stage.open();
  while (stages.some((stage) => stage.samples.length < samples)) {
    for (const stage of stages) await stage.measure();
    const falling = stages.find(({ lost }) => lost > samples);
    if (falling !== undefined) throw new Error(`${falling.side.name} falls more often than it stands`);
  }
  for (const stage of stages) await stage.tell(report);
  return new Map(stages.map((stage) => [stage.side.name, stage.ms]));
}
