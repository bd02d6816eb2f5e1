/** The buddy allocator by properties: nothing is given twice, what fits is found, large blocks stay whole, and sizes follow use without swinging. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { leasedPorts, leaseSizes } from "@selvage/model";
import fc from "fast-check";
import { type Block, blockUpTo, firstSize, freeBlock, freePorts, overlaps, wantedSize } from "./nat-blocks.ts";

const sizes = [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384];
const isSound = ({ first, size }: Block): boolean =>
  sizes.includes(size) && first % size === 0 && first >= leasedPorts.first && first + size - 1 <= leasedPorts.last;

/** Takes and returns blocks at random; gives what is taken after each step. */
const histories = fc.array(
  fc.oneof(fc.record({ take: fc.constantFrom(...sizes) }), fc.record({ back: fc.nat(0xffff) })),
  { maxLength: 200, size: "max" },
);

test("whatever is taken and given back, no port is given twice, and a block that would fit is found", () => {
  fc.assert(
    fc.property(histories, (steps) => {
      const taken: Block[] = [];
      for (const step of steps) {
        if ("back" in step) {
          if (taken.length > 0) taken.splice(step.back % taken.length, 1);
          continue;
        }
        const block = freeBlock(taken, step.take);
        if (block === undefined) {
          for (let first = leasedPorts.first; first <= leasedPorts.last; first += leaseSizes.smallest) {
            const candidate: Block = { first, size: step.take };
            if (!isSound(candidate)) continue;
            assert.ok(
              taken.some((other) => overlaps(other, candidate)),
              `${first}+${step.take} would have fitted`,
            );
          }
          continue;
        }
        assert.ok(isSound(block));
        assert.equal(block.size, step.take);
        assert.equal(
          taken.some((other) => overlaps(other, block)),
          false,
        );
        taken.push(block);
      }
      assert.ok(freePorts(taken) >= 0);
    }),
  );
});

test("a small block comes out of the smallest hole", () => {
  const all = Array.from({ length: 63 }, (_, at) => ({ first: 1024 * (at + 1), size: 1024 }));
  const holes = all.filter(({ first }) => first !== 5 * 1024 && first < 8 * 1024);
  assert.deepEqual(freeBlock(holes, 64), { first: 5 * 1024, size: 64 });
  assert.deepEqual(freeBlock(all, 64), undefined);
  assert.deepEqual(blockUpTo([...all.slice(1), { first: 1024, size: 512 }], 1024), { first: 1536, size: 512 });
});

test("an address serves more than a hundred hosts: the first ones get 1,024 ports, those that come late get less", () => {
  const taken: Block[] = [];
  for (;;) {
    const block = blockUpTo(taken, firstSize(taken));
    if (block === undefined) break;
    assert.ok(isSound(block));
    taken.push(block);
  }
  assert.equal(freePorts(taken), 0, "every port serves somebody");
  assert.ok(taken.slice(0, 40).every(({ size }) => size === leaseSizes.first));
  assert.ok(taken.length > 110, `${taken.length} hosts`);
});

test("a block grows when it is three quarters full, shrinks when it is nearly empty, and neither swings nor leaves its bounds", () => {
  const now = (size: number, used: number) => wantedSize([{ size, used, current: true }]);
  assert.deepEqual(
    [now(1024, 768), now(1024, 769), now(16_384, 16_384), now(2048, 255), now(2048, 256), now(1024, 0), now(64, 0)],
    [undefined, 2048, undefined, 1024, undefined, undefined, undefined],
  );
  assert.equal(wantedSize([]), undefined);
  const draining = { size: 1024, used: 700, current: false };
  assert.equal(
    wantedSize([{ size: 2048, used: 10, current: true }, draining]),
    undefined,
    "what drains counts as used",
  );
  fc.assert(
    fc.property(fc.constantFrom(...sizes), fc.nat(16_384), (size, seen) => {
      const used = Math.min(seen, size);
      const wanted = now(size, used);
      if (wanted === undefined) return;
      assert.ok(wanted >= leaseSizes.smallest && wanted <= leaseSizes.largest);
      assert.equal(now(wanted, used), wanted > size ? undefined : now(wanted, used));
      assert.ok(used <= wanted * 0.75, "a block that was just chosen is not full");
      const next = now(wanted, used);
      assert.ok(next === undefined || next < wanted === wanted < size, "no step is taken back");
    }),
  );
});
