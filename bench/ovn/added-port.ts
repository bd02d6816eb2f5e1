/** One port more in a group that lets in its own members, with so many there already on two hosts: how long until it is in force, and the flows of a host. */

import { percentile, type Report, spread } from "../figures.ts";
import type { Guest } from "./hosts.ts";
import { addressOf, fromMembers, macOf, type PlannedPort, spreadPorts } from "./plan.ts";
import { preciseNow, startProbe } from "./probe.ts";
import { within } from "./processes.ts";
import { plugGuest, type Side } from "./side.ts";

const perNetwork = 100;
const warmUps = 2;
/** Of one port, all in all, ms. */
const limit = 180_000;

interface Sample {
  /** Ms until the system said that it is in force. */
  readonly said: number;
  /** Ms until the first echo was answered. */
  readonly answered: number;
}

async function sample(side: Side, port: PlannedPort, target: Guest, now: () => number): Promise<Sample> {
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
    const begin = now();
    const said = Promise.all([side.add(port), host.plug(guest)]).then(() => now() - begin);
    const [saidMs, answeredAt] = await Promise.all([said, probe.answered(120_000)]);
    return { said: saidMs, answered: answeredAt - begin };
  } finally {
    await probe.stop();
    await host.removeGuest(guest);
    await side.remove(port);
  }
}

export interface AddedPort {
  readonly ms: number;
  readonly flows: number;
}

/** Measures one side with so many ports there. */
export async function addedPort(report: Report, side: Side, there: number, samples: number): Promise<AddedPort> {
  const group = "members";
  const network = Math.ceil(there / perNetwork) + 1;
  const target: PlannedPort = { number: there + 1, host: 1, network, group };
  const ports = [...spreadPorts(there, { hosts: 2, perNetwork, group }), target];
  for (const host of side.hosts)
    await host.plugDummies(ports.filter((port) => port !== target && port.host === host.number));
  const begun = performance.now();
  await side.build({ hosts: 2, networks: network, ports, groups: [{ name: group, rules: fromMembers }] });
  const built = performance.now() - begun;
  const guest = await plugGuest(side, target);
  const now = preciseNow();
  const all: Sample[] = [];
  for (let at = 0; at < warmUps + samples; at += 1) {
    const port = { number: there + 2 + at, host: 2, network, group };
    const one = await within("a port more", limit, sample(side, port, guest, now));
    if (at >= warmUps) all.push(one);
  }
  const flows = Math.max(...(await Promise.all(side.hosts.map((host) => host.flows()))));
  const answered = all.map((one) => one.answered);
  const ms = percentile(answered, 0.5);
  const size = there.toLocaleString("en-US");
  report.add({
    name: `${side.name}: one port more beside ${size}, until its first ping is answered, p50`,
    value: ms,
    unit: "ms",
    ...(side.name === "Selvage" ? { aim: { is: "<", value: 50 } as const } : {}),
    beside: [
      `ms: ${spread(answered)}`,
      `until the system says so ${spread(all.map((one) => one.said))}`,
      `built in ${Math.round(built)} ms`,
    ].join("; "),
  });
  report.add({ name: `${side.name}: flows of a host with ${size} ports`, value: flows, unit: "flows" });
  return { ms, flows };
}
