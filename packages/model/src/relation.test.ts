import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NodeTable } from "./nodes.ts";
import { Relation } from "./relation.ts";

test("a relation answers as a list of triples does, through links and unlinks that reuse entries", () => {
  const step = fc.record({ link: fc.boolean(), left: fc.nat(6), tag: fc.nat(3), right: fc.nat(90) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const relation = new Relation();
      let model: { left: number; tag: number; right: number }[] = [];
      for (const { link, left, tag, right } of steps) {
        const there = model.some((entry) => entry.left === left && entry.tag === tag && entry.right === right);
        if (link && !there) {
          relation.link(left, tag, right);
          model.unshift({ left, tag, right });
        } else if (!link) {
          const odd = (value: number) => value % 2 === 1 || value === right;
          relation.unlink(left, tag, odd);
          model = model.filter((entry) => entry.left !== left || entry.tag !== tag || !odd(entry.right));
        }
        assert.equal(relation.size, model.length);
        assert.deepEqual(
          relation.rightsOf(left, tag),
          model.filter((entry) => entry.left === left && entry.tag === tag).map((entry) => entry.right),
        );
        const readers: string[] = [];
        relation.eachOfRight(right, (reader, readerTag) => readers.push(`${reader}/${readerTag}`));
        const expected = model.filter((entry) => entry.right === right).map((entry) => `${entry.left}/${entry.tag}`);
        assert.deepEqual(readers.sort(), expected.sort());
        assert.equal(relation.degreeOfRight(right), expected.length);
      }
    }),
  );
});

test("a node keeps its number while anybody holds it, and gives it back after", () => {
  const nodes = new NodeTable();
  const ports = nodes.addClass();
  const hosts = nodes.addClass();
  const a = nodes.hold(ports, "a");
  assert.equal(nodes.hold(ports, "a"), a);
  assert.notEqual(nodes.hold(hosts, "a"), a, "the same key of another class is another thing");
  nodes.release(a);
  assert.equal(nodes.find(ports, "a"), a);
  nodes.release(a);
  assert.equal(nodes.find(ports, "a"), -1);
  assert.equal(nodes.size, 1);
  assert.equal(nodes.hold(ports, "b"), a, "a freed number is used again");
  assert.equal(nodes.keyOf(a), "b");
  nodes.release(a);
  assert.throws(() => nodes.release(a), /more often than it was held/);
});
