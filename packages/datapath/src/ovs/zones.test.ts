/** Zones of connection tracking as numbers: one a port, never two ports' at once, and never another's before it has rested. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { usualZones, Zones } from "./zones.ts";

const plan = { first: 64, last: 69, rest: 10, connections: 20 };

describe("zones", () => {
  test("0 and what is reserved are nobody's", () => {
    const zones = new Zones();
    assert.deepEqual([zones.of("a", 0), zones.of("b", 0), zones.of("a", 0)], [64, 65, 64]);
    for (const zone of [0, 1, 63, 65_536, 64.5, Number.NaN, 64]) assert.equal(zones.claim("c", zone), false, `${zone}`);
    assert.equal(zones.claim("c", usualZones.last), true);
    assert.equal(zones.of("c", 0), usualZones.last);
  });

  test("one that was given back rests, is given last, and the one that rested longest first", () => {
    const zones = new Zones(plan);
    for (const port of ["a", "b", "c", "d"]) zones.of(port, 0);
    zones.free("b", 1);
    zones.free("a", 2);
    assert.deepEqual([zones.of("e", 100), zones.of("f", 100)], [68, 69], "numbers that nobody had go first");
    assert.equal(zones.rested, 11);
    assert.equal(zones.of("g", 10), undefined);
    assert.equal(zones.of("g", 11), 65);
    assert.equal(zones.of("h", 11), undefined);
    assert.equal(zones.of("h", 12), 64);
    assert.equal(zones.of("i", 1_000), undefined);
    assert.equal(zones.rested, undefined);
  });

  test("whatever is asked: no two ports share a zone, a port keeps its own, and none is given within its rest", () => {
    const step = fc.tuple(
      fc.constantFrom("of" as const, "of" as const, "free" as const, "claim" as const),
      fc.nat(8),
      fc.integer({ min: 62, max: 71 }),
      fc.nat(6),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const zones = new Zones(plan);
        const held = new Map<string, number>();
        const restUntil = new Map<number, number>();
        let now = 0;
        for (const [what, n, number, pause] of steps) {
          now += pause;
          const port = `port ${n}`;
          const isTaken = [...held.values()].includes(number);
          if (what === "free") {
            zones.free(port, now);
            const zone = held.get(port);
            if (zone !== undefined) restUntil.set(zone, now + plan.rest);
            held.delete(port);
          } else if (what === "claim") {
            const isFree = number >= plan.first && number <= plan.last && !isTaken && !held.has(port);
            assert.equal(zones.claim(port, number), isFree);
            if (isFree) held.set(port, number);
          } else {
            const zone = zones.of(port, now);
            const before = held.get(port);
            if (before !== undefined) assert.equal(zone, before);
            else if (zone !== undefined) {
              assert.ok(zone >= plan.first && zone <= plan.last);
              assert.ok(![...held.values()].includes(zone), "nobody else has it");
              assert.ok((restUntil.get(zone) ?? 0) <= now, "it has rested");
              held.set(port, zone);
            } else
              for (let each = plan.first; each <= plan.last; each += 1)
                assert.ok([...held.values()].includes(each) || (restUntil.get(each) ?? 0) > now, `${each} was free`);
          }
          assert.deepEqual(new Map(zones.held), held);
        }
      }),
    );
  });
});
