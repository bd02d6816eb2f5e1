/** Random packets over random intents end where a plain reading of the intent says: the oracle knows nothing of tables or hosts' switches. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { arpReply, arpRequest, gratuitousArp, udp, udpToAll } from "@selvage/datapath/testing";
import { Host } from "@selvage/model";
import { put } from "@selvage/model/testing";
import fc from "fast-check";
import { fabric, type TestFabric } from "./testing/fabric.ts";
import { hostsOf, type Machine, type NetworkPlan, net } from "./testing/intent.ts";

const hostCount = 3;

interface Drawn {
  readonly network: number;
  readonly host: number;
  /** 0: none; else the host on which it is plugged. */
  readonly plugged: number;
  readonly up: boolean;
  readonly secure: boolean;
}

interface World {
  readonly networksUp: readonly boolean[];
  readonly tunnels: readonly boolean[];
  readonly machines: readonly Drawn[];
}

interface Shot {
  readonly from: number;
  readonly to: number;
  readonly version: 4 | 6;
  readonly kind: "unicast" | "all" | "ask" | "announce" | "lie-mac" | "lie-ip";
}

const mostly = (value: boolean) =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: fc.constant(!value) });

const worlds: fc.Arbitrary<World> = fc.record({
  networksUp: fc.tuple(mostly(true), mostly(true)),
  tunnels: fc.array(mostly(true), { minLength: hostCount, maxLength: hostCount }),
  machines: fc.array(
    fc
      .record({
        network: fc.nat(1),
        host: fc.oneof(
          { weight: 8, arbitrary: fc.integer({ min: 1, max: hostCount }) },
          { weight: 1, arbitrary: fc.constant(0) },
        ),
        elsewhere: mostly(false),
        plugged: mostly(true),
        up: mostly(true),
        secure: mostly(true),
      })
      .map(({ elsewhere, plugged, ...rest }) => ({
        ...rest,
        plugged: !plugged ? 0 : elsewhere ? 1 + (rest.host % hostCount) : rest.host,
      })),
    { minLength: 3, maxLength: 8, size: "max" },
  ),
});

const shots: fc.Arbitrary<readonly Shot[]> = fc.array(
  fc.record({
    from: fc.nat(7),
    to: fc.nat(7),
    version: fc.constantFrom<4 | 6>(4, 6),
    kind: fc.constantFrom<Shot["kind"]>("unicast", "unicast", "all", "ask", "announce", "lie-mac", "lie-ip"),
  }),
  { minLength: 20, maxLength: 40 },
);

/** What each machine is said to get: names, in no order. */
function expected(world: World, { from, to, version, kind }: Shot): readonly string[] {
  const machine = (at: number): Drawn | undefined => world.machines[at];
  const live = ({ network, host, plugged, up }: Drawn): boolean =>
    host !== 0 && plugged === host && up && world.networksUp[network] === true;
  const sender = machine(from);
  if (sender === undefined || !live(sender)) return [];
  const joined = (one: number, other: number): boolean =>
    one === other || (world.tunnels[one - 1] === true && world.tunnels[other - 1] === true);
  const gets = (at: number): boolean => {
    const receiver = machine(at);
    return (
      receiver !== undefined &&
      at !== from &&
      receiver.network === sender.network &&
      live(receiver) &&
      joined(sender.host, receiver.host)
    );
  };
  const everyone = world.machines.map((_, at) => at).filter(gets);
  const names = (all: readonly number[]): readonly string[] => all.map((at) => `m${at}`);
  switch (kind) {
    case "unicast":
      return names(gets(to) ? [to] : []);
    case "all":
    case "announce":
      return names(everyone);
    case "lie-mac":
    case "lie-ip":
      return names(!sender.secure && gets(to) ? [to] : []);
    case "ask": {
      if (version === 6) return [];
      const asked = machine(to);
      // One's own address passes to all; a known one is answered; an unknown one is asked of nobody, unless somebody may have any.
      if (to === from) return names(everyone);
      if (asked !== undefined && asked.network === sender.network && asked.host !== 0) return [`m${from}`];
      const isOpen = ({ network, host, secure }: Drawn): boolean => network === sender.network && host !== 0 && !secure;
      return names(world.machines.some(isOpen) ? everyone : []);
    }
  }
}

function frameOf(from: Machine, to: Machine, { version, kind }: Shot, mark: number): Uint8Array | undefined {
  switch (kind) {
    case "unicast":
      return udp(version, from, to, mark);
    case "all":
      return udpToAll(version, from, mark);
    case "ask":
      return version === 4 ? arpRequest(from, to.ip4) : undefined;
    case "announce":
      return gratuitousArp(from);
    case "lie-mac":
      return udp(version, { ...from, mac: "02:00:00:00:00:99" }, to, mark);
    case "lie-ip":
      return udp(version, { ...from, ip4: "10.0.0.250", ip6: "2001:db8::fa" }, to, mark);
  }
}

async function build({ networksUp, tunnels, machines }: World): Promise<TestFabric> {
  const plans = networksUp.map(
    (admin_state_up, network): NetworkPlan =>
      net(
        `n${network}`,
        Object.fromEntries(
          machines.flatMap((each, at) =>
            each.network !== network
              ? []
              : [
                  [
                    `m${at}`,
                    {
                      host: each.host === 0 ? "" : `h${each.host}`,
                      plugged: false,
                      port: { admin_state_up: each.up, port_security_enabled: each.secure },
                    },
                  ],
                ],
          ),
        ),
        { network: { admin_state_up } },
      ),
  );
  const world = await fabric({ hosts: hostCount }, ...plans);
  world.change(
    hostsOf(hostCount).map((host, at) => put(Host, tunnels[at] === true ? host : { ...host, tunnel_ip: null })),
  );
  for (const [at, { plugged }] of machines.entries()) if (plugged !== 0) world.plug(`m${at}`, `h${plugged}`);
  return world;
}

test("random packets over random intents reach those that a plain reading of the intent says, and each once", async () => {
  let reached = 0;
  let stopped = 0;
  await fc.assert(
    fc.asyncProperty(worlds, shots, async (drawn, drawnShots) => {
      const world = await build(drawn);
      for (const [mark, shot] of drawnShots.entries()) {
        const { plugged = 0 } = drawn.machines[shot.from] ?? {};
        if (plugged === 0 || drawn.machines[shot.to] === undefined) continue;
        const [from, to] = [world.machine(`m${shot.from}`), world.machine(`m${shot.to}`)];
        const frame = frameOf(from, to, shot, mark);
        if (frame === undefined) continue;
        const journey = world.send(from.name, frame, `h${plugged}`);
        assert.deepEqual([...journey.delivered].sort(), [...expected(drawn, shot)].sort(), JSON.stringify(shot));
        const answer = shot.kind === "ask" && journey.delivered.includes(from.name) ? arpReply(to, from) : frame;
        for (const each of journey.frames) assert.deepEqual(each, answer);
        if (journey.delivered.length > 0) reached += 1;
        else stopped += 1;
      }
    }),
    { numRuns: 300 },
  );
  assert.ok(reached > 500 && stopped > 500, `both are common: ${reached} reached, ${stopped} stopped`);
});
