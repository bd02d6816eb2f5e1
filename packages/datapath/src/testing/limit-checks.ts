/** Checks of what a port may take of what all ports of a host share: nobody has less for it that another takes all that it can. */
import assert from "node:assert/strict";
import { limits, wireLimits } from "@selvage/pipeline";
import type { Check } from "./check.ts";
import { police } from "./connection-checks.ts";
import { fragmentsOf, udpBetween } from "./ip-frames.ts";
import { internet, outside, p, r, tagged, vlanPlan } from "./outside-world.ts";
import type { TestMember, TestRule } from "./policy-topology.ts";
import { testPort } from "./topology.ts";

const a = testPort(1, 1, 0);
const b = testPort(2, 1, 0);
const c = testPort(3, 1, 1);
const members: readonly TestMember[] = [a, b, c].map((port) => ({ port, set: 7 }));
const anything: readonly TestRule[] = (["egress", "ingress"] as const).flatMap((direction, at) =>
  ([4, 6] as const).map((version) => ({ number: 10 * at + version, direction, version, own: [7], service: "any" })),
);

export const limitChecks: readonly Check[] = [
  {
    name: "fragments above a port's rate are dropped and counted, and another port's datagrams come whole",
    run: async (world) => {
      await police(world, [a, b, c], members, anything);
      const { rate, burst } = limits.fragments;
      const payload = new Uint8Array(2_000);
      const began = performance.now();
      // The beginnings of datagrams that never end.
      for (let n = 1; n <= 4 * burst; n += 1) {
        const version = n % 2 === 0 ? 4 : 6;
        const [first = assert.fail()] = fragmentsOf(udpBetween(version, a, c, { src: n, dst: 9 }, payload), 1_280, n);
        await world.send(a, first);
      }
      const whole = (version: 4 | 6) => fragmentsOf(udpBetween(version, b, c, { src: 5, dst: 9 }, payload), 1_280, 77);
      for (const version of [4, 6] as const) {
        for (const piece of whole(version)) await world.send(b, piece);
        for (const piece of whole(version)) await world.arrives(c, piece, `IPv${version} from ${b.id} comes whole`);
      }
      await world.reaches(a, c);
      const seconds = (performance.now() - began) / 1_000;
      const least = 3 * burst - rate * (seconds + 1);
      await world.until("what is too much is counted", async () => (await world.dropped(0, "fragment-rate")) >= least);
      assert.ok((await world.dropped(0, "fragment-rate")) <= 4 * burst - burst / 2, "a burst passes");
      assert.equal(await world.dropped(1, "fragment-rate"), 0, "only where it is sent");
    },
  },
  {
    name: "fragments above a physical network's rate are dropped and counted, and machines' datagrams come whole",
    run: async (world) => {
      const wire = await outside(world);
      const { burst } = wireLimits.fragments;
      const payload = new Uint8Array(2_000);
      let sent = 0;
      const flood = (): void => {
        for (const end = sent + burst; sent < end; sent += 1) {
          const beginning = udpBetween(sent % 2 === 0 ? 4 : 6, internet, p, { src: sent, dst: 9 }, payload);
          const [first = assert.fail()] = fragmentsOf(beginning, 1_280, sent);
          wire.send(tagged(first, vlanPlan.vlan ?? assert.fail()));
        }
      };
      for (let turn = 0; turn < 4; turn += 1) flood();
      for (const version of [4, 6] as const) {
        const whole = fragmentsOf(udpBetween(version, r, p, { src: 5, dst: 9 }, payload), 1_280, 77);
        for (const piece of whole) await world.send(r, piece);
        for (const piece of whole) await world.arrives(p, piece, `IPv${version} from ${r.id} comes whole`);
      }
      // A wire may lose some of so many at once.
      await world.until("what is too much is counted", async () => {
        const count = await world.dropped(0, "fragment-rate");
        if (count < burst) flood();
        return count >= burst;
      });
      assert.ok((await world.dropped(0, "fragment-rate")) <= sent - burst / 2, "a burst passes");
    },
  },
];
